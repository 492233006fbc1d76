"""The names that rules may use are those of the metrics that exist."""

from __future__ import annotations

from typing import get_args

from monitor.config import metric_names
from monitor.config.types import Distance
from monitor.drift import statistics
from monitor.metrics.binary import BINARY

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
