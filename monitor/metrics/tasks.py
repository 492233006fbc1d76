"""Every kind of prediction there is, made for what a model declares. Another kind is one more file and a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.events import Int64s
from monitor.metrics.binary import BINARY, Binary
from monitor.metrics.foreseen import ForeseenBinary
from monitor.metrics.multiclass import Multiclass
from monitor.metrics.regression import LARGEST, Regression
from monitor.metrics.task import Task


def task_of(
    name: str,
    classes: Sequence[str] | None = None,
    largest: float | None = None,
    *,
    coded: Sequence[str] = (),
    scored: Sequence[str] = (),
    delay_ends: Int64s | None = None,
    one_vs_rest: bool = False,
    costs: Mapping[str, float] | None = None,
) -> Task:
    """The task that a configuration calls `name`, for a model with these classes or this largest number.

    `coded`: the classes that codes stand for; `scored`: those that the stream has probabilities of.
    `delay_ends`: where windows say what is to be expected while labels are missing, the bins of delay in which they are
    counted; only binary models do. `one_vs_rest`: whether a multiclass model's areas under ROC curves are counted. `costs`: of a
    binary model, by cell of the matrix.
    """
    if name == "multiclass":
        return Multiclass(classes or (), coded, scored, one_vs_rest=one_vs_rest)
    if name == "regression":
        return Regression(LARGEST if largest is None else largest)
    assert name == "binary", f"the configuration knows a task {name!r} that nobody computes"
    if delay_ends is not None:
        return ForeseenBinary(delay_ends, costs)
    return BINARY if costs is None else Binary(costs)
