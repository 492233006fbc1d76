"""How long a new owner would need: rows that a rebuild reads again, at the rate at which this process reads rows.

The rate is measured: of rebuilds, and of stretches in which there was more to read than could be taken. Before there was one
it is `ASSUMED_ROWS_PER_SECOND`. What comes before a rebuild is not in it: the session of a process that was killed has to time
out, and a process has to start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from monitor.ledger.records import Commit
from monitor.ports import WallClock
from monitor.view import Rebuild

_log = logging.getLogger("driftline.recovery")

ASSUMED_ROWS_PER_SECOND = 50_000
"""Until something was measured: what a busy machine of two cores read from a broker on it. Others need less than they say."""
LEAST_ROWS = 1_000
"""Of a rebuild, or of one turn; less says nothing of a rate."""
MEMORY_ROWS = 4_000_000
"""What was measured weighs half as much once so many rows followed it."""
SAY_EVERY_MS = 5_000


class Recovery:
    """The rate of this process, and the rebuild that is under way."""

    def __init__(self, clock: WallClock) -> None:
        self._clock = clock
        self._rows, self._took_ms = 0, 0
        self.current: Rebuild | None = None

    @property
    def measured(self) -> bool:
        """Whether the rate is this process's own."""
        return self._took_ms > 0

    @property
    def rows_per_second(self) -> float:
        """The rate that estimates are made with."""
        return 1_000 * self._rows / self._took_ms if self._took_ms else ASSUMED_ROWS_PER_SECOND

    def estimate_ms(self, rows: int) -> int:
        """How long so many rows take."""
        return round(1_000 * rows / self.rows_per_second)

    def took(self, rows: int, took_ms: int) -> None:
        """Rows were read and joined in one go, with more to read behind them."""
        if rows < LEAST_ROWS or took_ms <= 0:
            return
        self._rows, self._took_ms = self._rows + rows, self._took_ms + took_ms
        if self._rows > MEMORY_ROWS:
            self._rows, self._took_ms = self._rows // 2, max(1, self._took_ms // 2)

    def watch(self, partition: int, keep: Callable[[], None]) -> Callable[[int, int], None]:
        """What an opening tells its progress: announces a rebuild, says how far it is, measures it. `keep` is called
        each time."""
        began = said = self._clock.monotonic_ms()

        def progress(done: int, total: int) -> None:
            nonlocal began, said
            now = self._clock.monotonic_ms()
            if done == 0:
                began = said = now
                self._announce(partition, total)
            left_ms = self.estimate_ms(total - done)
            if 0 < done < total and now > began:
                left_ms = round((now - began) * (total - done) / done)
            self.current = Rebuild(partition, done, total, left_ms) if done < total else None
            if done < total and now - said >= SAY_EVERY_MS:
                said = now
                _log.info(
                    "partition %d: %d of %d records read again, about %.0f s left",
                    partition,
                    done,
                    total,
                    left_ms / 1_000,
                )
            if done >= total:
                self.took(total, now - began)
            keep()

        return progress

    def _announce(self, partition: int, total: int) -> None:
        if total:
            _log.info(
                "partition %d: %d records are read again to rebuild the join, about %.1f s at %.0f records a second (%s)",
                partition,
                total,
                self.estimate_ms(total) / 1_000,
                self.rows_per_second,
                "measured" if self.measured else "assumed",
            )

    def ended(self) -> None:
        """The opening is over, whatever came of it."""
        self.current = None


def rows_to_read_again(commit: Commit | None) -> int:
    """Offsets between the floors of a commit and its end: what a rebuild reads. Offsets without a record are among them."""
    if commit is None or commit.ended:
        return 0
    predictions = commit.predictions[1] - commit.prediction_floor.offset
    labels = commit.labels[1] - commit.label_floor.offset
    return max(0, predictions) + max(0, labels)
