"""Classes of multiclass models: names as records write them, as codes that are a function of the configuration alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from monitor.events import INVALID, MISSING, Bools, Float64s, Reason
from monitor.ingest.columns import Problems
from monitor.ingest.interner import UNKNOWN, Interner
from monitor.ingest.mapping import Leaf
from monitor.ingest.values import UNSET, Column, Misfit, plain


class ClassNames:
    """Reads predicted classes and labels: texts, numbers and booleans by their text (`3.0` is `3`). The code of a class is
    its place among `classes`; all that are not there have the next one: they are `other`."""

    def __init__(self, leaf: Leaf, classes: Sequence[str]) -> None:
        self._leaf = leaf
        self._interner = Interner(classes, limit=0)
        self._other = float(len(classes))

    def read(self, column: Column, problems: Problems) -> tuple[Float64s, Bools | None]:
        """The codes, and where the field is null (None: nowhere). Nulls and problems have NaN."""
        values = plain(column)
        codes = self._interner.codes(values)
        numbers = codes.astype(np.float64)
        if not len(codes) or codes.min() >= 0:
            return numbers, None
        numbers[codes == UNKNOWN] = self._other
        null = np.zeros(len(codes), np.bool_)
        for row in np.flatnonzero((codes == MISSING) | (codes == INVALID)).tolist():
            numbers[row] = math.nan
            null[row] = self._note(values[row], row, problems)
        return numbers, null

    def _note(self, value: object, row: int, problems: Problems) -> bool:
        """Whether the field is null; anything else is a problem."""
        if value is None:
            return True
        if value is UNSET:
            problems.add_missing(row, self._leaf.name)
        else:
            found = value.found if isinstance(value, Misfit) else "a number that is no name"
            problems.add(row, Reason.TYPE, f"{self._leaf.name}: {found}, where a class is needed")
        return False
