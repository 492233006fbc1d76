"""The machine's clocks behind the port `WallClock`. Tests move `tests.adapters.memory.ManualClock` by hand instead."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time and monotonic time of this machine."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch; may jump when the machine's clock is set."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed point; never goes back."""
        return time.monotonic_ns() // 1_000_000

    def sleep_ms(self, ms: int) -> None:
        """Sleep `ms` milliseconds; nothing for zero or less."""
        if ms > 0:
            time.sleep(ms / 1000)
