"""What a worker shows of itself: fills the read model about once a second and renders it when somebody asks."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections import Counter, defaultdict
from functools import cached_property
from typing import Literal

from monitor.adapters.exposition import Exposer, Exposition
from monitor.alerts.event import AdvisoryAlert, AlertEvent, BudgetAlert, Change, OperationalAlert, RuleAlert, Standing
from monitor.cli.many_versions import ManyVersions
from monitor.cli.progress import Published
from monitor.config.types import Config
from monitor.daemon.generations import Known
from monitor.daemon.recovery import rows_to_read_again
from monitor.daemon.worker import Worker
from monitor.distributions import distributions
from monitor.evaluator import TickOutput
from monitor.history import DelayPoint, History, Past
from monitor.ingest.clocks import FOREVER, NEVER, ClockState
from monitor.newest import Newest
from monitor.plan import Plan
from monitor.ports import WallClock
from monitor.readiness import Check, Places, readiness, standing, stuck
from monitor.telemetry import Configuration, TaskState
from monitor.view import (
    ActiveAlert,
    Build,
    Counters,
    Evaluator,
    Headroom,
    Health,
    ModelStatus,
    PartitionStatus,
    StreamStatus,
    View,
    encode,
    new_view,
)
from monitor.windows.engine import TickEngine
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

EVERY_MS = 1_000
MODELS_WITH_DELAYS = 50
"""Models whose delay curve is drawn up for the page."""
RECENT = 200
"""Windows that the demo's table can look back on."""


