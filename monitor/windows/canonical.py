"""Canonical JSON: one value, one sequence of bytes, on every machine and in every run.

Used for whatever is compared byte for byte or hashed: windows, alerts, topic keys, fingerprints.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import msgspec
import numpy as np

from monitor.errors import MonitorError
from monitor.events import Float64s

SIGNIFICANT_DIGITS: Final = 12
"""Digits that a published number keeps. A float64 holds almost 16; the last ones depend on the order of a sum and on
the mathematical library of the machine, so equal integers could print differently. 12 digits cost 5e-13 of the
value."""


_PLAIN_FROM: Final = 1e-10
_PLAIN_BELOW: Final = 1e11
_NEAR_HALF: Final = 1e-3  # the product is off by 2**-14 at most
# Powers of ten up to 10**22 are doubles. Decade i holds 10**(i - 10) <= size < 10**(i - 9), the last one all above.
_DECADES: Final = np.array([float(f"1e{i}") for i in range(-9, 11)])
_EXACT_POWERS: Final = np.array([float(10**k) for k in range(21, 0, -1)])


class FormatError(MonitorError):
    """A record cannot be read by this version of the code: too new, or not what it claims to be."""

    def __init__(self, what: str, why: str, hint: str) -> None:
        super().__init__(f"{what} cannot be read: {why}. {hint}")
        self.what, self.why, self.hint = what, why, hint


def rounded(value: float) -> float:
    """The float64 nearest to `value` written with 12 significant digits; -0.0 becomes 0.0.

    Its shortest repr then has at most 12 significant digits. Raises ValueError for NaN and infinities: what has no
    value is None with a reason, never a number.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is no publishable number: a metric without a value is None with a reason")
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") + 0.0


def rounded_all(values: Float64s) -> list[float]:
    """`rounded` of a column, to the bit, ten times as fast.

    A number is scaled so that 12 digits stand before its point, rounded and scaled back, both times by a power of ten
    that a double holds exactly. The product is itself rounded: where it lies so near a half that this could matter,
    and where the power is not exact, `rounded` is asked. Raises ValueError as it does.
    """
    size = np.abs(values)
    plain = (size >= _PLAIN_FROM) & (size < _PLAIN_BELOW)
    safe = np.where(plain, values, 1.0)
    power = _EXACT_POWERS[np.searchsorted(_DECADES, np.abs(safe), side="right")]
    scaled = safe * power
    whole = np.rint(scaled)
    doubtful = np.abs(np.abs(scaled - whole) - 0.5) < _NEAR_HALF
    out = whole / power
    zero = values == 0.0
    out[zero] = 0.0
    found: list[float] = out.tolist()
    for i in np.flatnonzero(~zero & (doubtful | ~plain)).tolist():
        found[i] = rounded(float(values[i]))
    return found


def canonical_bytes(document: Any) -> bytes:
    """UTF-8 JSON of dicts with string keys, lists, strings, ints, floats, booleans and None.

    Keys sorted by code point, no spaces, characters beyond ASCII as they are, integers in decimal, floats by their
    shortest round-trip repr as Python writes it (`0.25`, `1e-05`, `1.0`). Floats are NOT rounded here: callers apply
    `rounded` where a number was measured. Raises ValueError for NaN and infinities. Python's json and not orjson: how a
    float is spelled is part of the format and may not change with a library's version.
    """
    return json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


_SAME_FROM: Final = 1e-4
_SAME_BELOW: Final = 1e16
"""From here to there encoders of JSON agree on how a float is spelled; elsewhere the format's way is Python's."""


def spelled(values: Float64s) -> list[Any]:
    """The numbers as they are published: rounded, None for NaN, and the text itself where encoders would differ."""
    missing, size = np.isnan(values), np.abs(values)
    found: list[Any] = rounded_all(np.where(missing, 0.0, values))
    for i in np.flatnonzero(((size > 0.0) & (size < _SAME_FROM)) | (size >= _SAME_BELOW)).tolist():
        found[i] = msgspec.Raw(repr(found[i]).encode())
    for i in np.flatnonzero(missing).tolist():
        found[i] = None
    return found
