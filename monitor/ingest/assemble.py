"""The parts that blocks left behind, put together in the order of the log, without the rejected rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.events import Int64s, Reason, RecordBatch, Rejected
from monitor.ingest.careful import Failure
from monitor.ingest.columns import Problems
from monitor.ingest.records import Reading

Scalar = TypeVar("Scalar", bound=np.generic)


class Parts:
    """Arrays by field, one per block."""

    def __init__(self) -> None:
        self._parts: dict[str, list[NDArray[Any]]] = {}

    def add(self, field: str, part: NDArray[Any]) -> None:
        """The array of the next block."""
        self._parts.setdefault(field, []).append(part)

    def joined(self, field: str, dtype: type[Scalar], width: int = 0) -> NDArray[Scalar]:
        """All parts of a field; without blocks, an empty array of `dtype` (and of `width` columns)."""
        parts = self._parts.get(field)
        if not parts:
            return np.zeros((0, width) if width else 0, dtype)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def rows_to_keep(reading: Reading, places: Int64s, problems: Problems) -> Int64s | None:
    """Row numbers without problems, in the order of the log; None means all as they are."""
    if not problems.by_row and reading.in_order:
        return None
    good = np.ones(len(places), np.bool_)
    good[list(problems.by_row)] = False
    keep = np.flatnonzero(good)
    return keep if reading.in_order else keep[np.argsort(places[keep])]


def reject_future(at_ms: Int64s, broker_ms: Int64s, skew_ms: int, problems: Problems) -> None:
    """Reject event times beyond the broker's time + skew."""
    ahead = at_ms > broker_ms + skew_ms
    if ahead.any():
        for row in np.flatnonzero(ahead).tolist():
            by = int(at_ms[row] - broker_ms[row])
            detail = f"at: {by} ms after the broker's time of the record; allowed: {skew_ms} (time.skew)"
            problems.by_row.setdefault(row, Failure(Reason.FUTURE, detail))


def rejections(
    batch: RecordBatch, failures: Mapping[int, Failure], places: Int64s, problems: Problems
) -> tuple[Rejected, ...]:
    """What was rejected, in the order of the log: whole records, and rows with a problem."""
    by_place = dict(failures)
    by_place.update((int(places[row]), failure) for row, failure in problems.by_row.items())
    return tuple(
        Rejected(int(batch.offsets[place]), failure.reason, failure.detail[:200])
        for place, failure in sorted(by_place.items(), key=lambda item: item[0])
    )


def fault_counts(problems: Problems) -> dict[str, int]:
    """Bad values per feature, in rows that were kept."""
    counts = {
        feature: sum(row not in problems.by_row for row in rows) for feature, rows in sorted(problems.faults.items())
    }
    return {feature: count for feature, count in counts.items() if count}
