"""The names of the metrics that rules may use, in one place.

The statistics themselves live in the packages that compute them; a test compares their names with these. Names of
performance metrics are bare (`recall`) or say of which class (`recall:cat`); metrics of the inputs say what of
(`psi:hour`, `missing:origin`, `ks:$score`), except `volume`, the number of predictions. Those of other tasks than binary
are in `tasks`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Ranges = Mapping[str, tuple[float, float]]
"""Metrics with the smallest and largest value each can take."""

BINARY: dict[str, tuple[float, float]] = {
    "seen": (0.0, math.inf),
    "labelled": (0.0, math.inf),
    "coverage": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "precision": (0.0, 1.0),
    "recall": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "f0_5": (0.0, 1.0),
    "f2": (0.0, 1.0),
    "specificity": (0.0, 1.0),
    "npv": (0.0, 1.0),
    "fpr": (0.0, 1.0),
    "balanced_accuracy": (0.0, 1.0),
    "g_mean": (0.0, 1.0),
    "mcc": (-1.0, 1.0),
    "kappa": (-1.0, 1.0),
    "log_loss": (0.0, math.inf),
    "brier": (0.0, 1.0),
    "ece": (0.0, 1.0),
    "rmsce": (0.0, 1.0),
    "mce": (0.0, 1.0),
    "roc_auc": (0.0, 1.0),
    "gini": (-1.0, 1.0),
    "ks_classes": (0.0, 1.0),
    "average_precision": (0.0, 1.0),
    "prevalence": (0.0, 1.0),
}
"""Performance metrics of binary models, with the smallest and largest value each can take. All need labels."""

NEED_SCORE = frozenset(
    {
        *("log_loss", "brier", "ece", "rmsce", "mce", "roc_auc", "gini", "ks_classes", "average_precision"),
        *("top2_accuracy", "top3_accuracy", "top5_accuracy", "roc_auc_macro"),
    }
)
"""Performance metrics that need a score, or probabilities, not only a class. Those of one class have its name behind a colon."""

BASES = ("completed", "unlabelled")
"""What an estimate rests on, as in the outlook of a window: late labels, or scores alone."""

ESTIMATED: Mapping[str, tuple[str, ...]] = {
    "completed": ("accuracy", "precision", "recall", "f1", "specificity"),
    "unlabelled": ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "residual"),
    "bounds": ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc"),
}
"""Metrics that an outlook can have, by what it says. Rules name those of a basis as `BASIS:METRIC`."""

ESTIMATES: dict[str, tuple[float, float]] = {
    f"{basis}:{metric}": BINARY.get(metric, (-1.0, 1.0)) for basis in BASES for metric in ESTIMATED[basis]
}
"""Metrics of outlooks that rules may use, with their ranges; the residual is a difference of two shares."""

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

DEPENDENCE = "dependence"
"""How far two features go together otherwise than in the reference, as `dependence:A~B` for each pair of `drift.pairs`."""

PAIRED = "~"
"""Stands between the features of a pair in its name."""

STANDARD = ("psi", "ks")
"""Distances that every input window carries; the others where `drift.distances` asks for them."""

ORDERED = frozenset({"ks", "wasserstein"})
"""Distances that need an order of the values, which categorical features do not have."""

DECLARED: dict[str, tuple[float, float]] = dict.fromkeys(("wrong_type", "out_of_range", "unexpected"), (0.0, 1.0))
"""Shares of values that are not as the model's `quality` declares them, as `NAME:FEATURE`, with their ranges."""

INPUT: dict[str, tuple[float, float]] = {**DISTANCES, "missing": (0.0, 1.0), **DECLARED, DEPENDENCE: (0.0, 1.0)}
"""Metrics of one watched feature (or pair), as `NAME:FEATURE`, with their ranges. They need no labels."""

DRIFT_OF_LABELS = frozenset({"prevalence"})
"""Performance metrics that say nothing of how right a model is: what they show is drift."""

