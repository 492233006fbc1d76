"""What subscribers are told: the types that JSON Schema, AsyncAPI and the field tables of the docs are generated from.

Every number that was measured has 12 significant digits. Every time is event time; nothing here knows a wall clock, an
offset or a writer, so equal topics give equal events.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from monitor.alerts.explained import Explanation
from monitor.alerts.grouped import AlertGroup
from monitor.alerts.rules import Op
from monitor.windows.view import Kind, Undefined

DATA_SCHEMA: Final = "urn:driftline:schema:alert:v1"
"""`dataschema` of every event; the `$id` of the shipped alert.schema.json, which describes the event whole."""

LAST_MS: Final = 253_402_300_799_999
"""The last millisecond of year 9999. `end` of input moves the clocks to infinity; an event then says this time."""


class Change(StrEnum):
    """What happened to the alert; part of the event's `type`."""

    FIRING = "firing"
    RESOLVED = "resolved"
    AMENDED = "amended"


class Standing(StrEnum):
    """Whether the episode that an event is about goes on."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Reason(StrEnum):
    """Why a decision about an alert was taken. Bounded: it is a metric label."""

    HOLDS = "holds"  # nothing is open and the newest mature window does not break the rule
    IMMATURE = "immature"  # no window is mature: nothing is decided, what is open stays open
    BREAKS = "breaks"  # the newest mature window began to break the rule; `for` starts
    WAITING = "waiting"  # pending, `for` is not over
    COOLING = "cooling"  # it broke for long enough, and resolved too short a time ago to fire again
    NO_ROWS = "no_rows"  # pending, and no rows came in this tick, which therefore does not count for `for`
    SUSTAINED = "sustained"  # it broke the rule for long enough: fire
    STILL_BREAKS = "still_breaks"  # firing goes on
    RECOVERED = "recovered"  # a newer mature window does not break the rule
    LATE_TRUTH = "late_truth"  # the window that broke the rule no longer does: labels came or were corrected
    FLIPPED = "flipped"  # a window that was cited changed its verdict
    FINAL_VALUE = "final_value"  # a window that was cited became final with another value than was said
    RULE_GONE = "rule_gone"  # the rule was removed, or no longer watches this series
    VERSION_REPLACED = "version_replaced"  # another version has a whole window without a prediction of this one
    EVIDENCE = "evidence"  # the evidence of a change reached the false-alarm budget
    QUIET = "quiet"  # no further alarm of the budget, or change that an advisory saw, for as long as it says
    CHANGED = "changed"  # the detector of an advisory says that something changed
    HELD = "held"  # labels stand still or are slow: nothing is decided, what is open stays open
    DECIDED = "decided"  # an operational decision was recorded


EventType = Literal["io.driftline.alert.firing.v1", "io.driftline.alert.resolved.v1", "io.driftline.alert.amended.v1"]

TYPES: Final[dict[Change, EventType]] = {
    Change.FIRING: "io.driftline.alert.firing.v1",
    Change.RESOLVED: "io.driftline.alert.resolved.v1",
    Change.AMENDED: "io.driftline.alert.amended.v1",
}
"""The CloudEvents `type` of each change."""

Severity = Literal["page", "ticket", "info"]
About = Literal["data_quality"]
ABOUT_DATA: Final[About] = "data_quality"
"""What an alert is about whose cause is the data: nothing may be trained on it."""
Only = msgspec.UnsetType
"""Beside the type of a field that only some events have: the others keep the bytes they had before there was such a field."""
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Ms = int
InGroup = Annotated[
    AlertGroup | Only,
    Meta(
        description="Alerts that most likely have one cause with it, with `grouping`; absent without, and in `amended` events "
        "about an episode that is over."
    ),
]
Labels = Annotated[
    dict[str, str], Meta(description="From the configuration: the rule's over the model's over the global ones.")
]


class CitedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The window that the evidence is from, as it was at the event's tick."""

    name: Annotated[str, Meta(description="The window's configured name: `1d`, `24h/1h`, `month`.")]
    kind: Kind
    start_ms: Annotated[Ms, Meta(description="Event time, milliseconds since 1970, included.")]
    end_ms: Annotated[Ms, Meta(description="Event time, milliseconds since 1970, excluded.")]
    revision: Annotated[int, Meta(description="Which revision of the window was judged; counts from 1.")]
    final: Annotated[bool, Meta(description="Whether the window can still change.")]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared with what, and on how much."""

    metric: str
    value: Annotated[float | None, Meta(description="The value that was judged; null when undefined.")]
    undefined: Annotated[Undefined | None, Meta(description="Why there is no value; null when there is one.")]
    lower: Annotated[float | None, Meta(description="Lower end of the 95 % interval; null where none is defined.")]
    upper: Annotated[float | None, Meta(description="Upper end of the 95 % interval; null where none is defined.")]
    op: Op
    threshold: float
    broken: Annotated[
        bool | None, Meta(description="Whether `value op threshold` is true; null when there is no value.")
    ]
    rows: Annotated[int, Meta(description="The metric's denominator: how many rows the value rests on.")]
    seen: Annotated[int, Meta(description="Predictions in the window.")]
    labelled: Annotated[int, Meta(description="Those with their label; 0 in `input` windows.")]
    coverage: Annotated[float | None, Meta(description="labelled / seen; null in `input` windows.")]
    counts: Annotated[
        dict[str, int],
        Meta(
            description="The integers of the whole window, whatever the metric judged. Of `performance` windows: `seen`, "
            "`labelled`, `scored` (labelled, with a score), and the labelled ones as `tp`, `fp`, `fn`, `tn`. Of `input` "
            "windows: none."
        ),
    ]
    feature: Annotated[
        str | Only, Meta(description="The feature whose quality was judged; absent in other alerts.")
    ] = msgspec.UNSET
    violations: Annotated[
        dict[str, int] | Only,
        Meta(description="How many of its values in the window were wrong, by kind; absent in other alerts."),
    ] = msgspec.UNSET
    window: CitedWindow
    config: Annotated[str, Meta(description="Digest of the configuration that the window was computed under.")]
    reference: Annotated[str | None, Meta(description="Digest of the model's reference; null without one.")]


class Amends(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier event said about the same window and is taken back."""

    event: Annotated[Hash, Meta(description="`id` of the event that said it.")]
    value: float | None
    broken: bool | None


