"""Metrics before any label: what a calibrated score says about its own errors (confidence-based estimation, CBPE).

Assumes no concept change: that a score means today what it meant in the reference. Then the chance of being positive,
given the score's bin, is known from the reference; the expected confusion matrix is the sum of these chances over the
rows. It sees change of the inputs through the score only, and is blind to a model that has become wrong in a new way:
show it as "estimated", and compare it with the truth as labels come.

Source: NannyML's CBPE; calibration by isotonic regression (Zadrozny & Elkan, 2002; pool adjacent violators) on the
reference's bins. Intervals: rows are independent draws with these chances, and the chances are themselves estimated.
Not done: choosing between calibrated and raw scores by cross-validation; reweighting by features (PAPE).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.events import Float64s, Int64s
from monitor.metrics.estimates import Estimates, estimates, first_reason
from monitor.metrics.expected import Matrix, of_matrix
from monitor.windows.view import Undefined


@dataclass(frozen=True, slots=True)
class Calibration:
    """Chance of being positive in each of G score bins, never falling, and the reference rows it rests on; both (G,)."""

    chance: Float64s
    rows: Int64s

    @classmethod
    def of(cls, positives: Int64s, rows: Int64s) -> Calibration:
        """The isotonic fit to labelled reference rows by score bin, (G,) both. Bins without rows lie on the line between
        their neighbours. Raises ValueError when no bin has a row."""
        if not int(rows.sum()):
            raise ValueError("a calibration needs labelled reference rows with a score; this reference has none")
        held = np.flatnonzero(rows)
        fitted = _isotonic(positives[held], rows[held])
        return cls(np.interp(np.arange(len(rows)), held, fitted), rows)


def _isotonic(positives: Int64s, rows: Int64s) -> Float64s:
    """Pool adjacent violators: bins whose shares fall are taken together until none do. Sums are integers."""
    blocks: list[tuple[int, int, int]] = []  # positives, rows, bins
    for hits, n in zip(positives.tolist(), rows.tolist(), strict=True):
        blocks.append((hits, n, 1))
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = (blocks[-1][0] + last[0], blocks[-1][1] + last[1], blocks[-1][2] + last[2])
    return np.repeat([hits / n for hits, n, _ in blocks], [size for _, _, size in blocks])


def estimate(calibration: Calibration, called: Int64s, rejected: Int64s) -> dict[str, Estimates]:
    """Accuracy, precision, recall, F1, specificity and ROC AUC that W windows are expected to have.

    `called` and `rejected` (W, G) are the rows by score bin that the model called positive and that it did not. The AUC
    counts rows of a bin as ties; it has no interval.
    """
    chance, spread = calibration.chance, calibration.chance * (1.0 - calibration.chance)
    learned = np.where(calibration.rows > 0, spread / np.maximum(calibration.rows, 1), 0.0)
    tp, fn = called @ chance, rejected @ chance
    rows_called, rows_rejected = called.sum(axis=1), rejected.sum(axis=1)
    by_called, by_rejected = called @ spread, rejected @ spread

    def variance(by: Matrix) -> Float64s:
        of_called, of_rejected = by[0] - by[1], by[2] - by[3]
        of_bin = of_called[:, np.newaxis] * called + of_rejected[:, np.newaxis] * rejected
        own: Float64s = of_called**2 * by_called + of_rejected**2 * by_rejected + (of_bin**2) @ learned
        return own

    rows = rows_called + rows_rejected
    found = of_matrix((tp, rows_called - tp, fn, rows_rejected - fn), rows, variance)
    return {**found, "roc_auc": _area(calibration, called + rejected, rows)}


def _area(calibration: Calibration, seen: Int64s, rows: Int64s) -> Estimates:
    positive, negative = seen * calibration.chance, seen * (1.0 - calibration.chance)
    below = np.cumsum(negative, axis=1) - 0.5 * negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (positive * below).sum(axis=1) / pairs
    undefined = first_reason(len(rows), (rows == 0, Undefined.NO_ROWS), (pairs <= 0, Undefined.ONE_CLASS))
    return estimates(value, None, rows, undefined)
