"""The read model: everything that the outside may see of a process, as one frozen value.

The daemon fills it about once a second; the page, the exposition, the status endpoint and `driftline top` only render
it. Pure: no clock is read, times are handed in (`at_ms` is the wall clock, everything else is event time unless it
says wall). It holds no ids, no feature values of single records and no secrets.

Every process has the parts of its own: the partitions it owns and what it counted. The windows and alerts are those
of the evaluator; in a process that stands by they are empty, which is normal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Literal

from monitor.alerts.event import BUDGET_RULES
from monitor.config import canonical
from monitor.config.quality_rules import about, all_rules
from monitor.join.outcomes import Conservation
from monitor.telemetry import COMMIT_BOUNDS_MS, Configuration, TaskState, rule_segments
from monitor.windows.view import SeriesKey, WindowView

if TYPE_CHECKING:
    from monitor.config import Config
    from monitor.config.types import ModelTemplate

SCHEMA = "driftline.status/v1"
"""Name and version of the JSON form; a reader refuses another one."""
UNLISTED: Final = "*"
"""In place of the name of a model that is not listed."""


@dataclass(frozen=True, slots=True)
class Build:
    """What is running."""

    release: str
    python: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model that is watched. `reference_rows` is None without a reference; a provisional one was made from the first
    rows seen and should be replaced. `segments` are the features whose values are counted apart."""

    name: str
    task: str
    features: tuple[str, ...] = ()
    reference_rows: int | None = None
    reference_digest: str | None = None
    provisional: bool = False
    segments: tuple[str, ...] = ()

    @staticmethod
    def of(model: ModelTemplate, name: str) -> ModelStatus:
        """What the configuration alone says of it."""
        return ModelStatus(name, model.task, model.features, segments=tuple(sorted(model.segments)))


