"""A metric over many windows: columns of value, interval, rows, bound, or the reason why there is no value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, Float64s, Int64s
from monitor.windows.view import Estimate, Undefined

UInt8s = NDArray[np.uint8]

DEFINED: Final = 0
CODES: Final[tuple[Undefined | None, ...]] = (
    None,
    Undefined.NO_ROWS,
    Undefined.ZERO_DENOMINATOR,
    Undefined.ONE_CLASS,
    Undefined.NO_SCORE,
    Undefined.NO_REFERENCE,
)
"""What a code of the column `undefined` stands for; 0 means that the value is defined."""
CODE_OF: Final[Mapping[Undefined, int]] = {reason: code for code, reason in enumerate(CODES) if reason is not None}


@dataclass(frozen=True, slots=True)
class Estimates:
    """One metric of W windows; every column has the shape (W,).

    `value` is NaN exactly where `undefined` is not 0. `lower` and `upper` may be NaN alone: no interval is
    defined there.
    `bound` is the largest distance of `value` from the exact statistic, 0.0 where it is exact or undefined.
    """

    value: Float64s
    lower: Float64s
    upper: Float64s
    bound: Float64s
    rows: Int64s
    undefined: UInt8s

    def __len__(self) -> int:
        return len(self.value)

    def at(self, i: int) -> Estimate:
        """The metric of window i, with None for NaN and the reason spelled out."""
        code = int(self.undefined[i])
        if code != DEFINED:
            return Estimate(None, None, None, int(self.rows[i]), 0.0, CODES[code])
        lower, upper = float(self.lower[i]), float(self.upper[i])
        no_interval = math.isnan(lower) or math.isnan(upper)
        return Estimate(
            float(self.value[i]),
            None if no_interval else lower,
            None if no_interval else upper,
            int(self.rows[i]),
            float(self.bound[i]),
        )

    def part(self, start: int, stop: int) -> Estimates:
        """The windows from `start` on, before `stop`."""
        columns = (self.value, self.lower, self.upper, self.bound, self.rows, self.undefined)
        return Estimates(*(column[start:stop] for column in columns))  # type: ignore[arg-type]  # each of its own type

    def all(self) -> list[Estimate]:
        """The metric of every window, as `at` gives them."""
        values, lowers, uppers = self.value.tolist(), self.lower.tolist(), self.upper.tolist()
        reasons: list[Undefined | None] = [None] * len(values)
        for i in np.flatnonzero(np.isnan(self.lower) | np.isnan(self.upper)).tolist():
            lowers[i] = uppers[i] = None
        for i in np.flatnonzero(self.undefined).tolist():
            values[i], reasons[i] = None, CODES[self.undefined[i]]
        return list(map(Estimate, values, lowers, uppers, self.rows.tolist(), self.bound.tolist(), reasons))


def estimates(
    value: Float64s,
    interval: tuple[Float64s, Float64s] | None,
    rows: Int64s,
    undefined: UInt8s,
    bound: Float64s | float = 0.0,
) -> Estimates:
    """Columns from a formula that may have divided by zero where `undefined` says so: those places become NaN.

    `interval` None means that this metric has none.
    """
    gone = undefined != DEFINED
    nothing = np.full(len(rows), np.nan)
    lower, upper = interval if interval is not None else (nothing, nothing)
    return Estimates(
        np.where(gone, np.nan, value),
        np.where(gone, np.nan, lower),
        np.where(gone, np.nan, upper),
        np.where(gone, 0.0, bound),
        np.ascontiguousarray(rows, dtype=np.int64),
        undefined,
    )


def undefined_everywhere(rows: Int64s, reason: Undefined) -> Estimates:
    """A metric that no window has, for one reason."""
    return estimates(np.full(len(rows), np.nan), None, rows, np.full(len(rows), CODE_OF[reason], dtype=np.uint8))


def first_reason(windows: int, *cases: tuple[Bools, Undefined]) -> UInt8s:
    """Per window the code of the first case whose condition, shape (W,), holds; 0 where none does."""
    codes = np.zeros(windows, dtype=np.uint8)
    for condition, reason in reversed(cases):
        codes[condition] = CODE_OF[reason]
    return codes
