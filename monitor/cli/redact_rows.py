"""Which rows of a dataset hold an id in any of their columns, as the search for ids sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pipelines.dataset.table import Floats, Ints, Texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monitor.adapters.needles import Needles
    from pipelines.dataset.table import Column, Table

_OF_NUMBERS: Final = frozenset("0123456789+-.einfa")
"""What numbers are written with: an id with another character is in none."""


def rows_holding(needles: Needles, table: Table) -> NDArray[np.bool_]:
    """Which rows hold one of the ids as text; a number is looked at as it is written. Each value is looked at once."""
    found = np.zeros(len(table), np.bool_)
    numbers = any(_OF_NUMBERS.issuperset(each) for each in needles.ids)
    for column in table.columns.values():
        if isinstance(column, Texts) or (numbers and isinstance(column, Ints | Floats)):
            found |= _holding(needles, column)
    return found


def _holding(needles: Needles, column: Column) -> NDArray[np.bool_]:
    if isinstance(column, Texts):
        codes, words = column.codes, [word.encode("utf-8", "surrogatepass") for word in column.words]
    else:
        assert isinstance(column, Ints | Floats)
        values, places = np.unique(column.values, return_inverse=True)
        codes = places.astype(np.int32)
        words = [str(each).encode() for each in values.tolist()]
    held = np.isin(codes.reshape(-1), _places(needles, words))
    return held & ~column.null if isinstance(column, Ints) else held


def _places(needles: Needles, words: Sequence[bytes]) -> list[int]:
    return sorted(needles.each(words))
