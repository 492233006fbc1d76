"""How long labels take: the delay curve of a model, what is to be expected by now, and when a window is settled.

The curve is Kaplan & Meier's (1958) on fixed bins of delay: predictions that wait without a label are censored, not
lost, and those that never get one leave a share that the curve never reaches (the never-arrives atom). Time counts in
whole bins: a prediction that has waited 2.5 bins says something about two, and a label that came in the third is not
counted until the third is over for all of them. So nothing is assumed about the inside of a bin.

State: two vectors of integers, which add up over partitions, cohorts and restarts, and subtract exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s

BINS: Final = 48
NO_LABEL: Final = -1
"""Stands for the delay of a prediction whose label has not come."""


def delay_ends(horizon_ms: int, shortest_ms: int = 60_000) -> Int64s:
    """Ends of the bins of delay: up to 48, in equal ratios from about a minute to the horizon, which is the last one."""
    first = min(shortest_ms, horizon_ms)
    ratios = first * (horizon_ms / first) ** (np.arange(BINS) / (BINS - 1))
    return np.unique(np.append(np.ceil(ratios[:-1]).astype(np.int64), horizon_ms))


@dataclass(frozen=True, slots=True)
class DelayCounts:
    """What is known of predictions' labels by delay. `ends` (J,) in ms; delays up to and including an end are in its bin.

    `arrived` (J,): labels by bin. `waiting` (J + 1,): predictions without a label that were watched for so many whole
    bins; those in the last place were watched to the horizon, and theirs will never come.
    """

    ends: Int64s
    arrived: Int64s
    waiting: Int64s

    @classmethod
    def of(cls, ends: Int64s, delay_ms: Int64s, age_ms: Int64s) -> DelayCounts:
        """Of predictions with these label delays (NO_LABEL: none) at these ages, both (n,). A negative delay counts as
        none at all having passed; one beyond the horizon as never."""
        watched = np.searchsorted(ends, age_ms, side="right")  # whole bins that are over
        place = np.searchsorted(ends, np.maximum(delay_ms, 0), side="left")
        known = (delay_ms != NO_LABEL) & (place < watched)
        arrived = np.bincount(place[known], minlength=len(ends))
        waiting = np.bincount(watched[~known], minlength=len(ends) + 1)
        return cls(ends, arrived.astype(np.int64), waiting.astype(np.int64))

    def __add__(self, other: DelayCounts) -> DelayCounts:
        assert (self.ends == other.ends).all(), "delays in different bins do not add up"
        return DelayCounts(self.ends, self.arrived + other.arrived, self.waiting + other.waiting)

    @property
    def at_risk(self) -> Int64s:
        """Predictions that were watched through each bin without a label before it, (J,)."""
        passed = self.arrived + self.waiting[1:]
        found: Int64s = np.cumsum(passed[::-1])[::-1]
        return found

    def curve(self) -> DelayCurve:
        """The share of labels that has come by each end, with Greenwood's standard error; NaN from where nobody was
        watched so long."""
        risk = self.at_risk.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            stays = 1.0 - self.arrived / risk
            hazard = self.arrived / (risk * (risk - self.arrived))
        stay = np.cumprod(stays, dtype=np.float64)
        variance = stay * stay * np.cumsum(np.where(self.arrived < risk, hazard, 0.0))
        return DelayCurve(self.ends, 1.0 - stay, np.sqrt(variance))


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """Share of predictions whose label has come within each of `ends` (J,) ms, with its standard error; NaN: unknown."""

    ends: Int64s
    share: Float64s
    error: Float64s

    @property
    def eventual(self) -> float:
        """Share that gets a label at all, as far as it is known: the rest is the never-arrives atom. NaN: nothing is."""
        known = self.share[~np.isnan(self.share)]
        return float(known[-1]) if len(known) else math.nan

    def by(self, age_ms: Int64s) -> Float64s:
        """Share of labels expected at these ages: the curve at the last end that is over, 0 before the first."""
        whole = np.searchsorted(self.ends, age_ms, side="right")
        last = int((~np.isnan(self.share)).sum())
        found: Float64s = np.concatenate([[0.0], self.share])[np.minimum(whole, last)]
        return found

    def around(self, age_ms: Int64s) -> Float64s:
        """As `by`, with the labels of a bin taken as even in it: nearer for ages within one, where `by` stays at its
        beginning."""
        known = int((~np.isnan(self.share)).sum())
        found: Float64s = np.interp(age_ms, [0, *self.ends[:known].tolist()], [0.0, *self.share[:known].tolist()])
        return found

    def expected_coverage(self, seen: Int64s, age_ms: Int64s) -> float:
        """Share labelled to be expected by now over panes of `seen` predictions, the youngest being `age_ms` old. NaN
        without predictions."""
        total = int(seen.sum())
        return float((seen * self.by(age_ms)).sum() / total) if total else math.nan

    def maturity(self, seen: Int64s, age_ms: Int64s) -> float:
        """Share of the labels that will ever come which is to be expected by now: what "78 % of expected labels in" says."""
        eventual = self.eventual
        return self.expected_coverage(seen, age_ms) / eventual if eventual > 0 else math.nan

    def settled_after_ms(self, maturity: float = 0.99) -> int | None:
        """Age from which this share of the labels that ever come has come: older windows are settled. None: unknown."""
        enough = np.flatnonzero(self.share >= maturity * self.eventual)
        return int(self.ends[enough[0]]) if len(enough) else None


def merge(parts: list[DelayCounts]) -> DelayCounts:
    """The sum of counts in the same bins; at least one."""
    return reduce(DelayCounts.__add__, parts)
