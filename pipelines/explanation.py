"""What challenger and champion look at, and where they differ: for people who decide, never for the gate.

Importance of a feature is by how much the mean loss rises when its values are dealt out anew among the rows (Breiman 2001,
"Random forests", section 10): how much a model *leans* on it, not what it causes; of two features that say the same neither
may seem important. Values are dealt by a fixed rule, so that the same rows give the same page. Not shown are values of
features: rows are named by their line in the blob of held-out rows, which whoever may read the store can look up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from pipelines.losses import Floats, LossSpec

EXPLAIN_ROWS: Final = 200
"""Rows that are dealt anew unless the policy says another number; each feature costs so many more to score."""
DIFFERING_MOST: Final = 10
FEATURES_MOST: Final = 50
"""Features that are dealt anew: the first of the policy. Those beyond are not explained, and the report says how many."""


class Importance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By how much the mean loss of each rises without the feature. `champion` is None where there is none to ask."""

    feature: str
    champion: float | None
    challenger: float


class Differing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row that the two see differently. `line` counts from 1 in the blob of held-out rows."""

    line: int
    label: float
    champion: float
    challenger: float


class Explanation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a report tells beside its verdict. `rows`: on how many the importance was found; 0: it was not looked for."""

    rows: int
    importance: tuple[Importance, ...]
    left_out: int  # features beyond FEATURES_MOST
    differing: tuple[Differing, ...]
    held_out: str  # digest of the rows that `line` counts in


def sample(rows: Sequence[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most so many rows, evenly spread over all of them."""
    if not rows or not most:
        return []
    places = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))
    return [dict(rows[int(place)]) for place in places]


def dealt(rows: Sequence[Mapping[str, Any]], features: Sequence[str]) -> list[dict[str, Any]]:
    """The rows as they are, and once more for each feature with its values dealt out anew; all in a row."""
    found = [dict(row) for row in rows]
    for number, name in enumerate(features):
        order = sorted(range(len(rows)), key=lambda row, n=number: hashlib.sha256(b"%d %d" % (n, row)).digest())  # type: ignore[misc]
        found += [{**row, name: rows[other].get(name)} for row, other in zip(rows, order, strict=True)]
    return found


def importances(labels: Floats, scores: Floats, loss: LossSpec, features: Sequence[str]) -> list[float]:
    """By how much the mean loss rises for each feature. `labels`: of the rows as they are; `scores`: of all that `dealt` gave."""
    losses = loss.of(np.tile(labels, len(features) + 1), scores).reshape(len(features) + 1, labels.size).mean(axis=1)
    return [float(f"{each:.6g}") for each in (losses[1:] - losses[0]).tolist()]


def differing(labels: Floats, champion: Floats, challenger: Floats) -> tuple[Differing, ...]:
    """The rows whose scores are furthest apart, the furthest first."""
    apart = np.abs(champion - challenger)
    order = np.argsort(-apart, kind="stable")[:DIFFERING_MOST]
    return tuple(
        Differing(int(n) + 1, float(labels[n]), float(f"{champion[n]:.6g}"), float(f"{challenger[n]:.6g}"))
        for n in order
        if apart[n] > 0
    )
