"""What a window says at one revision: the values that rules read, sinks publish and people see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """PERFORMANCE windows need labels and follow both clocks; INPUT windows (volume, features, scores) need none."""

    PERFORMANCE = "performance"
    INPUT = "input"


class Undefined(StrEnum):
    """Why a metric has no value. Never 0 instead."""

    NO_ROWS = "no_rows"  # nothing counted yet
    ZERO_DENOMINATOR = "zero_denominator"  # e.g. precision without predicted positives
    ONE_CLASS = "one_class"  # e.g. ROC AUC without positives or without negatives
    NO_SCORE = "no_score"  # the stream maps no score
    NO_REFERENCE = "no_reference"  # the model has no reference to compare with


# Structs, not dataclasses: a busy evaluator makes a dozen estimates and hashes a few keys for every window it revises, and
# a frozen dataclass takes ten times as long over both.


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A metric of one window. `value`, `lower`, `upper` are None iff `undefined` says why (an interval may be None alone,
    where none is defined). `rows` is the denominator. `bound` is the largest distance of `value` from the exact
    statistic (0.0 when exact)."""

    value: float | None
    lower: float | None
    upper: float | None
    rows: int
    bound: float = 0.0
    undefined: Undefined | None = None


class SeriesKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """Whose number it is. `segment` is `all` or `dimension=value`."""

    model: str
    version: str
    segment: str


class WindowKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """Which window: its series, its configured name (`1d`, `24h/1h`, `month`), its half-open event-time span."""

    series: SeriesKey
    window: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class WindowView:
    """One revision of one window, as of the end of tick `tick_ms` (event time).

    Revisions of a (key, kind) count from 1. `final`: no record of either topic can change it any more.
    `coverage` = labelled / seen (None when nothing was seen); for INPUT windows `labelled` is 0.
    `metrics` names: those of the task by name (`accuracy`, `recall:CLASS`, `mae`), drift as `psi:FEATURE`, `ks:FEATURE`, the
    scores as `psi:$score`.
    `counts` are the integers the metrics come from (`tp`, `fp`, `fn`, `tn`, ...).
    """

    key: WindowKey
    kind: Kind
    revision: int
    final: bool
    tick_ms: int
    seen: int
    labelled: int
    metrics: Mapping[str, Estimate]
    counts: Mapping[str, int]
    config_digest: str
    reference_digest: str | None = None

    @property
    def coverage(self) -> float | None:
        """Share of the seen predictions that have their label."""
        return self.labelled / self.seen if self.seen else None
