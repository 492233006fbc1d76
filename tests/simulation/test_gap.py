"""Source records that left their topic: refused by name, and gone on without them where an operator says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import pytest

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.operational import OperationalWatch
from monitor.config import Config, loads
from monitor.daemon.gaps import Missing, _newest_lost_ms, missing, record
from monitor.daemon.worker import Worker
from monitor.daemon.writer import LostOwnership
from monitor.errors import OffsetLost
from monitor.evaluator import Evaluator
from monitor.ledger.audit import Audit
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import Commit, Gap, decode
from monitor.plan import plan_of
from monitor.saved import gone_by, restore, save
from monitor.windows.view import Kind
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import FragileWorld
from tests.simulation.histories import PARTITIONS, START
from tests.simulation.saving import run_to_the_end, saving, take_a_turn
from tests.simulation.test_crashes import pace
from tests.simulation.world import alerts, finals, topics, worker

CONFIG = saving("gone", 3, rows=5)


def story() -> tuple[list[list[Prediction]], list[list[Label]]]:
    """Sixty predictions in each partition, labelled 90 s later, so that some always wait."""
    p: list[list[Prediction]] = [[] for _ in range(PARTITIONS)]
    q: list[list[Label]] = [[] for _ in range(PARTITIONS)]
    for i in range(60):
        for partition in range(PARTITIONS):
            at, id_ = START + i * 6_000, f"{partition}-{i}"
            prediction = Prediction(id=id_, model="m", version="1", at=at, score=0.9, prediction=1.0)
            p[partition].append({**prediction, "segments": {"hue": "red"}})
            q[partition].append(Label(id=id_, at=at + 90_000, label=1.0))
    return p, q


def stopped_in_the_middle() -> FragileWorld:
    """A deployment that has read a part of both topics, and was killed."""
    log = topics(*story(), FragileWorld())
    pace(log, 5)
    process = worker(log, CONFIG)
    process.start()
    while min((task.engine.next_offsets[0] for task in process.tasks.values()), default=0) < 30:
        take_a_turn(log, process)
    log.crashed(process)
    return log


def committed(log: FragileWorld, partition: int) -> Commit:
    """The last commit of a partition."""
    return next(
        found
        for stored in reversed(log.records("gone.ledger", partition))
        if isinstance(found := decode(stored.record.value or b"", "ledger"), Commit)
    )


def audits(log: FragileWorld) -> list[Audit]:
    found = []
    for partition in range(PARTITIONS):
        one = Audit(partition)
        for stored in log.records("gone.ledger", partition):
            value = stored.record.value or b""
            one.feed(stored.offset, decode(value, "ledger"), value)
        found.append(one)
    return found


def refused(log: FragileWorld, topic: str) -> None:
    with pytest.raises(OffsetLost, match=rf"topic '{topic}' partition 0: offset \d+ is needed .*driftline ledger gap"):
        run_to_the_end(log, worker(log, CONFIG))
    log.clock.advance(log.session_ms + 1)


def decide(log: FragileWorld) -> list[Missing]:
    """Record whatever is missing; what it was."""
    found = list(missing(log, CONFIG))
    for one in found:
        record(log, log.appender(), CONFIG, one, "ada", "the disk was too small", log.clock.now_ms())
    assert list(missing(log, CONFIG)) == []
    return found


def test_nothing_is_missing_where_everything_is_held() -> None:
    assert list(missing(stopped_in_the_middle(), CONFIG)) == []


@pytest.mark.parametrize("stream", [0, 1])
def test_records_that_were_never_read_count_as_lost_and_the_rest_goes_on(stream: int) -> None:
    log = stopped_in_the_middle()
    name = ("predictions", "labels")[stream]
    before = committed(log, 0)
    next_ = (before.predictions[1], before.labels[1])[stream]
    log.truncate(name, 0, next_ + 4)
    refused(log, name)
    (found,) = decide(log)
    assert (found.stream, found.partition, found.start, found.end, found.unread) == (name, 0, next_, next_ + 4, 4)
    assert (found.pending, found.waiting) == (before.prediction_outcomes["pending"], before.label_outcomes["waiting"])
    assert found.pending > 0
    run_to_the_end(log, worker(log, CONFIG))
    after, other = audits(log)
    assert after.violations == other.violations == []
    assert (after.state.lost_predictions, after.state.lost_labels) == ((4, 0), (0, 4))[stream]
    assert after.state.commit is not None
    assert after.state.commit.prediction_outcomes["shed"] == found.pending, "what waited is given up, and counted"
    assert after.read == ((56, 60), (60, 56))[stream]
    assert other.read == (60, 60)
    assert other.state.commit is not None
    assert other.state.commit.prediction_outcomes["matched"] == 60
    windows = [orjson.loads(s.record.value) for s in log.records("gone.windows") if s.record.value is not None]
    assert any(window["final"] for window in windows)


def test_rows_that_cannot_be_rebuilt_are_given_up_though_nothing_was_unread() -> None:
    log = stopped_in_the_middle()
    before = committed(log, 0)
    floor, next_ = before.prediction_floor.offset, before.predictions[1]
    assert floor < next_
    log.truncate("predictions", 0, floor + 1)
    refused(log, "predictions")
    (found,) = decide(log)
    assert (found.unread, found.floor, found.begin) == (0, floor, floor + 1)
    gap = decode(log.records("gone.ledger", 0)[-1].record.value or b"", "ledger")
    assert isinstance(gap, Gap)
    assert (gap.format, gap.who, gap.why, gap.until_ms) == (5, "ada", "the disk was too small", 0)
    run_to_the_end(log, worker(log, CONFIG))
    after = audits(log)[0]
    assert after.violations == []
    assert after.read == (60, 60)
    assert (after.state.lost_predictions, after.state.lost_labels) == (0, 0)


# -- which windows are partial ---------------------------------------------------------------------------------------


def judging(namespace: str) -> Config:
    """A rule that one partition's predictions alone break."""
    document = orjson.loads(saving(namespace, 3, rows=5).document())
    document["rules"] = [{"name": "few", "metric": "volume", "op": "<", "threshold": 12, "window": "50s"}]
    return loads(orjson.dumps(document).decode())


