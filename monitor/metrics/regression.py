"""Regression: predictions and labels are numbers; their errors are summed exactly on a grid of stated resolution.

A number is rounded once to whole units of 2**-bits, chosen so that `largest`, the largest number that counts, is at most
2**43 units: the resolution is 1.1e-13 to 2.3e-13 of `largest`. Everything after that is integer arithmetic on the
rounded numbers, so variances do not cancel, and rows are taken back exactly. A labelled row whose prediction or
label is larger counts in `overflow` and nowhere else.

Cells of a window, all integers; e is prediction - label, y the label, in units:

    seen, labelled      predictions, and those of them whose label is known
    overflow            labelled rows with a number beyond `largest`
    error, absolute_error, error2, error4           sums of e, |e|, e^2, e^4
    label, label2, label3, label4                   sums of y, y^2, y^3, y^4
    error2_label, error2_label2                     sums of e^2 y, e^2 y^2
    errors[177]         rows by the size and sign of e (`sketches.sizes`): what a detector bets on

The fourth powers and mixed sums are there for the intervals of RMSE and R2. Sums are in limbs (`sketches.wide`): a window
holds 2**32 rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics import intervals
from monitor.metrics.estimates import Estimates, UInt8s, estimates, first_reason
from monitor.metrics.task import Metric
from monitor.sketches.cells import CellLayout, Cells, CellSlice
from monitor.sketches.sizes import SIGNED, signed_bins
from monitor.sketches.wide import limbs, product, totals
from monitor.windows.view import Undefined

VALUE_BITS: Final = 43
"""A number is below 2**43 units, so an error below 2**44."""
LARGEST: Final = 1_000_000.0
"""The largest prediction or label that counts, unless the model says otherwise: resolution 2**-23, 1.2e-7."""

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

LAYOUT: Final = CellLayout(
    (
        CellSlice("seen"),
        CellSlice("labelled"),
        CellSlice("overflow"),
        *(CellSlice(name, count) for name, count in _LIMBS.items()),
        CellSlice("errors", SIGNED),
    )
)

_SUMS: Final = 3 + sum(_LIMBS.values())
"""Cells that are no histogram, `seen` among them."""
WIDTH: Final = _SUMS
"""Cells that one labelled row touches: the sums but `seen`, and one of the histogram."""

_TOUCHED: Final = np.append(np.arange(1, _SUMS), LAYOUT.index("errors")).astype(np.int32)
_Mean = tuple[float, float, float]
"""A value with its interval."""


class Regression:
    """The task `regression` for numbers up to `largest` in size."""

    name: Final = "regression"
    cells: Final = LAYOUT

    def __init__(self, largest: float = LARGEST) -> None:
        self.largest = largest
        mantissa, exponent = math.frexp(largest)
        self.bits = VALUE_BITS - (exponent - 1 if mantissa == 0.5 else exponent)
        self.resolution = math.ldexp(1.0, -self.bits)
        """One unit. A number is off by half of it at most, an error by one."""
        self.metrics: Mapping[str, Metric] = MappingProxyType(
            {
                "bias": self._metric(_bias, self.resolution),
                "mae": self._metric(_mae, self.resolution),
                "rmse": self._metric(_rmse, self.resolution),
                "r2": r2,
                "overflow": overflow,
            }
        )

    def of_edition(self, number: int) -> Regression:
        """The same in every edition."""
        return self

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """What n labelled rows add to the cells of their window: cell index and amount, both (n, WIDTH).

        `score` is the number that the model predicted. Includes `labelled`, not `seen`.
        """
        inside = (np.abs(score) <= self.largest) & (np.abs(label) <= self.largest)  # false for NaN too
        scale = math.ldexp(1.0, self.bits)
        f, y = (np.rint(np.where(inside, column, 0.0) * scale).astype(np.int64) for column in (score, label))
        e = f - y
        size_e, size_y = limbs(np.abs(e), 2), limbs(np.abs(y), 2)
        sign_e, sign_y = np.sign(e)[:, np.newaxis], np.sign(y)[:, np.newaxis]
        e2, y2 = product(size_e, size_e, 3), product(size_y, size_y, 3)
        amount = np.column_stack(
            (
                np.ones(len(label), np.int64),
                ~inside,
                size_e * sign_e,
                size_e,
                e2,
                product(e2, e2, 6),
                size_y * sign_y,
                y2,
                product(y2, size_y, 5) * sign_y,
                product(y2, y2, 6),
                product(e2, size_y, 5) * sign_y,
                product(e2, y2, 6),
                inside,
            )
        )
        cell = np.broadcast_to(_TOUCHED, amount.shape).copy()
        cell[:, -1] += signed_bins(e).astype(np.int32)
        return cell, amount

    def foresee(self, score: Float64s, predicted: Float64s) -> tuple[Int64s, Int64s] | None:
        """None: nothing is kept of what waits."""
        return None

    def table(self, cells: Cells) -> Sequence[Mapping[str, int]]:
        """None."""
        return ()

    def _metric(self, of: Callable[[int, Mapping[str, int]], _Mean], bound: float) -> Metric:
        """A mean of errors from the exact sums of a window, which are in units."""

        def metric(cells: Cells) -> Estimates:
            rows = _rows(cells)
            found = [
                of(n, sums) if n else (math.nan,) * 3
                for n, sums in zip(
                    rows.tolist(), _sums(cells, ("error", "absolute_error", "error2", "error4")), strict=True
                )
            ]
            value, lower, upper = (np.ldexp(np.array(column), -self.bits) for column in _columns(found))
            return estimates(value, (lower, upper), rows, _undefined(cells), bound)

        return metric


def _rows(cells: Cells) -> Int64s:
    rows: Int64s = cells.count("labelled") - cells.count("overflow")
    return rows


def _undefined(cells: Cells) -> UInt8s:
    return first_reason(len(cells), (_rows(cells) == 0, Undefined.NO_ROWS))


def _sums(cells: Cells, names: Sequence[str]) -> list[dict[str, int]]:
    columns = [totals(cells, name) for name in names]
    return [dict(zip(names, window, strict=True)) for window in zip(*columns, strict=True)]


def _columns(found: Sequence[_Mean]) -> list[tuple[float, ...]]:
    return [tuple(one[i] for one in found) for i in range(3)]


def _half(n: int, total: int, squares: int) -> float:
    """Half the normal interval of a mean, from the exact sums of terms and of their squares; NaN below two rows."""
    if n < 2:
        return math.nan
    return intervals.Z95 * math.sqrt((n * squares - total * total) / (n * n * (n - 1)))


def _bias(n: int, sums: Mapping[str, int]) -> _Mean:
    mean, half = sums["error"] / n, _half(n, sums["error"], sums["error2"])
    return mean, mean - half, mean + half


def _mae(n: int, sums: Mapping[str, int]) -> _Mean:
    mean, half = sums["absolute_error"] / n, _half(n, sums["absolute_error"], sums["error2"])
    return mean, max(mean - half, 0.0) if n > 1 else math.nan, mean + half


def _rmse(n: int, sums: Mapping[str, int]) -> _Mean:
    """The interval of the mean square, its ends under the root."""
    mean, half = sums["error2"] / n, _half(n, sums["error2"], sums["error4"])
    if n < 2:
        return math.sqrt(mean), math.nan, math.nan
    return math.sqrt(mean), math.sqrt(max(mean - half, 0.0)), math.sqrt(mean + half)


def r2(cells: Cells) -> Estimates:
    """Coefficient of determination, 1 - sum of e^2 / sum of (y - mean y)^2, at most 1, below 0 where the mean does better.

    Undefined where the labels do not differ by more than the resolution. Delta method on the exact moments of (e^2, y, y^2).
    """
    rows = _rows(cells)
    names = ("error2", "error4", "label", "label2", "label3", "label4", "error2_label", "error2_label2")
    found = [_r2(n, sums) for n, sums in zip(rows.tolist(), _sums(cells, names), strict=True)]
    value, variance, bound = (np.array(column) for column in _columns(found))
    undefined = first_reason(len(cells), (rows == 0, Undefined.NO_ROWS), (np.isnan(value), Undefined.ZERO_DENOMINATOR))
    return estimates(value, intervals.normal(value, variance, -math.inf, 1.0), rows, undefined, bound)


def _r2(n: int, sums: Mapping[str, int]) -> _Mean:
    """Value, variance, bound. NaN where the labels' standard deviation is not above half a unit, which rounding could
    make of equal labels."""
    e2, e4, y, y2 = sums["error2"], sums["error4"], sums["label"], sums["label2"]
    spread = n * y2 - y * y  # n^2 times the variance of the labels
    if 4 * spread <= n * n:
        return math.nan, math.nan, math.nan
    # n^2 sum of e^2 (y - mean)^2, and n^3 sum of (y - mean)^4
    mixed = n * n * sums["error2_label2"] - 2 * n * y * sums["error2_label"] + y * y * e2
    fourth = n**3 * sums["label4"] - 4 * n * n * y * sums["label3"] + 6 * n * y * y * y2 - 3 * y**4
    # The influence of a row is e^2 / S - (A / S^2) (y - mean)^2, with A and S the means of e^2 and (y - mean)^2.
    variance = n * (n * e4 * spread**2 - 2 * e2 * mixed * spread + e2 * e2 * fourth) / spread**4
    share = n * e2 / spread
    error, deviation = math.sqrt(e2 / n), math.sqrt(spread) / n
    bound = max(
        ((error + 1.0) / (deviation - 0.5)) ** 2 - share, share - (max(error - 1.0, 0.0) / (deviation + 0.5)) ** 2
    )
    return 1.0 - share, variance, bound


def overflow(cells: Cells) -> Estimates:
    """Share of the labelled rows that do not count, because a number of theirs is beyond `largest`."""
    k, n = cells.count("overflow"), cells.count("labelled")
    with np.errstate(divide="ignore", invalid="ignore"):
        return estimates(k / n, intervals.wilson(k, n), n, first_reason(len(cells), (n == 0, Undefined.NO_ROWS)))
