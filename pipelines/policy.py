"""What a team says about retraining one model. Its digest is part of every run's id: another policy is another decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from pipelines.codec import canonical_bytes, digest_of
from pipelines.firing import Kind
from pipelines.gate import GateSpec
from pipelines.intake import Intake
from pipelines.losses import BINARY
from pipelines.quality import Check
from pipelines.sense import Wrong, refuse

SCALE_CHANGE_LEAST: Final = 10.0
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Promotion(StrEnum):
    """What happens to a challenger that passed."""

    OBSERVE = "observe"  # it is registered; nobody is asked
    APPROVE = "approve"  # a person decides
    AUTO = "auto"  # it is promoted


class Labels(StrEnum):
    """Of which predictions the truth becomes known."""

    COMPLETE = "complete"  # of all of them, whatever was decided
    CENSORED = "censored"  # only where the champion decided one way: what it blocked has no label
    REVIEWED = "reviewed"  # so too, but of a share drawn by lot it becomes known whatever was decided


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a run may begin."""

    alerts: tuple[Kind, ...] = (Kind.PERFORMANCE, Kind.DRIFT)
    versions: str = "champion"  # `any`: alerts about versions that no longer serve count too
    after_ms: int = 0  # an alert has to fire for so long: rows of the changed world have to come first
    cooldown_ms: int = DAY_MS  # from the end of a run; doubled after each rejection in a row, up to eight times
    budget_runs: int = 3
    budget_window_ms: int = 7 * DAY_MS
    labels_min: int = 1000  # mature labelled rows to train and test on

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if odd := [kind for kind in self.alerts if kind not in (Kind.PERFORMANCE, Kind.DRIFT)]:
            yield Wrong("alerts", f"trigger on {odd[0]}: only performance and drift may retrain a model")
        if self.versions not in ("champion", "any"):
            yield Wrong("versions", f"versions is {self.versions!r}; write champion or any")
        for name, value in (
            ("after", self.after_ms),
            ("cooldown", self.cooldown_ms),
            ("budget_runs", self.budget_runs),
            ("labels_min", self.labels_min),
        ):
            if value < 0:
                yield Wrong(name, f"{name} ({value}) must not be below 0")
        if self.budget_window_ms <= 0:
            yield Wrong("budget_window", "budget_window must be above 0")


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows, and which of their columns. Rows are ordered by `at`; the newest part is held out for the gate."""

    label: str
    features: tuple[str, ...]
    at: str = "at_ms"
    score: str | None = None  # column with the champion's own score, when the champion cannot be scored again
    window_ms: int = 90 * DAY_MS
    test_ratio: float = 0.3
    gap_ms: int = 0  # left out between training and test, at least the horizon of the labels
    missing_ratio_max: float = 0.5  # of one feature
    checks: dict[str, Check] | UnsetType = (
        UNSET  # by column: what a run is rejected for; absent, a policy keeps its digest
    )
    id: str | UnsetType = UNSET  # column that is the same where two versions predicted the same
    reviewed: str | UnsetType = UNSET  # column that is true where the lot fell: only these rows are judged by
    missing_rise_max: float | UnsetType = UNSET  # of one feature, from the rows to train on to those to judge by
    stuck_ratio_max: float | UnsetType = UNSET  # of the rows to judge by, the newest: where one feature stands still
    scale_change_max: float | UnsetType = UNSET  # factor by which all sizes of one feature may change at once

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if not self.features or self.label in self.features:
            yield Wrong(
                "features", "features must name at least one column, and never the label", ("features", "label")
            )
        if not 0 < self.test_ratio < 1:
            yield Wrong("test_ratio", f"test_ratio ({self.test_ratio}) must lie between 0 and 1")
        if (change := self.scale_change_max) is not UNSET and not change >= SCALE_CHANGE_LEAST:
            why = f"must be at least {SCALE_CHANGE_LEAST:g}: a smaller factor cannot be told from drift"
            yield Wrong("scale_change_max", f"scale_change_max ({change:g}) {why}")


class Train(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The user's code: one function `module:name`, or one command. The default is a logistic regression."""

    function: str | None = None
    command: tuple[str, ...] = ()
    score_function: str | None = None
    score_command: tuple[str, ...] = ()
    params: dict[str, Any] = {}
    seed: int = 1
    timeout_ms: int = 2 * HOUR_MS
    environment: tuple[str, ...] = ()  # names of variables that are handed on; none by default
    code_revision: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        both = "name a function or a command, not both"
        scores = ("score_function", "score_command")
        if self.function and self.command:
            yield Wrong("", both, ("function", "command"))
        if self.score_function and self.score_command:
            yield Wrong("", both, scores)
        if (self.command or self.function) and not (self.score_function or self.score_command):
            why = "own training code needs own scoring code: score_function or score_command"
            yield Wrong("", why, ("function", "command", *scores))


