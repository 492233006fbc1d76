"""What stands on the page where there is more than anybody reads, and more than a browser draws: thousands of models, say.

The rule is said where something is left out, and what is left out is in the JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from monitor.cli.report.nodes import At, words

MODELS_MAX: Final = 40
"""Models, by window, that a section draws and has tables of; and versions, where it goes by those."""
SERIES_MAX: Final = 25
"""Versions and segments of a model that are drawn together."""
FEATURES_MAX: Final = 120
"""Distributions."""
ALERTS_MAX: Final = 400
"""Alerts of a table."""

T = TypeVar("T")


def chosen(own: Sequence[T], most: int, weight: Callable[[T], Any], what: str) -> tuple[list[T], str]:
    """Those with the largest weights, in the order they had, and a sentence when others are left out; `what` they are."""
    if len(own) <= most:
        return list(own), ""
    ranked = sorted(range(len(own)), key=lambda place: weight(own[place]), reverse=True)
    kept = [own[place] for place in sorted(ranked[:most])]
    said = f"Shown are {most:,} of {len(own):,} {what}: those with most alerts, then those with most predictions."
    return kept, _note(said)


def earliest(own: Sequence[T], most: int, what: str) -> tuple[list[T], str]:
    """The first of so many, and a sentence when others are left out."""
    if len(own) <= most:
        return list(own), ""
    return list(own[:most]), _note(f"Shown are the first {most:,} of {len(own):,} {what}.")


def _note(said: str) -> str:
    return f"<p>{words(said)} The JSON has all.</p>\n"


class Weights:
    """How much there is to see in a part of a run: alerts, then predictions."""

    def __init__(self, run: At) -> None:
        alerts = run["alerts"].value
        self._models = Counter(alert["model"] for alert in alerts)
        self._versions = Counter((alert["model"], alert["version"]) for alert in alerts)
        self._series = Counter((alert["model"], alert["version"], alert["segment"]) for alert in alerts)

    def of_model(self, series: Sequence[At]) -> tuple[int, int]:
        """Of the series of one model."""
        seen = sum(sum(filter(None, own["seen"].value)) for own in series if own["segment"].value == "all")
        return self._models[series[0]["model"].value], seen

    def of_series(self, own: At) -> tuple[bool, int, int]:
        """Of one series; all rows of a version before its segments."""
        key = own["model"].value, own["version"].value, own["segment"].value
        return key[2] == "all", self._series[key], sum(filter(None, own["seen"].value))

    def of_version(self, own: At, seen: int) -> tuple[int, int]:
        """Of what is said of a version."""
        return self._versions[own["model"].value, own["version"].value], seen
