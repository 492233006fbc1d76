"""What a window says at one revision: the values that rules read, sinks publish and people see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


class SeriesKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Whose number it is. `segment` is `all` or `dimension=value`."""

    model: str
    version: str
    segment: str


class WindowKey(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Which window: its series, its configured name (`1d`, `24h/1h`, `month`), its half-open event-time span."""

    series: SeriesKey
    window: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a window that waits for labels, by what is known at its tick. None and empty: unknown.

    `expected_coverage`: share that should be labelled by now; `eventual_coverage`: share that ever will be; `settled_ms`:
    event time from which 99 % of that have come. `bounds`: lowest and highest value a metric can end at, which assumes
    nothing. `completed`: what metrics will be if labels that come later say what those that came later said before.
    `unlabelled`: what they are if scores mean what they meant before; its `residual` is the mean of label minus chance
    over the rows that have a label, about 0 while that holds. A final window has bounds only, or no outlook.
    """

    expected_coverage: float | None = None
    eventual_coverage: float | None = None
    settled_ms: int | None = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    completed: Mapping[str, Estimate] = field(default_factory=dict)
    unlabelled: Mapping[str, Estimate] = field(default_factory=dict)

    def settled_until_ms(self, of: WindowView) -> int | None:
        """Event time before which 99 % of the labels that ever come have come, as the window it is of knew at its tick."""
        return None if self.settled_ms is None else of.tick_ms - (self.settled_ms - of.key.end_ms)


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
    outlook: Outlook | None = None
    """Only where the configuration asks for `estimates`, and of performance windows."""
    partial: bool = False
    """Records that belonged into it, or labels of its predictions, may have been lost (a gap in the ledger)."""

    @property
    def coverage(self) -> float | None:
        """Share of the seen predictions that have their label."""
        return self.labelled / self.seen if self.seen else None
