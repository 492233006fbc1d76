"""What must be there for advice, and what its detector can be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from monitor.config.detectors import DetectorError, make
from monitor.config.problems import Path, Problem

if TYPE_CHECKING:
    from monitor.config.rules import Rule
    from monitor.config.types import Config

Asks = Callable[["Config", "Rule", Path], Iterator[Problem]]
"""Problems with what a rule asks: its window, model, segments and metric."""


def advisories(config: Config, asks: Asks) -> Iterator[Problem]:
    """Problems with every advisory."""
    taken: dict[str, Path] = {rule.name: ("rules", index, "name") for index, rule in enumerate(config.rules)}
    for index, one in enumerate(config.advisories):
        at: Path = ("advisories", index)
        if one.name in taken:
            sentence = f"{one.name!r} is the name of another alert already; names are unique over rules and advisories"
            yield Problem((*at, "name"), sentence, (taken[one.name],))
        taken.setdefault(one.name, (*at, "name"))
        window = next((each for each in config.windows if each.name == one.window), None)
        if window is not None and window.size_ms != window.slide_ms:
            sentence = f"{one.window!r} slides, so its values overlap, and a detector would take that for a trend"
            yield Problem((*at, "window"), f"{sentence}; take a window that does not", (("windows",),))
        yield from asks(config, one.as_rule(), at)
        try:
            make(one.detector, one.options)
        except DetectorError as error:
            place: Path = (*at, "options", error.option) if error.option else (*at, "detector")
            yield Problem(place, str(error), ((*at, "options"),))
