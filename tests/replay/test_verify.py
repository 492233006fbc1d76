"""Replay is production: a run, whatever happened to it, is proved to be what its topics say, and nothing else is."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import loads
from monitor.errors import LedgerError
from monitor.ledger.records import Commit, EvalCommit, Gap, decode, digest_of, encode
from monitor.metrics import binary
from monitor.ports import OutRecord
from tests.adapters.memory import MemoryLog, Stored
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.fragile import Fault, FragileWorld
from tests.simulation.histories import labels, predictions, split
from tests.simulation.test_crashes import a_history, crashes, pace, paces, run_through, silences
from tests.simulation.test_label_feed import Deployment as Feeds
from tests.simulation.test_label_feed import config as feeds_config
from tests.simulation.world import CONFIG, config, topics, worker

NAMESPACE = "hurt"


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def log() -> FragileWorld:
    """A run that was cut into small commits, with two crashes and a lost acknowledgement."""
    p, q = a_restless_history()
    made = topics(split(p), split(q), FragileWorld())
    pace(made, 7)
    run_through(made, [(9, Fault.CRASH_AFTER), (7, Fault.LOST), (12, Fault.CRASH_BEFORE)], 7)
    return made


def a_restless_history() -> tuple[list[Prediction], list[Label]]:
    """A history with its labels, and another one after it that is good at first again: alerts come and go."""
    (p, q), later = a_history(), 300_000
    more = [Prediction(**{**each, "id": f"{each['id']}'", "at": each["at"] + later}) for each in p]
    labelled = [Label(**{**each, "id": f"{each['id']}'", "at": each["at"] + later}) for each in q]
    return [*p, *more], [*q, *labelled]


def tamper(log: MemoryLog, topic: str, chosen: Stored, value: bytes | None, partition: int = 0) -> None:
    """Another value where `chosen` was."""
    records = log._of(topic).partitions[partition].records
    place = next(i for i, stored in enumerate(records) if stored is chosen)
    records[place] = replace(chosen, record=replace(chosen.record, value=value))


def commits(log: MemoryLog, partition: int = 0) -> list[tuple[Stored, Commit]]:
    found = []
    for stored in log.records(f"{NAMESPACE}.ledger", partition):
        record = decode(stored.record.value or b"", "ledger")
        if isinstance(record, Commit):
            found.append((stored, record))
    return found


# -- what happened is proved -----------------------------------------------------------------------------------------


def test_a_run_with_crashes_is_identical_with_and_without_its_decisions(log: FragileWorld) -> None:
    done = prove(log, config(NAMESPACE, 7))
    assert sentences(done.differences) == []
    assert done.commits == sum(len(commits(log, p)) for p in (0, 1)) > 10
    assert done.evaluations > 3
    counts = {each.topic.removeprefix(f"{NAMESPACE}."): each.records for each in done.published}
    assert counts["windows"] == len(log.records(f"{NAMESPACE}.windows")) > 20
    assert counts["alerts"] == counts["alerts.state"] > 2
    again, found = run_again(log, config(NAMESPACE, 7))
    assert (sentences(found), again.finals > 5, again.alerts > 2) == ([], True, True)


@settings(max_examples=examples(40), deadline=None)
@given(predictions, labels, st.lists(st.one_of(crashes, silences), max_size=4), paces)
def test_any_history_with_any_faults_is_identical(
    p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int
) -> None:
    log = topics(split(p), split(q), FragileWorld())
    pace(log, rows)
    run_through(log, faults, rows)
    assert sentences(prove(log, config(NAMESPACE, rows)).differences) == []
    assert sentences(run_again(log, config(NAMESPACE, rows))[1]) == []


def test_a_namespace_that_is_still_running_is_proved_as_far_as_it_is(log: FragileWorld) -> None:
    process = worker(log, config("live", 7))
    process.options.until_end = False
    process.start()
    for turn in range(120):
        process.turn()
        if turn % 20 == 19 and process.commits:
            assert sentences(prove(log, config("live", 7)).differences) == []
            if process.judge is not None and process.judge.writer.follower.state.evaluation is not None:
                assert sentences(run_again(log, config("live", 7))[1]) == []
    process.close()


def test_a_gap_that_an_operator_accepted_is_replayed_as_one(log: FragileWorld) -> None:
    process = worker(log, config("live", 7))
    process.options.until_end = False
    process.start()
    while not process.tasks or not process.tasks[0].engine.next_offsets[0]:
        process.turn()
    process.close()
    state = process.tasks[0].writer.follower.state
    end = log.end_offsets("predictions")[0]
    lost = (state.next_prediction, state.next_prediction + 2)
    assert lost[1] < end
    gap = Gap(format=1, stream="predictions", lost=lost, who="ada", why="retention", previous=state.chain)
    log.appender().append("live.ledger", 0, OutRecord(encode(gap)))
    log.clock.advance(log.session_ms + 1)
    worker(log, config("live", 7)).run()
    done = prove(log, config("live", 7))
    assert sentences(done.differences) == []
    assert done.partitions[0].commits > 3


def test_rules_that_changed_on_the_way_are_those_of_then() -> None:
    p, q = a_restless_history()
    log = topics(split(p), split(q), FragileWorld())
    pace(log, 7)
    first = config(NAMESPACE, 7)
    edited = loads(CONFIG.replace("{name: bad,", "{name: worse,").format(namespace=NAMESPACE, rows=7, lateness=60))
    process = worker(log, first)
    process.options.until_end = False
    process.start()
    while process.judge is None or not process.judge.evaluator.published:
        process.turn()
    process.close()
    worker(log, edited).run()
    for each in (first, edited):
        assert sentences(prove(log, each).differences) == []
    live = run_again(log, edited)[0]._live
    assert live.decisions["rules"] == 1


def test_idle_partitions_and_a_stalled_feed_are_replayed_as_they_were_recorded() -> None:
    flights = Feeds(feeds_config())
    flights.step(0, 1, times=5)
    flights.step(times=10)
    flights.step(0, 1, times=2)
    flights.step(predictions=False, times=6)
    flights.restart()
    flights.step(0, 1, times=3)
    done = prove(flights.log, feeds_config())
    assert sentences(done.differences) == []
    told = [decode(s.record.value or b"", "ledger") for p in (0, 1) for s in flights.log.records("one.ledger", p)]
    flags = [(c.idle, c.stalled) for c in told if isinstance(c, Commit)]
    assert {True} <= {idle for idle, _ in flags}
    assert {True} <= {stalled for _, stalled in flags}
    live = run_again(flights.log, feeds_config())[0]._live
    assert live.decisions["idle"] > 0 < live.decisions["stalled"]


# -- what did not happen is named ------------------------------------------------------------------------------------


def test_a_source_record_that_was_changed_is_named_with_partition_range_and_cell(log: FragileWorld) -> None:
    victim = next(s for s in log.records("labels", 1) if orjson.loads(s.record.value or b"")["label"] == 1.0)
    other = orjson.dumps({**orjson.loads(victim.record.value or b""), "label": 0.0})
    tamper(log, "labels", victim, other, 1)
    done = prove(log, config(NAMESPACE, 7))
    first = done.differences[0]
    assert first.what == "commit"
    assert first.where["partition"] == 1
    start, end = map(int, first.where["labels"].strip("[)").split(","))
    assert start <= victim.offset < end
    assert first.where["model"] == "m"
    assert first.field.startswith("performance.")
    assert first.ours != first.theirs
    assert "partition 1" in first.sentence()
    assert sentences(run_again(log, config(NAMESPACE, 7))[1]) != []


def test_a_window_that_was_changed_is_named_with_its_field(log: FragileWorld) -> None:
    victim = next(s for s in log.records(f"{NAMESPACE}.windows", 0) if b'"tp":1' in (s.record.value or b""))
    value = victim.record.value
    assert value is not None
    tamper(log, f"{NAMESPACE}.windows", victim, value.replace(b'"tp":1', b'"tp":2'))
    (first,) = prove(log, config(NAMESPACE, 7)).differences
    assert (first.what, first.field, first.ours, first.theirs) == ("window", "counts.tp", 1, 2)
    assert first.where["window"] == (victim.record.key or b"").decode()


def test_an_alert_that_nobody_decided_is_named(log: FragileWorld) -> None:
    (*_, victim) = log.records(f"{NAMESPACE}.alerts")
    forged = orjson.loads(victim.record.value or b"")
    forged["id"] = "0" * 32
    record = replace(victim.record, value=orjson.dumps(forged))
    log.appender().append(f"{NAMESPACE}.alerts", 0, record)
    (first,) = prove(log, config(NAMESPACE, 7)).differences
    assert (first.what, first.where["alert"], first.ours) == ("alert", "0" * 32, None)
    (first,) = run_again(log, config(NAMESPACE, 7))[1]
    assert first.where["alert"] == "0" * 32


@pytest.mark.parametrize("topic", ["windows", "alerts"])
def test_what_was_decided_and_is_not_there_is_named(log: FragileWorld, topic: str) -> None:
    name = f"{NAMESPACE}.{topic}"
    records = log._of(name).partitions[0].records
    victim = next(s for s in reversed(records) if topic == "alerts" or b'"final":true' in (s.record.value or b""))
    for place, stored in enumerate(records):
        if stored.record.value == victim.record.value:
            records[place] = replace(stored, record=records[0].record)
    found = prove(log, config(NAMESPACE, 7)).differences
    assert [(d.what, d.theirs) for d in found] == [(topic.removesuffix("s"), None)]
    assert run_again(log, config(NAMESPACE, 7))[1][0].theirs is None


def test_an_evaluation_that_was_changed_is_named(log: FragileWorld) -> None:
    name = f"{NAMESPACE}.evals"
    stored = [(s, decode(s.record.value or b"", "evals")) for s in log.records(name)]
    victim, record = next((s, r) for s, r in stored if isinstance(r, EvalCommit))
    forged = encode(msgspec.structs.replace(record, digest=bytes(32)))
    tamper(log, name, victim, forged)
    found = prove(log, config(NAMESPACE, 7)).differences
    assert found[-1].what == "evaluation"
    assert found[-1].field == "digest"


def test_a_commit_with_another_count_is_named_though_its_digest_chain_holds(log: FragileWorld) -> None:
    """Whoever rewrites a ledger rewrites its chain too; the sources still say otherwise."""
    name = f"{NAMESPACE}.ledger"
    chain, changed = b"", False
    for stored in list(log.records(name, 0)):
        record = decode(stored.record.value or b"", "ledger")
        if isinstance(record, Commit) and changed:
            record = msgspec.structs.replace(record, previous=chain)
        elif isinstance(record, Commit) and record.records[1] > 3:
            outcomes = {**record.label_outcomes, "applied": record.label_outcomes["applied"] + 1}
            record, changed = msgspec.structs.replace(record, label_outcomes=outcomes), True
        raw = encode(record)
        if changed:
            tamper(log, name, stored, raw)
        chain = digest_of(raw)
    first = prove(log, config(NAMESPACE, 7)).differences[0]
    assert (first.what, first.field) == ("commit", "label_outcomes.applied")
    assert first.theirs == first.ours + 1


# -- canaries: another rule, another metric --------------------------------------------------------------------------


def test_another_threshold_of_a_rule_is_named(log: FragileWorld) -> None:
    text = CONFIG.replace("threshold: 0.7", "threshold: 0.75")
    changed = loads(text.format(namespace=NAMESPACE, rows=7, lateness=60))
    assert sentences(prove(log, changed).differences) == [], "the rules in force are those that were recorded"
    (first,) = run_again(log, changed)[1]
    assert (first.what, first.field, first.ours, first.theirs) == ("alert", "data.evidence.threshold", 0.75, 0.7)


def test_another_formula_of_a_metric_is_named(log: FragileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = binary.BINARY.metrics
    monkeypatch.setattr(binary.BINARY, "metrics", {**metrics, "accuracy": metrics["brier"]})
    done = prove(log, config(NAMESPACE, 7))
    assert [d.what for d in done.differences] == ["window", "evaluation"], "commits hold counts, not metrics"
    assert done.differences[0].what == "window"
    assert done.differences[0].field.startswith("metrics.accuracy.")
    assert run_again(log, config(NAMESPACE, 7))[1][0].field.startswith("metrics.accuracy.")


def test_another_way_to_count_is_named(log: FragileWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "_MATRIX", binary._MATRIX[[0, 2, 1, 3]])
    first = prove(log, config(NAMESPACE, 7)).differences[0]
    assert first.what == "commit"
    assert first.field in {"performance.fp", "performance.fn"}


def test_what_a_row_means_must_be_what_it_meant(log: FragileWorld) -> None:
    changed = loads(CONFIG.replace("horizon: 100s", "horizon: 30s").format(namespace=NAMESPACE, rows=7, lateness=60))
    with pytest.raises(LedgerError, match=r"counts under configuration sha256.*--without-decisions"):
        prove(log, changed)
    assert "window" in {d.what for d in run_again(log, changed)[1]}


# -- what the sources still hold ---------------------------------------------------------------------------------------


def test_records_that_are_gone_are_said_and_held_begins_after_them(log: FragileWorld) -> None:
    late = commits(log)[-3][1]
    log.truncate("predictions", 0, late.prediction_floor.offset)
    log.truncate("labels", 0, late.label_floor.offset)
    assert late.prediction_floor.offset > 0
    with pytest.raises(LedgerError, match=r"needs topic 'predictions' from offset 0, which holds .*--from held"):
        prove(log, config(NAMESPACE, 7))
    done = prove(log, config(NAMESPACE, 7), held=True)
    assert sentences(done.differences) == []
    assert done.partitions[0].skipped > 0 < done.partitions[0].commits


def test_nothing_that_could_be_made_again_is_no_proof(log: FragileWorld) -> None:
    with pytest.raises(LedgerError, match=r"of no commit could it be proved"):
        prove(log, config(NAMESPACE, 7), from_ms=log.clock.now_ms() + 1)


@pytest.mark.parametrize("topic", ["ledger", "evals"])
def test_a_ledger_without_its_beginning_proves_nothing(log: FragileWorld, topic: str) -> None:
    log.truncate(f"{NAMESPACE}.{topic}", 0, 3)
    with pytest.raises(LedgerError, match=rf"{topic}' partition 0 begins at offset 3 and no checkpoint can be used"):
        prove(log, config(NAMESPACE, 7))


def test_what_compaction_and_retention_took_is_not_missed(log: FragileWorld) -> None:
    """Brokers keep the newest record of each window and of each alert, and alerts of the last days."""
    for name in ("windows", "alerts.state"):
        for partition in log._of(f"{NAMESPACE}.{name}").partitions:
            newest = {stored.record.key: stored.offset for stored in partition.records}
            partition.markers |= {s.offset for s in partition.records if newest[s.record.key] != s.offset}
            assert partition.markers or name != "windows"
    log.truncate(f"{NAMESPACE}.alerts", 0, 2)
    done = prove(log, config(NAMESPACE, 7))
    assert sentences(done.differences) == []
    assert not any(each.whole for each in done.published if not each.topic.endswith("state"))
    assert sentences(run_again(log, config(NAMESPACE, 7))[1]) == []
    victim = next(s for s in log.records(f"{NAMESPACE}.windows", 0) if b'"final":true' in (s.record.value or b""))
    log._of(f"{NAMESPACE}.windows").partitions[0].markers.add(victim.offset)
    assert [d.theirs for d in prove(log, config(NAMESPACE, 7)).differences] == [None]


def test_a_namespace_that_never_ran_is_said(log: FragileWorld) -> None:
    with pytest.raises(LedgerError, match=r"there is no topic 'nobody\.ledger'"):
        prove(log, config("nobody", 7))
