"""Canonical JSON: one value, one sequence of bytes, on every machine and in every run.

Used for whatever is compared byte for byte or hashed: windows, alerts, topic keys, fingerprints.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from monitor.errors import MonitorError

SIGNIFICANT_DIGITS: Final = 12
"""Digits that a published number keeps. A float64 holds almost 16; the last ones depend on the order of a sum and on
the mathematical library of the machine, so equal integers could print differently. 12 digits cost 5e-13 of the
value."""


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


def canonical_bytes(document: Any) -> bytes:
    """UTF-8 JSON of dicts with string keys, lists, strings, ints, floats, booleans and None.

    Keys sorted by code point, no spaces, characters beyond ASCII as they are, integers in decimal, floats by their
    shortest round-trip repr as Python writes it (`0.25`, `1e-05`, `1.0`). Floats are NOT rounded here: callers apply
    `rounded` where a number was measured. Raises ValueError for NaN and infinities. Python's json and not orjson: how a
    float is spelled is part of the format and may not change with a library's version.
    """
    return json.dumps(document, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
