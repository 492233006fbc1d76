"""How many examples a law is asked: all of them in `make verify`, a third in the run of every change."""

from __future__ import annotations

import os

THOROUGH = "DRIFTLINE_THOROUGH"
"""Set by `make verify`."""


def examples(n: int) -> int:
    """Of `n` that a thorough run takes, those of this run."""
    return n if os.environ.get(THOROUGH) else max(10, n // 3)