def after_a_gap(lost: dict[str, int], own: Config, deaths: Sequence[int] = ()) -> FragileWorld:
    """A deployment that ran beside one to which nothing happened, lost so many records of partition 0 unread, and went on to
    the end; with deaths after so many turns."""
    log = topics(*story(), FragileWorld())
    run_to_the_end(log, worker(log, judging("calm")))
    pace(log, 5)
    process = worker(log, own)
    process.start()
    while min((task.engine.next_offsets[0] for task in process.tasks.values()), default=0) < 20:
        take_a_turn(log, process)
    log.crashed(process)
    before = committed(log, 0)
    for name, number in lost.items():
        log.truncate(name, 0, (before.predictions[1] if name == "predictions" else before.labels[1]) + number)
    for one in missing(log, own):
        record(log, log.appender(), own, one, "ada", "retention", log.clock.now_ms())
    for turns in deaths:
        process = worker(log, own)
        process.start()
        for _ in range(turns):
            take_a_turn(log, process)
        log.crashed(process)
    run_to_the_end(log, worker(log, own))
    return log


def told(log: FragileWorld, namespace: str) -> dict[bytes, dict[str, Any]]:
    return {key: orjson.loads(value) for key, value in finals(log, namespace).items()}


@pytest.mark.parametrize("lost", [{"predictions": 20}, {"labels": 9}, {"predictions": 9, "labels": 20}])
def test_windows_that_lost_something_are_partial_and_all_others_are_what_they_were(lost: dict[str, int]) -> None:
    log = after_a_gap(lost, judging("gone"))
    whole, found = told(log, "calm"), told(log, "gone")
    partial = {key for key, window in found.items() if window.get("partial")}
    different = {key for key, window in whole.items() if found.get(key) != window}
    assert {key for key in different if key in found} <= partial
    assert len(different - found.keys()) == 0, "no window lost everything: the other partition has it too"
    assert not any("partial" in window for window in whole.values())
    for kind in ("input", "performance"):
        own = sorted(window["start_ms"] for key, window in found.items() if key in partial and window["kind"] == kind)
        every = sorted(window["start_ms"] for window in found.values() if window["kind"] == kind)
        assert own, kind
        assert every[-1] > own[-1], f"the last windows of kind {kind} came after the loss"
        if kind == "input":
            assert every[0] < own[0], "the first came long before"


