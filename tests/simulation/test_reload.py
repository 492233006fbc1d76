"""The configuration is read again while workers run: at a tick, all or nothing, and workers with other files do not fight."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import orjson
import pytest

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.config.canonical import digest_bytes
from monitor.daemon.begun import documents
from monitor.daemon.counted import as_begun
from monitor.daemon.generations import history
from monitor.daemon.reload import LOOK_EVERY_MS, Reloads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.ledger.evaluated import generation_of
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.generations import PREFIX
from monitor.ledger.records import EvalCommit, EvalEdition, Generation, decode, encode
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import Crash, Fault, FragileWorld

BASE = """
namespace: one
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
time: {horizon: 100s, disorder: 0s, lateness: 60s, tick: 10s, idle_after: 30d, stalled_after: 60s}
models: [{name: m}]
windows: [20s]
labels: {owner: first}
rules:
  - {name: bad, metric: accuracy, op: "<", threshold: 0.7, window: 20s, min_rows: 1, min_coverage: 0.1}
state: {commit_interval: 1ms}
"""
RENAMED = BASE.replace("name: bad,", "name: worse,")
LENIENT = BASE.replace("threshold: 0.7", "threshold: 0.1")
OWNED = BASE.replace("owner: first", "owner: second")


class Files:
    """The files of one worker."""

    def __init__(self, text: str = BASE) -> None:
        self.text = text

    def fingerprint(self) -> bytes:
        return self.text.encode()

    def read(self) -> Config:
        return loads(self.text)


class Deployment:
    """Topics that grow by hand, with labels that say all predictions are wrong, and workers with files of their own."""

    def __init__(self) -> None:
        self.log = FragileWorld()
        for topic in ("predictions", "labels"):
            self.log.ensure(TopicSpec(topic, 1))
        self._appender = self.log.appender()
        self._made = 0
        self.workers: list[Worker] = []

    def start(self, files: Files) -> Worker:
        config = loads(files.text)
        reloads = Reloads(files, files.fingerprint(), self.log.clock)
        options = WorkerOptions(until_end=False)
        plan = as_begun(self.log, config, plan_of(config))
        made = Worker(self.log, config, plan, self.log.clock, dead_letters, options, reloads=reloads)
        made.start()
        self.workers.append(made)
        return made

    def crash(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.log.crashed(worker)

    def step(self, times: int = 1, *, labels: bool = True) -> None:
        """So often: ten seconds pass, a prediction and its label come, and all is read."""
        for _ in range(times):
            self.log.clock.advance(10_000)
            self._made += 1
            at, name = self.log.clock.now_ms(), f"p{self._made}"
            self._send(
                "predictions", {"id": name, "model": "m", "version": "1", "at": at, "score": 0.9, "prediction": 1}
            )
            if labels:
                self._send("labels", {"id": name, "at": at, "label": 0})
            self.read()

    def read(self) -> None:
        for _ in range(6):
            for worker in self.workers:
                worker.turn()

    def _send(self, topic: str, record: dict[str, object]) -> None:
        self._appender.append(topic, 0, OutRecord(orjson.dumps(record)))

    def said(self) -> list[tuple[str, str, str]]:
        """(rule or condition, change, reason or, of a condition, owner) of every alert, each once, in order."""
        by_id: dict[str, tuple[str, str, str]] = {}
        for stored in self.log.records("one.alerts"):
            event = orjson.loads(stored.record.value or b"{}")
            data = event["data"]
            why = data["labels"]["owner"] if data["reason"] == "decided" else data["reason"]
            by_id.setdefault(event["id"], (data.get("rule") or data["condition"], event["type"].split(".")[3], why))
        return list(by_id.values())

    def evaluations(self) -> list[EvalCommit]:
        records = [decode(s.record.value or b"", "a record") for s in self.log.records("one.evals")]
        return [record for record in records if isinstance(record, EvalCommit)]

    def generations(self) -> list[Generation]:
        return [held for each in self.evaluations() if (held := generation_of(each)) is not None]

    def kept(self) -> list[tuple[int, str]]:
        """(number, text) of every generation that the topic keeps."""
        texts = {document(text): text for text in (BASE, RENAMED, LENIENT, OWNED)}
        return [(record.number, texts[record.document]) for record in history(self.log, "one.configs")]


def behind(worker: Worker) -> bool:
    return worker.judge is not None and worker.judge.behind


def document(text: str) -> str:
    return digest_bytes(loads(text).document().encode())


@pytest.fixture
def d() -> Deployment:
    return Deployment()


FIRES, ENDS = ("bad", "firing", "sustained"), ("bad", "resolved", "rule_gone")


def test_changed_rules_hold_from_a_tick_on_and_the_whole_run_is_decided_again_alike(d: Deployment) -> None:
    files = Files()
    worker = d.start(files)
    d.step(8)
    assert d.said() == [FIRES]
    assert [(g.number, g.reason) for g in d.generations()] == [(1, "start")]
    files.text = RENAMED
    d.step(5)
    assert d.said()[:3] == [FIRES, ENDS, ("worse", "firing", "sustained")]
    assert [(g.number, g.reason) for g in d.generations()] == [(1, "start"), (2, "file")]
    assert d.kept() == [(1, BASE), (2, RENAMED)]
    assert {document(BASE).encode(), document(RENAMED).encode()} == documents(d.log, "one.configs").keys()
    assert worker.judge is not None
    assert worker.judge.generation == d.generations()[-1]
    before = len(d.evaluations())
    d.crash(worker)
    assert sentences(prove(d.log, loads(RENAMED)).differences) == []
    assert sentences(prove(d.log, loads(BASE)).differences) == []
    d.start(files)
    d.step(2)
    assert [g.number for g in d.generations()] == [1, 2], "who goes on with the same rules decides nothing new"
    assert len(d.evaluations()) > before


def test_a_signal_needs_no_second_look(d: Deployment) -> None:
    files = Files()
    worker = d.start(files)
    d.step(8)
    files.text = RENAMED
    assert worker.reloads is not None
    worker.reloads.ask()
    worker.turn()
    assert d.said() == [FIRES, ENDS]
    worker.reloads.ask()
    d.step()
    assert worker.reloads.outcomes == {"applied": 1, "unchanged": 1}
    assert [(g.number, g.reason) for g in d.generations()] == [(1, "start"), (2, "signal")]


def test_a_file_that_is_being_written_is_not_read_half(d: Deployment) -> None:
    files = Files()
    worker = d.start(files)
    assert worker.reloads is not None
    for text in ("", RENAMED[:300], RENAMED[:-60]):
        files.text = text
        d.log.clock.advance(LOOK_EVERY_MS)
        worker.turn()
    files.text = RENAMED
    for _ in range(2):
        d.log.clock.advance(LOOK_EVERY_MS)
        worker.turn()
    assert worker.reloads.outcomes == {"applied": 1}
    assert worker.config.rules[0].name == "worse"


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (("horizon: 100s", "horizon: 200s"), "time.horizon (1m40s -> 3m20s) gives rows another meaning"),
        (
            ("windows: [20s]", "windows: [20s, 30s]"),
            "windows.30s (added (30s)): this namespace counts in panes of 20s, which do not make up 30s: take it back",
        ),
        (
            ("windows: [20s]", "windows: [20s, 30s, 40s]"),
            "windows.30s (added (30s)): this namespace counts in panes of 20s, which do not make up 30s: take it back",
        ),
        (("topic: labels", "topic: truths"), "streams.labels.topic (labels -> truths) gives rows another meaning"),
        (("models: [{name: m}]", "models: [{name: m, positive: 0}]"), "models.m.positive (1 -> 0) gives rows"),
        (("commit_interval: 1ms", "commit_interval: 2ms"), "state.commit_interval (1ms -> 2ms) is bound at the start"),
        (("stalled_after: 60s", "stalled_after: 50s"), "time.stalled_after (1m -> 50s) is bound at the start"),
        (("namespace: one", "namespace: two"), "namespace (one -> two) is bound at the start"),
        (("threshold: 0.7", "threshold: much"), "rules[0].threshold"),
    ],
)
def test_one_change_that_cannot_be_made_and_nothing_is_changed(
    d: Deployment, edit: tuple[str, str], complaint: str
) -> None:
    files = Files()
    worker = d.start(files)
    d.step(8)
    assert edit[0] in RENAMED
    files.text = RENAMED.replace(*edit)
    d.step(4)
    assert worker.reloads is not None
    assert any(complaint in sentence for sentence in worker.reloads.complaints), worker.reloads.complaints
    assert sum(1 for _ in worker.reloads.complaints) == 1, "what could be made is no complaint"
    assert sum(worker.reloads.outcomes.values()) == 1, "it is tried once, not at every look"
    assert d.said() == [FIRES]
    assert [g.number for g in d.generations()] == [1]
    files.text = RENAMED
    d.step(4)
    assert worker.reloads.complaints == ()
    assert ENDS in d.said()


def test_labels_that_change_are_those_of_later_alerts_and_of_no_earlier_one(d: Deployment) -> None:
    files = Files()
    worker = d.start(files)
    d.step(2)
    d.step(8, labels=False)
    files.text = OWNED
    d.step(3, labels=False)
    d.step(2)
    assert [s for s in d.said() if s[0] == "label-feed-stalled"] == [
        ("label-feed-stalled", "firing", "first"),
        ("label-feed-stalled", "resolved", "second"),
    ]
    d.crash(worker)
    assert sentences(prove(d.log, loads(OWNED)).differences) == []
    d.start(files)
    d.step(2)
    assert d.workers[0].judge is not None


def test_who_takes_over_with_an_older_configuration_follows_the_one_that_holds(d: Deployment) -> None:
    old, new = Files(), Files()
    first, second = d.start(new), d.start(old)
    d.step(6)
    evaluator, other = (first, second) if first.judge is not None else (second, first)
    ahead, late = (new, old) if evaluator is first else (old, new)
    ahead.text = RENAMED
    d.step(4)
    assert [g.number for g in d.generations()] == [1, 2]
    d.crash(evaluator)
    d.step(4)
    assert behind(other)
    assert {e.rules for e in d.evaluations()[-3:]} == {document(RENAMED)}
    assert [g.number for g in d.generations()] == [1, 2], "nothing was taken back"
    late.text = RENAMED
    d.step(4)
    assert not behind(other)
    assert [g.number for g in d.generations()] == [1, 2]
    late.text = BASE
    d.step(4)
    assert [(g.number, g.reason) for g in d.generations()] == [(1, "start"), (2, "file"), (3, "file")]
    assert d.kept() == [(1, BASE), (2, RENAMED), (3, BASE)], "taken back on purpose"
    d.crash(other)
    assert sentences(prove(d.log, loads(BASE)).differences) == []


def test_a_start_with_another_configuration_is_meant(d: Deployment) -> None:
    for text in (BASE, LENIENT, BASE):
        worker = d.start(Files(text))
        d.step(4)
        d.crash(worker)
    assert d.kept() == [(1, BASE), (2, LENIENT), (3, BASE)]
    assert [g.reason for g in d.generations()] == ["start"] * 3


def test_a_crash_before_the_tick_leaves_no_trace_for_whoever_has_the_older_files(d: Deployment) -> None:
    files = Files()
    worker = d.start(files)
    d.step(8)
    assert worker.reloads is not None
    assert worker.judge is not None
    files.text = RENAMED
    worker.reloads.ask()
    known = worker.reloads.look(worker.known, d.log.clock.monotonic_ms(), worker.counted)
    assert known is not None
    worker.judge.use(known)
    d.crash(worker)
    d.start(Files())
    d.step(3)
    assert [g.number for g in d.generations()] == [1]
    assert ENDS not in d.said()


@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_crash_at_any_append_of_a_reload_is_made_good_by_the_next(d: Deployment, nth: int, fault: Fault) -> None:
    files = Files()
    worker = d.start(files)
    d.step(8)
    files.text = RENAMED
    assert worker.reloads is not None
    worker.reloads.ask()
    d.log.arm([(nth, fault)])
    with pytest.raises(Crash):
        d.read()
    d.crash(worker)
    d.start(files)
    d.step(3)
    assert [g.number for g in d.generations()] == [1, 2]
    assert d.kept() == [(1, BASE), (2, RENAMED)]
    assert [s for s in d.said() if s[1] == "resolved"] == [ENDS]
    d.crash(d.workers[0])
    assert sentences(prove(d.log, loads(RENAMED)).differences) == []


@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("fault", [Fault.LANDED, Fault.LOST, Fault.LATER])
def test_a_lost_acknowledgement_in_a_reload_changes_nothing(d: Deployment, nth: int, fault: Fault) -> None:
    files = Files()
    worker = d.start(files)
    d.step(8)
    files.text = RENAMED
    assert worker.reloads is not None
    worker.reloads.ask()
    d.log.arm([(nth, fault)])
    d.read()
    d.log.land()
    d.step(3)
    assert d.log.happened == [fault]
    assert d.kept() == [(1, BASE), (2, RENAMED)]
    assert [s for s in d.said() if s[1] == "resolved"] == [ENDS]
    d.crash(worker)
    assert sentences(prove(d.log, loads(RENAMED)).differences) == []


def test_rules_that_change_before_anything_is_decided_are_the_first(d: Deployment) -> None:
    files = Files()
    worker = d.start(files)
    d.read()
    assert worker.judge is not None
    files.text = RENAMED
    assert worker.reloads is not None
    worker.reloads.ask()
    d.step(8)
    assert d.kept() == [(1, RENAMED)]
    assert [(g.number, g.reason) for g in d.generations()] == [(1, "signal")]
    d.crash(worker)
    assert sentences(prove(d.log, loads(RENAMED)).differences) == []
    d.start(files)
    d.step(2)
    assert d.workers[0].judge is not None


def test_a_namespace_of_an_earlier_version_gets_its_second_generation_at_the_first_change(d: Deployment) -> None:
    files = Files()
    worker = d.start(files)
    d.step(6)
    d.crash(worker)
    without_generations(d.log)
    again = d.start(Files(RENAMED))
    d.step(3)
    assert [(g.number, g.reason) for g in d.generations()] == [(2, "start")]
    assert d.kept() == [(2, RENAMED)]
    d.crash(again)
    assert sentences(prove(d.log, loads(RENAMED)).differences) == []


def without_generations(log: FragileWorld) -> None:
    """As an earlier version would have written it: no generation anywhere."""
    state = FoldState()
    evals, configs = log._topics["one.evals"].partitions[0], log._topics["one.configs"].partitions[0]
    for at, stored in enumerate(evals.records):
        record = decode(stored.record.value or b"", "a record")
        if isinstance(record, EvalEdition):
            record = msgspec.structs.replace(record, previous=state.chain, generation=msgspec.UNSET)
        raw = encode(record)
        evals.records[at] = replace(stored, record=replace(stored.record, value=raw))
        state, verdict = fold(state, record, raw)
        assert verdict is Verdict.ACCEPTED
    configs.records[:] = [s for s in configs.records if not (s.record.key or b"").startswith(PREFIX)]
