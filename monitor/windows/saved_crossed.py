"""Combinations of segments, saved and restored: part of the windows of a checkpoint."""

from __future__ import annotations

import msgspec
import numpy as np

from monitor.ledger.records import pack, unpack
from monitor.windows.crossed import Combination, Crossed
from monitor.windows.view import SeriesKey


class SavedCrossed(msgspec.Struct, frozen=True, array_like=True):
    """The combinations of one window of a version, sorted; `counts` are rows and errors of each."""

    model: str
    version: str
    segment: str
    window: str
    start_ms: int
    combinations: tuple[Combination, ...]
    counts: bytes


def save_crossed(crossed: Crossed) -> tuple[SavedCrossed, ...]:
    """Those of all windows that have any, in the order of their keys."""
    found = []
    for (series, window), held in sorted(crossed.held.items()):
        for start_ms, counts in sorted(held.items()):
            if counts:
                names = sorted(counts)
                flat = [number for name in names for number in counts[name]]
                own = series.model, series.version, series.segment
                found.append(SavedCrossed(*own, window, start_ms, tuple(names), pack(flat)))
    return tuple(found)


def restore_crossed(crossed: Crossed, saved: tuple[SavedCrossed, ...]) -> None:
    """Make combinations what others were. Raises ValueError where counts are missing."""
    for one in saved:
        counts = np.asarray(unpack(one.counts)).tolist()
        if len(counts) != 2 * len(one.combinations):
            raise ValueError(f"{len(one.combinations)} combinations of segments have {len(counts)} counts")
        series = SeriesKey(one.model, one.version, one.segment)
        pairs = zip(counts[::2], counts[1::2], strict=True)
        crossed.held.setdefault((series, one.window), {})[one.start_ms] = dict(
            zip(one.combinations, pairs, strict=True)
        )
