"""Regression: predictions and labels are numbers; their errors are summed exactly on a grid of stated resolution.

A number is rounded once to whole units of 2**-bits, chosen so that `largest`, the largest number that counts, is at most
2**43 units: the resolution is 1.1e-13 to 2.3e-13 of `largest`. Everything after that is integer arithmetic on the
rounded numbers, so variances do not cancel, and rows are taken back exactly. A labelled row whose prediction or
label is larger counts in `overflow` and nowhere else.

Its cells are those of `number_cells`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from monitor.editions import DETAILED, LASTING, NEWEST
from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics import association, intervals, quantiles, relative
from monitor.metrics.earlier import metrics_of
from monitor.metrics.estimates import CODE_OF, DEFINED, Estimates, estimates, first_reason
from monitor.metrics.number_cells import ERRORS, FINE, FIRST, LAYOUT, SECOND, TOUCHED, Sums, each, rows_of, undefined
from monitor.metrics.task import Metric
from monitor.sketches.cells import CellLayout, Cells
from monitor.sketches.sizes import SIZES, fine_bins, signed_bins, without_sign
from monitor.sketches.wide import limbs, product
from monitor.windows.view import Undefined

VALUE_BITS: Final = 43
"""A number is below 2**43 units, so an error below 2**44."""
LARGEST: Final = 1_000_000.0
"""The largest prediction or label that counts, unless the model says otherwise: resolution 2**-23, 1.2e-7."""

EDITION_1: Final = ("bias", "mae", "rmse", "r2", "overflow")
"""The metrics of the first edition; all others came with the second."""
QUANTILES: Final = (0.05, 0.5, 0.95)
"""Of errors, each as `error_pNN`."""
PINBALLS: Final = (1, 9)
"""Levels of the pinball loss in tenths, each as `pinball_0_N`."""
WIDTH: Final = len(TOUCHED)
"""Cells that one labelled row touches."""
_Mean = tuple[float, float, float]
"""A value with its interval."""


class Regression:
    """The task `regression` for numbers up to `largest` in size."""

    name: Final = "regression"

    def __init__(self, largest: float = LARGEST, edition: int = NEWEST) -> None:
        self.largest, self.edition = largest, edition
        self.cells: CellLayout = FIRST if edition < DETAILED else SECOND if edition < LASTING else LAYOUT
        mantissa, exponent = math.frexp(largest)
        self.bits = VALUE_BITS - (exponent - 1 if mantissa == 0.5 else exponent)
        self.resolution = math.ldexp(1.0, -self.bits)
        """One unit. A number is off by half of it at most, an error by one."""
        self.metrics: Mapping[str, Metric] = metrics_of(edition, self._metrics(), EDITION_1)

    def of_edition(self, number: int) -> Regression:
        """The task as an edition has it."""
        return Regression(self.largest, number)

    def _metrics(self) -> dict[str, Metric]:
        return {
            "bias": self._mean(_bias, 1.0),
            "mae": self._mean(_mae, 1.0),
            "mse": self._mse,
            "rmse": self._mean(_rmse, 1.0),
            "r2": r2,
            "explained_variance": _of_moments(0),
            "correlation": _of_moments(1),
            "mape": mape,
            "rmsle": self._rmsle,
            "median_ae": self._quantile(0.5, sizes=True),
            "max_error": self._largest,
            **{f"error_p{100 * p:02.0f}": self._quantile(p) for p in QUANTILES},
            **{
                f"pinball_0_{tenths}": self._mean(_pinball(tenths), max(tenths, 10 - tenths) / 10)
                for tenths in PINBALLS
            },
            "at_or_below": at_or_below,
            "overflow": overflow,
        }

    def contribute(
        self,
        score: Float64s,
        predicted: Float64s,
        label: Float64s,
        positive: float,
        scores: Float64s | None = None,
        delay_ms: Int64s | None = None,
    ) -> tuple[Int32s, Int64s]:
        """What n labelled rows add to the cells of their window: cell index and amount, both (n, WIDTH), less in earlier ones.

        `score` is the number that the model predicted. Includes `labelled`, not `seen`.
        """
        inside = (np.abs(score) <= self.largest) & (np.abs(label) <= self.largest)  # false for NaN too
        scale = math.ldexp(1.0, self.bits)
        f, y = (np.rint(np.where(inside, column, 0.0) * scale).astype(np.int64) for column in (score, label))
        e = f - y
        size_e, size_y, sign_e, sign_y = limbs(np.abs(e), 2), limbs(np.abs(y), 2), np.sign(e), np.sign(y)
        e2, y2 = product(size_e, size_e, 3), product(size_y, size_y, 3)
        y3 = product(y2, size_y, 5)
        terms = [
            np.ones(len(label), np.int64),
            ~inside,
            size_e * sign_e,
            size_e,
            e2,
            product(e2, e2, 6),
            size_y * sign_y,
            y2,
            y3 * sign_y,
            product(y2, y2, 6),
            product(e2, size_y, 5) * sign_y,
            product(e2, y2, 6),
            inside,
        ]
        if self.edition >= DETAILED:
            e3, both = product(e2, size_e, 5), sign_e * sign_y
            nonzero, natural = inside & (y != 0), inside & (score >= 0.0) & (label >= 0.0)
            *logarithmic, rest = relative.log_terms(score, label, natural)
            terms += [
                e2 * sign_e,
                e3 * sign_e,
                product(size_e, size_y, 3) * both,
                product(y2, size_e, 5) * sign_e,
                product(e3, size_y, 6) * both,
                product(y3, size_e, 6) * both,
                nonzero,
                relative.terms(e, y, nonzero),
                *logarithmic,
                inside,
            ]
            terms += [rest] if self.edition >= LASTING else []
        amount = np.ascontiguousarray(np.vstack(terms).T)
        cell = np.broadcast_to(TOUCHED[: amount.shape[1]], amount.shape).copy()
        cell[:, ERRORS] += signed_bins(e).astype(np.int32)
        if self.edition >= DETAILED:
            cell[:, FINE] += fine_bins(e).astype(np.int32)
        return cell, amount

    def foresee(self, score: Float64s, predicted: Float64s) -> tuple[Int64s, Int64s] | None:
        """None: nothing is kept of what waits."""
        return None

    def table(self, cells: Cells) -> Sequence[Mapping[str, int]]:
        """None."""
        return ()

    def _mean(self, of: Callable[[int, Sums], _Mean], off: float) -> Metric:
        """A mean of errors from the exact sums of a window, which are in units; as many of them, `off`, it can be off."""

        def metric(cells: Cells) -> Estimates:
            rows = rows_of(cells)
            value, lower, upper = (np.ldexp(column, -self.bits) for column in each(cells, of, 3, rows))
            return estimates(value, (lower, upper), rows, undefined(rows), off * self.resolution)

        return metric

    def _mse(self, cells: Cells) -> Estimates:
        """Mean of e^2. With roots off by a unit, squares are by twice the root and one."""
        units, lower, upper = each(cells, _mean_square, 3, rows_of(cells))
        bound = np.ldexp(2.0 * np.sqrt(units) + 1.0, -2 * self.bits)
        value, *ends = (np.ldexp(column, -2 * self.bits) for column in (units, lower, upper))
        return estimates(value, (ends[0], ends[1]), rows_of(cells), undefined(rows_of(cells)), bound)

    def _rmsle(self, cells: Cells) -> Estimates:
        """Root of the mean of (ln(1 + prediction) - ln(1 + label))^2, over rows in which neither is negative."""
        rows, total, squares = cells.count("logarithmic"), cells.fixed("log_error"), cells.fixed("log_error_squares")
        if "log_error_squares_rest" in cells.layout:
            squares = squares + cells.fixed("log_error_squares_rest")
        with np.errstate(divide="ignore", invalid="ignore"):
            lower, upper = intervals.normal_mean(total, squares, rows)
            ends = np.sqrt(np.maximum(lower, 0.0)), np.sqrt(upper)
            bound = relative.rmsle_bound(total / rows)
            return estimates(np.sqrt(total / rows), ends, rows, undefined(rows), bound)

    def _quantile(self, p: float, *, sizes: bool = False) -> Metric:
        """A quantile of the errors, or of their sizes."""
        starts, ends = (
            (quantiles.SIZE_STARTS, quantiles.SIZE_ENDS) if sizes else (quantiles.SIGNED_STARTS, quantiles.SIGNED_ENDS)
        )

        def metric(cells: Cells) -> Estimates:
            counts = cells.once("sizes", _by_size) if sizes else cells.once("signs", _by_sign)
            found, between, off = quantiles.quantile(counts, starts, ends, p)
            value, lower, upper, bound = (
                np.ldexp(column, -self.bits) for column in (found, between[0], between[1], off + 1.0)
            )
            return estimates(value, (lower, upper), rows_of(cells), undefined(rows_of(cells)), bound)

        return metric

    def _largest(self, cells: Cells) -> Estimates:
        """The largest error by size. It has no interval: the next row may be larger by any amount."""
        counts = cells.once("sizes", _by_size)
        found, off = quantiles.largest(counts, quantiles.SIZE_STARTS, quantiles.SIZE_ENDS)
        value, bound = np.ldexp(found, -self.bits), np.ldexp(off + 1.0, -self.bits)
        return estimates(value, None, rows_of(cells), undefined(rows_of(cells)), bound)


def _by_sign(cells: Cells) -> quantiles.Ordered:
    return quantiles.Ordered.of(cells.histogram("fine_errors"))


def _by_size(cells: Cells) -> quantiles.Ordered:
    return quantiles.Ordered.of(without_sign(cells.histogram("fine_errors")))


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


def _mean_square(n: int, sums: Mapping[str, int]) -> _Mean:
    mean, half = sums["error2"] / n, _half(n, sums["error2"], sums["error4"])
    return mean, max(mean - half, 0.0) if n > 1 else math.nan, mean + half


def _rmse(n: int, sums: Mapping[str, int]) -> _Mean:
    """The interval of the mean square, its ends under the root."""
    mean, lower, upper = _mean_square(n, sums)
    return math.sqrt(mean), math.sqrt(lower), math.sqrt(upper)


def _pinball(tenths: int) -> Callable[[int, Sums], _Mean]:
    """The loss that the quantile of that level makes smallest: (1 - level) e above the label, level |e| below it.

    Ten times the loss of a row is the integer 5 |e| - (tenths - 5) e.
    """

    def mean(n: int, sums: Mapping[str, int]) -> _Mean:
        total = 5 * sums["absolute_error"] - (tenths - 5) * sums["error"]
        squares = (25 + (tenths - 5) ** 2) * sums["error2"] - 10 * (tenths - 5) * sums["signed_error2"]
        half = _half(n, total, squares)
        return total / n / 10, max(total / n - half, 0.0) / 10 if n > 1 else math.nan, (total / n + half) / 10

    return mean


def mape(cells: Cells) -> Estimates:
    """Mean of |e| / |y| over the rows whose label is not 0."""
    rows = cells.count("nonzero")

    def of(n: int, sums: Sums) -> tuple[float, ...]:
        found = relative.mape(n, sums["relative"], sums["relative2"])
        return (*found, relative.mape_bound(n, sums["relative_slack"]))

    value, lower, upper, bound = each(cells, of, 4, rows)
    return estimates(value, (lower, upper), rows, undefined(rows), bound)


def _associations(cells: Cells) -> list[Float64s]:
    return each(cells, association.both, 8, rows_of(cells))


def _of_moments(place: int) -> Metric:
    """What is made of the moments of errors and labels: the first or the second of `association.both`."""

    def metric(cells: Cells) -> Estimates:
        rows = rows_of(cells)
        value, lower, upper, bound = cells.once("associations", _associations)[4 * place : 4 * place + 4]
        why = undefined(rows)
        why[(why == DEFINED) & np.isnan(value)] = CODE_OF[Undefined.ZERO_DENOMINATOR]
        return estimates(value, (lower, upper), rows, why, bound)

    return metric


def at_or_below(cells: Cells) -> Estimates:
    """Share of the rows whose label is at or below the prediction: of a forecast of a quantile, its level."""
    rows, hits = rows_of(cells), cells.histogram("errors")[:, SIZES - 1 :].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return estimates(hits / rows, intervals.wilson(hits, rows), rows, undefined(rows))


def r2(cells: Cells) -> Estimates:
    """Coefficient of determination, 1 - sum of e^2 / sum of (y - mean y)^2, at most 1, below 0 where the mean does better.

    Undefined where the labels do not differ by more than the resolution. Delta method on the exact moments of (e^2, y, y^2).
    """
    rows = rows_of(cells)
    value, variance, bound = each(cells, _r2, 3, rows)
    why = first_reason(len(cells), (rows == 0, Undefined.NO_ROWS), (np.isnan(value), Undefined.ZERO_DENOMINATOR))
    return estimates(value, intervals.normal(value, variance, -math.inf, 1.0), rows, why, bound)


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
