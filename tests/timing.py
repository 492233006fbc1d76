"""Limits of time that are promised, measured on a machine that others use too."""

from __future__ import annotations

from collections.abc import Callable

TRIES = 3


def quickest(seconds: Callable[[], float], limit_secs: float) -> float:
    """The shortest of at most three measurements; none is made after one that keeps the limit.

    What else the machine does can only lengthen a measurement, and rarely all three; a program that is slow is slow each time.
    """
    found = seconds()
    for _ in range(TRIES - 1):
        if found < limit_secs:
            break
        found = min(found, seconds())
    return found
