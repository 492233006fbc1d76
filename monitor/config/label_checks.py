"""Labels of alerts: they go to whoever is paged, onto dashboards and into `/metrics`, so no password belongs there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from monitor.config.problems import Path, Problem

if TYPE_CHECKING:
    from monitor.config.types import Config

_PASSWORD: Final = re.compile(r"://[^/?#\s]*:[^/?#\s]*@")


def labels(config: Config) -> Iterator[Problem]:
    """Addresses with a password, which the sentences do not show."""
    places: list[tuple[Path, Mapping[str, str]]] = [(("labels",), config.labels)]
    for section in ("models", "rules", "advisories"):
        places += [((section, i, "labels"), each.labels) for i, each in enumerate(getattr(config, section))]
    if config.unlisted_models is not None:
        places.append((("unlisted_models", "labels"), config.unlisted_models.labels))
    for path, given in places:
        for name, value in given.items():
            if _PASSWORD.search(value):
                shown = value.rpartition("@")[2].partition("?")[0][:80]
                yield Problem(
                    (*path, name),
                    f"{'...@' + shown!r} holds credentials, and labels go into every alert; leave them out",
                )