class Rendered:
    """A view in each form in which it is asked for, made by the one thread that asks, the listener's: the worker pays nothing for
    what nobody looks at, and a probe nothing for what a scrape wants."""

    def __init__(self, view: View, past: Past, exposer: Exposer) -> None:
        self.view, self.past, self._exposer = view, past, exposer

    @cached_property
    def exposition(self) -> Exposition:
        """For Prometheus."""
        return self._exposer.render(self.view)

    @cached_property
    def status(self) -> bytes:
        """As JSON."""
        return encode(self.view)

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Of readiness."""
        return readiness(self.view)


class Observer:
    """Listens to a worker; `snapshot` is what the HTTP listener hands out, `view` what people and `top` see."""

    def __init__(self, plan: Plan, base: View, clock: WallClock) -> None:
        self._plan, self._clock = plan, clock
        self._base = base
        self._known: Known | None = None
        self._exposer = Exposer()
        self._newest = Newest()
        self._history, self._many = History(), ManyVersions()
        self._generation = 0
        self._delays_of: int | None = None
        self.past = Past()
        self._recent: dict[tuple[int, WindowKey, Kind], WindowView] = {}
        self._emitted: dict[str, Counter[str]] = defaultdict(Counter)
        self._firing: dict[str, AlertEvent] = {}
        self.published = Published(0, 0)
        self._tick_ms: int | None = None
        self._due_ms = 0
        self._places: Places = {}
        self.heartbeat_ms = clock.monotonic_ms()
        self.view = base
        self._shown = Rendered(base, self.past, self._exposer)

    # -- what happens --------------------------------------------------------------------------------------------

    def on_tick(self, output: TickOutput) -> None:
        """A tick closed."""
        self._newest.add(output.windows)
        self._history.add(output.windows)
        for view in output.windows:
            if view.key.series.segment == "all":
                self._recent[view.key.start_ms, view.key, view.kind] = view
        while len(self._recent) > RECENT:
            del self._recent[min(self._recent)]
        final = sum(view.final for view in output.windows)
        self.published = Published(
            self.published.final + final, self.published.provisional + len(output.windows) - final
        )
        self._tick_ms = max(self._tick_ms or 0, output.tick_ms)
        for event in output.events:
            self.on_event(event)

    def on_event(self, event: AlertEvent) -> None:
        """An alert changed."""
        data = event.data
        rule = data.condition if isinstance(data, OperationalAlert) else data.rule
        change = next(c for c in Change if event.type.split(".")[-2] == c)
        self._emitted[rule][change] += 1
        self._history.happened(event)
        if data.latest and data.state is Standing.FIRING:
            self._firing[data.fingerprint] = event
        elif data.latest:
            self._firing.pop(data.fingerprint, None)

    def recent(self, window: str, kind: Kind, most: int = 8) -> list[WindowView]:
        """The newest windows of the segment `all`, oldest first."""
        return [v for _, v in sorted(self._recent.items()) if v.key.window == window and v.kind is kind][-most:]

    def show_start(self) -> None:
        """Something to scrape and to ask before the first partition is open."""
        self.view = self._base

    @property
    def snapshot(self) -> Rendered:
        """The view as the HTTP listener hands it out. A view never changes."""
        view = self.view
        if self._shown.view is not view:
            self._shown = Rendered(view, self.past, self._exposer)
        return self._shown

    def heartbeat_age_ms(self) -> int:
        """How long ago the loop last came round; called from the listener's thread."""
        return self._clock.monotonic_ms() - self.heartbeat_ms

    def tell(self, worker: Worker) -> None:
        """Called once a loop; refreshes the read model when it is due."""
        self.heartbeat_ms = worker.heartbeat_ms
        now = self._clock.monotonic_ms()
        if now < self._due_ms:
            return
        self._due_ms = now + EVERY_MS
        self.refresh(worker)

    def refresh(self, worker: Worker) -> None:
        """Fill the read model now."""
        now = self._clock.monotonic_ms()
        worker.contact.look(now)
        if worker.known is not self._known:  # its rules may be others now
            self._known = worker.known
            own = base_view(worker.config, self._base.build.release, self._base.at_ms)
            self._base = dataclasses.replace(
                self._base, rules=own.rules, thresholds=own.thresholds, models=own.models, unlisted=own.unlisted
            )
        wall = self._clock.now_ms()
        partitions = tuple(self._partition(worker, p) for p in sorted(worker.tasks))
        self._places = standing(self._places, partitions, now, answers=worker.contact.lost is None)
        self._look_back(worker)
        self.view = dataclasses.replace(
            self._base,
            at_ms=wall,
            models=tuple(_model(worker.plan, m) for m in self._base.models),
            unlisted=_model(worker.plan, self._base.unlisted) if self._base.unlisted is not None else None,
            windows=self._windows(worker),
            alerts=tuple(active(event) for _, event in sorted(self._firing.items())),
            partitions=partitions,
            rebuild=worker.recovery.current,
            evaluator=Evaluator(worker.judge is not None, self._tick_ms),
            counters=self._counters(worker),
            health=self._health(worker, now, wall),
            configuration=_configuration(worker, self._base.configuration.succeeded_ms),
        )
        self._many.look(self.view.versions())

    def _look_back(self, worker: Worker) -> None:
        """Bring the past up to now: what is asked of the evaluator is asked here, once a second, not with every tick."""
        if worker.judge is not None:
            generation, engines = worker.judge.generation, worker.judge.evaluator.engines
            if generation is not None and generation.number != self._generation:
                self._generation = generation.number
                self._history.configured(self._generation, self._tick_ms or 0)
            self._spread(worker.plan, engines[Kind.INPUT])  # what the evaluator counts by
            if Kind.PERFORMANCE in engines:
                self._delays(engines[Kind.PERFORMANCE])
        self.past = self._history.past()

    def _spread(self, plan: Plan, engine: TickEngine) -> None:
        for view in self._newest.views():
            if view.kind is Kind.INPUT and view.key.series.segment == "all" and self._history.spreads(view):
                vector = engine.cells(view.key)
                if vector is not None:
                    self._history.spread(
                        view, distributions(plan.of_window(view.key.series.model, view.config_digest), view, vector)
                    )

    def _delays(self, engine: TickEngine) -> None:
        now_ms = self._tick_ms
        if engine.book is None or now_ms is None or now_ms == self._delays_of:
            return
        self._delays_of = now_ms
        found = {}
        for model in self._base.models[:MODELS_WITH_DELAYS]:
            curve = engine.book.curve(model.name, now_ms)
            known = zip(curve.ends.tolist(), curve.share.tolist(), strict=True)
            found[model.name] = tuple(DelayPoint(*one) for one in known if not math.isnan(one[1]))
        self._history.delayed(found)

    # -- parts of the read model -------------------------------------------------------------------------------

    def _health(self, worker: Worker, now: int, wall: int) -> Health:
        lost = worker.contact.lost
        return Health(worker.joined, {"worker": wall}, unanswered=lost, stuck=stuck(self._places, now))

    def _windows(self, worker: Worker) -> tuple[WindowView, ...]:
        """The windows to look at; of a kind, or of a model, that was taken out none but those that still change."""
        views = self._newest.views()
        if worker.judge is None:
            return views
        schedule = worker.judge.evaluator.schedule
        names, goes_on = schedule.names, schedule.goes_on
        return tuple(v for v in views if not v.final or (v.key.window in names and goes_on(v.key.series.model)))

    def _counters(self, worker: Worker) -> Counters:
        statistics = worker.statistics
        return Counters(
            consumed=dict(statistics.consumed),
            rejected={topic: dict(reasons) for topic, reasons in statistics.rejected.items()},
            skipped={topic: dict(reasons) for topic, reasons in statistics.skipped.items()},
            dead_letters={topic: dict(forms) for topic, forms in worker.dead_letters.written.items()},
            feature_faults=dict(statistics.faults),
            commits={"accepted": worker.commits, "lost": worker.lost},
            commit_durations=statistics.commit_durations,
            ledger_rejected=worker.judge.rejected if worker.judge else 0,
            windows_published=self.published.final + self.published.provisional,
            windows_unplaced=statistics.unplaced,
            alerts_emitted={rule: dict(changes) for rule, changes in self._emitted.items()},
        )

    def _partition(self, worker: Worker, number: int) -> PartitionStatus:
        task = worker.tasks[number]
        engine, chain = task.engine, task.writer.chain
        held = engine.join.held[0]
        again = rows_to_read_again(task.writer.follower.state.commit)
        streams = [self._stream(worker, number, stream) for stream in range(len(worker.sources.names))]
        outcomes = engine.join.prediction_outcomes, engine.join.label_outcomes
        return PartitionStatus(
            partition=number,
            state=TaskState.FULL if number in worker.capacity.full else TaskState.LIVE,
            epoch=chain.epoch,
            sequence=chain.sequence,
            predictions=streams[0],
            labels=streams[1] if len(streams) > 1 else None,
            state_rows=held,
            state_bytes=engine.join.nbytes,
            spilled_rows=sum(engine.join.spilled.rows),
            spilled_bytes=engine.join.spilled.kept_bytes,
            recovery_rows=again,
            recovery_ms=worker.recovery.estimate_ms(again),
            prediction_outcomes=dataclasses.asdict(outcomes[0]),
            label_outcomes=dataclasses.asdict(outcomes[1]),
            conservation=engine.conservation(),
        )

    def _stream(self, worker: Worker, number: int, stream: int) -> StreamStatus:
        task, topic = worker.tasks[number], worker.sources.names[stream]
        engine, join = task.engine, self._plan.join
        ends = worker.contact.ends.get(topic)
        outcomes = engine.join.prediction_outcomes.pending, engine.join.label_outcomes.waiting
        clock, position = engine.clocks[stream], engine.next_offsets[stream]
        return StreamStatus(
            topic=topic,
            position=position,
            end=max(ends[number], position) if ends else None,  # what was read since the end was asked for moves it
            tick_ms=_clock_ms(clock, join.disorder_ms),
            finality_ms=_clock_ms(clock, join.lateness_ms),
            pending_rows=outcomes[stream],
            idle=task.flags.idle or (stream == 0 and task.flags.quiet),
            stalled=task.flags.stalled if stream else task.flags.silent,
            headroom=self._headroom(worker, number, stream),
        )

    def _headroom(self, worker: Worker, number: int, stream: int) -> Headroom | None:
        topic, contact = worker.sources.names[stream], worker.contact
        commit = worker.tasks[number].writer.follower.state.commit
        if commit is None or topic not in contact.begins:
            return None
        floor = commit.label_floor if stream else commit.prediction_floor
        reached = _clock_ms(floor.clock.state(), 0)
        if reached is None:  # the first records are still held: no older than what can be held at all
            join = self._plan.join
            reached = _clock_ms(worker.tasks[number].engine.clocks[stream], join.bounds.horizon_ms + join.lateness_ms)
        ends, kept_ms = contact.ends[topic], contact.retention_ms[topic]
        begin, end = contact.begins[topic][number], ends[number]
        return Headroom.of(floor.offset, reached, begin, end, kept_ms, self._clock.now_ms())


