"""Progress of a run to the end: a bar with an ETA for people, one line every ten seconds for everything else.

Reading and evaluating take turns in one loop and cost differently, so their paces are kept apart: a run that has read
everything and evaluates for as long again is half done, not nearly. Below the whole stand the partitions, each with the event
time that it has come to, its rate and when it will have been read; of many those with most to read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from monitor.cli.show import minute
from monitor.daemon.headway import Headway, PartitionHeadway, headway, records_read, ticks_closed

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from monitor.daemon.worker import Worker

_LINE_EVERY_S = 10.0
_BAR_EVERY_S = 0.2
_SETTLED_S = 2.0
"""No ETA before: the first batches and ticks also pay for what is done once, and would be taken for the pace of all."""
PARTITIONS_MAX = 8
"""Partitions that are told one by one: more would push the whole out of a small terminal."""


@dataclass(slots=True)
class Pace:
    """The time that reading and evaluating took since `first`, and what is left at that pace."""

    first: Headway
    reading_s: float = 0.0
    evaluating_s: float = 0.0

    def spent(self, seconds: float, *, evaluating: bool) -> None:
        """Time went by since the last call, with one of the two."""
        if evaluating:
            self.evaluating_s += seconds
        else:
            self.reading_s += seconds

    def meet(self, others: Sequence[PartitionHeadway]) -> None:
        """Partitions that another process reads, of which it may not have spoken before: their pace counts from here."""
        known = {own.partition for own in self.first.partitions}
        if new := [own for own in others if own.partition not in known]:
            read = self.first.read + sum(own.read for own in new)
            self.first = replace(self.first, read=read, partitions=(*self.first.partitions, *new))

    def left_s(self, now: Headway) -> float | None:
        """Seconds to the end; None while one of the two has work and no pace yet. What is still to be read brings ticks
        like what was read."""
        read, closed = now.read - self.first.read, now.closed - self.first.closed
        if now.to_read and not read:
            return None
        to_close = now.to_close + now.to_read / max(now.read, 1) * (now.closed + now.to_close)
        if to_close and not closed:
            return None
        reading_s = self.reading_s * now.to_read / read if read else 0.0
        return reading_s + (self.evaluating_s * to_close / closed if closed else 0.0)

    def rate(self, now: PartitionHeadway) -> float:
        """Records of a partition that were read in a second, since it was first seen."""
        began = next((own.read for own in self.first.partitions if own.partition == now.partition), 0)
        spent_s = self.reading_s + self.evaluating_s
        return (now.read - began) / spent_s if spent_s else 0.0

    def share(self, now: Headway) -> float | None:
        """How much of the work is done, by time; None as long as nothing is known about the rest."""
        left_s, spent_s = self.left_s(now), self.reading_s + self.evaluating_s
        if left_s is None or not spent_s + left_s:
            return None
        return spent_s / (spent_s + left_s)


class RunProgress:
    """What a worker that runs to the end has done, and how long the rest takes. Of reading, only partitions that it owns
    are known to it."""

    def __init__(self) -> None:
        self._people = sys.stderr.isatty()
        self._every_s = _BAR_EVERY_S if self._people else _LINE_EVERY_S
        self._opened = self._seen = time.monotonic()
        self._due = self._opened + self._every_s
        self._pace: Pace | None = None
        self._closed = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._rows: dict[int, TaskID] = {}
        self._others: Sequence[PartitionHeadway] = ()
        self._before = 0  # read when this run began

    def show(self, worker: Worker, others: Sequence[PartitionHeadway] = ()) -> None:
        """Take note of the time, and refresh when it is due. Called once a loop, and at every tick. `others`: how far
        partitions are that other processes read."""
        if not worker.tasks:
            return
        self._others = others
        now, closed = time.monotonic(), ticks_closed(worker)
        if self._pace is None:
            self._pace = Pace(headway(worker, others))
            self._before = records_read(worker) - sum(worker.statistics.consumed.values())
        else:
            self._pace.spent(now - self._seen, evaluating=closed != self._closed)
            self._pace.meet(others)
        self._seen, self._closed = now, closed
        if now < self._due:
            return
        self._due = now + self._every_s
        at = headway(worker, others)
        if self._people:
            self._draw(self._pace, at)
        else:
            print("\n".join([line(self._pace, at), *partition_lines(self._pace, at)]), file=sys.stderr)

    def _draw(self, pace: Pace, at: Headway) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[eta]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("reading", total=1.0, eta="")
        assert self._task is not None
        what = f"{at.read:,} of {at.read + at.to_read:,} records" if at.to_read else f"{at.to_close:,} ticks to close"
        self._bar.update(self._task, description=what, completed=pace.share(at) or 0.0, eta=f"ETA {_eta(pace, at)}")
        chosen = told_of(at)
        for gone in self._rows.keys() - {own.partition for own in chosen}:
            self._bar.remove_task(self._rows.pop(gone))
        for own in chosen:
            if own.partition not in self._rows:
                self._rows[own.partition] = self._bar.add_task("", total=1.0, eta="")
            total = own.read + own.to_read
            self._bar.update(
                self._rows[own.partition],
                description=f"partition {own.partition}{_come_to(own)}",
                completed=own.read / total if total else 1.0,
                eta=_reading(pace, own),
            )

    def close(self, worker: Worker, others: int = 0, published: Published | None = None) -> None:
        """Take the bar away and say what was done, in the numbers of the progress before; `others`: records that other
        processes read; `published`: what this run wrote to the windows topic."""
        if self._bar is not None:
            self._bar.stop()
        own = sum(worker.statistics.consumed.values()) + others
        took = f"{time.monotonic() - self._opened:.1f} s"
        before = 0 if others else self._before
        said = done(headway(worker, self._others), own, took, before)
        if not own and self._pace is None and worker.finished:
            said = "nothing to read: all of it was read, and settled, before"
        print(f"driftline: {said}", file=sys.stderr)
        if published is not None and worker.judge is not None:
            print(f"driftline: {windows_of(published)}", file=sys.stderr)


@dataclass(frozen=True, slots=True)
class Published:
    """Revisions of windows that a run wrote: those that nothing changes any more, and those that may still change."""

    final: int
    provisional: int


def windows_of(published: Published) -> str:
    """What was published."""
    return (
        f"{published.final:,} final windows published, and {published.provisional:,} provisional revisions of windows"
    )


def done(at: Headway, own: int, took: str, before: int = 0) -> str:
    """What was done: `own` records by this run, and how far that led. `before`: what was read when it began."""
    if at.to_read:
        return f"{own:,} records read in {took}; {at.read:,} of {at.read + at.to_read:,} are done"
    return f"{own:,} records read in {took}" + (f", after {before:,} that were read before" if before > 0 else "")


def line(pace: Pace, at: Headway) -> str:
    """One line of progress."""
    share = pace.share(at)
    done = "" if share is None else f" ({100 * share:.0f} %)"
    ticks = f", {at.closed:,} of {at.closed + at.to_close:,} ticks closed" if at.closed + at.to_close else ""
    return f"driftline: {at.read:,} of {at.read + at.to_read:,} records read{ticks}{done}, ETA {_eta(pace, at)}"


def _eta(pace: Pace, at: Headway) -> str:
    left_s = None if pace.reading_s + pace.evaluating_s < _SETTLED_S else pace.left_s(at)
    return "unknown" if left_s is None else f"{left_s:.0f} s"


def told_of(at: Headway) -> list[PartitionHeadway]:
    """The partitions that are told, in their order: all, or those with most to read."""
    most = sorted(at.partitions, key=lambda own: (-own.to_read, own.partition))[:PARTITIONS_MAX]
    return sorted(most, key=lambda own: own.partition)


def partition_lines(pace: Pace, at: Headway) -> list[str]:
    """A line for each partition, of many for those with most to read."""
    found = [
        f"driftline:   partition {own.partition}{_come_to(own)}: {own.read:,} of {own.read + own.to_read:,} records, "
        f"{_reading(pace, own)}"
        for own in told_of(at)
    ]
    more = len(at.partitions) - len(found)
    return [*found, *([f"driftline:   and {more:,} partitions with less to read"] if more else [])]


def _come_to(own: PartitionHeadway) -> str:
    return "" if own.at_ms is None else f" at {minute(own.at_ms - own.at_ms % 60_000)}"


def _reading(pace: Pace, own: PartitionHeadway) -> str:
    """Rate and ETA of a partition; of one that is read to its end neither, as time goes on and its records do not."""
    if not own.to_read:
        return "read"
    rate = pace.rate(own)
    return f"{rate:,.0f}/s, ETA {f'{own.to_read / rate:.0f} s' if rate else 'unknown'}"


class StepProgress:
    """One step after another, each with its own bar and ETA; a line every ten seconds where no terminal is."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._people = quiet, sys.stderr.isatty()
        self._step = ""
        self._began = self._due = time.monotonic()
        self._first = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, step: str, done: int, total: int) -> None:
        """`done` of `total` of a step. Refreshed when it is due."""
        now = time.monotonic()
        if self._quiet or (now < self._due and step == self._step):
            return
        if step != self._step:
            self._step, self._began, self._first = step, now, done
            self._due = now + (_BAR_EVERY_S if self._people else _LINE_EVERY_S)
            return
        if self._people:
            self._due = now + _BAR_EVERY_S
            self._draw(done, total)
            return
        self._due = now + _LINE_EVERY_S
        rate = (done - self._first) / max(now - self._began, 1e-9)
        eta = f"{(total - done) / rate:.0f} s" if rate > 0 else "unknown"
        print(f"driftline: {step}: {done:,} of {total:,}, {rate:,.0f}/s, ETA {eta}", file=sys.stderr)

    def _draw(self, done: int, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._step, total=total)
        assert self._task is not None
        self._bar.update(self._task, description=self._step, completed=done, total=total)
