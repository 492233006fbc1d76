"""Rows of other ids that hold one of some ids in another column: a note, a feature, a segment.

Which rows those are somebody says who knows the ids (`Holds`); here they are read once, wherever they lie, and told by the ids of
their rows. Those are taken out like ids that were asked for, so all rows of them go, and none comes back with the next dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipelines.dataset import archive as a
from pipelines.dataset.shelf import Shelf
from pipelines.dataset.table import Hashes, Table

Hashed = NDArray[np.uint64]
Holds = Callable[[Table], NDArray[np.bool_]]
"""Which rows of a table hold one of the ids in any of their columns."""
NONE: Hashed = np.empty((0, 2), np.uint64)


class Mentions:
    """Rows of a store that hold one of `hashes`, shape (n, 2), and are not of them."""

    def __init__(self, shelf: Shelf, store: a.LogStore, hashes: Hashed, holds: Holds) -> None:
        self._shelf, self._store, self._holds = shelf, store, holds
        self._known = wide(hashes)
        self._ids_of: dict[str, Hashed] = {}  # by blob, of each of its rows that holds one

    def read(self, rows_of: dict[str, int]) -> list[tuple[str, int]]:
        """Read what was not read before; in which dataset or archive how many such rows are, of those with some. `rows_of` is
        told of each blob how many rows of the ids themselves are in it. Raises what the store raises for damage."""
        counts: dict[str, int] = {}
        for where, digest, current, table in self._segments():
            if digest not in self._ids_of:
                self._look(digest, table(), rows_of)
            counts[where] = counts.get(where, 0) + len(self._ids_of[digest]) * current
        return [(where, count) for where, count in counts.items() if count]

    @property
    def ids(self) -> Hashed:
        """The ids of the rows that were read, as hashes, each once."""
        return np.unique(np.concatenate([NONE, *self._ids_of.values()]), axis=0)

    def _look(self, digest: str, table: Table, rows_of: dict[str, int]) -> None:
        own = hit(table, self._known)
        rows_of[digest] = int(own.sum())
        self._ids_of[digest] = ids_of(table)[self._holds(table) & ~own]

    def _segments(self) -> Iterator[tuple[str, str, bool, Callable[[], Table]]]:
        """Of what, which blob, whether it counts (a replaced segment of an archive does not), and its rows."""
        for version in self._shelf.versions():
            for segment in version.manifest.segments:
                rows = partial(self._shelf.table, version.manifest, segment)
                yield f"dataset {version}", segment.digest, True, rows
        for name in a.names(self._store):
            archive = a.Archive(self._store, name)
            state = archive.state()
            current = {segment.digest for _, _, segment in state.current.values()}
            for digest, (_, schema) in state.blobs.items():
                if digest in current or self._store.blob_size(digest) is not None:  # else an erasure took it
                    yield f"archive {name}", digest, digest in current, partial(archive.table, schema, digest)


def wide(hashes: Hashed) -> NDArray[np.void]:
    """Ids, shape (n, 2), as things that can be compared as a whole."""
    return np.ascontiguousarray(hashes).view("V16").reshape(-1)


def ids_of(table: Table) -> Hashed:
    """The ids of the rows, shape (n, 2)."""
    column = table.columns["id_hash"]
    assert isinstance(column, Hashes), "ids are hashes"
    return column.values


def hit(table: Table, known: NDArray[np.void]) -> NDArray[np.bool_]:
    """Which rows are of one of some ids."""
    found: NDArray[np.bool_] = np.isin(wide(ids_of(table)), known)
    return found
