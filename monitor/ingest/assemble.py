"""The parts that blocks left behind, put together in the order of the log, without the rejected rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.events import Int64s, RecordBatch, Rejected
from monitor.ingest.careful import Failure
from monitor.ingest.columns import Problems
from monitor.ingest.records import Reading

Scalar = TypeVar("Scalar", bound=np.generic)


def joined(parts: Sequence[NDArray[Scalar]], empty: NDArray[Scalar]) -> NDArray[Scalar]:
    """The parts as one array; `empty` if there are none."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else empty


def rows_to_keep(reading: Reading, places: Int64s, problems: Problems) -> Int64s | None:
    """Row numbers without problems, in the order of the log; None means all as they are."""
    if not problems.by_row and reading.in_order:
        return None
    good = np.ones(len(places), np.bool_)
    good[list(problems.by_row)] = False
    keep = np.flatnonzero(good)
    return keep if reading.in_order else keep[np.argsort(places[keep])]


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
