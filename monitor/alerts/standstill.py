"""Where in event time the labels of a partition stood still, as its owner recorded it.

A standstill is a stretch of the partition's *label clock*: it stood there, and went on from there. So when ticks in it
close is known: only after labels went on, which comes before in the same ledger, or because the deadline is over. What is
said of a tick in it therefore depends on the ledger alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from monitor.ledger.records import Commit

MATURE: Final = 0.9
"""Share of predictions that must have their label before an early choice among labels cannot matter."""


class Stretch(NamedTuple):
    """Labels due from `begin_ms` to `end_ms` of event time came late or not at all; `overdue`: for longer than verdicts are
    held."""

    begin_ms: int
    end_ms: int
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Outage:
    """What a tick may make of cohorts whose labels did not come: `holding` = wait; what lies in `stretches` is spoilt."""

    holding: bool = False
    stretches: tuple[Stretch, ...] = ()
    horizon_ms: int = 0

    def spoils(self, start_ms: int, end_ms: int, seen: int, labelled: int) -> bool:
        """Whether labels of predictions from `start_ms` to `end_ms` are missing because of it: what came of them came early,
        which is no sample."""
        if is_mature(seen, labelled):
            return False
        return any(begin < end_ms + self.horizon_ms and start_ms < end for begin, end, _ in self.stretches)


NO_OUTAGE: Final = Outage()


def is_mature(seen: int, labelled: int) -> bool:
    """Whether enough of these predictions have their label for nothing to hang on which ones do."""
    return seen > 0 and labelled >= MATURE * seen


@dataclass(slots=True)
class Standing:
    """A standstill that goes on: where the label clock stands, and where that of predictions was at first and last."""

    begin_ms: int
    since_ms: int
    at_ms: int


@dataclass(slots=True)
class Standstills:
    """Those of all partitions: the ones that go on, and those that are over and not forgotten."""

    standing: dict[int, Standing] = field(default_factory=dict)
    over: list[Stretch] = field(default_factory=list)

    def feed(self, partition: int, commit: Commit, hold_ms: int) -> None:
        """Take an accepted commit of a partition."""
        predicted_ms, labelled_ms = commit.prediction_clock.maximum_ms, commit.label_clock.maximum_ms
        was = self.standing.get(partition)
        if commit.stalled and was is None:
            self.standing[partition] = Standing(labelled_ms, predicted_ms, predicted_ms)
        elif commit.stalled and was is not None:
            was.at_ms = predicted_ms
        elif was is not None:
            del self.standing[partition]
            self.over.append(Stretch(was.begin_ms, labelled_ms, was.at_ms - was.since_ms >= hold_ms))
            self.over.sort()

    def forget_before(self, at_ms: int) -> None:
        """Those that were over by then are of no use any more."""
        if any(stretch.end_ms <= at_ms for stretch in self.over):
            self.over = [stretch for stretch in self.over if stretch.end_ms > at_ms]

    def holds(self, at_ms: int) -> bool:
        """Whether a tick that ends at `at_ms` lies in one that was over within the deadline. Where one goes on, the tick
        closes because the deadline is over."""
        return any(begin < at_ms <= end and not overdue for begin, end, overdue in self.over)

    def explains(self, at_ms: int, after_ms: int) -> bool:
        """Whether labels may be missing at `at_ms` because of one that goes on, or that was over less than `after_ms`
        before."""
        return any(one.begin_ms < at_ms for one in self.standing.values()) or any(
            begin < at_ms <= end + after_ms for begin, end, _ in self.over
        )