VOLUME = "volume"
"""The number of predictions in the window. Needs no labels."""

SCORE = "$score"
"""The pseudo-feature that stands for the model's own score."""


def needs_labels(metric: str) -> bool:
    """Whether the metric is of the performance kind; the others are computed from predictions alone."""
    head, colon, _ = metric.partition(":")
    return head not in INPUT if colon else metric != VOLUME


def needs_score(metric: str) -> bool:
    """Whether the metric is one of performance that needs a score, not only a class."""
    return metric.partition(":")[0] in NEED_SCORE and needs_labels(metric)


def estimate_of(metric: str) -> tuple[str, str] | None:
    """Basis and metric of an estimate; None for all others."""
    basis, _, name = metric.partition(":")
    return (basis, name) if metric in ESTIMATES else None


def needs_coverage(metric: str) -> bool:
    """Whether a value of it says little as long as few labels are there: of labelled windows, all but estimates."""
    return needs_labels(metric) and metric not in ESTIMATES


def subject(metric: str) -> str | None:
    """The feature (or `$score`) that an input metric is about; None for all others, pairs among them."""
    head, colon, tail = metric.partition(":")
    return tail if colon and head in INPUT and head != DEPENDENCE else None


def pair_of(metric: str) -> str | None:
    """The pair that a metric is about, by its name `A~B`; None for all others."""
    head, colon, tail = metric.partition(":")
    return tail if colon and head == DEPENDENCE else None


def needs_reference(metric: str) -> bool:
    """Whether the metric compares with the model's reference."""
    return metric.partition(":")[0] in (*DISTANCES, DEPENDENCE) and ":" in metric


def is_drift(metric: str) -> bool:
    """Whether all it can show is drift: neither loss, realised or estimated, nor broken data."""
    return needs_reference(metric) or metric in DRIFT_OF_LABELS


def needs_declaration(metric: str) -> bool:
    """Whether the metric exists only where the model's `quality` says what is right."""
    return metric.partition(":")[0] in DECLARED and ":" in metric


def value_range(metric: str, performance: Ranges = BINARY) -> tuple[float, float]:
    """The smallest and largest value the metric can take. The metric must be a known one."""
    if metric == VOLUME:
        return (0.0, math.inf)
    if metric in ESTIMATES:
        return ESTIMATES[metric]
    return performance[metric] if needs_labels(metric) else INPUT[metric.partition(":")[0]]


def is_known(metric: str, features: Sequence[str], performance: Ranges = BINARY, pairs: Sequence[str] = ()) -> bool:
    """Whether a rule may use this name, given the features of the stream, the `performance` metrics of its models and the
    names of the pairs."""
    if (pair := pair_of(metric)) is not None:
        return pair in pairs
    if (about := subject(metric)) is not None:
        return about in features or (about == SCORE and needs_reference(metric))
    return metric in performance or metric == VOLUME or (metric in ESTIMATES and BINARY.keys() <= performance.keys())


def known(
    features: Sequence[str],
    *,
    score: bool = True,
    more: Sequence[str] = (),
    declared: Sequence[str] = (),
    performance: Ranges = BINARY,
    estimates: bool = False,
    pairs: Sequence[str] = (),
) -> list[str]:
    """Every name a rule may use: performance first, then inputs, then the `declared` ones, then `estimates`. `more` are the
    distances beside the standard ones, `pairs` the names of the pairs."""
    bare = [m for m in performance if score or not needs_score(m)]
    distances = [*STANDARD, *(name for name in more if name not in STANDARD)]
    inputs = [f"{head}:{name}" for name in features for head in (*distances, "missing")]
    return [
        *bare,
        VOLUME,
        *inputs,
        *([f"{head}:{SCORE}" for head in distances] if score else []),
        *(f"{DEPENDENCE}:{pair}" for pair in pairs),
        *declared,
        *(ESTIMATES if estimates else ()),
    ]
