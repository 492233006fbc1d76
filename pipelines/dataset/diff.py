"""What two versions differ in, row by row.

Rows are matched by (hash of the id, model, version, event time of the prediction): a key may be used again after the
lateness, its time tells the two apart. Of rows that both have, the label may differ, or anything else.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset.manifest import Manifest, Selection
from pipelines.dataset.table import Ints, Schema, Table, Texts

KEY: Final = ("id_hash", "model", "version", "at_ms")
LABEL: Final = ("label", "label_at_ms")


class Gone(StrEnum):
    """Why a row is in one version only."""

    RANGE = "outside_the_range"  # of event time or offsets of the other, or of what the other read
    MODEL = "other_model"
    EARLIER = "before_its_first_row"  # the other may cover it, and begins later: retention took it, or an archive begins there
    LATER = "after_its_last_row"  # the other may cover it, and ends earlier: it was made before these came
    REVISED = "withdrawn_or_replaced"  # the other covers it: a withdrawal or an earlier duplicate came, or other rules


class Changed(StrEnum):
    """What differs in a row that both have."""

    LABELLED = "labelled"  # had no label, has one
    UNLABELLED = "label_withdrawn"
    CORRECTED = "label_corrected"
    AGAIN = "label_again"  # the same value, known at another time
    CONTENT = "content"  # a feature, score, prediction or segment, by what both have


@dataclass(frozen=True, slots=True)
class Difference:
    """From a version to another one. Counts of rows by reason; `fields` are columns that one of them only has."""

    same: int
    added: Mapping[Gone, int]
    removed: Mapping[Gone, int]
    changed: Mapping[Changed, int]
    fields: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Whether the rows are the same."""
        return not (self.added or self.removed or self.changed or self.fields)


class _Rows:
    """The rows of a version: keys and contents as bytes, and what the reasons need."""

    def __init__(self, tables: Iterable[Table], content: tuple[str, ...]) -> None:
        parts = [(_short(t.encode(KEY)), _short(t.encode(content)), _narrow(t)) for t in tables]
        self.key = _joined([key for key, _, _ in parts])
        self.content = _joined([value for _, value, _ in parts])
        self.at_ms = _joined([t.ints("at_ms").values for _, _, t in parts])
        self.label = _joined([_labels(t) for _, _, t in parts])
        self.labelled = _joined([t.known("label") for _, _, t in parts]).astype(np.bool_)
        self.label_at = _joined([_label_times(t.ints("label_at_ms")) for _, _, t in parts])
        self.model: list[str | None] = [name for _, _, t in parts for name in t.texts("model").texts()]


def compare(old: Manifest, old_tables: Iterable[Table], new: Manifest, new_tables: Iterable[Table]) -> Difference:
    """The difference of two versions, whose tables are read once each."""
    fields, shared = _fields(old.schema, new.schema)
    content = tuple(name for name in shared if name not in LABEL)
    before, after = _Rows(old_tables, content), _Rows(new_tables, content)
    if not len(before.key) or not len(after.key):
        both: tuple[Any, Any] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    else:
        _, *both = np.intersect1d(before.key, after.key, assume_unique=True, return_indices=True)  # type: ignore[assignment]
    left, right = both
    only = _without(len(before.key), left), _without(len(after.key), right)
    changed = _changes(before, left, after, right)
    return Difference(
        same=len(left) - sum(changed.values()),
        added=_reasons(after, only[1], old.selection, before.at_ms),
        removed=_reasons(before, only[0], new.selection, after.at_ms),
        changed=changed,
        fields=fields,
        rules=tuple(sorted(k for k in {*old.rules, *new.rules} if old.rules.get(k) != new.rules.get(k))),
    )


def _changes(before: _Rows, left: NDArray[Any], after: _Rows, right: NDArray[Any]) -> dict[Changed, int]:
    """Rows by what changed; one whose label and content differ counts for its label."""
    old, new = before.label[left], after.label[right]
    had, has = before.labelled[left], after.labelled[right]
    kinds = {
        Changed.LABELLED: ~had & has,
        Changed.UNLABELLED: had & ~has,
        Changed.CORRECTED: had & has & (old != new),
        Changed.AGAIN: (had == has) & ((old == new) | ~had) & (before.label_at[left] != after.label_at[right]),
    }
    label = np.zeros(len(left), np.bool_)
    for mask in kinds.values():
        label |= mask
    kinds[Changed.CONTENT] = ~label & (before.content[left] != after.content[right])
    return {kind: int(mask.sum()) for kind, mask in kinds.items() if mask.any()}


def _reasons(rows: _Rows, only: NDArray[Any], other: Selection, its_ms: NDArray[Any]) -> dict[Gone, int]:
    """Why `only` some of the rows are not in the version that selected `other`, whose rows are of the times `its_ms`."""
    first_ms, last_ms = (its_ms.min(), its_ms.max()) if len(its_ms) else (-math.inf, math.inf)
    counts: Counter[Gone] = Counter()
    for row in only.tolist():
        at = int(rows.at_ms[row])
        if other.models is not None and rows.model[row] not in other.models:
            counts[Gone.MODEL] += 1
        elif (
            (other.from_ms is not None and at < other.from_ms)
            or (other.until_ms is not None and at >= other.until_ms)
            or other.offsets is not None
        ):
            counts[Gone.RANGE] += 1
        else:
            counts[Gone.EARLIER if at < first_ms else Gone.LATER if at > last_ms else Gone.REVISED] += 1
    return dict(counts)


def _fields(old: Schema, new: Schema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(columns that one only has, columns that both have)."""
    first, second = set(old), set(new)
    only = sorted({field.name for field in first ^ second})
    return tuple(only), tuple(field.name for field in old if field in second)


def _short(rows: NDArray[np.uint8]) -> NDArray[Any]:
    """16 bytes a row in place of its hundreds: two versions have to fit into memory."""
    raw, width = rows.tobytes(), rows.shape[1]
    ends = range(width, len(raw) + 1, width) if width else ()
    digests = b"".join(hashlib.blake2b(raw[end - width : end], digest_size=16).digest() for end in ends)
    return np.frombuffer(digests, "V16")


def _narrow(table: Table) -> Table:
    """The columns that the reasons need; the others can go."""
    return Table({name: table.columns[name] for name in ("at_ms", "model", *LABEL)})


def _labels(table: Table) -> NDArray[Any]:
    """Labels as values that compare: numbers, or the names of classes."""
    column = table.columns["label"]
    return np.array(column.texts(), object) if isinstance(column, Texts) else table.floats("label").values


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)


def _without(n: int, taken: NDArray[Any]) -> NDArray[Any]:
    left = np.ones(n, np.bool_)
    left[taken] = False
    return np.flatnonzero(left)


def _label_times(column: Ints) -> NDArray[np.int64]:
    return np.where(column.null, -1, column.values)
