"""The values that flow: records as they were read, columns as they were decoded, records that were rejected.

Values only: nothing here reads, writes or decides. Columns are NumPy arrays of one length `n`, row i of
each being the same record, in offset order of ONE topic partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
UInt64s = NDArray[np.uint64]
Float64s = NDArray[np.float64]
Bools = NDArray[np.bool_]

MISSING = -1
"""Category code of a value that was absent or null."""
INVALID = -2
"""Category code of a value of the wrong type."""

WRONG_BITS = np.uint64(0x7FF8_0000_0000_BAD0)
"""A NaN whose bits say that there was a value, of the wrong type. To everybody who does not ask it is a NaN like any other."""
WRONG_NUMBER = float(WRONG_BITS.view(np.float64))
"""The same as a float."""

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A run of records of one topic partition, in offset order, as the log returned them.

    `timestamps_ms` is the broker's time of each record. `keys` and `headers` are None when the reader
    was told that nobody needs them (they cost time on the hot path). `offsets` increases strictly; gaps are the log's own
    (transaction markers, compaction). `next_offset` is where reading goes on, at least offsets[-1] + 1; a batch may be
    empty and only say that.
    """

    topic: str
    partition: int
    offsets: Int64s
    timestamps_ms: Int64s
    values: Sequence[bytes | None]
    next_offset: int
    keys: Sequence[bytes | None] | None = None
    headers: Sequence[Headers | None] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, start: int, stop: int, next_offset: int) -> RecordBatch:
        """The rows [start, stop), with where reading goes on after them."""
        return RecordBatch(
            self.topic,
            self.partition,
            self.offsets[start:stop],
            self.timestamps_ms[start:stop],
            self.values[start:stop],
            next_offset,
            None if self.keys is None else self.keys[start:stop],
            None if self.headers is None else self.headers[start:stop],
        )

    def split(self, offset: int) -> tuple[RecordBatch, RecordBatch | None]:
        """What is below an offset, and the rest where there is one."""
        if self.next_offset <= offset:
            return self, None
        n = int(np.searchsorted(self.offsets, offset))
        return self.rows(0, n, offset), self.rows(n, len(self), self.next_offset)


class Reason(StrEnum):
    """Why a record was rejected. Bounded: it is a metric label. The detail, for people, is in `Rejected.detail`."""

    MALFORMED = "malformed"  # not JSON, or not an object
    ENCODING = "encoding"  # not UTF-8
    NESTING = "nesting"  # deeper than the decoder follows
    SCHEMA = "schema"  # no id of a schema, or of one that is not known, or not read here
    OVERSIZED = "oversized"  # longer than streams.*.max_bytes
    EMPTY = "empty"  # null or zero-length value
    MISSING = "missing"  # a required field is absent or null
    TYPE = "type"  # a required field has the wrong type
    TIME = "time"  # the event time cannot be read or is outside years 1970 to 9999
    FUTURE = "future"  # the event time lies beyond the broker's time + skew
    NUMBER = "number"  # a score that is NaN, infinite or outside its task's range
    UNKNOWN_MODEL = "unknown_model"  # not listed, and unlisted models are rejected
    LABEL_VALUE = "label_value"  # a class or label value that no map or task knows


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be used: where it was, why, and a sentence for people (at most 200 characters, no ids)."""

    offset: int
    reason: Reason
    detail: str
    index: int | None = None
    """Its place in the array of its record; None where it is the record as a whole."""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Predictions that would count if their model were listed, in any order."""

    offsets: Int64s
    ids: UInt64s  # (n, 2)
    at_ms: Int64s

    @classmethod
    def joined(cls, parts: Sequence[Unlisted]) -> Unlisted:
        """Those of several."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("offsets", "ids", "at_ms")))


@dataclass(slots=True)
class PredictionColumns:
    """Decoded predictions of one RecordBatch; rejected records are in `rejected` only.

    `offsets` increases, strictly unless records hold several rows.
    Codes index the decoder's interners, which only ever grow: `model`, `version` and the values of `category`.
    `score` is NaN where the stream maps none; of regression models it is the number they predicted. `predicted` is the class
    as the task counts it (binary: 0 or 1; multiclass: its code; regression: 0). `scores` (n, k) are the probabilities of
    classes, NaN where one is absent; None where the stream maps none.
    A bad *feature* does not reject its record: the value is NaN / MISSING / INVALID and counted in `faults`.
    """

    offsets: Int64s
    broker_ms: Int64s
    ids: UInt64s  # (n, 2): 128 bits of hash of the id's UTF-8 bytes
    at_ms: Int64s
    model: Int32s
    version: Int32s
    score: Float64s
    predicted: Float64s
    withdrawn: Bools
    numeric: Mapping[str, Float64s] = field(default_factory=dict)
    category: Mapping[str, Int32s] = field(default_factory=dict)
    rejected: Sequence[Rejected] = ()
    faults: Mapping[str, int] = field(default_factory=dict)  # feature name -> bad values
    scores: Float64s | None = None
    unlisted: Unlisted | None = None
    """What was rejected for its model alone; None where nothing was."""
    places: Int64s | None = None
    """Of a batch whose records were opened: which of its rows each one is. None: each record is a row."""
    index: Int64s | None = None
    """Likewise the place of each in the array of its record."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Records that are no rows and no mistakes, by reason."""

    def __len__(self) -> int:
        return len(self.at_ms)

    def only(self, rows: Int64s) -> PredictionColumns:
        """These rows, in order; what is said of rejections stays as it is."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in _PREDICTION_ARRAYS},
            numeric={name: column[rows] for name, column in self.numeric.items()},
            category={name: column[rows] for name, column in self.category.items()},
            scores=None if self.scores is None else self.scores[rows],
            places=None if self.places is None else self.places[rows],
            index=None if self.index is None else self.index[rows],
        )

    @classmethod
    def joined(cls, parts: Sequence[PredictionColumns]) -> PredictionColumns:
        """The rows of several batches of one decoder, end to end. `rejected` and `faults` stay behind."""
        if len(parts) == 1:
            return parts[0]
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _PREDICTION_ARRAYS
        }
        numeric = {name: np.concatenate([part.numeric[name] for part in parts]) for name in parts[0].numeric}
        category = {name: np.concatenate([part.category[name] for part in parts]) for name in parts[0].category}
        scores = None if parts[0].scores is None else np.concatenate([_scores_of(part) for part in parts])
        return cls(**arrays, numeric=numeric, category=category, scores=scores)


def _scores_of(columns: PredictionColumns) -> Float64s:
    """Of batches of one decoder either all have them or none."""
    assert columns.scores is not None, "one batch has probabilities of classes and another has none"
    return columns.scores


_PREDICTION_ARRAYS = ("offsets", "broker_ms", "ids", "at_ms", "model", "version", "score", "predicted", "withdrawn")


@dataclass(slots=True)
class LabelColumns:
    """Decoded labels of one RecordBatch. `value` is NaN for a withdrawal (a null label with a time)."""

    offsets: Int64s
    broker_ms: Int64s
    ids: UInt64s  # (n, 2)
    at_ms: Int64s
    value: Float64s
    rejected: Sequence[Rejected] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.at_ms)
