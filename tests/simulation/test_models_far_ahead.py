"""One record that is dated years ahead holds up no model that comes, and none that goes."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Iterator

import orjson
import pytest

from monitor.config import loads
from monitor.ledger.roster import Listed
from monitor.ports import OutRecord
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import Fault, FragileWorld
from tests.simulation.histories import START, split
from tests.simulation.reloading import Files, run
from tests.simulation.test_crashes import pace
from tests.simulation.test_models_change import (
    ALL,
    BOTH,
    PANE_MS,
    M,
    check,
    expected,
    in_order,
    rosters,
    text,
    told,
)
from tests.simulation.world import topics, worker

DAY_MS = 86_400_000
FAR_MS = START + 3 * 365 * DAY_MS


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


def a_world_with(model: str, *, records: int = 1) -> FragileWorld:
    """A log with records of a producer whose clock is three years ahead, by which the log has their time as well."""
    p, q = in_order(200)
    log = topics(split(p), split(q), FragileWorld())
    held = log._topics["predictions"].partitions[0].records
    for number in range(records):
        like = held[3]
        row = {**orjson.loads(like.record.value or b""), "id": f"far{number}", "model": model, "at": FAR_MS + number}
        far = dataclasses.replace(like, timestamp_ms=FAR_MS + number, record=OutRecord(orjson.dumps(row)))
        held.insert(3 + number, far)
    held[:] = [dataclasses.replace(one, offset=offset) for offset, one in enumerate(held)]
    worker(log, loads(text("calm", ALL))).run()
    return log


def n_of(log: FragileWorld) -> Listed:
    (n,) = [one for one in rosters(log, "one")[-1].models if one.name == "n"]
    return n


def near(log: FragileWorld, namespace: str) -> dict[bytes, dict[str, object]]:
    """What was told of windows before the day of that record."""
    return {key: one for key, one in told(log, namespace).items() if int(str(one["start_ms"])) < FAR_MS - DAY_MS}


@pytest.mark.parametrize("model", ["somebody-else", "n", "m"])
@pytest.mark.parametrize("crash", [False, True])
def test_a_model_that_is_added_begins_as_if_it_were_not_there(model: str, crash: bool) -> None:
    without, log = (a_world_with(model, records=records) for records in (0, 1))
    for one in (without, log):
        pace(one, 6)
        run(one, [(45, Fault.CRASH_BEFORE)] * crash, Files(text("one", M)), [(7, text("one", BOTH))])
    assert n_of(log).from_ms == n_of(without).from_ms
    wanted = {k: one for k, one in expected(log, rosters(log, "one")[-1].models).items() if k in near(log, "calm")}
    assert near(log, "one") == wanted
    assert any(one["model"] == "n" for one in wanted.values())
    assert sentences(prove(log, loads(text("one", BOTH))).differences) == []


def test_however_many_agree_on_a_day_in_years_a_model_waits_no_longer_than_a_jump_may_be() -> None:
    log = a_world_with("somebody-else", records=5)
    pace(log, 6)
    old, new = (text("one", models).replace("max_jump: 30d", "max_jump: 150s") for models in (M, BOTH))
    run(log, [], Files(old), [(7, new)])
    from_ms = n_of(log).from_ms
    assert from_ms is not None
    assert from_ms <= log.clock.now_ms() + 150_000 + PANE_MS, "years before that day"
    assert sentences(prove(log, loads(new)).differences) == []


@pytest.mark.parametrize("model", ["m", "n"])
def test_a_model_that_is_taken_out_leaves_as_if_it_were_not_there(model: str) -> None:
    log = a_world_with(model)
    pace(log, 6)
    run(log, [], Files(text("one", BOTH)), [(12, text("one", M))])
    n = n_of(log)
    assert n.until_ms < START + 400_000
    assert n.until_ms % PANE_MS == 0
    assert n.ends_ms < START + 600_000
    assert any(int(str(one["start_ms"])) > FAR_MS - DAY_MS for one in told(log, "one").values()) is (model == "m")
    check(log, text("one", M))