def test_no_rule_judges_a_partial_window_and_what_was_published_of_it_is_told_anew() -> None:
    log = after_a_gap({"predictions": 20}, judging("gone"))
    short = [window for window in told(log, "gone").values() if window["kind"] == "input" and window["seen"] < 12]
    assert [window for window in short if window["end_ms"] < START + 350_000], "the rule would have fired"
    events = [orjson.loads(stored.record.value or b"")["data"] for stored in log.records("gone.alerts")]
    cited = [data["evidence"]["window"]["end_ms"] for data in events if data.get("evidence")]
    assert all(end_ms > START + 350_000 for end_ms in cited), "only the last one, which the end of input cuts off"
    told_before = {
        stored.record.key
        for stored in log.records("gone.windows")
        if stored.record.value is not None and "partial" not in orjson.loads(stored.record.value)
    }
    partial = {key for key, window in told(log, "gone").items() if window.get("partial")}
    assert partial & {key for key in told_before if key is not None}, "some had been told as whole"


def counting(namespace: str) -> Config:
    """A limit of `quality.volume` that one partition's predictions alone fall short of."""
    document = orjson.loads(saving(namespace, 3, rows=5).document())
    document["rules"] = []
    document["models"][0]["quality"] = {"window": "50s", "volume": {"at_least": 12}}
    return loads(orjson.dumps(document).decode())


def volume_low(log: FragileWorld) -> list[int]:
    """Starts of the windows that were told to have too few predictions."""
    events = [orjson.loads(stored.record.value or b"")["data"] for stored in log.records("gone.alerts")]
    found = [data for data in events if data.get("condition") == "volume-low" and data["state"] == "firing"]
    return [data["facts"]["start_ms"] for data in found]


def test_no_partial_window_is_said_to_have_too_few_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    log = after_a_gap({"predictions": 20}, counting("gone"))
    inputs = [window for window in told(log, "gone").values() if window["kind"] == "input"]
    partial = {window["start_ms"] for window in inputs if window.get("partial")}
    assert any(window["seen"] < 12 for window in inputs if window["start_ms"] in partial)
    assert not partial & set(volume_low(log))
    monkeypatch.setattr("monitor.evaluator.Evaluator._lose", lambda *_: None)  # as if gaps marked nothing
    assert partial & set(volume_low(after_a_gap({"predictions": 20}, counting("gone"))))


@pytest.mark.parametrize("deaths", [(1, 4, 9, 14), (2, 2, 3, 3, 5, 8)])
def test_whoever_takes_over_after_a_gap_marks_and_judges_alike(deaths: tuple[int, ...]) -> None:
    calm, hurt = (
        after_a_gap({"predictions": 20}, judging("gone")),
        after_a_gap({"predictions": 20}, judging("gone"), deaths),
    )
    assert finals(calm, "gone") == finals(hurt, "gone")
    assert alerts(calm, "gone") == alerts(hurt, "gone")
    for log in (calm, hurt):
        found = prove(log, judging("gone"), held=True)
        assert sentences(found.differences) == []


def test_the_newest_time_of_what_was_lost_is_told_by_what_comes_after_it() -> None:
    log = topics(*story(), FragileWorld())
    one = Missing(0, "predictions", "predictions", 10, 20, 0, 20, 0, 0)
    assert _newest_lost_ms(log, CONFIG, one, 0) == START + 20 * 6_000 + CONFIG.time.disorder_ms
    log.truncate("predictions", 0, 60)
    now = log.clock.now_ms()
    everything = Missing(0, "predictions", "predictions", 10, 60, 0, 60, 0, 0)
    assert _newest_lost_ms(log, CONFIG, everything, now) == now + CONFIG.time.skew_ms
    assert _newest_lost_ms(log, CONFIG, Missing(0, "predictions", "predictions", 60, 60, 0, 60, 0, 0), now) == 0


def test_who_dies_after_a_gap_goes_on_from_it_again() -> None:
    log = stopped_in_the_middle()
    log.truncate("predictions", 0, committed(log, 0).predictions[1] + 2)
    decide(log)
    for turns in (1, 4, 9, 14):
        process = worker(log, CONFIG)
        process.start()
        for _ in range(turns):
            take_a_turn(log, process)
        log.crashed(process)
    run_to_the_end(log, worker(log, CONFIG))
    assert [one.violations for one in audits(log)] == [[], []]
    assert audits(log)[0].state.lost_predictions == 2