class Probation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a promoted version is watched. It settles after `least_ms` when it is surely not worse than the one it replaced by
    more than `margin`, is rolled back as soon as it surely is worse by more, and ends undecided after `most_ms`. A look reads
    rows and scores them twice, so there is one every `every_ms`."""

    least_ms: int = DAY_MS
    most_ms: int = 14 * DAY_MS
    every_ms: int = HOUR_MS
    margin: float = 0.02
    alpha: float = 0.05
    rows_min: int = 200


class ScoredBy(StrEnum):
    """Who scores the version that does not serve."""

    DRIFTLINE = "driftline"  # the pipelines, on the rows that came in
    SERVING = "serving"  # whoever serves: its predictions are in the topic, under their own version and the same id


class Shadow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a challenger that passed is compared with the champion on what comes in, before anybody is asked. It goes on after
    `least_ms` when it is what the gate asks for, and ends as soon as it surely is not, when it cannot show it any more by
    `most_ms`, and then."""

    scored_by: ScoredBy = ScoredBy.DRIFTLINE
    least_ms: int = 7 * DAY_MS  # a week: what differs between its days is in it
    most_ms: int = 28 * DAY_MS
    every_ms: int = HOUR_MS
    rows_min: int = 500
    alias: str = "challenger"  # moved to the challenger where serving scores: whoever serves follows it

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if not 0 <= self.least_ms <= self.most_ms:
            yield Wrong("", "least must not be above most", ("least", "most"))
        if self.rows_min < 1:
            yield Wrong("rows_min", f"rows_min ({self.rows_min}) must be at least 1")
        if self.every_ms < 0:
            yield Wrong("every", "every must be at least 0")


class Brakes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What keeps a loop that works from going round and round."""

    tenure_ms: int = 0  # how long a promoted version serves before alerts may replace it
    rollbacks_in_row: int = (
        2  # after so many, without one that settled in between, no run begins until a person resets it
    )
    rollbacks_in_window: int = 3  # the same, whatever settled in between
    window_ms: int = 30 * DAY_MS

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        for name, value in (
            ("tenure", self.tenure_ms),
            ("rollbacks_in_row", self.rollbacks_in_row),
            ("rollbacks_in_window", self.rollbacks_in_window),
        ):
            if value < 0:
                yield Wrong(name, f"{name} ({value}) must not be below 0")
        if self.window_ms <= 0:
            yield Wrong("window", "window must be above 0")


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that is decided for one model."""

    model: str
    data: Data
    trigger: Trigger = Trigger()
    train: Train = Train()
    gate: GateSpec = GateSpec()
    promote: Promotion = Promotion.APPROVE
    approvals: int = 1
    approval_ms: int = 7 * DAY_MS  # after that nobody wants it any more
    probation: Probation = Probation()
    alias: str = "champion"
    run_ms: int = DAY_MS  # from request to registration
    tries_max: int = 3
    labels: Labels | UnsetType = UNSET
    intake: Intake | UnsetType = UNSET
    shadow: Shadow | UnsetType = UNSET
    brakes: Brakes | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if self.labels is Labels.CENSORED and self.promote is Promotion.AUTO:
            why = (
                "labels: censored forbids promote: auto: the champion decided which labels there are, so they speak for it; "
                "write approve, or review a share by lot (labels: reviewed)"
            )
            yield Wrong("promote", why, ("labels", "promote"))
        if (self.labels is Labels.REVIEWED) is not (self.data.reviewed is not UNSET):
            why = "labels: reviewed and data.reviewed, the column that says so, need each other"
            yield Wrong("labels", why, ("labels", "data.reviewed"))
        if self.intake is not UNSET and self.intake.surprise is not UNSET and self.gate.loss.name not in BINARY:
            why = f"surprise is for a label of 0 or 1, not for the loss {self.gate.loss.name}"
            yield Wrong("intake.surprise", why, ("intake.surprise", "gate.loss.name"))
        if self.shadow is not UNSET:
            yield from self._wrong_shadow(self.shadow)
        if odd := [name for name in self.gate.segments if name in (self.data.label, self.data.at)]:
            why = f"{odd[0]!r} is label or time and cannot be a segment"
            yield Wrong("gate.segments", why, ("gate.segments", "data.label", "data.at"))
        if self.promote is Promotion.APPROVE and self.approvals < 1:
            yield Wrong("approvals", "promote: approve needs at least one approval", ("promote", "approvals"))

    def _wrong_shadow(self, shadow: Shadow) -> Iterator[Wrong]:
        if shadow.most_ms > self.data.window_ms:
            why = "shadow.most must not be above data.window: rows that have left the window cannot be compared"
            yield Wrong("shadow.most", why, ("shadow.most", "data.window"))
        if shadow.scored_by is ScoredBy.SERVING and (not self.data.id or self.data.score is None):
            why = "shadow.scored_by: serving needs data.id and data.score, which pair predictions by both versions"
            yield Wrong("shadow.scored_by", why, ("shadow.scored_by", "data.id", "data.score"))
        if shadow.alias == self.alias:
            why = f"shadow.alias must be another name than {self.alias!r}, which serves"
            yield Wrong("shadow.alias", why, ("shadow.alias", "alias"))

    @property
    def digest(self) -> str:
        """Names this policy in run ids: an upgrade must not give the incidents of yesterday another run."""
        return digest_of(canonical_bytes(self.document()))

    @property
    def is_of_format_1(self) -> bool:
        """Whether it says nothing that the first version of the format does not know."""
        document = self.document()
        sections = (document, document["data"], document["gate"])
        return not any(name in section for section, names in zip(sections, _SINCE_2, strict=True) for name in names)

    def document(self) -> dict[str, Any]:
        """JSON-able. Fields that older versions did not have are in it only where they say something."""
        document: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        for section, name, default in _ADDED:
            if document[section][name] == default:
                del document[section][name]
        return document


