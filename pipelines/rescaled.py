"""Whether the newest numbers of a feature are the older ones in another unit: cents for units, milliseconds for seconds.

Said only where nothing else is likely: at one row on, all sizes are larger or smaller by one large factor, small ones as well as
large ones; signs and zeros are as frequent as before; and on either side of that row the size stays what it is. Drift is none of
this: it comes slowly, or changes how sizes are spread. A change of unit by less than the limit, or by an offset (degrees
Fahrenheit for Celsius), cannot be told from drift by the numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

CHANGE_MAX: Final = 100.0
"""Factor by which the size of a feature may change at once, where nothing else is said."""
RATIO_MAX: Final = 0.2
"""Share of the rows to judge by, the newest, of which no more than that may be in another unit."""
PIECES: Final = 16
"""Into how many pieces the rows before are cut; those since are cut into pieces of the same size."""
PIECE_ROWS_MIN: Final = 12
"""Rows of a piece without which nothing is said."""
SPREAD_MAX: Final = 0.5
"""By how many powers of ten small and large sizes (deciles 1 and 9) may have changed otherwise than the median."""
WANDER_MAX: Final = 0.5
"""By how many powers of ten the median of a piece may differ from that of its side, and the last piece before and the first since
may differ less than the sides do: a size that walks gets there in steps."""
SIGNS_MAX: Final = 0.1
"""By how much the shares of negative numbers and of zeros may differ."""
FLOAT_MOST: Final = 1e308

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Rescaled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature whose sizes changed at once. Sizes are medians of |x| over the rows in which it is a number other than 0."""

    feature: str
    before: float
    since: float
    before_rows: int
    since_rows: int
    test_ratio: float  # share of those to judge by that are among those since

    @property
    def factor(self) -> float:
        """How much larger, or smaller: 1 or more."""
        return max(self.since / self.before, self.before / self.since)


def rescaled(
    train: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]], features: Sequence[str]
) -> Iterator[Rescaled]:
    """The features whose size changed at once, by any factor. Rows are in order of time, those to judge by after those to train
    on."""
    for feature in features:
        older, newer = _numbers(train, feature), _numbers(test, feature)
        if older and newer and (found := _changed(feature, older + newer, len(older))) is not None:
            yield found


def larger(found: Iterator[Rescaled], change_max: float = CHANGE_MAX) -> Iterator[str]:
    """Those that changed by `change_max` or more in more than a few of the rows to judge by, a sentence each."""
    for each in found:
        if each.factor >= change_max and each.test_ratio > RATIO_MAX:
            yield (
                f"{each.feature} has changed its scale at once, by a factor of {each.factor:,.4g}: its median size is "
                f"{each.since:.3g} in the newest {each.since_rows:,} rows and was {each.before:.3g} in the {each.before_rows:,} "
                "before, spread as before. Write all rows in one unit; where it is right, raise data.scale_change_max"
            )


def _numbers(rows: Sequence[Mapping[str, Any]], feature: str) -> list[float]:
    """Those that a float can hold: an integer of 400 digits and infinity have no size here."""
    values: Iterator[Any] = (row.get(feature) for row in rows)
    return [float(value) for value in values if type(value) in (int, float) and -FLOAT_MOST <= value <= FLOAT_MOST]


def _changed(feature: str, values: Sequence[float], older: int) -> Rescaled | None:
    where = np.array([at for at, value in enumerate(values) if value], dtype=np.int64)
    if where.size < 2 * PIECES * PIECE_ROWS_MIN:
        return None
    sizes = np.array([math.log10(abs(values[at])) for at in where.tolist()])
    start = _step(sizes)
    before, since = sizes[:start], sizes[start:]
    rows = before.size // PIECES
    if rows < PIECE_ROWS_MIN or since.size < max(2 * rows, PIECES * PIECE_ROWS_MIN // 2):
        return None
    if not _same_shape(before, since) or not _at_once(before, since, rows):
        return None
    signs = np.sign(np.array(values))
    if not _same_signs(signs[: where[start]], signs[where[start] :]):
        return None
    medians = [float(10 ** np.median(side)) for side in (before, since)]
    newer = where >= older
    return Rescaled(
        feature,
        medians[0],
        medians[1],
        int(before.size),
        int(since.size),
        float(newer[start:].sum() / max(1, newer.sum())),
    )


def _step(sizes: Floats) -> int:
    """Where the means before and since differ most surely (least squares, one change)."""
    centred = np.cumsum(sizes - sizes.mean())[:-1]
    count = np.arange(1, sizes.size)
    return int(1 + np.argmax(centred**2 / (count * (sizes.size - count))))


def _same_shape(before: Floats, since: Floats) -> bool:
    """Whether small and large sizes changed as the median did, and that is not nothing."""
    low, middle, high = np.quantile(since, (0.1, 0.5, 0.9)) - np.quantile(before, (0.1, 0.5, 0.9))
    return bool(abs(middle) > 2 * WANDER_MAX and max(abs(low - middle), abs(high - middle)) <= SPREAD_MAX)


def _at_once(before: Floats, since: Floats, rows: int) -> bool:
    """Whether either side stays where it is, and the change lies between two pieces of so many rows."""
    old, new = (
        np.array([float(np.median(piece)) for piece in np.array_split(side, max(2, side.size // rows))])
        for side in (before, since)
    )
    middles = float(np.median(before)), float(np.median(since))
    stays = max(np.abs(old - middles[0]).max(), np.abs(new - middles[1]).max()) <= WANDER_MAX
    return bool(stays and abs(new[0] - old[-1]) >= abs(middles[1] - middles[0]) - WANDER_MAX)


def _same_signs(before: Floats, since: Floats) -> bool:
    return all(abs(float((before == sign).mean() - (since == sign).mean())) <= SIGNS_MAX for sign in (-1.0, 0.0))
