"""River's drift detectors as advisors: one value in for each window, now and then a change out.

For those who know a detector from elsewhere and want to see it beside the budget (`monitor.drift.budget`). What it says is
advice: these detectors keep no promise about false alarms over time.

A detector's state cannot be saved: river's classes have no form but pickle, and that changes with their version. So the
state *is* the values since it began; to restore it they are fed again. It begins again after each change, and with the
newest half of what it holds once that is `VALUES_MAX` values: a function of the values alone, whoever feeds them.

Not done: warnings (river's `warning_detected`), detectors of several values at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from monitor.config.detectors import Option, make

VALUES_MAX: Final = 1_024
"""Values that are fed again at most. KSWIN, the slowest, takes 0.7 ms for each."""


class Advisor:
    """One detector over one series of values. Mutable; a function of the values it was given."""

    __slots__ = ("_detector", "_name", "_options", "values")

    def __init__(self, name: str, options: Mapping[str, Option], values: Iterable[float] = ()) -> None:
        """`values`: those that another advisor held, to go on where it was. Raises DetectorError."""
        self._name, self._options = name, dict(options)
        self._detector: Any = None
        self.values: list[float] = []
        self._begin(list(values))

    @property
    def mean(self) -> float:
        """Of the values since it began; NaN before the first."""
        return math.fsum(self.values) / len(self.values) if self.values else math.nan

    def update(self, value: float) -> bool:
        """Take the value of the next window; True when the detector says that something changed."""
        self.values.append(value)
        self._detector.update(value)
        if self._detector.drift_detected:
            self._begin([])
            return True
        if len(self.values) >= VALUES_MAX:
            self._begin(self.values[VALUES_MAX // 2 :])
        return False

    def _begin(self, values: list[float]) -> None:
        """Again, with these. What they alone make it say is not told: it was told, or it was none to one who saw more."""
        self._detector = make(self._name, self._options)
        self.values = values
        for value in values:
            self._detector.update(value)
