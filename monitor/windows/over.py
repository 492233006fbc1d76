"""Versions that are over: all windows of theirs are final. What rules can read of the last ones is kept, of the rest it is not.

How many versions a model has is for its clients to say: who puts a build number, or the time, into `version` makes another
one each minute. Those that can still change are not bounded (`driftline_model_versions` counts them), those that are over are.
Below the bound nothing is decided otherwise; above it, a version that is forgotten can be compared with no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from monitor.windows.view import SeriesKey

OVER_KEPT: Final = 100
"""Versions of a model that are over and remembered: a new one each day for three months."""
Version = tuple[str, str]
"""Model and version."""


def too_many(
    series: Iterable[tuple[SeriesKey, bool, int]], *, spared: frozenset[Version] = frozenset()
) -> set[Version]:
    """The versions to forget: of each model those that are over but for the OVER_KEPT whose windows ended last.

    `series`: whether any window of a series can still change, and where the last of them ends (ms); a version has many.
    `spared` count as not over.
    """
    ends: dict[Version, int] = {}
    live = set(spared)
    for key, lives, end_ms in series:
        own = key.model, key.version
        ends[own] = max(end_ms, ends.get(own, end_ms))
        if lives:
            live.add(own)
    by_model: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (model, version), end_ms in ends.items():
        if (model, version) not in live:
            by_model[model].append((end_ms, version))
    return {(model, version) for model, over in by_model.items() for _, version in sorted(over)[:-OVER_KEPT]}