@dataclass(frozen=True, slots=True)
class Threshold:
    """One line to draw: where `rule` starts to object to `metric` of a segment. `direction` says on which side the
    good values are: `min` (alert below) or `max` (alert above)."""

    rule: str
    model: str
    segment: str
    window: str
    metric: str
    direction: Literal["min", "max"]
    threshold: float
    severity: str


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that is pending or fires now, with the numbers it rests on. `since_ms` is the tick (event time) from
    which the state holds; `rows` is the denominator of `value`. An operational alert has its condition as `rule`, its
    scope as the segment, and no model, version, window, metric and value."""

    rule: str
    series: SeriesKey
    window: str
    state: Literal["pending", "firing"]
    severity: str
    since_ms: int
    metric: str
    op: str
    threshold: float
    value: float | None
    rows: int
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Headroom:
    """How far the oldest record that a restart would read again is from where the topic begins, in offsets; and how long
    it is until retention may take it, None without a limit of time, or when no record is needed. `kept_ms`: how long the
    topic keeps records, None without a limit of time."""

    records: int
    left_ms: int | None
    kept_ms: int | None = None

    @staticmethod
    def of(
        floor: int, floor_ms: int | None, begin: int, end: int | None, retention_ms: int | None, wall_ms: int
    ) -> Headroom:
        """`floor`: the offset where a rebuild starts, `floor_ms` the event time reached there: what the record's age is
        taken from."""
        if floor_ms is None or retention_ms is None or (end is not None and floor >= end):
            return Headroom(floor - begin, None, retention_ms)
        return Headroom(floor - begin, retention_ms - (wall_ms - floor_ms), retention_ms)


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """One source topic's partition as its owner reads it. `end` is the end offset as far as is known, never below
    `position`; None before it was first asked. Clocks are None until a record has moved them. `pending_rows` wait for the
    other stream. `stalled`: it is recorded that labels stopped while predictions go on, or that no predictions come (where
    `quality` asks for that)."""

    topic: str
    position: int
    end: int | None
    tick_ms: int | None
    finality_ms: int | None
    pending_rows: int
    idle: bool = False
    stalled: bool = False
    headroom: Headroom | None = None

    @property
    def lag(self) -> int | None:
        """Records between the position and the end; None until the end is known."""
        return None if self.end is None else max(0, self.end - self.position)


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """A partition that this process owns. Outcomes count since genesis, so they survive a change of owner. A new owner
    would read `recovery_rows` again, for about `recovery_ms`. Of its predictions and labels, `spilled_rows` are in
    files."""

    partition: int
    state: TaskState
    epoch: int
    sequence: int
    predictions: StreamStatus
    labels: StreamStatus | None
    state_rows: int
    state_bytes: int
    spilled_rows: int
    spilled_bytes: int
    recovery_rows: int
    recovery_ms: int
    prediction_outcomes: Mapping[str, int]
    label_outcomes: Mapping[str, int]
    conservation: Conservation

    def streams(self) -> tuple[tuple[str, StreamStatus], ...]:
        """(stream name, status) of the streams there are."""
        both = (("predictions", self.predictions), ("labels", self.labels))
        return tuple((name, status) for name, status in both if status is not None)


@dataclass(frozen=True, slots=True)
class Rebuild:
    """A partition that is being opened: rows read again, rows to read again in all, and about how long that still takes."""

    partition: int
    done: int
    rows: int
    left_ms: int


@dataclass(frozen=True, slots=True)
class Durations:
    """A histogram of durations: one count per bound of COMMIT_BOUNDS_MS (a duration equal to a bound is within it) and
    one for what is longer. `total_us` is the sum in microseconds."""

    counts: tuple[int, ...] = (0,) * (len(COMMIT_BOUNDS_MS) + 1)
    total_us: int = 0

    def observe(self, duration_us: int) -> Durations:
        """The histogram with one more duration."""
        place = sum(duration_us > bound * 1_000 for bound in COMMIT_BOUNDS_MS)
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Durations(counts, self.total_us + duration_us)

    def cumulative(self) -> tuple[int, ...]:
        """Durations within each bound; the last one is the number of all."""
        return tuple(accumulate(self.counts))


@dataclass(frozen=True, slots=True)
class Counters:
    """What this process did since it started; 0 at a restart, as Prometheus expects of counters."""

    consumed: Mapping[str, int] = field(default_factory=dict)  # by topic
    rejected: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by topic, reason
    skipped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # likewise
    lost: Mapping[str, int] = field(default_factory=dict)  # by topic, offsets
    dead_letters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by topic, form
    feature_faults: Mapping[str, int] = field(default_factory=dict)  # by feature
    commits: Mapping[str, int] = field(default_factory=dict)  # by result
    commit_durations: Durations = Durations()
    ledger_rejected: int = 0
    windows_published: int = 0
    windows_unplaced: int = 0
    alerts_emitted: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by rule, change


@dataclass(frozen=True, slots=True)
class Evaluator:
    """The evaluator as this process knows it. `tick_ms` is the end of the last closed tick: the numbers are of then."""

    active: bool = False
    tick_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What readiness rests on. `joined`: the group counts this process (with any number of partitions, none included).
    `loops_ms`: when each loop last came round, wall clock. `fatal`: why the process is about to end. `unanswered`: why the
    log counts as gone, None while it answers. `stuck`: a sentence for each partition that has more to read and does not."""

    joined: bool = False
    loops_ms: Mapping[str, int] = field(default_factory=dict)
    fatal: str | None = None
    unanswered: str | None = None
    stuck: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """All of it. `windows` holds one window of each (series, window name, kind), see `Newest`."""

    namespace: str
    at_ms: int
    build: Build
    config_digest: str
    topics: tuple[str, ...]
    state_limit_rows: int
    series_budget: int
    models: tuple[ModelStatus, ...] = ()
    unlisted: ModelStatus | None = None  # what models are like that come without being listed; None: they are rejected
    features: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    windows: tuple[WindowView, ...] = ()
    alerts: tuple[ActiveAlert, ...] = ()
    partitions: tuple[PartitionStatus, ...] = ()
    rebuild: Rebuild | None = None
    evaluator: Evaluator = Evaluator()
    counters: Counters = Counters()
    health: Health = Health()
    configuration: Configuration = field(default_factory=lambda: Configuration(0))
    schema: str = SCHEMA
    files_digest: str = ""
    """Of what the files of this process say now; `config_digest` is of what gives numbers their meaning."""

    def recoveries(self) -> list[tuple[int, int, int]]:
        """(partition, rows that a new owner would read again, how long it would) of each; of one being opened what is left."""
        found = [(p.partition, p.recovery_rows, p.recovery_ms) for p in self.partitions]
        opening = self.rebuild
        return found + ([(opening.partition, opening.rows - opening.done, opening.left_ms)] if opening else [])

    def versions(self) -> dict[str, int]:
        """How many versions with windows that can still change each listed model has; `*`: the most of a model that is not."""
        live = {w.key.series.model: set[str]() for w in self.windows}
        for window in self.windows:
            if not window.final:
                live[window.key.series.model].add(window.key.series.version)
        found = {model.name: len(live.pop(model.name, ())) for model in self.models}
        return found if self.unlisted is None else found | {UNLISTED: max(map(len, live.values()), default=0)}

    def outcomes(self, stream: Literal["predictions", "labels"]) -> dict[str, int]:
        """The terms of the conservation identity, summed over the owned partitions."""
        total: dict[str, int] = {}
        for p in self.partitions:
            for name, count in (p.prediction_outcomes if stream == "predictions" else p.label_outcomes).items():
                total[name] = total.get(name, 0) + count
        return total


