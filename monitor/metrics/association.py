"""How far predictions of numbers go with the labels: explained variance and Pearson's correlation, from exact moments.

Both come from the moments of (e, y), e being prediction - label, about their means; all are exact integers, so nothing
cancels. Variances are by the delta method on these moments, fourth ones included: no distribution is assumed. The interval of a
correlation is made on Fisher's scale, artanh r, where its law is nearer to normal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from monitor.metrics import intervals

ORDER: Final = 4
MOMENTS: Final[Mapping[tuple[int, int], str]] = {
    (1, 0): "error",
    (0, 1): "label",
    (2, 0): "error2",
    (1, 1): "error_label",
    (0, 2): "label2",
    (3, 0): "error3",
    (2, 1): "error2_label",
    (1, 2): "error_label2",
    (0, 3): "label3",
    (4, 0): "error4",
    (3, 1): "error3_label",
    (2, 2): "error2_label2",
    (1, 3): "error_label3",
    (0, 4): "label4",
}
"""The sum that the moment of e^a y^b comes from, by (a, b)."""

Found = tuple[float, float, float, float]
"""Value, lower and upper end, bound; NaN where there is none."""
NOTHING: Final[Found] = (math.nan, math.nan, math.nan, 0.0)


def central(n: int, sums: Mapping[str, int]) -> dict[tuple[int, int], int]:
    """The sums of (n e - sum of e)^a (n y - sum of y)^b over n rows, by (a, b) of second order and above."""
    raw = {place: sums[name] for place, name in MOMENTS.items()} | {(0, 0): n}
    e, y = -raw[1, 0], -raw[0, 1]
    return {
        (a, b): sum(
            math.comb(a, j) * math.comb(b, k) * n ** (j + k) * raw[j, k] * e ** (a - j) * y ** (b - k)
            for j in range(a + 1)
            for k in range(b + 1)
        )
        for a, b in MOMENTS
        if a + b > 1
    }


def both(n: int, sums: Mapping[str, int]) -> tuple[float, ...]:
    """Explained variance and correlation of n rows, one behind the other."""
    m = central(n, sums)
    return (*explained_variance(n, m), *correlation(n, m))


def explained_variance(n: int, m: Mapping[tuple[int, int], int]) -> Found:
    """1 - variance of e / variance of y from the `central` sums; NaN where the labels do not differ by more than the grid. Units
    cancel."""
    if _flat(n, m[0, 2]):
        return NOTHING
    share = m[2, 0] / m[0, 2]
    # The influence of a row is ((e - mean)^2 - share (y - mean)^2) / variance of y.
    variance = (m[4, 0] / m[0, 2] - 2 * share * m[2, 2] / m[0, 2] + share * share * m[0, 4] / m[0, 2]) / m[0, 2]
    error, label = _deviation(n, m[2, 0]), _deviation(n, m[0, 2])
    bound = max(((error + 1.0) / (label - 0.5)) ** 2 - share, share - (max(error - 1.0, 0.0) / (label + 0.5)) ** 2)
    half = intervals.Z95 * math.sqrt(variance) if variance > 0 else math.nan
    value = 1.0 - share
    return value, value - half, min(value + half, 1.0) if variance > 0 else math.nan, bound


def correlation(n: int, m: Mapping[tuple[int, int], int]) -> Found:
    """Pearson's r of predictions and labels from the `central` sums; NaN where either do not differ by more than the grid."""
    # With e' and y' about their means a prediction is e' + y', so its moments are sums of theirs.
    predictions, labels = m[2, 0] + 2 * m[1, 1] + m[0, 2], m[0, 2]
    if _flat(n, labels) or _flat(n, predictions):
        return NOTHING
    root = math.sqrt(predictions) * math.sqrt(labels)
    r = max(-1.0, min((m[1, 1] + m[0, 2]) / root, 1.0))
    f2y2 = m[2, 2] + 2 * m[1, 3] + m[0, 4]
    f3y = m[3, 1] + 3 * m[2, 2] + 3 * m[1, 3] + m[0, 4]
    fy3 = m[1, 3] + m[0, 4]
    f4 = m[4, 0] + 4 * m[3, 1] + 6 * m[2, 2] + 4 * m[1, 3] + m[0, 4]
    # The influence of a row, with both standardised, is f y - r (f^2 + y^2) / 2.
    cross = f2y2 / predictions / labels
    skew = f3y / predictions / root + fy3 / labels / root
    fourth = f4 / predictions / predictions + 2 * cross + m[0, 4] / labels / labels
    variance = cross - r * skew + r * r / 4 * fourth
    bound = 1.0 / (_deviation(n, predictions) - 0.5) + 1.0 / (_deviation(n, labels) - 0.5)
    if variance <= 0 or abs(r) >= 1.0:
        return r, math.nan, math.nan, bound
    scale, half = math.atanh(r), intervals.Z95 * math.sqrt(variance) / (1.0 - r * r)
    return r, math.tanh(scale - half), math.tanh(scale + half), bound


def _flat(n: int, second: int) -> bool:
    """Whether a standard deviation is not above half a unit, which rounding could make of equal numbers."""
    return 4 * second <= n**3


def _deviation(n: int, second: int) -> float:
    """Standard deviation, in units, from a second moment of `central`."""
    return math.sqrt(second / n) / n
