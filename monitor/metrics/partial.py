"""Metrics while labels are missing: what they can be at all, and the best estimate of what they will be.

`manski`: bounds without any assumption (Manski, 1990): the missing labels may all be right or all be wrong. Always true,
often wide. `prediction_powered`: the mean of a calibrated or raw confidence over all rows, corrected by what labelled
rows show of its error (Angelopoulos et al., 2023, with the power tuning of PPI++); for labels that are missing at random.
`Completion`: for labels that are missing because they are late. A late flight lands later: of the labels that have come,
too many are good. What rows like these turned out to be in matured history, given that they were still waiting at this
age, completes the matrix (Beta-binomial, by stratum).

All work on integer counts of W windows. Bounds of the ROC AUC are in `extremes`. Not done: weights by inverse probability, which
the completion by stratum and age replaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.events import Float64s, Int64s
from monitor.metrics import intervals
from monitor.metrics.estimates import Estimates
from monitor.metrics.expected import Matrix, of_matrix

Bounds = tuple[Float64s, Float64s]

PARTS: Final = 4
"""What can be off of late labels: see `Shared`."""


def manski(tp: Int64s, fp: Int64s, fn: Int64s, tn: Int64s, called: Int64s, rejected: Int64s) -> dict[str, Bounds]:
    """Lowest and highest value that each metric can end at, whatever the missing labels say; NaN without a denominator.

    `called` and `rejected` are predictions without a label that the model called positive and that it did not.
    """
    right, every = tp + tn, tp + fp + fn + tn + called + rejected
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "accuracy": (right / every, (right + called + rejected) / every),
            "precision": (tp / (tp + fp + called), (tp + called) / (tp + fp + called)),
            "recall": (tp / (tp + fn + rejected), (tp + called) / (tp + fn + called)),
            "f1": (2 * tp / (2 * tp + fp + fn + called + rejected), 2 * (tp + called) / (2 * (tp + called) + fp + fn)),
            "specificity": (tn / (tn + fp + called), (tn + rejected) / (tn + fp + rejected)),
        }


def manski_interval(right: Int64s, wrong: Int64s, missing: Int64s, alpha: float = 0.05) -> Bounds:
    """Bounds of a share that also cover sampling, with at least 1 - alpha: Clopper and Pearson's lower end of the worst
    case and upper end of the best."""
    every = right + wrong + missing
    lower, _ = intervals.clopper_pearson(right, every, alpha)
    _, upper = intervals.clopper_pearson(right + missing, every, alpha)
    return lower, upper


def prediction_powered(
    right: Int64s, labelled: Int64s, unlabelled: Int64s, confidence: Float64s, z: float = intervals.Z95
) -> tuple[Float64s, Float64s, Float64s]:
    """Accuracy of W windows and its interval: labelled rows (of them `right`) and unlabelled ones by bin, all (W, G).

    `confidence` (G,) is what a row of the bin claims to be right with; it may be wrong, then it is weighted down. NaN
    below two labelled rows or without unlabelled ones.
    """
    n, missing = labelled.sum(axis=1).astype(np.float64), unlabelled.sum(axis=1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_right = right.sum(axis=1) / n
        own, other = labelled @ confidence / n, unlabelled @ confidence / missing
        own_square, other_square = labelled @ confidence**2 / n, unlabelled @ confidence**2 / missing
        together = (right @ confidence) / n - mean_right * own
        every = n + missing
        pooled = (n * own_square + missing * other_square) / every - ((n * own + missing * other) / every) ** 2
        pooled *= every / (every - 1.0)
        weight = np.where(pooled > 0, np.clip(together / (pooled * (1.0 + n / missing)), 0.0, 1.0), 0.0)
        value = mean_right + weight * (other - own)
        of_labelled = mean_right * (1 - mean_right) - 2 * weight * together + weight**2 * (own_square - own * own)
        of_missing = weight**2 * (other_square - other * other)
        half = z * np.sqrt(np.maximum(of_missing, 0.0) / missing + np.maximum(of_labelled, 0.0) / n)
    nothing = (n < 2) | (missing == 0)
    value, half = np.where(nothing, np.nan, value), np.where(nothing, np.nan, half)
    return value, value - half, value + half


@dataclass(frozen=True, slots=True)
class Shared:
    """The luck that rows of a window share, learned from windows like it: covariances `beyond` (4, 4) those of independent
    rows, for each unit of the variance that these have, which was `usual` (4,).

    The four: positives among the labels that come later, of rows called positive and of others; how many come, of both. What
    is shared moves all rows: its covariance grows with the products of the variances in larger windows than usual; in smaller
    ones it shrinks with their roots only, which errs to the wide side.
    """

    beyond: Float64s
    usual: Float64s


@dataclass(frozen=True, slots=True)
class Completion:
    """What matured rows turned out to be, by stratum (predicted class and coarse score, say) and delay.

    `history` (S, J, 2): rows whose label came in each of J bins of delay, and was negative or positive; `never` (S,):
    those whose label never came. Only rows older than the horizon count, all of them. Adds up like any counts.
    """

    history: Int64s
    never: Int64s

    def __add__(self, other: Completion) -> Completion:
        return Completion(self.history + other.history, self.never + other.never)

    def chances(self) -> tuple[Float64s, Float64s]:
        """Chance that a row still waiting after j whole bins gets a label at all, and that this is positive then; both
        (S, J + 1). Beta(1, 1) before any history."""
        later = np.cumsum(self.history[:, ::-1], axis=1)[:, ::-1]
        later = np.concatenate([later, np.zeros((len(later), 1, 2), np.int64)], axis=1)
        comes = later.sum(axis=2)
        arrives = comes / np.maximum(comes + self.never[:, np.newaxis], 1)
        positive = (later[:, :, 1] + 1.0) / (comes + 2.0)
        return arrives, positive

    def complete(
        self, labelled: Int64s, waiting: Int64s | Float64s, called: Int64s, shared: Sequence[Shared] = ()
    ) -> dict[str, Estimates]:
        """The metrics W windows are expected to end with, over the rows that will have a label.

        `labelled` (W, S, 2) by stratum and label, `waiting` (W, S, J + 1) by stratum and whole bins waited, counted or
        expected; `called` (S,) is 1 for strata that the model called positive. The interval is predictive: what is still
        open, with what the history does not know (Beta-binomial); rows that have their label add nothing to it.

        `shared`: what rows of each window have in common beyond that; independent where it is left out.
        """
        arrives, positive = self.chances()
        comes = waiting * arrives
        known = np.concatenate([self.history.sum(axis=2), np.zeros((len(self.never), 1), np.int64)], axis=1)
        rest = np.cumsum(known[:, ::-1], axis=1)[:, ::-1] + 2.0
        spread = comes * positive * (1 - positive) * (1.0 + comes / (rest + 1.0))
        positives = labelled[:, :, 1] + (comes * positive).sum(axis=2)
        negatives = labelled[:, :, 0] + (comes * (1 - positive)).sum(axis=2)
        is_called = called.astype(np.float64)
        matrix = (
            positives @ is_called,
            negatives @ is_called,
            positives @ (1 - is_called),
            negatives @ (1 - is_called),
        )
        sides = (is_called, 1 - is_called)
        comes_there = [comes.sum(axis=2) @ side for side in sides]
        shares = [(comes * positive).sum(axis=2) @ side for side in sides]
        chance = [hits / np.where(n > 0, n, 1.0) for hits, n in zip(shares, comes_there, strict=True)]
        of_arriving = (waiting * arrives * (1 - arrives)).sum(axis=2)
        binomial = (comes * positive * (1 - positive)).sum(axis=2)
        own, alone = (
            np.stack([part @ side for part in (of_positive, of_arriving) for side in sides], axis=1)
            for of_positive in (spread.sum(axis=2), binomial)
        )

        def variance(by: Matrix) -> Float64s:
            arriving = [chance[i] * by[2 * i] + (1 - chance[i]) * by[2 * i + 1] for i in range(2)]
            gradient = np.stack([by[0] - by[1], by[2] - by[3], *arriving], axis=1)
            independent: Float64s = (gradient * gradient * own).sum(axis=1)
            if not shared:
                return independent
            usual, beyond = np.stack([one.usual for one in shared]), np.stack([one.beyond for one in shared])
            moves = gradient * np.sqrt(alone * np.maximum(alone, usual))
            together = (moves[:, np.newaxis] @ beyond @ moves[:, :, np.newaxis])[:, 0, 0]
            whole: Float64s = independent + np.maximum(together, 0.0)
            return whole

        rows = labelled.sum(axis=(1, 2)) + waiting.sum(axis=(1, 2))
        return of_matrix(matrix, rows, variance)
