"""The names that rules may use are those of the metrics that exist."""

from __future__ import annotations

from typing import get_args

import numpy as np

from monitor.config import metric_names, tasks
from monitor.config.drift import Distance
from monitor.config.types import Costs, ModelTemplate
from monitor.drift import statistics
from monitor.metrics import confidence, one_vs_rest, operating
from monitor.metrics.binary import BINARY, Binary
from monitor.metrics.multiclass import MOST_CLASSES, OTHER, PER_CLASS, Multiclass
from monitor.metrics.regression import LARGEST, Regression
from monitor.metrics.task import Task, evaluate
from monitor.windows.view import Undefined

OF_THE_WINDOW = {"seen", "labelled", "coverage"}
"""Rules may name these too; every window has them, whatever its task."""


def test_rules_may_name_every_metric_of_the_task_and_no_other() -> None:
    assert metric_names.BINARY.keys() >= OF_THE_WINDOW
    assert metric_names.BINARY.keys() - OF_THE_WINDOW == BINARY.metrics.keys()
    costs = Costs(fp=1.0)
    named = tasks.performance_of(ModelTemplate(costs=costs)).keys() - OF_THE_WINDOW
    assert named == Binary(costs.model_dump()).metrics.keys()


def test_rules_may_name_every_distance_that_exists_and_no_other() -> None:
    assert {*metric_names.DISTANCES, "missing"} == set(statistics.STATISTICS)
    assert tuple(metric_names.DISTANCES) == get_args(Distance)
    assert metric_names.ORDERED == statistics.ORDERED
    assert (*metric_names.STANDARD, "missing") == statistics.PUBLISHED


def test_rules_may_name_every_metric_of_the_other_tasks_and_no_other() -> None:
    made: list[tuple[ModelTemplate, Task]] = [(ModelTemplate(task="regression"), Regression())]
    for names in (("cat", "dog"), ("cat", "dog", "eel"), ("cat", "dog", "eel", "fox", "gnu", "hen")):
        for areas in (False, True):
            model = ModelTemplate(task="multiclass", classes=names, one_vs_rest=areas)
            made.append((model, Multiclass(names, scored=names, one_vs_rest=areas)))
    for model, task in made:
        ranges = tasks.performance_of(model)
        assert ranges.keys() - OF_THE_WINDOW == task.metrics.keys(), model
        assert all(metric_names.needs_labels(name) for name in ranges)
    assert set(tasks.TASKS) == {"binary", *(model.task for model, _ in made)}


def test_a_metric_needs_a_score_where_it_says_nothing_without_one() -> None:
    names = ("cat", "dog", "eel", "fox", "gnu", "hen")
    plain: list[Task] = [BINARY, Multiclass(names), Regression()]
    for task in plain:
        cells = task.cells.zeros()
        column = np.zeros(1)
        score = column if task.name == "regression" else np.full(1, np.nan)
        cells.add(np.zeros(1, np.int64), *task.contribute(score, column, column, 1.0))
        for name, one in evaluate(task, cells).items():
            assert (one.at(0).undefined is Undefined.NO_SCORE) == metric_names.needs_score(name), name
    assert all(metric_names.needs_score(name) for name in ("roc_auc_macro", "roc_auc:cat"))
    assert not metric_names.needs_score("ks:hour")


def test_the_configuration_and_the_metrics_agree_on_bounds_and_words() -> None:
    assert (tasks.MOST_CLASSES, tasks.OTHER, tasks.PER_CLASS) == (MOST_CLASSES, OTHER, PER_CLASS)
    assert (tasks.TOP, tasks.AREAS) == (confidence.TOP, (one_vs_rest.MEAN, one_vs_rest.PER_CLASS))
    assert tuple(Costs.model_fields) == operating.CELLS
    description = ModelTemplate.model_fields["largest"].description or ""
    assert f"Left out, {LARGEST:.0f}." in description
    for largest in (tasks.SMALLEST_LARGEST, tasks.LARGEST_LARGEST):
        assert Regression(largest).resolution > 0.0
