"""The names that rules may use are those of the metrics that exist."""

from __future__ import annotations

from typing import get_args

from monitor.config import metric_names, tasks
from monitor.config.drift import Distance
from monitor.config.types import ModelTemplate
from monitor.drift import statistics
from monitor.metrics.binary import BINARY
from monitor.metrics.multiclass import MOST_CLASSES, OTHER, PER_CLASS, Multiclass
from monitor.metrics.regression import LARGEST, Regression
from monitor.metrics.task import Task

OF_THE_WINDOW = {"seen", "labelled", "coverage"}
"""Rules may name these too; every window has them, whatever its task."""


def test_rules_may_name_every_metric_of_the_task_and_no_other() -> None:
    assert metric_names.BINARY.keys() >= OF_THE_WINDOW
    assert metric_names.BINARY.keys() - OF_THE_WINDOW == BINARY.metrics.keys()


def test_rules_may_name_every_distance_that_exists_and_no_other() -> None:
    assert {*metric_names.DISTANCES, "missing"} == set(statistics.STATISTICS)
    assert tuple(metric_names.DISTANCES) == get_args(Distance)
    assert metric_names.ORDERED == statistics.ORDERED
    assert (*metric_names.STANDARD, "missing") == statistics.PUBLISHED


def test_rules_may_name_every_metric_of_the_other_tasks_and_no_other() -> None:
    names = ("cat", "dog")
    of: dict[str, Task] = {"multiclass": Multiclass(names), "regression": Regression()}
    for task, made in of.items():
        ranges = tasks.performance_of(task, names)
        assert ranges.keys() - OF_THE_WINDOW == made.metrics.keys(), task
        assert all(metric_names.needs_labels(name) for name in ranges)
    assert set(tasks.TASKS) == {"binary", *of}


def test_the_configuration_and_the_metrics_agree_on_bounds_and_words() -> None:
    assert (tasks.MOST_CLASSES, tasks.OTHER, tasks.PER_CLASS) == (MOST_CLASSES, OTHER, PER_CLASS)
    description = ModelTemplate.model_fields["largest"].description or ""
    assert f"Left out, {LARGEST:.0f}." in description
    for largest in (tasks.SMALLEST_LARGEST, tasks.LARGEST_LARGEST):
        assert Regression(largest).resolution > 0.0
