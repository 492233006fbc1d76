"""The proof without recorded decisions: the topics run again, final windows and alerts compared (2.6 a, b).

What an owner decided while it ran (idle, quiet, stalled, other rules) may move alerts and ticks, and is not repeated
here; alerts about the daemon itself are made of nothing else and are left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET

from monitor.alerts import cloudevents
from monitor.alerts.event import AdvisoryAlert, AlertEvent, BudgetAlert, OperationalAlert, RuleAlert
from monitor.alerts.traffic import BY_TICKS
from monitor.config.types import Config
from monitor.daemon.editions_in_force import edition_of
from monitor.daemon.replay.published import Published, compare
from monitor.daemon.replay.slices import Span
from monitor.daemon.rules_in_force import evaluations
from monitor.daemon.sources import Sources
from monitor.daemon.tail import Stored, follow_from_start
from monitor.errors import LedgerError
from monitor.evaluator import TickOutput
from monitor.ingest.clocks import FOREVER
from monitor.ledger.evaluated import roster_of, windows_from_ms
from monitor.ledger.fold import Verdict
from monitor.ledger.records import Commit, EvalCommit, EvalEdition
from monitor.plan import Plan
from monitor.ports import Decided, Decisions, Log
from monitor.windows import payload
from monitor.windows.canonical import canonical_bytes
from monitor.windows.view import Kind


@dataclass(slots=True)
class LiveRun:
    """How far a live run came, and what its owners decided by themselves."""

    spans: dict[str, list[Span]]
    closed_ms: dict[Kind, int]
    """By kind of window the event time below which it has decided."""
    settled: bool
    same_config: bool
    ends: dict[str, list[int]]
    edition: int
    """By which it decided."""
    decisions: Counter[str] = field(default_factory=Counter)


def live_run(log: Log, config: Config, plan: Plan, sources: Sources) -> LiveRun:
    """What the ledger and `evals` of a namespace say. Raises LedgerError where nothing was evaluated, records were lost, or
    windows, models or the edition became others."""
    topics = config.topics()
    evals_end = log.end_offsets(topics.evals)[0]
    outputs = {name: log.end_offsets(name) for name in (topics.windows, topics.alerts)}
    decided: Counter[str] = Counter()
    last, before, rules = None, None, set[str]()
    for evaluation in evaluations(log, topics.evals, evals_end):
        last, before = evaluation, last
        _refuse_change(evaluation, config.namespace)
        rules.add(evaluation.rules)
    if last is None:
        raise LedgerError(f"namespace {config.namespace!r} evaluated nothing yet", "Run it first.")
    decided["rules"] = len(rules) - 1
    spans: dict[str, list[Span]] = {name: [] for name in sources.names}

    def count(stored: Stored, verdict: Verdict) -> None:
        record = stored.record
        if verdict is Verdict.ACCEPTED and isinstance(record, Commit):
            for name in ("idle", "stalled", "flooding"):
                decided[name] += getattr(record, name)
            decided["ticks gone by"] += record.gone_by is not msgspec.UNSET
            decided["quiet"] += record.quiet is True
            decided["silent"] += record.silent is True
            decided["full"] += record.full is True

    for partition, end in enumerate(log.end_offsets(topics.ledger)):
        follower = follow_from_start(log, topics.ledger, partition)
        follower.catch_up(log, end, count)
        state = follower.state
        if state.lost_predictions or state.lost_labels:
            raise LedgerError(
                f"partition {partition} lost records before they were read", "Compare with the recorded decisions."
            )
        assert state.genesis is not None
        starts = (state.genesis.prediction_start, state.genesis.label_start)
        for name, start, next_ in zip(sources.names, starts, (state.next_prediction, state.next_label), strict=False):
            spans[name].append((start, next_))
    # A step is published before the next is recorded; of the last one something may be missing.
    ticks = (before.input_tick, before.performance_tick) if before is not None else (0, 0)
    kinds = (Kind.INPUT, Kind.PERFORMANCE)
    closed = {k: FOREVER * 2 if last.settled else t * config.time.tick_ms for k, t in zip(kinds, ticks, strict=True)}
    edition = edition_of(last, plan.edition, config.namespace)
    return LiveRun(spans, closed, last.settled, last.config == plan.config_digest, outputs, edition, +decided)


def _refuse_change(evaluation: EvalCommit, namespace: str) -> None:
    """Raise LedgerError where windows, models or the edition became others: a run of the topics has the same from beginning to
    end."""
    what = None
    if windows_from_ms(evaluation) is not None:
        what = "the windows of namespace {0!r} were changed"
    elif roster_of(evaluation) is not None:
        what = "the models of namespace {0!r} were changed"
    elif isinstance(evaluation, EvalEdition) and evaluation.edition_from_ms is not UNSET:
        what = f"namespace {{0!r}} went over to edition {evaluation.edition.number}"
    if what is not None:
        raise LedgerError(
            f"{what.format(namespace)} while it ran (evaluation {evaluation.sequence}), and a run of the topics has the same "
            "from beginning to end",
            "Compare with the recorded decisions.",
        )


class Again:
    """Takes what the run decides and remembers what must be found in the live run's topics."""

    def __init__(self, config: Config, live: LiveRun, decisions: Decisions) -> None:
        self._live, self._decisions, self._topics = live, decisions, config.topics()
        self.finals = self.alerts = 0

    def observe(self, output: TickOutput) -> None:
        """A tick closed."""
        records = []
        for view, value in zip(output.windows, output.payloads, strict=True):
            if view.final:
                key = payload.topic_key(view.key, view.kind)
                order = _order(view.tick_ms, self._live.closed_ms[view.kind])
                records.append(Decided(self._topics.windows, key, 0, 0, comparable(value, self._live), order))
        self.finals += len(records)
        for event in output.events:
            if not isinstance(event.data, OperationalAlert) or event.data.condition in BY_TICKS:
                value = comparable(cloudevents.encode(event), self._live)
                order = _order(event.data.tick_ms, _closed(event, self._live))
                records.append(Decided(self._topics.alerts, event.id.encode(), 0, 0, value, order))
                self.alerts += 1
        if records:
            self._decisions.add(records)

    def compare(self, log: Log) -> list[Published]:
        """Final windows, then alerts."""
        found = []
        for topic, choose in ((self._topics.windows, self._final), (self._topics.alerts, self._of_a_rule)):
            found.append(compare(log, topic, self._live.ends[topic], self._decisions, 1, choose))
        return found

    def _final(self, record: Decided) -> Decided | None:
        """Windows that can change no more are compared."""
        return self._chosen(record) if record.value and msgspec.json.decode(record.value)["final"] else None

    def _of_a_rule(self, record: Decided) -> Decided | None:
        """Alerts about the daemon are not compared."""
        if record.value is None:
            return None
        data: Any = msgspec.json.decode(record.value)["data"]
        chosen = data["category"] != "operational" or data["condition"] in BY_TICKS
        return self._chosen(record) if chosen else None

    def _chosen(self, record: Decided) -> Decided:
        assert record.value is not None
        return Decided(record.topic, record.key, 0, 0, comparable(record.value, self._live), 0)


def _order(tick_ms: int, closed_ms: int) -> int:
    """0 for what the live run must have published, 1 for what it had not come to."""
    return 0 if tick_ms <= closed_ms else 1


def _closed(event: AlertEvent, live: LiveRun) -> int:
    if isinstance(event.data, BudgetAlert):
        return live.closed_ms[event.data.kind]
    if isinstance(event.data, AdvisoryAlert):
        return live.closed_ms[event.data.window.kind]
    evidence = event.data.evidence if isinstance(event.data, RuleAlert) else None
    return live.closed_ms[evidence.window.kind] if evidence is not None else min(live.closed_ms.values())


def comparable(value: bytes, live: LiveRun) -> bytes:
    """A published value; without the digest of the configuration when this one is known to be another."""
    if live.same_config:
        return value
    told: Any = msgspec.json.decode(value)
    _without_config(told)
    return canonical_bytes(told)


def _without_config(document: Any) -> None:
    if isinstance(document, dict):
        document.pop("config", None)
        for inner in document.values():
            _without_config(inner)
