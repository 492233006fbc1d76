"""The parts that blocks left behind, put together in the order of the log, without the rejected rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events import Int64s, Reason, RecordBatch, Rejected
from monitor.ingest.careful import Failure
from monitor.ingest.columns import Problems
from monitor.ingest.records import Reading
from monitor.ingest.rows import Rows

Arrays = dict[str, NDArray[Any]]
"""Arrays of one length by field."""


def joined(parts: Sequence[Arrays], empty: Arrays) -> Arrays:
    """The arrays of all blocks, end to end; `empty` without blocks."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return dict(empty)
    return {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}


def rows_to_keep(reading: Reading, places: Int64s | None, n: int, problems: Problems) -> Int64s | None:
    """Numbers of the rows without problems, of n, in the order of the log; None means all as they are."""
    if not problems.by_row and reading.in_order:
        return None
    good = np.ones(n, np.bool_)
    good[list(problems.by_row)] = False
    keep = np.flatnonzero(good)
    return keep if reading.in_order or places is None else keep[np.argsort(places[keep])]


def reject_future(at_ms: Int64s, broker_ms: Int64s, skew_ms: int, problems: Problems) -> None:
    """Reject event times beyond the broker's time + skew."""
    ahead_ms = at_ms - broker_ms
    if ahead_ms.max(initial=skew_ms) > skew_ms:
        for row in np.flatnonzero(ahead_ms > skew_ms).tolist():
            by = int(ahead_ms[row])
            detail = f"at: {by} ms after the broker's time of the record; allowed: {skew_ms} (time.skew)"
            problems.reject(row, Failure(Reason.FUTURE, detail))


def rejections(
    batch: RecordBatch, failures: Mapping[int, Failure], places: Int64s | None, problems: Problems
) -> tuple[Rejected, ...]:
    """What was rejected, in the order of the log: whole records, and rows with a problem."""
    if not failures and not problems.by_row:
        return ()
    by_place = dict(failures)
    by_place |= {row if places is None else int(places[row]): failure for row, failure in problems.by_row.items()}
    return tuple(
        Rejected(int(batch.offsets[place]), failure.reason, failure.detail[:200], _index(batch, place))
        for place, failure in sorted(by_place.items(), key=lambda item: item[0])
    )


def _index(batch: RecordBatch, place: int) -> int | None:
    return index if isinstance(batch, Rows) and (index := int(batch.index[place])) >= 0 else None


def fault_counts(problems: Problems) -> dict[str, int]:
    """Bad values per feature, in rows that were kept."""
    if not problems.faults:
        return {}
    counts = {
        feature: sum(row not in problems.by_row for row in rows) for feature, rows in sorted(problems.faults.items())
    }
    return {feature: count for feature, count in counts.items() if count}
