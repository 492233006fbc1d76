"""A warning when a model has very many versions: each takes the memory of its windows, and no setting bounds them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from monitor.view import UNLISTED

_log = logging.getLogger("driftline.versions")

MANY: Final = 50
"""Versions of a model, with windows that can still change, of which it is told: two a day where labels take a month are more.
The alert DriftlineManyVersions has the same number."""


class ManyVersions:
    """Tells when a model comes past MANY, and again whenever they are twice as many as when it told last."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def look(self, versions: Mapping[str, int]) -> None:
        """`versions`: how many each model has."""
        for model, number in versions.items():
            if number <= MANY:
                self._next.pop(model, None)
            elif number >= self._next.get(model, 0):
                self._next[model] = 2 * number
                _log.warning(
                    "%s has %d versions with windows that can still change, each with the memory and series of all its windows: "
                    "look whether its clients put a time, a build or an id into `version`, and map another field "
                    "(streams.predictions.fields.version); docs/runbooks/DriftlineManyVersions.md",
                    "a model that is not listed" if model == UNLISTED else f"model {model!r}",
                    number,
                )
