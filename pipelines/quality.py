"""What rows must look like before anything is trained on them: the checks that page, as data.

A check is spelled as under the monitor's `quality: {features: ...}`, so one declaration serves both: a policy holds its own
under `data: {checks: ...}`, or the composition root hands over what the monitor's configuration declares. An alert is over
when new data is right again; the rows of its days are still wrong, and only looking at the rows themselves says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from pipelines.missing import surely
from pipelines.sense import Wrong, refuse

VIOLATIONS_MOST: Final = 0.01
"""Share of values that may be wrong where nothing else is said."""


class Type(StrEnum):
    """What a feature holds."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class AtMost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A share of the rows that may be so."""

    at_most: float


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one feature must look like. `type` None: numeric where there is a limit, else categorical where there are
    values, else anything that is no object or array."""

    min: float | None = None
    max: float | None = None
    values: tuple[str, ...] | None = None
    missing: AtMost | None = None
    wrong_type: AtMost | None = None
    out_of_range: AtMost | None = None
    unexpected: AtMost | None = None
    type: Type | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        refuse(self.wrong())

    def wrong(self) -> Iterator[Wrong]:
        """See `pipelines.sense`."""
        if self.min is not None and self.max is not None and self.min > self.max:
            why = f"min ({self.min:g}) is above max ({self.max:g}), so no number would be right"
            yield Wrong("min", why, ("min", "max"))

    def limits(self) -> dict[str, float]:
        """The largest share allowed of each violation that is judged."""
        limits = {"wrong_type": _most(self.wrong_type)}
        if self.missing is not None:
            limits["missing"] = self.missing.at_most
        if self.min is not None or self.max is not None:
            limits["out_of_range"] = _most(self.out_of_range)
        if self.values is not None:
            limits["unexpected"] = _most(self.unexpected)
        return limits

    def violation(self, value: object) -> str | None:
        """What is wrong with a value."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "missing"
        if self._is_numeric():
            if not isinstance(value, int | float) or not math.isfinite(value):
                return "wrong_type"
            below, above = self.min is not None and value < self.min, self.max is not None and value > self.max
            return "out_of_range" if below or above else None
        if (text := _text(value)) is None:
            return "wrong_type"
        return "unexpected" if self.values is not None and text not in self.values else None

    def _is_numeric(self) -> bool:
        if self.type is not None:
            return self.type is Type.NUMERIC
        return self.min is not None or self.max is not None


Checks = Mapping[str, Check]
"""By the name of the feature, which is the name of its column."""


def failing(rows: Sequence[Mapping[str, Any]], checks: Checks) -> Iterator[str]:
    """Which checks the rows do not pass, a sentence each: the violation, the feature, how many of how many rows. Never a
    value."""
    yield from failing_parts({"": rows}, checks)


def failing_parts(parts: Mapping[str, Sequence[Mapping[str, Any]]], checks: Checks) -> Iterator[str]:
    """The same of rows in parts, such as those `to judge by`. All together must pass, and so must each part, beyond luck: a
    violation that only the newest rows have is a small share of all. A part that does not pass while others do is named."""
    for feature, check in sorted(checks.items()):
        found = {name: Counter(check.violation(row.get(feature)) for row in rows) for name, rows in parts.items()}
        for violation, most in sorted(check.limits().items()):
            counts = {name: (found[name][violation], len(rows)) for name, rows in parts.items()}
            worse = {name: each for name, each in counts.items() if len(parts) > 1 and surely(*each, most)}
            count, total = (sum(numbers) for numbers in zip(*counts.values(), strict=True))
            if len(worse) in (0, len(parts)):
                worse = {"": (count, total)} if count > most * total else {}
            for name, (part, rows) in worse.items():
                yield _sentence(violation, feature, part, rows, most, name)


def exceeding(violation: str, feature: str, count: int, rows: int, check: Check) -> str | None:
    """The same of a violation that was counted elsewhere; None where so many are allowed."""
    most = check.limits().get(violation)
    return None if most is None or count <= most * rows else _sentence(violation, feature, count, rows, most)


def _sentence(violation: str, feature: str, count: int, rows: int, most: float, part: str = "") -> str:
    which = f" {part}" if part else ""
    share = f"{count / rows:.1%}"
    return f"{violation}:{feature} in {count:,} of {rows:,} rows{which} ({share}), at most {most:.1%} are allowed"


def _most(limit: AtMost | None) -> float:
    return VIOLATIONS_MOST if limit is None else limit.at_most


def _text(value: object) -> str | None:
    """A category as text, as the monitor reads it: `true`, `3` for 3.0. None for what has no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if isinstance(value, int) else None
