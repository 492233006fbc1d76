"""River's drift detectors by name, and what each can be told.

Importing them takes half a second: they are asked for where a configuration names one, and nowhere else.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from monitor.config.suggest import hint

Option = bool | int | float | str
_NO_DETECTORS: Final = frozenset({"DriftRetrainingClassifier", "DummyDriftDetector", "NoDrift"})
_NO_OPTIONS: Final = frozenset({"window"})
"""What a detector begins with would be values that no record holds."""


class DetectorError(ValueError):
    """There is no such detector (`option` is empty), or it cannot be made with these options."""

    def __init__(self, sentence: str, option: str = "") -> None:
        super().__init__(sentence)
        self.option = option


def detectors() -> dict[str, type[Any]]:
    """The detectors by name, in alphabetical order: of numbers, and of errors."""
    from river import base, drift

    found = {
        kind.__name__: kind
        for module in (drift, drift.binary)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, (base.DriftDetector, base.BinaryDriftDetector)) and kind.__name__ not in _NO_DETECTORS
    }
    return dict(sorted(found.items()))


def make(name: str, options: Mapping[str, Option]) -> Any:
    """A new detector. One that draws begins with seed 0 unless told otherwise: it must draw the same in every process.

    Raises DetectorError.
    """
    known = detectors()
    if name not in known:
        raise DetectorError(f"{name!r} is not a detector of river; allowed: {', '.join(known)}{hint(name, known)}")
    takes = [option for option in inspect.signature(known[name]).parameters if option not in _NO_OPTIONS]
    for option in options:
        if option not in takes:
            raise DetectorError(f"{name} takes no {option!r}; allowed: {', '.join(takes)}{hint(option, takes)}", option)
    try:
        return known[name](**{**({"seed": 0} if "seed" in takes else {}), **options})
    except (TypeError, ValueError, ArithmeticError) as error:
        raise DetectorError(f"{name} cannot be made with these options: {error}") from error