def _clock_ms(clock: ClockState, behind_ms: int) -> int | None:
    return None if clock.maximum_ms in (NEVER, FOREVER) else clock.maximum_ms - behind_ms


def _configuration(worker: Worker, started_ms: int) -> Configuration:
    reloads, judge = worker.reloads, worker.judge
    generation = judge.generation if judge is not None else None
    return Configuration(
        succeeded_ms=reloads.succeeded_ms if reloads is not None else started_ms,
        reloads=dict(reloads.outcomes) if reloads is not None else {},
        complaints=reloads.complaints if reloads is not None else (),
        generation=generation.number if generation is not None else 0,
        behind=judge is not None and judge.behind,
        models=worker.rosters.complaint or ("; ".join(filter(None, judge.waiting)) if judge is not None else ""),
    )


def _model(plan: Plan, model: ModelStatus) -> ModelStatus:
    compiled = plan.models.get(model.name, plan.template)
    if compiled is None or compiled.reference is None:  # no reference, or not counted yet
        return model
    reference = compiled.reference
    return dataclasses.replace(
        model, reference_rows=reference.rows, reference_digest=reference.digest, provisional=reference.provisional
    )


def active(event: AlertEvent) -> ActiveAlert:
    """A firing alert as the read model shows it."""
    data = event.data
    state: Literal["firing"] = "firing"
    if isinstance(data, RuleAlert) and data.evidence is not None:
        evidence = data.evidence
        return ActiveAlert(
            rule=data.rule,
            series=SeriesKey(data.model, data.version, data.segment),
            window=evidence.window.name,
            state=state,
            severity=data.severity,
            since_ms=data.fired_ms,
            metric=evidence.metric,
            op=evidence.op,
            threshold=evidence.threshold,
            value=evidence.value,
            rows=evidence.rows,
            labels=data.labels,
        )
    if isinstance(data, BudgetAlert):
        first = data.causes[0]
        return ActiveAlert(
            rule=data.rule,
            series=SeriesKey(data.model, data.version, data.segment),
            window="",
            state=state,
            severity=data.severity,
            since_ms=data.fired_ms,
            metric=f"{first.channel}, {first.question}",
            op=">",
            threshold=first.limit,
            value=first.mean,
            rows=first.rows,
            labels=data.labels,
        )
    if isinstance(data, AdvisoryAlert):
        return ActiveAlert(
            rule=data.rule,
            series=SeriesKey(data.model, data.version, data.segment),
            window=data.window.name,
            state=state,
            severity=data.severity,
            since_ms=data.fired_ms,
            metric=data.metric,
            op="",
            threshold=0.0,
            value=data.value,
            rows=data.rows,
            labels=data.labels,
        )
    rule = data.rule if isinstance(data, RuleAlert) else data.condition
    scope = data.segment if isinstance(data, RuleAlert) else data.scope
    return ActiveAlert(rule, SeriesKey("", "", scope), "", state, data.severity, data.fired_ms, "", "", 0.0, None, 0)


def base_view(config: Config, release: str, at_ms: int) -> View:
    """The read model of a process that has just started."""
    return new_view(config, Build(release, platform.python_version()), at_ms)