def senseless(policy: Policy) -> Iterator[Wrong]:
    """What a policy says that cannot be meant. Asked of what is written, not of what a store keeps: it was taken once, and has to
    stay readable."""
    watched, most = policy.probation, policy.gate.loss.most
    if watched.least_ms > watched.most_ms:
        yield Wrong("probation", "least must not be above most", ("probation.least", "probation.most"))
    if not 0 <= watched.margin < most:
        why = f"is {watched.margin:g}; write at least 0, and less than the largest loss ({most:g})"
        yield Wrong("probation.margin", why, ("probation.margin", "gate.loss"))
    if policy.gate.loss.name in BINARY and not 0 < policy.gate.loss.threshold <= 1:
        why = f"is {policy.gate.loss.threshold:g}; scores lie between 0 and 1: write more than 0, at most 1"
        yield Wrong("gate.loss.threshold", why, ("gate.loss.threshold", "gate.loss.name"))
    if not 0 < watched.alpha < 0.5:
        yield Wrong("probation.alpha", f"is {watched.alpha:g}; write more than 0 and less than 0.5")
    if watched.rows_min < 1:
        yield Wrong("probation.rows_min", f"is {watched.rows_min}; write at least 1")
    for key, ratio in (
        ("gate.untested_ratio_max", policy.gate.untested_ratio_max),
        ("data.missing_ratio_max", policy.data.missing_ratio_max),
        ("data.missing_rise_max", policy.data.missing_rise_max),
        ("data.stuck_ratio_max", policy.data.stuck_ratio_max),
    ):
        if ratio is not UNSET and not 0 <= ratio <= 1:
            yield Wrong(key, f"is {ratio:g}; write a share between 0 and 1")
    if policy.tries_max < 1:
        yield Wrong("tries_max", f"is {policy.tries_max}; write at least 1")
    if policy.trigger.budget_runs == 0:
        why = "is 0, so no run would ever begin; write at least 1 (`driftline retrain stop` keeps runs from beginning)"
        yield Wrong("trigger.budget_runs", why)
    for key, names in (
        ("data.features", policy.data.features),
        ("gate.segments", policy.gate.segments),
        ("trigger.alerts", policy.trigger.alerts),
        ("train.environment", policy.train.environment),
    ):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            yield Wrong(key, f"names {', '.join(repr(str(name)) for name in twice)} more than once; write each once")


_ADDED: Final = (("trigger", "after_ms", 0), ("probation", "every_ms", HOUR_MS))
"""Section, field and default of what was added after the first version of the format."""
_SINCE_2: Final = (
    ("labels", "intake", "shadow", "brakes"),
    ("reviewed", "id", "missing_rise_max", "stuck_ratio_max", "scale_change_max"),
    ("worth", "anchor", "calibration_max", "flips_ratio_max", "size_bytes_max", "scoring_ms", "explain_rows"),
)
"""Of the policy, of its data, of its gate."""
