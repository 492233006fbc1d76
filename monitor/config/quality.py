"""What the data of a model must look like, as configured under `quality`: its inputs, and that enough of them come.

What is declared of a feature (`min`, `max`, `values`) decides which rows are violations and so has a part in every count;
the limits (`at_most`, `at_least`) only decide when somebody is told, like any rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from monitor.config.base import Count, Name, Number, Ratio, Section, Word
from monitor.config.durations import Duration, PositiveDuration
from monitor.config.metric_names import DECLARED
from monitor.config.streams import FeatureName


class AtMost(Section):
    """A share of the predictions of a window that may be so."""

    at_most: Ratio = Field(description="A larger share is an alert.", examples=[0.02])


class AtLeast(Section):
    """A number of predictions that must come."""

    at_least: Count = Field(ge=1, description="Fewer in a window, all versions together, are an alert.", examples=[500])
    window: Name | None = Field(None, description="One of `windows`. Default: that of `quality`.", examples=["1d"])


class Silence(Section):
    """How long no prediction may come."""

    at_most_ms: PositiveDuration = Field(alias="at_most", description="A longer silence is an alert.", examples=["15m"])


VIOLATIONS_MOST = 0.01
"""Share of values that may be wrong where nothing else is said: a slip here and there is no incident."""


class FeatureQuality(Section):
    """What one watched feature must look like. Whoever lists it has values of the wrong type counted apart, too."""

    min: Number | None = Field(None, description="Numeric: smallest value that is right.", examples=[0])
    max: Number | None = Field(None, description="Numeric: largest value that is right.", examples=[6000])
    values: tuple[Word, ...] | None = Field(
        None, description="Categorical: the values that are right.", examples=[["AA", "DL", "UA"]]
    )
    missing: AtMost | None = Field(
        None, description="Absent or null. Left out, it is counted and nobody is told.", examples=[{"at_most": 0.02}]
    )
    wrong_type: AtMost | None = Field(None, description="Text among numbers, an object, an array. Default: 0.01.")
    out_of_range: AtMost | None = Field(None, description="Below `min` or above `max`. Default: 0.01.")
    unexpected: AtMost | None = Field(None, description="Not one of `values`. Default: 0.01.")


class Quality(Section):
    """What the data of the model must look like. An alert of these blocks retraining."""

    features: dict[FeatureName, FeatureQuality] = Field(
        default_factory=dict,
        description="By the name of a feature that the model watches.",
        examples=[{"distance": {"min": 0, "max": 6000, "missing": {"at_most": 0.02}}}],
    )
    volume: AtLeast | None = Field(None, description="Predictions in each window, all versions together.")
    freshness: Silence | None = Field(
        None, description="Longest silence of the model. Default: the window of `volume`, when that is set."
    )
    window: Name | None = Field(
        None, description="One of `windows`, written the same way. Default: the shortest.", examples=["1h"]
    )
    min_rows: Count = Field(100, ge=0, description="Fewer rows than this decide nothing about a feature.")
    for_ms: Duration = Field(0, alias="for", description="How long a share must be too large, in event time.")
    severity: Literal["page", "ticket", "info"] = Field("page", description="Who is disturbed.")


def limits_of(declared: FeatureQuality) -> dict[str, float]:
    """The largest share allowed of each violation that the declaration speaks of, by the name of its metric."""
    limits = {"wrong_type": _most(declared.wrong_type)}
    if declared.missing is not None:
        limits["missing"] = declared.missing.at_most
    if declared.min is not None or declared.max is not None:
        limits["out_of_range"] = _most(declared.out_of_range)
    if declared.values is not None:
        limits["unexpected"] = _most(declared.unexpected)
    return limits


def declared_metrics(declarations: Iterable[Quality | None]) -> list[str]:
    """The metrics that there are for the sake of what some models declare."""
    return sorted(
        {
            f"{check}:{feature}"
            for quality in declarations
            for feature, declared in (quality.features.items() if quality is not None else ())
            for check in DECLARED.keys() & limits_of(declared)
        }
    )


def _most(limit: AtMost | None) -> float:
    return VIOLATIONS_MOST if limit is None else limit.at_most
