"""What the budget watches of a model: channels with their area, their bins and their questions.

Inputs and scores are watched on the bins of the reference profile. Performance is watched on a short vector of what a task
counts, which begins with `seen` and `labelled` (`observed`): the confusion matrix of binary models; of multiclass ones right,
missed and false answers by class, since the whole matrix of 64 classes would have a million bets; of regression
models the residuals by size and sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from monitor.drift.binning import Binning, NumericBinning
from monitor.drift.budget import Area
from monitor.drift.checked import Checked, CheckedCategorical, CheckedNumeric, of_base
from monitor.drift.functionals import Functionals, by_class, categorical, confusion, faults, numeric, residuals
from monitor.drift.pairs import paired
from monitor.drift.reference import histogram_name
from monitor.events import Int64s
from monitor.metrics.binary import BINARY
from monitor.metrics.multiclass import Multiclass
from monitor.metrics.regression import Regression
from monitor.metrics.task import Task
from monitor.plan import ModelPlan, Plan
from monitor.sketches.sizes import SIGNED
from monitor.windows.view import Kind

COUNTED: Final = 2
"""`seen` and `labelled`, which a vector of performance begins with."""
BINARY_CELLS: Final = 6
"""Of a binary model's performance the first cells are read: seen, labelled, tp, fp, fn, tn."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A channel to be: its name and area, where its bins lie in the vector, and its functionals given the reference.

    Bins of a feature whose quality is declared are looked at as the reference's own (`checked` tells which they are).
    """

    name: str
    area: Area
    cells: slice
    functionals: Callable[[Int64s], Functionals] = field(compare=False)
    checked: Checked | None = None
    of: object = None
    """What the functionals are made of, besides the reference."""

    def read(self, vectors: Int64s) -> Int64s:
        """Its counts (W, bins) in W vectors."""
        own = vectors[:, self.cells]
        return own if self.checked is None else of_base(self.checked, own)


def watched(plan: ModelPlan, kind: Kind) -> tuple[Watched, ...]:
    """What there is to watch of a model in vectors of a kind. Features without bins have their missing rate only."""
    if kind is Kind.PERFORMANCE:
        return (_performance(plan.task),)
    found: list[Watched] = []
    for feature in plan.features:
        cells = plan.input_cells.slice(histogram_name(feature.name))
        checked = feature.binning if isinstance(feature.binning, (CheckedNumeric, CheckedCategorical)) else None
        if _has_bins(feature.base):
            found.append(Watched(feature.name, Area.FEATURES, cells, _asked(feature.base), checked, feature.base))
        missing = _faults(feature.base)
        found.append(Watched(f"missing:{feature.name}", Area.QUALITY, cells, missing, checked, feature.base))
    if plan.score is not None:
        cells = plan.input_cells.slice(histogram_name(plan.score.name))
        found.append(Watched(plan.score.name, Area.PREDICTIONS, cells, _asked(plan.score.base), None, plan.score.base))
    cells_of = plan.input_cells.slice
    found += [Watched(pair.name, Area.FEATURES, cells_of(f"pair:{pair.name}"), paired) for pair in plan.pairs]
    return tuple(found)


def _performance(task: Task) -> Watched:
    if isinstance(task, Multiclass):
        bins, asked = slice(COUNTED, COUNTED + 3 * len(task.classes)), by_class(task.classes)
        return Watched("confusion", Area.PERFORMANCE, bins, lambda _: asked, None, task.classes)
    if isinstance(task, Regression):
        bins = slice(COUNTED, COUNTED + SIGNED + 1)
        asked_of = partial(residuals, resolution=task.resolution)
        return Watched("errors", Area.PERFORMANCE, bins, asked_of, None, task.resolution)
    assert task.name == BINARY.name, f"nobody said what to watch of the task {task.name!r}"
    return Watched("confusion", Area.PERFORMANCE, slice(COUNTED, BINARY_CELLS), lambda _: confusion())


def _has_bins(binning: Binning) -> bool:
    return binning.ordered > 1 if isinstance(binning, NumericBinning) else bool(binning.categories)


def _asked(binning: Binning) -> Callable[[Int64s], Functionals]:
    if isinstance(binning, NumericBinning):
        return lambda reference: numeric(binning, reference)
    return lambda reference: categorical(binning, reference)


def _faults(binning: Binning) -> Callable[[Int64s], Functionals]:
    return lambda _: faults(binning)


def arrival_cells(plan: Plan, kind: Kind) -> int:
    """How many cells `observed` reads of what a tick brought: 0 for all."""
    binary = all(model.task.name == BINARY.name for model in plan.all_models)
    return BINARY_CELLS if kind is Kind.PERFORMANCE and binary else 0


def observed(plan: ModelPlan, kind: Kind, cells: Int64s) -> Int64s:
    """What `watched` is read from, of the cells that a tick brought; of performance `seen`, `labelled` and the bins."""
    task = plan.task
    if kind is Kind.INPUT:
        return cells
    if isinstance(task, Multiclass):
        matrix = cells[task.cells.slice("confusion")].reshape(len(task.classes), -1)
        right = np.diagonal(matrix)
        return np.concatenate([cells[:COUNTED], right, matrix.sum(axis=1) - right, matrix.sum(axis=0) - right])
    if isinstance(task, Regression):
        return np.concatenate([cells[:COUNTED], cells[task.cells.slice("errors")], cells[task.cells.slice("overflow")]])
    return cells[:BINARY_CELLS]
