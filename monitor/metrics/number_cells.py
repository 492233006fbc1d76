"""The cells of regression: exact sums of errors and labels, and histograms of errors; and how they are read.

Cells of a window, all integers; e is prediction - label, y the label, in units:

    seen, labelled      predictions, and those of them whose label is known
    overflow            labelled rows with a number beyond `largest`
    error, absolute_error, error2, error4           sums of e, |e|, e^2, e^4
    label, label2, label3, label4                   sums of y, y^2, y^3, y^4
    error2_label, error2_label2                     sums of e^2 y, e^2 y^2
    errors[177]         rows by the size and sign of e (`sketches.sizes`): what a detector bets on

The fourth powers and mixed sums are there for the intervals of RMSE and R2. Sums are in limbs (`sketches.wide`): a window
holds 2**32 rows. Since edition 2:

    signed_error2, error3, error_label, error_label2, error3_label, error_label3    sums of e|e|, e^3, e y, e y^2, e^3 y, e y^3
    nonzero, relative, relative2, relative_slack    rows with a label other than 0; sums of |e| / |y| over them (`relative`)
    logarithmic, log_error, log_error_squares       rows with neither number negative; sums of squares of logarithmic errors
    fine_errors[1409]   rows by the size and sign of e, sixteen bins to a doubling: what quantiles are read off

Since edition 3:

    log_error_squares_rest  what `log_error_squares` was rounded by: of errors of one per cent it is nearly everything
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s
from monitor.metrics import relative
from monitor.metrics.estimates import UInt8s, first_reason
from monitor.metrics.losses import SQUARED_LOSS_BITS
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from monitor.sketches.fixed_point import FRACTION_BITS
from monitor.sketches.sizes import FINE_SIGNED, SIGNED
from monitor.sketches.wide import totals
from monitor.windows.view import Undefined

_LIMBS: Final = {
    "error": 2,
    "absolute_error": 2,
    "error2": 3,
    "error4": 6,
    "label": 2,
    "label2": 3,
    "label3": 5,
    "label4": 6,
    "error2_label": 5,
    "error2_label2": 6,
}
_LATER: Final = {
    "signed_error2": 3,
    "error3": 5,
    "error_label": 3,
    "error_label2": 5,
    "error3_label": 6,
    "error_label3": 6,
    "nonzero": 1,
    "relative": relative.RATIO_LIMBS,
    "relative2": relative.SQUARE_LIMBS,
    "relative_slack": relative.RATIO_LIMBS,
}

FIRST: Final = CellLayout(
    (
        CellSlice("seen"),
        CellSlice("labelled"),
        CellSlice("overflow"),
        *(CellSlice(name, count) for name, count in _LIMBS.items()),
        CellSlice("errors", SIGNED),
    )
)
"""The cells of edition 1."""

SECOND: Final = FIRST + CellLayout(
    (
        *(CellSlice(name, count) for name, count in _LATER.items()),
        CellSlice("logarithmic"),
        CellSlice("log_error", fraction_bits=FRACTION_BITS),
        CellSlice("log_error_squares", fraction_bits=SQUARED_LOSS_BITS),
        CellSlice("fine_errors", FINE_SIGNED),
    )
)
"""The cells of edition 2."""

LAYOUT: Final = SECOND + CellLayout((CellSlice("log_error_squares_rest", fraction_bits=relative.REST_BITS),))

TOUCHED: Final = np.concatenate(
    (
        np.arange(LAYOUT.index("labelled"), LAYOUT.index("errors") + 1),
        np.arange(LAYOUT.index("signed_error2"), LAYOUT.index("fine_errors") + 1),
        (LAYOUT.index("log_error_squares_rest"),),
    )
).astype(np.int32)
"""Cells that a labelled row touches: sums, and the first bins of the histograms. Those of an edition are the first of them."""
FINE: Final = len(TOUCHED) - 2
"""Among them the place of the histogram of edition 2."""
ERRORS: Final = LAYOUT.index("errors") - LAYOUT.index("labelled")
"""Among them the place of the histogram of edition 1."""
Sums = Mapping[str, int]
"""Of one window, by name."""


def rows_of(cells: Cells) -> Int64s:
    """Labelled rows that count."""
    rows: Int64s = cells.count("labelled") - cells.count("overflow")
    return rows


def undefined(rows: Int64s) -> UInt8s:
    """The reason why there is nothing to say of so many rows of each window; 0 where there is."""
    return first_reason(len(rows), (rows == 0, Undefined.NO_ROWS))


def sums_of(cells: Cells) -> list[Sums]:
    """Every sum of every window."""
    names = [name for name in (*_LIMBS, *_LATER) if name in cells.layout]
    columns = [totals(cells, name) for name in names]
    return [dict(zip(names, window, strict=True)) for window in zip(*columns, strict=True)]


def each(cells: Cells, of: Callable[[int, Sums], tuple[float, ...]], width: int, rows: Int64s) -> list[Float64s]:
    """What `of` makes of the rows of each window and their sums, as so many columns (W,); NaN without rows."""
    nothing = (math.nan,) * width
    found = [of(n, sums) if n else nothing for n, sums in zip(rows.tolist(), cells.once("sums", sums_of), strict=True)]
    return list(np.array(found, np.float64).reshape(len(cells), width).T)
