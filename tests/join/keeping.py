"""A `SegmentStore` for tests: what is put aside stays in memory, and is refused on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.errors import SpillRefused


class KeptHere:
    """Columns in a store of tests; what was dropped cannot be asked for."""

    def __init__(self, store: Store, columns: Mapping[str, NDArray[Any]]) -> None:
        self._store, self._columns = store, {name: np.array(column) for name, column in columns.items()}
        for column in self._columns.values():
            column.flags.writeable = False

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        assert self in self._store.kept, "dropped"
        return self._columns

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self._columns.values())

    def drop(self) -> None:
        self._store.kept.remove(self)


class Store:
    """`full`: refuses."""

    def __init__(self) -> None:
        self.kept: list[KeptHere] = []
        self.full = False
        self.rows = 0  # put aside in all

    def keep(self, columns: Mapping[str, NDArray[Any]]) -> KeptHere:
        if self.full:
            raise SpillRefused("/there", "no space left on device")
        self.rows += len(columns["at_ms"])
        self.kept.append(KeptHere(self, columns))
        return self.kept[-1]

    def close(self) -> None:
        self.kept.clear()