def test_an_owner_that_lives_and_did_not_see_the_gap_stops() -> None:
    log = topics(*story(), FragileWorld())
    pace(log, 5)
    process = worker(log, CONFIG)
    process.start()
    while not process.tasks or not committed_any(process):
        take_a_turn(log, process)
    task = process.tasks[0]
    one = Missing(0, "predictions", "predictions", task.writer.follower.state.next_prediction, 59, 0, 59, 0, 0)
    record(log, log.appender(), CONFIG, one, "ada", "a test", log.clock.now_ms())
    with pytest.raises(LostOwnership, match="wrong_range"):
        task.commit(task.flags)


def committed_any(process: Worker) -> bool:
    return all(task.writer.follower.state.commit is not None for task in process.tasks.values())


# -- the evaluator at the gap ----------------------------------------------------------------------------------------


def accepted(log: FragileWorld, partition: int) -> list[Commit | Gap]:
    state, found = FoldState(), list[Commit | Gap]()
    for stored in log.records("gone.ledger", partition):
        value = stored.record.value or b""
        state, verdict = fold(state, one := decode(value, "ledger"), value)
        if verdict is Verdict.ACCEPTED and isinstance(one, (Commit, Gap)):
            found.append(one)
    return found


def new_evaluator(own: Config) -> Evaluator:
    watch = OperationalWatch(own.namespace, own.labels, own.source_topics(), PARTITIONS)
    return Evaluator(plan_of(own), own.windows, RuleBook.of(own), watch, PARTITIONS)


def test_a_gap_marks_windows_in_the_next_tick_that_closes_whoever_closes_it() -> None:
    own = judging("gone")
    log = after_a_gap({"predictions": 20}, own)
    ours, other = accepted(log, 0), accepted(log, 1)
    at = next(i for i, one in enumerate(ours) if isinstance(one, Gap))
    evaluator = new_evaluator(own)
    for partition, records in ((0, ours[:at]), (1, other)):
        for one in records:
            evaluator.feed(partition, one)
    list(evaluator.close())
    assert not evaluator.losses.spans
    clock, gap = evaluator.clocks[0], ours[at]
    assert isinstance(gap, Gap)
    assert isinstance(gap.until_ms, int)
    evaluator.feed(0, gap)
    oldest = min(clock.prediction_ms, clock.label_ms)
    assert evaluator.losses.spans == {
        Kind.INPUT: ((clock.prediction_ms - 60_000, gap.until_ms + 1),),
        Kind.PERFORMANCE: ((oldest - 160_000, gap.until_ms + 1),),
    }
    to_mark = {kind: set(engine.to_mark) for kind, engine in evaluator.engines.items()}
    assert all(to_mark.values())
    again = new_evaluator(own)
    begun = RuleBook.of(own), BudgetWatch.of(own, plan_of(own)), own.windows
    restore(again, save(evaluator), *begun, editions=evaluator.editions.save(), gone=gone_by(evaluator))
    next_ticks = {kind: engine.next_tick for kind, engine in evaluator.engines.items()}
    for each in (evaluator, again):
        for one in ours[at + 1 :]:  # their clocks alone: nothing but the gap touches a window
            assert isinstance(one, Commit)
            each.feed(0, msgspec.structs.replace(one, inputs=None, performance=None))
    outputs = list(evaluator.close())
    assert outputs == list(again.close())
    assert save(evaluator) == save(again)
    assert not any(engine.to_mark for engine in evaluator.engines.values())
    for kind, keys in to_mark.items():
        first = next(output for output in outputs if output.kind is kind)
        revised = {view.key: view for view in first.windows}
        assert first.tick_ms == ((next_ticks[kind] or 0) + 1) * 10_000
        assert keys <= revised.keys()
        assert all(revised[key].partial for key in keys)


def test_a_gap_of_an_earlier_version_marks_nothing() -> None:
    evaluator = new_evaluator(judging("gone"))
    evaluator.feed(0, Gap(1, "predictions", (0, 7), "ada", "retention", b""))
    assert not evaluator.losses.spans
