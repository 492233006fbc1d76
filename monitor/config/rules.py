"""A rule, as a user writes it: what must not hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from monitor.config.base import Count, Labels, Name, Number, Ratio, Section, Written, problem
from monitor.config.durations import Duration
from monitor.config.metric_names import needs_coverage

Segments = str | tuple[str, ...]


def _read_segments(value: Any) -> Segments:
    if value in ("all", "each"):
        return str(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
        for item in value:
            if not item.partition("=")[0] or not item.partition("=")[2]:
                raise problem(f"{item!r} is not a segment; allowed: FEATURE=value, as in origin=EWR")
        return tuple(value)
    raise problem(f"{value!r} does not say which segments; allowed: all, each, or a list such as [origin=EWR]")


_SEGMENTS_SCHEMA = {
    "anyOf": [{"enum": ["all", "each"]}, {"type": "array", "items": {"type": "string", "pattern": "^[^=]+=.+$"}}]
}


SegmentsField = Annotated[Segments, BeforeValidator(_read_segments), Written(_SEGMENTS_SCHEMA)]
RuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Rule(Section):
    """What must not hold: `metric op threshold`, on enough rows, for long enough."""

    name: RuleName = Field(description="Names the alert.", examples=["low-recall"])
    metric: Name = Field(description="What is compared.", examples=["recall", "psi:hour", "volume"])
    op: Literal["<", "<=", ">", ">="] = Field(
        description="Quote it: a bare > means something else in YAML.", examples=["<"]
    )
    threshold: Number = Field(description="In the unit of the metric.", examples=[0.4])
    window: Name = Field(description="One of `windows`, written the same way.", examples=["1d", "24h/1h"])
    model: Name | None = Field(None, description="Default: every model.")
    segments: SegmentsField = Field(
        "all",
        description="all = the model as a whole; each = every segment apart; or a list of segments.",
        examples=["all", "each", ["origin=EWR"]],
    )
    min_rows: Count = Field(100, ge=0, description="Fewer rows than this decide nothing.")
    min_coverage: Ratio = Field(
        default_factory=lambda data: 0.8 if needs_coverage(data["metric"]) else 0.0,
        description="Less than this share labelled decides nothing. Default: 0.8, or 0 for metrics without labels and for "
        "estimates.",
    )
    for_ms: Duration = Field(
        0, alias="for", description="How long it must hold, in event time, before the alert fires."
    )
    clear: Number | None = Field(
        None,
        description="Where it stops: what fires resolves when `metric op clear` holds no more. On the good side of `threshold`, "
        "so that a value about the threshold does not come and go. Default: the threshold.",
        examples=[0.45],
    )
    cooldown_ms: Duration | None = Field(
        None,
        alias="cooldown",
        description="How long after it resolved it does not fire again, in event time. Default: not at all.",
        examples=["6h"],
    )
    severity: Literal["page", "ticket", "info"] = Field(
        "ticket", description="Who is disturbed. Not page where all that is shown is drift: distances and `prevalence`."
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Goes into the rule's alerts; overrides the model's.",
        examples=[{"owner": "me"}],
    )