class RuleAlert(msgspec.Struct, frozen=True, kw_only=True, tag_field="category", tag="rule"):
    """`data` of an event about a rule on one series of one model."""

    fingerprint: Annotated[Hash, Meta(description="Names the alert over all its episodes; the record's key.")]
    episode: Annotated[Hash, Meta(description="Names this episode: `id` of the event that fired it.")]
    state: Annotated[Standing, Meta(description="Whether the episode goes on after this event.")]
    latest: Annotated[
        bool, Meta(description="The episode is the alert's newest. Only `amended` events of older ones say false.")
    ]
    reason: Annotated[Reason, Meta(description="Why the event was sent.")]
    summary: Annotated[str, Meta(description="One sentence for people. Not for parsing.")]
    severity: Annotated[Severity, Meta(description="Who is to be disturbed; the rule says it.")]
    labels: Labels
    rule: str
    model: str
    version: str
    segment: Annotated[str, Meta(description="`all`, or `dimension=value`.")]
    tick_ms: Annotated[Ms, Meta(description="End of the event-time tick at which this was decided.")]
    since_ms: Annotated[Ms, Meta(description="Tick at which the rule began to break.")]
    fired_ms: Annotated[Ms, Meta(description="Tick at which `for` was over and the alert fired.")]
    resolved_ms: Annotated[Ms | None, Meta(description="Tick at which it was resolved; null while it fires.")]
    about: Annotated[
        About | Only,
        Meta(description="`data_quality`: the data is broken and blocks retraining. Absent in other alerts."),
    ] = msgspec.UNSET
    evidence: Annotated[
        Evidence | None,
        Meta(description="What was judged; null only with the reasons `rule_gone` and `version_replaced`."),
    ]
    amends: Annotated[Amends | None, Meta(description="What is taken back; null unless `amended`.")] = None
    explanation: Annotated[
        Explanation | Only,
        Meta(description="Why it fired, with `explanations`; absent where nothing can be said, and in other events."),
    ] = msgspec.UNSET
    group: InGroup = msgspec.UNSET


