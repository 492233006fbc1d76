"""The last records of a load are decided when their tick has gone by on the wall, not when the next load comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from monitor.config import Config, loads
from monitor.daemon.worker import Worker
from monitor.editions import DETAILED
from tests.replay.proving import prove, sentences
from tests.simulation.test_label_feed import PARTITIONS, Deployment, config
from tests.simulation.test_label_feed import START as START_MS
from tests.simulation.world import CONFIG, alerts, finals, worker

RULE = """
rules:
  - {name: wrong, metric: accuracy, op: "<", threshold: 0.9, window: 50s, min_rows: 4, severity: page}
"""


def watched(namespace: str = "one") -> Config:
    """`config` with a rule that one wrong load is enough for."""
    text = CONFIG.format(namespace=namespace, rows=1_000, lateness=60)
    text = text.replace("idle_after: 30d", "idle_after: 40s, stalled_after: 9h")
    start, end = text.index("rules:"), text.index("state:")
    return loads(text[:start] + RULE.lstrip() + text[end:])


def load(deployment: Deployment, newest: int = 1_000) -> int:
    """A label for the newest predictions, all of one moment and all wrong; how many."""
    numbers = range(max(1, deployment.made - newest + 1), deployment.made + 1)
    for number in numbers:
        deployment.send("labels", (number - 1) % PARTITIONS, {"id": f"p{number}", "at": deployment.now_ms, "label": 0})
    return len(numbers)


def labelled(deployment: Deployment, namespace: str = "one") -> int:
    """Predictions with a label, by the newest revision of every window of the shortest kind."""
    window = deployment.configs[0].windows[0].name
    newest: dict[bytes, int] = {}
    for stored in deployment.log.records(f"{namespace}.windows"):
        assert stored.record.key is not None
        found = orjson.loads(stored.record.value or b"{}")
        if found.get("kind") == "performance" and found["segment"] == "all" and found["window"] == window:
            newest[stored.record.key] = found["labelled"]
    return sum(newest.values())


def end(deployment: Deployment) -> Worker:
    """Let the worker settle everything that is there, and stop."""
    live = deployment.workers[0]
    live.end_when_read()
    while not live.done():
        live.turn()
    live.close()
    return live


def told(deployment: Deployment, namespace: str = "one") -> list[tuple[str, str]]:
    events = [orjson.loads(s.record.value or b"{}")["data"] for s in deployment.log.records(f"{namespace}.alerts")]
    return [(event["rule"], event["state"]) for event in events if event.get("rule") == "wrong"]


@pytest.mark.parametrize("predictions", [True, False], ids=["predictions go on", "nothing comes"])
def test_a_load_of_labels_is_decided_before_the_next_one_comes(predictions: bool) -> None:
    d = Deployment(watched())
    d.step(times=6)
    sent = load(d)
    d.step(predictions=predictions, times=2)
    assert labelled(d) < sent, "their tick may not have ended yet"
    d.step(predictions=predictions, times=10)
    assert labelled(d) == sent
    assert told(d) == [("wrong", "firing")]


def test_one_load_is_decided_once_and_the_next_one_as_well() -> None:
    d = Deployment(watched())
    sent = 0
    for _ in range(3):
        d.step(times=4)
        sent += load(d, 8)
        d.step(times=12)
        assert labelled(d) == sent
        d.restart()
        assert labelled(d) == sent


def test_what_comes_after_its_tick_went_by_is_decided_when_the_clock_moves_and_in_no_final_window_too_late() -> None:
    """Labels of the moment of the load that come in pieces, minutes apart. A later tick would make windows final without them."""
    d = Deployment(watched())
    d.step(times=6)
    at_ms, sent = d.now_ms, d.made
    for number in range(1, sent + 1):
        d.send("labels", (number - 1) % PARTITIONS, {"id": f"p{number}", "at": at_ms, "label": 0})
        d.step(predictions=False, times=9)
        if number == sent // 2:
            d.restart()
    assert 0 < labelled(d) < sent
    d.step(0, 1, times=4)
    assert labelled(d) == sent
    assert d.workers[0].statistics.unplaced == 0


def test_a_tick_that_has_not_ended_on_the_wall_stays_open() -> None:
    d = Deployment(watched())
    d.step(times=6)
    sent = load(d)
    judge = d.workers[0].judge
    assert judge is not None
    for _ in range(12):
        d.step(predictions=False)
        ticks = judge.evaluator.next_ticks()
        assert max(ticks) * 10_000 + 20_000 <= d.now_ms, "the wall is past every closed tick, and the disorder"
    assert labelled(d) == sent


def test_ticks_that_went_by_change_no_final_window_and_no_count() -> None:
    d = Deployment(watched())
    for _ in range(3):
        d.step(times=4)
        load(d, 8)
        d.step(predictions=False, times=8)
    end(d)
    worker(d.log, watched("two")).run()
    assert finals(d.log, "one") == finals(d.log, "two")
    assert sentences(prove(d.log, watched()).differences) == [], (
        "what was decided is decided again from what was recorded"
    )


def test_a_live_stream_is_decided_at_the_same_ticks_as_by_its_clocks_alone() -> None:
    """A silence between records: the tick before it closes at its time, and everything is told of the tick that it is told of by
    whoever reads it all at once."""

    def play(d: Deployment) -> None:
        for _ in range(3):
            d.step(0, 1, times=7)
            d.step(predictions=False, times=9)
        d.step(0, 1, times=12)

    def events(namespace: str) -> list[dict[str, Any]]:
        found = [orjson.loads(s.record.value or b"{}")["data"] for s in d.log.records(f"{namespace}.alerts")]
        return [event for event in found if "rule" in event]

    d = Deployment(config())
    play(d)
    end(d)
    worker(d.log, config("two")).run()
    assert alerts(d.log, "one")
    assert [e["tick_ms"] for e in events("one")] == [e["tick_ms"] for e in events("two")]


def test_earlier_editions_wait_for_the_next_record() -> None:
    d = Deployment(watched(), edition=DETAILED)
    d.step(times=6)
    sent = load(d)
    d.step(times=12)
    assert not any(commit.gone_by for commit in d.commits(0))
    assert labelled(d) < sent


@pytest.mark.parametrize("seed", range(12))
def test_what_is_final_holds_every_record_that_was_in_time(seed: int) -> None:
    """Records up to `lateness` behind the newest, pauses of any length: ticks that go by make no window final too early."""
    rng, d = np.random.default_rng(seed), Deployment(config())
    newest = [d.now_ms] * PARTITIONS

    def say(partition: int, at_ms: int) -> None:
        newest[partition], d.made = max(newest[partition], at_ms), d.made + 1
        record = {"id": f"p{d.made}", "model": "m", "version": "1", "at": at_ms, "score": 0.9, "prediction": 1}
        d.send("predictions", partition, {**record, "features": {"hue": "red"}})
        if rng.random() < 0.8:
            d.send("labels", partition, {"id": f"p{d.made}", "at": int(rng.integers(at_ms, d.now_ms + 1)), "label": 1})

    for _ in range(60):
        for partition in range(PARTITIONS):
            say(partition, newest[partition] - int(rng.integers(0, 60_001)))  # as old as may be, after a pause too
            say(partition, d.now_ms - int(rng.integers(0, 10_001)))
        d.log.clock.advance(int(rng.integers(0, 10_000)))
        d.step(predictions=False, times=int(rng.integers(7, 14)) if rng.random() < 0.4 else 1)
    assert d.workers[0].statistics.unplaced == 0
    assert sum(any(commit.gone_by or ()) for commit in d.commits(0)) > 3
    end(d)
    worker(d.log, config("two")).run()
    assert finals(d.log, "one") == finals(d.log, "two")


@pytest.mark.parametrize("disorder", ["0s", "5s", "20s"])
def test_a_record_as_old_as_lateness_allows_has_a_window_of_its_own_in_any_order(disorder: str) -> None:
    """The window ends with the tick in which the record is decided, so it is begun and final at once."""
    text = CONFIG.format(namespace="one", rows=1_000, lateness=60).replace("disorder: 20s", f"disorder: {disorder}")
    found = []
    for old_first in (True, False):
        d = Deployment(loads(text))
        d.log.clock.advance(START_MS + 400_000 - d.now_ms)
        newest, old = (START_MS + 351_000), (START_MS + 292_000)
        for at_ms in (START_MS + 340_000, START_MS + 345_000, *((old, newest) if old_first else (newest, old))):
            record = {"id": f"p{at_ms}", "model": "m", "version": "1", "at": at_ms, "score": 0.9, "prediction": 1}
            d.send("predictions", 0, {**record, "features": {"hue": "red"}})
            for _ in range(3):
                d.workers[0].turn()
        assert end(d).statistics.unplaced == 0
        found.append(finals(d.log, "one"))
    assert found[0] == found[1]
    assert any(str(START_MS + 250_000).encode() in key for key in found[0])
