"""What one prediction contributed to its window, tick by tick: the definition the fast path is a short cut of.

At tick t a key shows the best prediction content known by t (smallest event time, then content), unless a withdrawal
is known by t; and, of the labels valid for that content and known by t, the newest (largest time, then value). What a
window counts changes at tick t by the difference. Only facts enter, never the order they were processed in, so any
interleaving of the two topics gives the same changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.events import Float64s, Int64s
from monitor.groups import Group


@dataclass(frozen=True, slots=True)
class PredictionFact:
    """One content of a prediction and the tick it was known in. `content` orders equal times; smaller wins."""

    at_ms: int
    known: int
    score: float
    predicted: int
    group: int
    bins: bytes
    content: tuple[object, ...]


def content_of(score: float, predicted: int, group: Group, bins: bytes) -> tuple[object, ...]:
    """What orders contents of equal time."""
    nothing = math.isnan(score)
    first, last = group.order()
    return (not nothing, 0.0 if nothing else score, predicted, first, bins, last)


@dataclass(frozen=True, slots=True)
class LabelFact:
    """One label record; `value` NaN withdraws what was said before."""

    at_ms: int
    known: int
    value: float

    @property
    def rank(self) -> tuple[int, bool, float]:
        """Larger wins; at equal times a value beats a withdrawal, and the larger value the smaller."""
        null = math.isnan(self.value)
        return (self.at_ms, not null, 0.0 if null else self.value)


@dataclass(frozen=True, slots=True)
class Change:
    """At `tick`, add (`sign` 1) or take back (-1): the prediction itself when `label` is None, else its label."""

    tick: int
    sign: int
    fact: PredictionFact
    label: float | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which labels belong to a prediction: -skew_ms <= label time - prediction time <= horizon_ms."""

    horizon_ms: int
    skew_ms: int

    def hold(self, prediction_ms: int, label_ms: int) -> bool:
        """Whether the pair is valid."""
        return -self.skew_ms <= label_ms - prediction_ms <= self.horizon_ms


@dataclass(frozen=True, slots=True)
class Absent:
    """What a label that never comes means: `value`, from the tick that holds the prediction's time + `wait_ms` on."""

    value: float
    wait_ms: int
    tick_ms: int

    def tick(self, at_ms: int) -> int:
        """The tick in which the absence of a prediction's label is known."""
        return (at_ms + self.wait_ms) // self.tick_ms


def best(facts: Sequence[PredictionFact]) -> PredictionFact | None:
    """The content that wins its key: smallest event time, then smallest content."""
    return min(facts, key=lambda f: (f.at_ms, f.content), default=None)


def winner(labels: Sequence[LabelFact], prediction_ms: int, bounds: Bounds) -> LabelFact | None:
    """The label that counts for a prediction: the highest ranked among the valid ones."""
    valid = [label for label in labels if bounds.hold(prediction_ms, label.at_ms)]
    return max(valid, key=lambda label: label.rank, default=None)


def changes(
    facts: Sequence[PredictionFact],
    withdrawn_tick: int | None,
    labels: Sequence[LabelFact],
    bounds: Bounds,
    absent: Absent | None,
) -> Iterator[Change]:
    """Every change the key makes to its windows, in tick order.

    `absent` is given once the missing label was settled: it counts wherever no valid label is known (a withdrawal counts
    as known: truth was there and was taken back).
    """
    ticks = {fact.known for fact in facts} | {label.known for label in labels}
    if withdrawn_tick is not None:
        ticks.add(withdrawn_tick)
    if absent is not None:
        ticks |= {absent.tick(fact.at_ms) for fact in facts}
    shown: tuple[PredictionFact | None, float | None] = (None, None)
    for tick in sorted(ticks):
        gone = withdrawn_tick is not None and withdrawn_tick <= tick
        fact = None if gone else best([f for f in facts if f.known <= tick])
        label = None if fact is None else _label(fact, labels, bounds, absent, tick)
        yield from _difference(tick, shown, (fact, label))
        shown = (fact, label)


def _label(
    fact: PredictionFact, labels: Sequence[LabelFact], bounds: Bounds, absent: Absent | None, tick: int
) -> float | None:
    known = winner([label for label in labels if label.known <= tick], fact.at_ms, bounds)
    if known is not None:
        return None if math.isnan(known.value) else known.value
    return absent.value if absent is not None and absent.tick(fact.at_ms) <= tick else None


def _difference(
    tick: int, old: tuple[PredictionFact | None, float | None], new: tuple[PredictionFact | None, float | None]
) -> Iterator[Change]:
    same = old[0] is new[0]
    if old[0] is not None:
        if old[1] is not None and not (same and old[1] == new[1]):
            yield Change(tick, -1, old[0], old[1])
        if not same:
            yield Change(tick, -1, old[0], None)
    if new[0] is not None:
        if not same:
            yield Change(tick, 1, new[0], None)
        if new[1] is not None and not (same and old[1] == new[1]):
            yield Change(tick, 1, new[0], new[1])


def columns(
    batch: list[Change], sign: int
) -> tuple[NDArray[np.uint32], Int64s, Int64s, Float64s, NDArray[np.uint8], Int64s]:
    """Changes as a sink takes them, each times `sign`: group, at_ms, tick, score, predicted, sign."""
    return (
        np.array([c.fact.group for c in batch], np.uint32),
        np.array([c.fact.at_ms for c in batch], np.int64),
        np.array([c.tick for c in batch], np.int64),
        np.array([c.fact.score for c in batch], np.float64),
        np.array([c.fact.predicted for c in batch], np.uint8),
        np.array([c.sign * sign for c in batch], np.int64),
    )
