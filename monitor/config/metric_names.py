"""The names of the metrics that rules may use, in one place.

The statistics themselves live in the packages that compute them; a test compares their names with these. Names of
performance metrics are bare (`recall`); metrics of the inputs say what of (`psi:hour`, `missing:origin`, `ks:$score`),
except `volume`, the number of predictions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

BINARY: dict[str, tuple[float, float]] = {
    "seen": (0.0, math.inf),
    "labelled": (0.0, math.inf),
    "coverage": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "precision": (0.0, 1.0),
    "recall": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "specificity": (0.0, 1.0),
    "npv": (0.0, 1.0),
    "fpr": (0.0, 1.0),
    "balanced_accuracy": (0.0, 1.0),
    "mcc": (-1.0, 1.0),
    "log_loss": (0.0, math.inf),
    "brier": (0.0, 1.0),
    "roc_auc": (0.0, 1.0),
    "prevalence": (0.0, 1.0),
}
"""Performance metrics of binary models, with the smallest and largest value each can take. All need labels."""

NEED_SCORE = frozenset({"log_loss", "brier", "roc_auc"})
"""Performance metrics that need a score, not only a class."""

DISTANCES: dict[str, tuple[float, float]] = {
    "psi": (0.0, math.inf),
    "ks": (0.0, 1.0),
    "psi_corrected": (-math.inf, math.inf),
    "js": (0.0, 1.0),
    "hellinger": (0.0, 1.0),
    "tvd": (0.0, 1.0),
    "linf": (0.0, 1.0),
    "chi_square": (0.0, math.inf),
    "wasserstein": (0.0, math.inf),
}
"""Distances to the reference, as `NAME:FEATURE` or `NAME:$score`, with their ranges."""

STANDARD = ("psi", "ks")
"""Distances that every input window carries; the others where `drift.distances` asks for them."""

ORDERED = frozenset({"ks", "wasserstein"})
"""Distances that need an order of the values, which categorical features do not have."""

INPUT: dict[str, tuple[float, float]] = {**DISTANCES, "missing": (0.0, 1.0)}
"""Metrics of one watched feature, as `NAME:FEATURE`, with their ranges. They need no labels."""

VOLUME = "volume"
"""The number of predictions in the window. Needs no labels."""

SCORE = "$score"
"""The pseudo-feature that stands for the model's own score."""


def needs_labels(metric: str) -> bool:
    """Whether the metric is of the performance kind; the others are computed from predictions alone."""
    return ":" not in metric and metric != VOLUME


def subject(metric: str) -> str | None:
    """The feature (or `$score`) that an input metric is about; None for all others."""
    head, colon, tail = metric.partition(":")
    return tail if colon and head in INPUT else None


def needs_reference(metric: str) -> bool:
    """Whether the metric compares with the model's reference."""
    return metric.partition(":")[0] in DISTANCES and ":" in metric


def value_range(metric: str) -> tuple[float, float]:
    """The smallest and largest value the metric can take. The metric must be a known one."""
    if metric == VOLUME:
        return (0.0, math.inf)
    head = metric.partition(":")[0]
    return INPUT[head] if ":" in metric else BINARY[head]


def is_known(metric: str, features: Sequence[str]) -> bool:
    """Whether a rule may use this name, given the features of the stream."""
    if (about := subject(metric)) is not None:
        return about in features or (about == SCORE and needs_reference(metric))
    return metric in BINARY or metric == VOLUME


def known(features: Sequence[str], *, score: bool = True, more: Sequence[str] = ()) -> list[str]:
    """Every name a rule may use: performance first, then inputs. `more` are the distances beside the standard ones."""
    performance = [m for m in BINARY if score or m not in NEED_SCORE]
    distances = [*STANDARD, *(name for name in more if name not in STANDARD)]
    inputs = [f"{head}:{name}" for name in features for head in (*distances, "missing")]
    return [*performance, VOLUME, *inputs, *([f"{head}:{SCORE}" for head in distances] if score else [])]
