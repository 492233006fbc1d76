"""How far ticks may close, by the clocks that owners recorded of their partitions. Pure.

A tick closes when every partition that counts has come past its end by `disorder`. That leaves the tick of the newest record open
until the next one comes, which after a load of labels may be a day. So an owner records which ticks have *gone by*: its own
clock of the wall has passed their end, and `disorder`, and the log of the stream, asked then, held no more
(`daemon.silence`). Those close as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monitor.ingest.clocks import FOREVER, NEVER
from monitor.plan import Plan
from monitor.windows.view import Kind

_PREDICTIONS, _LABELS = 0, 1


@dataclass(slots=True)
class PartitionClock:
    """The clocks of a partition as its last commit gave them. `gone_by`: of predictions and of labels, the first tick that had
    not gone by when their owner looked last; 0 for none."""

    prediction_ms: int = NEVER
    label_ms: int = NEVER
    idle: bool = False
    quiet: bool = False
    stalled: bool = False
    ended: bool = False
    gone_by: tuple[int, int] = (0, 0)

    def by_stream(self, kind: Kind) -> tuple[tuple[int, int], ...]:
        """Clock and `gone_by` of the streams that ticks of this kind wait for."""
        both = ((self.prediction_ms, self.gone_by[_PREDICTIONS]), (self.label_ms, self.gone_by[_LABELS]))
        return both if kind is Kind.PERFORMANCE else both[:1]


@dataclass(frozen=True, slots=True)
class Frontier:
    """How far ticks of a plan may close. `label_clock_ms`: the label clock that performance ticks of a partition go by
    (`LabelHold.label_clock_ms`)."""

    plan: Plan
    label_clock_ms: Callable[[PartitionClock], int]

    def open_tick(
        self, clocks: Sequence[PartitionClock], kind: Kind, next_tick: int | None, *, by_wall: bool
    ) -> int | None:
        """The first tick that may not close yet; None while no partition counts (nothing was read; or all are idle, and what they
        said has not gone by). `next_tick`: the first that is not closed. Without `by_wall` the clocks of records alone decide, as
        in editions before LASTING."""
        heard = [clock for clock in clocks if not clock.idle]
        known = [(c.prediction_ms, c.gone_by[_PREDICTIONS]) for c in heard if not c.quiet]
        if kind is Kind.PERFORMANCE:
            known += [(self.label_clock_ms(c), c.gone_by[_LABELS]) for c in heard]
        if any(at_ms == NEVER for at_ms, _ in known):
            return None
        by_clocks = min((self._passed(at_ms) for at_ms, _ in known), default=None)
        if not by_wall:
            return by_clocks
        said = [each for clock in clocks for each in clock.by_stream(kind) if NEVER < each[0] < FOREVER]
        if known:
            further = [min(max(self._passed(at_ms), gone) for at_ms, gone in known)]
        elif all(gone > at_ms // self.plan.join.tick_ms for at_ms, gone in said):
            further = [gone for _, gone in said]  # nobody has more to say: what the newest of them said may be decided
        else:
            further = []
        # Who is behind already, as who was idle while others went on, is not waited for.
        here = [at_ms for at_ms, _ in said if at_ms // self.plan.join.tick_ms + 1 >= (next_tick or 0)]
        may = [tick for tick in further if all(self._harmless(kind, at_ms, tick) for at_ms in here)]
        return max([*may, *([] if by_clocks is None else [by_clocks])], default=None)

    def _passed(self, at_ms: int) -> int:
        return (at_ms - (0 if at_ms >= FOREVER else self.plan.join.disorder_ms)) // self.plan.join.tick_ms

    def _harmless(self, kind: Kind, at_ms: int, below: int) -> bool:
        """Whether no window becomes final that the next record of a stream can still belong to, though the ticks before `below`
        are closed. It may be `lateness` older than the clock, which stands before their end. Windows of performance have
        `settle_ms`, a tick or more, to spare for that."""
        join, pane_ms = self.plan.join, self.plan.pane_ms
        spare_ms, back_ms = 0, join.lateness_ms
        if kind is Kind.PERFORMANCE:
            spare_ms, back_ms = join.settle_ms, join.lateness_ms + join.bounds.horizon_ms
        final_ms, oldest_ms = below * join.tick_ms - spare_ms - back_ms, at_ms - back_ms
        return final_ms <= oldest_ms or final_ms // pane_ms == oldest_ms // pane_ms


def tick_gone_by(before: int, at_ms: int, wall_ms: int, tick_ms: int, disorder_ms: int) -> int | None:
    """What an owner may record of a silent stream whose log holds no more: the tick after that of its newest record, once the
    wall is past it. None where that was recorded (`before`), or is still to come.

    It is never a later one, however late it is on the wall: a tick that starts after the clock of a stream makes windows final
    that its next record may belong to. So what comes after that, and is of a time before, waits for a record that moves the
    clock.
    """
    tick = at_ms // tick_ms + 1
    known = NEVER < at_ms < FOREVER
    return tick if known and tick > before and wall_ms >= tick * tick_ms + disorder_ms else None


def still_ahead(gone_by: int, at_ms: int, tick_ms: int, disorder_ms: int) -> int:
    """What of a recorded `gone_by` the clock of the stream does not say by itself; 0 for nothing."""
    return gone_by if at_ms < FOREVER and gone_by > (at_ms - disorder_ms) // tick_ms else 0
