"""Whether a feature has stopped moving in the newest rows.

A sensor that hangs, a default that a service falls back to, a join that finds nothing: the feature is there, of its type and
within its range, and always the same. A model trained on rows of both kinds may be better than the champion on rows in which it
stands still, and is worse as soon as it moves again; so no number of a gate says it.

What may rightly be the same for a while is left alone: a flag, a holiday, an amount that is mostly 0, one of two countries that
is off. Each of them had a value before that held half of the rows at times. Only a feature of which no value ever did can be
stuck: numbers that vary, and categories of which none prevails. A number that walked, in small steps, to the largest or smallest
value that it has at all may have come to its end, as a battery that is full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

RATIO_MAX: Final = 0.2
"""Share of the rows to judge by, the newest, in which a feature may stand still, where nothing else is said."""
NEARLY_ALL: Final = 0.9
"""Share of the rows in which a feature has one value when it is said to stand still: one of ten producers may still be right."""
MOVING_MAX: Final = 0.5
"""Share that the commonest value of a feature that moves never reaches, in any piece of the rows before."""
PIECES: Final = 16
"""Into how many pieces the rows before are cut. A feature that has been as still before, for half as many rows as it is now,
holds a piece."""
PIECE_ROWS_MIN: Final = 12
"""Rows of a piece without which nothing is said."""
STILL_ROWS_MIN: Final = 100
"""Rows in which it stands still without which nothing is said."""
WANDERS_MAX: Final = 0.5
"""Mean square of the steps over twice the variance, below which numbers wander; 1 where they do not depend on each other."""
FLOAT_MOST: Final = 1e300

Ints = np.ndarray[Any, np.dtype[np.int64]]


class Stuck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feature that stands still in the newest rows. Rows in which it is null count nowhere. The value is not in it."""

    feature: str
    before_rows: int
    before_ratio: float  # largest share that any value had in a piece of the rows before
    since_ratio: float  # share that one value has in the rows since
    test: int  # rows to judge by that are among those since
    test_rows: int  # rows to judge by

    @property
    def test_ratio(self) -> float:
        """Share of the rows to judge by, 0 without rows."""
        return self.test / self.test_rows if self.test_rows else 0.0


def stuck(
    train: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]], features: Sequence[str]
) -> Iterator[Stuck]:
    """The features that stand still. Rows are in order of time, those to judge by after those to train on."""
    for feature in features:
        older, newer = _values(train, feature), _values(test, feature)
        if newer and (found := _still(feature, older + newer, len(older))) is not None:
            yield found


def standing(found: Iterator[Stuck], ratio_max: float = RATIO_MAX) -> Iterator[str]:
    """Those that do so in too many of the rows to judge by, a sentence each. Never a value."""
    for each in found:
        if each.test_ratio > ratio_max:
            yield (
                f"{each.feature} stands still: one value has {each.since_ratio:.1%} of the newest {each.test:,} of the "
                f"{each.test_rows:,} rows to judge by, and none had more than {each.before_ratio:.1%} in any part of the "
                f"{each.before_rows:,} rows before. Mend its source and leave these rows out; where it is right, take it out of "
                "features, or raise data.stuck_ratio_max"
            )


def _values(rows: Sequence[Mapping[str, Any]], feature: str) -> list[Any]:
    return [value for row in rows if (value := row.get(feature)) is not None]


def _codes(values: Sequence[Any]) -> Ints:
    """A number for each distinct value. Objects and arrays are what they look like."""
    known: dict[Any, int] = {}
    keys = (value if isinstance(value, str | int | float) else repr(value) for value in values)
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.int64)


def _still(feature: str, values: Sequence[Any], older: int) -> Stuck | None:
    """`values`: of the rows in which it is not null, `older` of them to train on."""
    codes = _codes(values)
    newer = codes[older:]
    value = int(np.bincount(newer).argmax())
    start = _since(codes == value)
    before, since = codes[:start], codes[start:]
    rows = before.size // PIECES
    share = float((since == value).mean())
    if rows < PIECE_ROWS_MIN or since.size < max(STILL_ROWS_MIN, 2 * rows) or share < NEARLY_ALL:
        return None
    most = max(int(np.bincount(piece).max()) / piece.size for piece in np.array_split(before, PIECES))
    if most >= MOVING_MAX or _walked_to_its_end(values[:start], values[start]):
        return None
    return Stuck(feature, int(before.size), most, share, min(int(since.size), int(newer.size)), int(newer.size))


def _walked_to_its_end(values: Sequence[Any], value: Any) -> bool:
    """Whether numbers that wander (ratio of von Neumann, 1941) came to the end of all of them in a step like those before."""
    if not all(type(each) in (int, float) and abs(each) < FLOAT_MOST for each in (*values, value)):
        return False
    numbers = np.array([*values, value], dtype=np.float64)
    numbers /= float(np.abs(numbers).max()) or 1.0
    before, end = numbers[:-1], float(numbers[-1])
    steps = np.abs(np.diff(before))
    wanders = float((steps**2).mean()) < WANDERS_MAX * 2 * float(before.var())
    return wanders and not before.min() < end < before.max() and abs(float(before[-1]) - end) <= float(steps.max())


def _since(same: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """From which row on a value prevails: where the rows from there to the end speak most for a share above the middle of
    `MOVING_MAX` and all (the last change of a CUSUM, Page 1954)."""
    evidence = np.where(same, 1.0, 0.0) - (MOVING_MAX + 1) / 2
    return int(evidence.size - 1 - np.argmax(np.cumsum(evidence[::-1])))