class OperationalAlert(msgspec.Struct, frozen=True, kw_only=True, tag_field="category", tag="operational"):
    """`data` of an event about the daemon itself, from a decision that was recorded; same life cycle, never amended."""

    fingerprint: Annotated[Hash, Meta(description="Names the alert over all its episodes; the record's key.")]
    episode: Annotated[Hash, Meta(description="Names this episode: `id` of the event that fired it.")]
    state: Annotated[Standing, Meta(description="Whether the episode goes on after this event.")]
    latest: Annotated[bool, Meta(description="Always true here.")]
    reason: Reason
    summary: Annotated[str, Meta(description="One sentence for people. Not for parsing.")]
    severity: Annotated[Severity, Meta(description="Who is to be disturbed; the rule says it.")]
    labels: Labels
    condition: Annotated[str, Meta(description="What is wrong, such as `label-feed-stalled`.")]
    scope: Annotated[
        str,
        Meta(description="Of what: `labels`, `predictions`, `model/NAME`, `partition/3`, or `TOPIC/partition/3`."),
    ]
    tick_ms: Annotated[Ms, Meta(description="The time that the decision was recorded with.")]
    fired_ms: Annotated[Ms, Meta(description="The time that the firing decision was recorded with.")]
    resolved_ms: Annotated[Ms | None, Meta(description="The time of the resolving decision; null while it fires.")]
    about: Annotated[
        About | Only,
        Meta(description="`data_quality`: too little data comes; blocks retraining. Absent in other alerts."),
    ] = msgspec.UNSET
    facts: Annotated[dict[str, int | str], Meta(description="What the decision was based on.")]
    group: InGroup = msgspec.UNSET


BUDGET_RULES: Final = ("budget-performance", "budget-input")
"""What alerts of the false-alarm budget have in place of a rule's name."""


class BudgetCause(msgspec.Struct, frozen=True, kw_only=True):
    """What one watched thing contributed: the question with the most evidence, and how large the change is."""

    channel: Annotated[
        str,
        Meta(description="`confusion` (of numbers `errors`), a feature, a pair `A~B`, `missing:FEATURE`, or `$score`."),
    ]
    area: Annotated[str, Meta(description="`performance`, `predictions`, `quality` or `features`.")]
    question: Annotated[str, Meta(description="What has risen: `missed positives`, `larger values`, `more 'EWR'`.")]
    share: Annotated[float, Meta(description="Its part of the evidence, from 0 to 1.")]
    log_evidence: Annotated[float, Meta(description="Natural logarithm of its e-value.")]
    listed: Annotated[bool, Meta(description="Among the changed ones at a false discovery rate of 0.1 (e-BH).")]
    since_ms: Annotated[Ms, Meta(description="Most likely beginning of the change, as in the alert.")]
    mean: Annotated[float, Meta(description="Mean of what was asked since then: a rate, or a rank from 0 to 1.")]
    lower: Annotated[float, Meta(description="Lower end of its 95 % interval, on rows / dispersion.")]
    upper: Annotated[float, Meta(description="Upper end of its 95 % interval, on rows / dispersion.")]
    rows: Annotated[int, Meta(description="Rows that the mean rests on.")]
    reference: Annotated[float, Meta(description="The same mean in the reference.")]
    limit: Annotated[float, Meta(description="Up to here a mean counts as unchanged: margin and materiality included.")]
    dispersion: Annotated[
        float, Meta(description="Effective sample is 1 row in so many: how bursty the reference was.")
    ]


class BudgetAlert(msgspec.Struct, frozen=True, kw_only=True, tag_field="category", tag="budget"):
    """`data` of an event about a change that the false-alarm budget found; same life cycle, never amended."""

    fingerprint: Annotated[Hash, Meta(description="Names the alert over all its episodes; the record's key.")]
    episode: Annotated[Hash, Meta(description="Names this episode: `id` of the event that fired it.")]
    state: Annotated[Standing, Meta(description="Whether the episode goes on after this event.")]
    latest: Annotated[bool, Meta(description="Always true here.")]
    reason: Reason
    summary: Annotated[str, Meta(description="One sentence for people. Not for parsing.")]
    severity: Annotated[
        Severity, Meta(description="`page` for performance and for broken data, `ticket` for other changes of inputs.")
    ]
    labels: Labels
    rule: Annotated[str, Meta(description="`budget-performance` or `budget-input`.")]
    kind: Kind
    model: str
    version: str
    segment: Annotated[str, Meta(description="Always `all` here.")]
    tick_ms: Annotated[Ms, Meta(description="End of the event-time tick at which this was decided.")]
    since_ms: Annotated[
        Ms,
        Meta(
            description="Most likely beginning of the leading change, to the beat; of performance to the pane of event time of "
            "the predictions, however late their labels came."
        ),
    ]
    fired_ms: Annotated[Ms, Meta(description="End of the tick of the first alarm.")]
    resolved_ms: Annotated[Ms | None, Meta(description="Tick at which it was resolved; null while it fires.")]
    alarms: Annotated[int, Meta(description="Alarms of the episode so far; each starts the detector again.")]
    log_evidence: Annotated[float, Meta(description="Natural logarithm of the evidence at that alarm.")]
    false_pages: Annotated[float, Meta(description="The budget: expected false alarms in each period, at most.")]
    per_ms: Annotated[Ms, Meta(description="The period of the budget.")]
    every_ms: Annotated[Ms, Meta(description="A beat: how often it is decided.")]
    causes: Annotated[
        list[BudgetCause],
        Meta(
            description="At the first alarm, or the first one that is a page: what is listed, then the largest that have a "
            "hundredth of the evidence; ten at most."
        ),
    ]
    config: Annotated[str, Meta(description="Digest of the configuration that the counts were made under.")]
    explanation: Annotated[
        Explanation | Only,
        Meta(
            description="Of performance, when it fires, with `explanations`: windows since `since_ms` against those before it, "
            "the shortest of which any such is held. Absent where nothing can be said."
        ),
    ] = msgspec.UNSET
    group: InGroup = msgspec.UNSET


