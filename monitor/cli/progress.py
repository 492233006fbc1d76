"""Progress of reading to the end: a bar with an ETA for people, one line every ten seconds for everything else."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from monitor.daemon.worker import Worker

_LINE_EVERY_S = 10.0
_BAR_EVERY_S = 0.2


class ReadProgress:
    """Offsets read against the ends that the worker runs to. Only partitions that the worker owns are known to it."""

    def __init__(self) -> None:
        self._due = time.monotonic() + (_BAR_EVERY_S if sys.stderr.isatty() else _LINE_EVERY_S)
        self._opened = self._began = time.monotonic()
        self._first: int | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def show(self, worker: Worker) -> None:
        """Refresh when it is due."""
        now = time.monotonic()
        if not worker.tasks or (now < self._due and self._first is not None):
            return
        done, total = worker.progress()
        if self._first is None:
            self._first, self._began = done, now
            return
        if sys.stderr.isatty():
            self._due = now + _BAR_EVERY_S
            self._draw(done, total)
        else:
            self._due = now + _LINE_EVERY_S
            self._print(done, total, now)

    def _draw(self, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("reading"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("reading", total=total)
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total)

    def _print(self, done: int, total: int, now: float) -> None:
        rate = (done - (self._first or 0)) / max(now - self._began, 1e-9)
        eta = f"{(total - done) / rate:.0f} s" if rate > 0 else "unknown"
        share = 100 * done / total if total else 100.0
        print(
            f"driftline: {done:,} of {total:,} records read ({share:.0f} %), {rate:,.0f}/s, ETA {eta}", file=sys.stderr
        )

    def close(self, worker: Worker) -> None:
        """Take the bar away and say what was done."""
        if self._bar is not None:
            self._bar.stop()
        read = sum(worker.statistics.consumed.values())
        print(f"driftline: {read:,} records read in {time.monotonic() - self._opened:.1f} s", file=sys.stderr)


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
