"""Models come and go while a namespace runs: what is counted of them is whole, of the others nothing changes, and every worker
and replay agrees since when."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import loads
from monitor.daemon.begun import kept
from monitor.daemon.counted import counted, newest
from monitor.daemon.worker import Worker
from monitor.ledger.evaluated import roster_of
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import EDITION_FORMAT, Commit, EvalCommit, decode
from monitor.ledger.roster import Listed, Roster
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from tests.examples import examples
from tests.oracle import join
from tests.oracle.join import Label, Prediction, Window
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import Crash, Fault, FragileWorld
from tests.simulation.histories import PARTITIONS, START, labels, predictions, split
from tests.simulation.reloading import Files, run, start
from tests.simulation.saving import whole
from tests.simulation.test_crashes import crashes, pace, paces, silences
from tests.simulation.world import CONFIG, PARAMS, finals, topics, worker

PANE_MS = 50_000
M = "{name: m, features: [], segments: {hue: [red, blue]}}"
N = "{name: n}"
O = "{name: o, features: [], threshold: 0.3}"  # noqa: E741 - the third letter
BOTH = f"{M}, {N}"
ALL = f"{M}, {N}, {O}"


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


def text(namespace: str, models: str, *, windows: str = "50s, 150s", every: int = 10_000, trim: bool = False) -> str:
    """The deployment of the other simulations with these models."""
    made = CONFIG.format(namespace=namespace, rows=9, lateness=60)
    for old, new in (
        ("models: [{name: m, segments: {hue: [red, blue]}}]", f"models: [{models}]"),
        ("windows: [50s]", f"windows: [{windows}]"),
        ("commit_interval: 1ms", f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}"),
    ):
        assert old in made
        made = made.replace(old, new)
    return made


def turn(log: FragileWorld, process: Worker, times: int) -> None:
    for _ in range(times):
        log.clock.advance(5)
        process.turn()


def accepted(log: FragileWorld, topic: str, partition: int = 0) -> list[Commit | EvalCommit]:
    """The records of a partition that count."""
    state, found = FoldState(), []
    for stored in log.whole(topic, partition):
        record = decode(stored.record.value or b"", topic)
        state, verdict = fold(state, record, stored.record.value or b"")
        if verdict is Verdict.ACCEPTED and isinstance(record, Commit | EvalCommit):
            found.append(record)
    return found


def rosters(log: FragileWorld, namespace: str) -> list[Roster]:
    """As the evaluations that count changed them."""
    found = accepted(log, f"{namespace}.evals")
    held = [roster_of(one) for one in found if isinstance(one, EvalCommit)]
    return [one for one in held if one is not None]


def told(log: FragileWorld, namespace: str) -> dict[bytes, dict[str, object]]:
    """Final windows by key, without the digest of the configuration."""
    found = {key: orjson.loads(value) for key, value in finals(log, namespace).items()}
    for value in found.values():
        del value["config"]
    return found


def as_counted(log: FragileWorld, listed: Sequence[Listed]) -> FragileWorld:
    """The same topics, with what was rejected for its model made a record that nobody counts: it is none that moves a clock, so a
    run that lists all models sees the times that the disturbed one saw."""
    made: list[list[bytes]] = []
    for partition in range(PARTITIONS):
        commits = [one for one in accepted(log, "one.ledger", partition) if isinstance(one, Commit)]
        adopted = sorted({each.offset: each.number for one in commits for each in one.rosters or ()}.items())

        def number(offset: int, adopted: Sequence[tuple[int, int]] = adopted) -> int:
            return max((number for since, number in adopted if since <= offset), default=0)

        made.append([])
        for stored in log.records("predictions", partition):
            record = orjson.loads(stored.record.value or b"")
            own = [one for one in listed if one.name == record["model"]]
            if not any(record["at"] < one.counts_until(number(stored.offset)) for one in own):
                record["model"] = "nobody"
            made[-1].append(orjson.dumps(record))
    twin = FragileWorld()
    for name, records in (("predictions", made), ("labels", [])):
        twin.ensure(TopicSpec(name, PARTITIONS))
        for partition in range(PARTITIONS):
            kept = [stored.record.value or b"" for stored in log.records(name, partition)]
            for value in records[partition] if records else kept:
                twin.appender().append(name, partition, OutRecord(value))
            held = twin._topics[name].partitions[partition].records  # a record's own time is judged by the log's
            times = [stored.timestamp_ms for stored in log.records(name, partition)]
            held[:] = [replace(one, timestamp_ms=at) for one, at in zip(held, times, strict=True)]
    return twin


def expected(log: FragileWorld, listed: Sequence[Listed], calm: str = "") -> dict[bytes, dict[str, object]]:
    """What there must be: of every model the windows that started while it was listed, as if it always had been. `calm`: the
    configuration that lists all of them."""

    def held(model: str, start_ms: int) -> bool:
        return any(
            one.from_ms is not None and one.from_ms <= start_ms < one.until_ms for one in listed if one.name == model
        )

    twin = as_counted(log, listed)
    worker(twin, loads(calm or text("calm", ALL))).run()
    return {key: one for key, one in told(twin, "calm").items() if held(str(one["model"]), int(str(one["start_ms"])))}


def a_world(p: list[Prediction], q: list[Label]) -> FragileWorld:
    """A log with these records."""
    return topics(split(p), split(q), FragileWorld())


def in_order(n: int = 120, models: str = "mn") -> tuple[list[Prediction], list[Label]]:
    """A prediction every three seconds, of each model in turn; one in four corrected late."""
    p = [
        Prediction(
            id=f"i{i}", model=models[i % len(models)], version="1", at=START + i * 3_000, score=0.9, prediction=1.0,
            segments={"hue": "red"},
        )
        for i in range(n)
    ]  # fmt: skip
    q = [Label(id=f"i{i}", at=START + i * 3_000 + 40_000, label=float(i % 3 > 0)) for i in range(n)]
    return p, [*q, *(Label(id=f"i{i}", at=START + i * 3_000 + 80_000, label=1.0) for i in range(0, n, 4))]


def check(log: FragileWorld, now: str, calm: str = "") -> None:
    """What was told is what there must be, and a replay proves the run. `calm` as in `expected`."""
    last = rosters(log, "one")[-1:]
    listed = last[0].models if last else counted(log, loads(now), plan_of(loads(now))).roster.models
    assert told(log, "one") == expected(log, listed, calm)
    assert sentences(prove(log, loads(now)).differences) == []


# -- what there is afterwards ----------------------------------------------------------------------------------------


def test_a_model_that_is_added_begins_at_a_pane_and_equals_one_that_always_was() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    run(log, [], Files(text("one", M)), [(7, text("one", BOTH))])
    announced, begun = rosters(log, "one")
    assert announced.waits
    assert not begun.waits
    (n,) = [one for one in begun.models if one.name == "n"]
    assert n.from_ms is not None
    assert n.from_ms % PANE_MS == 0
    assert START < n.from_ms < START + 300_000, "it is in the middle of what came"
    assert {one["model"] for one in told(log, "one").values()} == {"m", "n"}
    check(log, text("one", BOTH))
    assert newest(kept(log, "one.configs"), "one.configs") == begun


def test_what_came_before_an_owner_counted_it_was_rejected_and_what_came_after_was_not() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    run(log, [], Files(text("one", M)), [(7, text("one", BOTH))])
    for partition in range(2):
        commits = [one for one in accepted(log, "one.ledger", partition) if isinstance(one, Commit)]
        (adopted,) = commits[-1].rosters or ()
        source = [orjson.loads(stored.record.value or b"") for stored in log.records("predictions", partition)]
        before = [one["at"] for one in source[: adopted.offset] if one["model"] == "n"]
        assert commits[-1].prediction_outcomes["rejected"] == len(before) > 0
        assert adopted.newest_ms == max(before) == commits[-1].unlisted_ms
        assert commits[-1].format == EDITION_FORMAT, "a version that counts by the first models alone refuses"


def test_what_is_rejected_for_its_model_moves_no_clock_and_so_forgets_no_id() -> None:
    """An id is remembered until the clock has passed it by the lateness, 60 s. The record of a model that is not listed moves no
    clock; in a namespace that lists it, it does, and the same id is another prediction then."""

    def made(id_: str, model: str, at_s: int) -> Prediction:
        at = START + at_s * 1_000
        return Prediction(id=id_, model=model, version="1", at=at, score=0.9, prediction=1.0, segments={"hue": "red"})

    p = [*(made(id_, "m", 0) for id_ in "egia"), made("c", "n", 65), made("a", "m", 66)]  # all in one partition
    log, files = a_world(p, []), Files(text("one", M))
    run(log, [], files, [])
    seen = {
        (one["window"], one["start_ms"]): one["counts"]["seen"]  # type: ignore[index]
        for one in told(log, "one").values()
        if (one["kind"], one["segment"], one["window"]) == ("performance", "all", "50s")
    }
    rejected = Prediction(id="", model="", version="", at=0, rejected=True)
    params = replace(PARAMS, window=Window(PANE_MS))
    for listed, rows in ((M, [*p[:4], rejected, p[5]]), (BOTH, p)):
        logs = [[one for one in rows if one is rejected or sum(one["id"].encode()) % 2 == i] for i in range(2)]
        windows = join.final_windows(logs, [[], []], params)
        own = sum(
            found["seen"] for (model, _, segment, _), found in windows.items() if (model, segment) == ("m", "all")
        )
        assert own == (4 if listed == M else 5), "so says the plain join"
    assert sum(seen.values()) == 4
    check(log, files.content)


@pytest.mark.parametrize("also", [{"score": "abc"}, {"score": None}, {"at": "yesterday"}, {"version": None}])
def test_a_record_with_another_problem_besides_its_model_is_nothing_that_a_model_lacks(also: dict[str, object]) -> None:
    p, q = in_order()
    last = max(i for i, one in enumerate(p) if one["model"] == "n" and i < 30)
    log = topics(split([*p[:last], {**p[last], **also}, *p[last + 1 :]]), split(q), FragileWorld())
    pace(log, 6)
    run(log, [], Files(text("one", M)), [(7, text("one", BOTH))])
    assert len(rosters(log, "one")) == 2
    assert sentences(prove(log, loads(text("one", BOTH))).differences) == []


def test_a_model_that_is_taken_out_keeps_the_windows_that_it_began_and_then_its_records_are_rejected() -> None:
    log = a_world(*in_order(200))
    pace(log, 6)
    run(log, [], Files(text("one", BOTH)), [(9, text("one", M))])
    (roster,) = rosters(log, "one")
    (n,) = [one for one in roster.models if one.name == "n"]
    across = [
        one for one in told(log, "one").values()
        if one["model"] == "n" and int(str(one["start_ms"])) < n.until_ms < int(str(one["end_ms"]))
    ]  # fmt: skip
    assert across, "one that had begun spans the change, and counted to its end"
    check(log, text("one", M))
    commits = [accepted(log, "one.ledger", partition)[-1] for partition in range(2)]
    rejected = sum(one.prediction_outcomes["rejected"] for one in commits if isinstance(one, Commit))
    p, _ = in_order(200)
    assert rejected == sum(one["model"] == "n" and one["at"] >= n.ends_ms for one in p) > 0


def test_alerts_about_a_model_that_is_taken_out_end_and_none_begins() -> None:
    p, q = in_order(200)
    log = a_world(p, [Label(id=one["id"], at=one["at"], label=0.0) for one in q])
    pace(log, 6)
    run(log, [], Files(text("one", BOTH)), [(12, text("one", M))])
    (roster,) = rosters(log, "one")
    events = [orjson.loads(stored.record.value or b"")["data"] for stored in log.records("one.alerts")]
    last: dict[str, dict[str, object]] = {}
    for event in events:
        last[event["fingerprint"]] = event
    about = [one for one in last.values() if one.get("model") == "n"]
    assert about, "alerts about it fired"
    assert {(one["state"], one["reason"]) for one in about} == {("resolved", "rule_gone")}
    assert any(one.get("model") == "m" and one["state"] == "firing" for one in last.values())
    assert roster.listed[0].name == "m"
    check(log, text("one", M))


def test_a_model_that_waits_is_not_missed() -> None:
    missed = "{name: n, quality: {freshness: {at_most: 20s}}}"
    p, q = in_order(200)
    log = a_world([one for one in p if one["model"] == "m" or one["at"] < START + 90_000], q)
    pace(log, 6)
    run(log, [], Files(text("one", M)), [(7, text("one", f"{M}, {missed}"))])
    (n,) = [one for one in rosters(log, "one")[-1].models if one.name == "n"]
    events = [orjson.loads(stored.record.value or b"") for stored in log.records("one.alerts")]
    silent = [one["data"] for one in events if one["data"].get("condition") == "model-silent"]
    assert n.from_ms is not None
    assert [one["state"] for one in silent] == ["firing"], "it is missed once it should come"
    assert silent[0]["tick_ms"] > n.from_ms


def test_models_come_back_and_a_restart_goes_on_with_those_that_are_listed() -> None:
    log = a_world(*in_order(200))
    pace(log, 4)
    crash = Fault.CRASH_BEFORE
    one, two = text("one", M, every=3, trim=True), text("one", BOTH, every=3, trim=True)
    run(log, [(60, crash), (40, crash), (40, crash)], Files(one), [(7, two), (25, one), (45, two)])
    assert log.happened == [crash] * 3
    assert whole(log, "one")[0].manifest.format == 9, "it names an edition beside"
    assert log.begin_offsets("one.evals") > [0], "which models are listed since when is in the checkpoint alone"
    last = newest(kept(log, "one.configs"), "one.configs")
    assert last is not None
    assert [one.name for one in last.models] == ["m", "n", "n"]
    assert told(log, "one") == expected(log, last.models)
    assert sentences(prove(log, loads(two)).differences) == []


def test_models_and_windows_change_together_and_by_a_restart() -> None:
    log = a_world(*in_order(200, "mno"))
    pace(log, 6)
    first = start(log, Files(text("one", BOTH)))
    turn(log, first, 9)
    log.crashed(first)
    after = text("one", f"{M}, {O}", windows="50s")
    run(log, [], Files(after), [])
    listed = rosters(log, "one")[-1].models
    assert {(one.name, one.left is None) for one in listed} == {("m", True), ("n", False), ("o", True)}
    found, everything = told(log, "one"), expected(log, listed)
    assert {key for key, one in everything.items() if one["window"] == "50s"} <= found.keys()
    assert all(everything[key] == one for key, one in found.items())
    assert sentences(prove(log, loads(after)).differences) == []


# -- whatever happens around it --------------------------------------------------------------------------------------

sets = st.lists(st.sampled_from([M, BOTH, f"{M}, {O}", ALL]), min_size=2, max_size=3)
faults_ = st.lists(st.one_of(crashes, crashes, silences), max_size=4)
turns_ = st.lists(st.integers(2, 40), min_size=2, max_size=2).map(sorted)


@settings(max_examples=examples(60))
@given(predictions, labels, faults_, paces, sets, turns_, st.integers(1, 12), st.integers(0, 60))
def test_any_crash_around_any_change_leaves_the_windows_that_were_to_be(
    p: list[Prediction],
    q: list[Label],
    faults: list[tuple[int, Fault]],
    rows: int,
    held: list[str],
    turns: list[int],
    every: int,
    others: int,
) -> None:
    held = [own for i, own in enumerate(held) if not i or own != held[i - 1]]
    more, truth = in_order(others, "nmo")
    log = a_world(sorted([*p, *more], key=lambda one: one["at"]), sorted([*q, *truth], key=lambda one: one["at"]))
    pace(log, rows)
    texts = [text("one", own, every=every) for own in held]
    run(log, faults, Files(texts[0]), list(zip(turns, texts[1:], strict=False)))
    first = {name.split(",")[0].strip("{} ") for name in held[0].split("name: ")[1:]}
    changed = rosters(log, "one")
    if changed:
        assert told(log, "one") == expected(log, changed[-1].models)
    else:  # it had settled before anybody knew of a change, or began with it
        own = counted(log, loads(texts[0]), plan_of(loads(texts[0]))).roster.models
        assert told(log, "one") == expected(log, own) or first == set()
    assert sentences(prove(log, loads(texts[-1])).differences) == []


@pytest.mark.parametrize("nth", range(1, 11))
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LANDED, Fault.LOST, Fault.LATER])
def test_a_fault_at_any_append_of_the_change_is_made_good(nth: int, fault: Fault) -> None:
    log = a_world(*in_order(160, "mno"))
    pace(log, 6)
    files = Files(text("one", BOTH))
    process = start(log, files)
    turn(log, process, 7)
    files.content = text("one", f"{M}, {O}")
    assert process.reloads is not None
    process.reloads.ask()
    log.arm([(nth, fault)])
    try:
        while not log.happened:
            turn(log, process, 1)
    except Crash:
        pass
    log.crashed(process)
    assert log.happened == [fault]
    run(log, [], files, [])
    assert {one.name for one in rosters(log, "one")[-1].listed} == {"m", "o"}
    check(log, files.content)