def thresholds_of(config: Config, unlisted: Iterable[str] = ()) -> tuple[Threshold, ...]:
    """The lines that the rules of a config draw, one per model and segment. `unlisted` are the models met so far that
    only the template covers."""
    names = dict.fromkeys([*(m.name for m in config.models), *unlisted])
    found = []
    for rule in all_rules(config):
        for name in [name for name in names if about(rule, name)] if rule.model is None else (rule.model,):
            model = config.model(name)
            for segment in () if model is None else rule_segments(rule, model):
                direction: Literal["min", "max"] = "min" if rule.op.startswith("<") else "max"
                found.append(
                    Threshold(
                        rule.name, name, segment, rule.window, rule.metric, direction, rule.threshold, rule.severity
                    )
                )
    return tuple(found)


def new_view(config: Config, build: Build, at_ms: int) -> View:
    """The view of a process that has just started: what the config alone says. Fill the rest by
    `dataclasses.replace`, once a second."""
    return View(
        namespace=config.namespace,
        at_ms=at_ms,
        build=build,
        config_digest=config.digest,
        topics=config.source_topics(),
        state_limit_rows=config.state.max_rows,
        series_budget=config.series_budget,
        models=tuple(ModelStatus.of(m, m.name) for m in config.models),
        unlisted=ModelStatus.of(config.unlisted_models, "*") if config.unlisted_models is not None else None,
        features=tuple(config.streams.predictions.features),
        rules=(
            *dict.fromkeys(rule.name for rule in all_rules(config)),
            *(BUDGET_RULES if config.budget is not None else ()),
        ),
        thresholds=thresholds_of(config),
        configuration=Configuration(at_ms),
        files_digest=canonical.digest(canonical.of_all(config)),
    )


def encode(view: View) -> bytes:
    """The view as JSON, the body of /api/v1/status. NaN and infinities become null."""
    import msgspec

    return msgspec.json.encode(view)


def decode(data: bytes) -> View:
    """The view back from its JSON. Raises ValueError with a sentence for people when it is something else."""
    import msgspec

    try:
        view = msgspec.json.decode(data, type=View)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"this is not a status of Driftline ({SCHEMA}): {error}") from error
    if view.schema != SCHEMA:
        raise ValueError(
            f"the status has the form {view.schema!r}, this program reads {SCHEMA!r}: use the same release"
        )
    return view