class AdvisoryAlert(msgspec.Struct, frozen=True, kw_only=True, tag_field="category", tag="advisory"):
    """`data` of an event about a change that a drift detector of river saw: advice. Same life cycle, never amended."""

    fingerprint: Annotated[Hash, Meta(description="Names the alert over all its episodes; the record's key.")]
    episode: Annotated[Hash, Meta(description="Names this episode: `id` of the event that fired it.")]
    state: Annotated[Standing, Meta(description="Whether the episode goes on after this event.")]
    latest: Annotated[bool, Meta(description="Always true here.")]
    reason: Reason
    summary: Annotated[str, Meta(description="One sentence for people. Not for parsing.")]
    severity: Annotated[Literal["info", "ticket"], Meta(description="Advice is no page.")]
    labels: Labels
    rule: Annotated[str, Meta(description="The advisory's name.")]
    model: str
    version: str
    segment: Annotated[str, Meta(description="`all`, or `dimension=value`.")]
    tick_ms: Annotated[Ms, Meta(description="End of the event-time tick at which this was decided.")]
    fired_ms: Annotated[Ms, Meta(description="Tick at which the first change of the episode was seen.")]
    resolved_ms: Annotated[Ms | None, Meta(description="Tick at which it was resolved; null while it fires.")]
    changes: Annotated[int, Meta(description="Changes of the episode so far; the detector begins again after each.")]
    detector: Annotated[str, Meta(description="As river names it.")]
    metric: str
    value: Annotated[float, Meta(description="The value at which the first change was seen.")]
    rows: Annotated[int, Meta(description="How many rows that value rests on.")]
    values: Annotated[int, Meta(description="Values that the detector was fed before it, since it began.")]
    mean: Annotated[float | None, Meta(description="Their mean; null where there were none.")]
    window: Annotated[CitedWindow, Meta(description="The window of that value, as it was then.")]
    config: Annotated[str, Meta(description="Digest of the configuration that the window was computed under.")]
    reference: Annotated[str | None, Meta(description="Digest of the model's reference; null without one.")]
    group: InGroup = msgspec.UNSET


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent 1.0 in structured JSON: one change of one alert."""

    id: Annotated[
        Hash, Meta(description="Hash of fingerprint, tick and change. A replay gives the same: dedupe by it.")
    ]
    source: Annotated[str, Meta(description="`driftline/NAMESPACE`.")]
    type: Annotated[EventType, Meta(description="What happened: it fired, was resolved, or was amended.")]
    subject: Annotated[
        str, Meta(description="model/version/segment/rule, or condition/scope; each part percent-encoded.")
    ]
    time: Annotated[str, Meta(description="Event time of the tick, RFC 3339. Not when the record was written.")]
    partitionkey: Annotated[Hash, Meta(description="The fingerprint, which is the record's key.")]
    data: Annotated[
        RuleAlert | OperationalAlert | BudgetAlert | AdvisoryAlert,
        Meta(description="The alert; `category` says which of them."),
    ]
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Literal["urn:driftline:schema:alert:v1"] = DATA_SCHEMA

    @property
    def change(self) -> Change:
        """What happened."""
        return Change(self.type.split(".")[3])


def rfc3339(ms: int) -> str:
    """`2013-01-05T00:00:00.000Z`, always with milliseconds; times after year 9999 are its last millisecond."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(ms, LAST_MS))
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
