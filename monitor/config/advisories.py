"""A drift detector of river beside the rules: advice, which wakes nobody."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from monitor.config.base import Count, Labels, Name, Number, Ratio, Section
from monitor.config.durations import Duration
from monitor.config.metric_names import needs_coverage
from monitor.config.rules import Rule, RuleName, SegmentsField

OptionValue = Annotated[bool, Strict()] | Annotated[int, Strict()] | Number | str


class Advisory(Section):
    """A detector that is fed one value for each window, of a metric, as soon as the window is mature."""

    name: RuleName = Field(description="Names the advice; no rule may have this name.", examples=["hour-adwin"])
    detector: Name = Field(description="A drift detector of river.", examples=["ADWIN", "KSWIN", "PageHinkley"])
    options: dict[Name, OptionValue] = Field(
        default_factory=dict,
        description="What it is made with, as river names it; `seed` is 0 unless said.",
        examples=[{"delta": 0.002}],
    )
    metric: Name = Field(description="What it is fed.", examples=["psi:hour", "accuracy", "volume"])
    window: Name = Field(
        description="One of `windows`, written the same way; not a sliding one, whose values overlap.", examples=["1h"]
    )
    model: Name | None = Field(None, description="Default: every model, each version apart.")
    segments: SegmentsField = Field(
        "all",
        description="all = the model as a whole; each = every segment apart; or a list of segments.",
        examples=["all", "each", ["origin=EWR"]],
    )
    min_rows: Count = Field(100, ge=0, description="A window with fewer rows is left out.")
    min_coverage: Ratio = Field(
        default_factory=lambda data: 0.8 if needs_coverage(data["metric"]) else 0.0,
        description="A window waits until this share is labelled. Default: 0.8, or 0 for metrics without labels and for "
        "estimates.",
    )
    quiet_ms: Duration = Field(
        86_400_000,
        alias="quiet",
        description="It resolves when no further change was seen for this long, in event time.",
    )
    severity: Literal["ticket", "info"] = Field("info", description="Who is disturbed; advice is no page.")
    labels: Labels = Field(
        default_factory=dict, description="Goes into its alerts; overrides the model's.", examples=[{"owner": "me"}]
    )

    def as_rule(self) -> Rule:
        """What it asks of a window, in the form of a rule: which series, which window, on how much. Not what must hold."""
        return Rule(
            name=self.name,
            metric=self.metric,
            op=">",
            threshold=0.0,
            window=self.window,
            model=self.model,
            segments=self.segments,
            min_rows=self.min_rows,
            min_coverage=self.min_coverage,
        )

    @property
    def fed(self) -> tuple[object, ...]:
        """What its values and its detector depend on; what is left is how it is told."""
        asked = (self.metric, self.window, self.model, self.segments, self.min_rows, self.min_coverage)
        return self.name, self.detector, tuple(sorted(self.options.items())), *asked
