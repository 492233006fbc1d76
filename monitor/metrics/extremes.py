"""What the area under the ROC curve can end at, whatever the missing labels say (Manski, 1990).

The area is largest where the unlabelled rows with the largest scores are all positive and the others all negative: of as many
positives, any other choice has a pair more in the wrong order. Where to cut is looked for in every bin of scores, and within a
bin between its ends, where the area is one quadratic polynomial over another: its extremes are the roots of a third. Rows in one
bin of unlabelled ones, or of labelled ones, are taken in the better order. The smallest is one less the largest with all scores
turned round. So both ends are of the exact area, and beyond what any labels can make of it by a bin's ties at most.
"""

from __future__ import annotations

import numpy as np

from monitor.events import Float64s, Int64s

Bounds = tuple[Float64s, Float64s]


def area_bounds(positives: Int64s, negatives: Int64s, unlabelled: Int64s) -> Bounds:
    """Lowest and highest ROC AUC of W windows; NaN where no labels would give both classes.

    `positives`, `negatives` (W, G): labelled rows by score bin; `unlabelled` (W, B): rows without a label by a coarser one, G a
    multiple of B.
    """
    turned = (positives[:, ::-1], negatives[:, ::-1], unlabelled[:, ::-1])
    return 1.0 - _highest(*turned), _highest(positives, negatives, unlabelled)


@np.errstate(divide="ignore", invalid="ignore")
def _highest(positives: Int64s, negatives: Int64s, unlabelled: Int64s) -> Float64s:
    labelled = (positives * np.cumsum(negatives, axis=1)).sum(axis=1).astype(np.float64)[:, np.newaxis]
    p, q = (_coarse(rows, unlabelled.shape[1]) for rows in (positives, negatives))
    u = unlabelled.astype(np.float64)
    q_up_to, u_up_to = np.cumsum(q, axis=1), np.cumsum(u, axis=1)
    p_from, u_from = (np.cumsum(rows[:, ::-1], axis=1)[:, ::-1] for rows in (p, u))
    above, below = u_from - u, u_up_to - u
    # Unlabelled rows above a bin as positives against labelled negatives, those below it as negatives against positives.
    beaten, beating = u * q_up_to, u * p_from
    beaten_above = np.cumsum(beaten[:, ::-1], axis=1)[:, ::-1] - beaten
    beating_below = np.cumsum(beating, axis=1) - beating
    a, b = p.sum(axis=1, keepdims=True) + above, q.sum(axis=1, keepdims=True) + below + u
    # With x rows of the bin positive the pairs in order are w + v x - x^2, of (a + x) (b - x).
    w = labelled + beaten_above + beating_below + u * p_from + above * (below + u)
    v = q_up_to - p_from + below - above + u
    best = np.full(len(u), np.nan)
    # With none or all of them positive a class may be missing.
    for x in (np.zeros_like(u), np.minimum(u, 1.0), np.maximum(u - 1.0, 0.0), u, *_turns(w, v, a, b, u)):
        area = (w + v * x - x * x) / ((a + x) * (b - x))
        best = np.fmax(best, np.fmax.reduce(np.where(np.isfinite(area), area, np.nan), axis=1))
    highest: Float64s = np.minimum(best, 1.0)
    return highest


def _turns(w: Float64s, v: Float64s, a: Float64s, b: Float64s, u: Float64s) -> list[Float64s]:
    """The whole numbers about where (w + v x - x^2) / ((a + x) (b - x)) has a level tangent, cut to [0, u]; NaN where nowhere."""
    c = b - a
    square, linear, rest = v - c, 2.0 * (w - a * b), v * a * b - w * c
    root = np.sqrt(linear * linear - 4.0 * square * rest)
    # The root that does not cancel, and the other from their product.
    far = -0.5 * (linear + np.copysign(root, linear))
    return [np.clip(whole(x), 0.0, u) for x in (far / square, rest / far) for whole in (np.floor, np.ceil)]


def _coarse(rows: Int64s, bins: int) -> Float64s:
    found: Float64s = rows.reshape(len(rows), bins, -1).sum(axis=2).astype(np.float64)
    return found
