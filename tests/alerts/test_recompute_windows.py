"""Metrics of a window worked out of its cells by their definitions, against the engine's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitor.alerts.recompute_windows import window_lines
from monitor.drift.statistics import STATISTICS, evaluate, names
from monitor.metrics.binary import BINARY, Binary
from monitor.metrics.multiclass import Multiclass
from monitor.metrics.regression import Regression
from monitor.metrics.task import Task
from monitor.metrics.task import evaluate as evaluate_task
from monitor.sketches.cells import Cells
from monitor.windows.view import Kind
from tests.alerts.test_watching import plan
from tests.drift.profiles import small

ASKED = [
    name for name in names({n: p.type for n, p in small().features.items()}, STATISTICS) if "wasserstein" not in name
]


@pytest.mark.parametrize("name", ASKED)
def test_distances_are_what_the_engine_says(name: str) -> None:
    random, cells = np.random.default_rng(3), plan().input_cells.zeros()
    for feature, profile in small().features.items():
        cells.histogram(f"bins:{feature}")[0] = random.integers(0, 40, len(profile.reference))
    value = float(evaluate(small(), cells, [name])[name].value[0])
    (line,) = window_lines(name, value, "evidence.value", plan(), Kind.INPUT, cells.array[0])
    assert line.agrees, line
    assert line.inputs


OF_SCORES = ["roc_auc", "gini", "ks_classes", "average_precision", "ece", "rmsce", "mce", "log_loss", "brier"]


@pytest.mark.parametrize("name", OF_SCORES)
def test_what_stands_on_scores_is_what_the_engine_says(name: str) -> None:
    random, cells = np.random.default_rng(4), BINARY.cells.zeros()
    label = (random.random(500) < 0.4).astype(float)
    score = np.round(random.random(500) * 0.6 + 0.3 * label, 2)
    cell, amount = BINARY.contribute(score, (score > 0.5).astype(float), label, 1.0)
    np.add.at(cells.array[0], cell, amount)
    value = float(BINARY.metrics[name](cells).value[0])
    (line,) = window_lines(name, value, "evidence.value", plan(), Kind.PERFORMANCE, cells.array[0])
    assert line.agrees, line


def told(task: Task, name: str, cells: Cells) -> None:
    """The value by the engine agrees with that by the definition, and of both or of neither there is one."""
    value = evaluate_task(task, cells, [name])[name].at(0).value
    (line,) = window_lines(name, value, "evidence.value", replace(plan(), task=task), Kind.PERFORMANCE, cells.array[0])
    assert line.agrees, line
    assert line.formula


PRICES = Regression(1000.0)
ROUTER = Multiclass(("cat", "dog", "eel", "fox"), scored=("dog", "cat", "fox", "eel"), one_vs_rest=True)


@pytest.mark.parametrize("name", PRICES.metrics)
@pytest.mark.parametrize("rows", [0, 1, 2, 501])
def test_every_metric_of_regression_is_what_the_engine_says(name: str, rows: int) -> None:
    random, cells = np.random.default_rng(5), PRICES.cells.zeros()
    label = np.round(random.normal(20.0, 30.0, rows), 1) if rows != 2 else np.array([3.0, 4.0])
    score = label * 0.9 + random.normal(2.0, 5.0, rows)
    cells.add(np.zeros(rows, np.int64), *PRICES.contribute(score, score, label, 1.0))
    told(PRICES, name, cells)


@pytest.mark.parametrize("name", ROUTER.metrics)
@pytest.mark.parametrize("rows", [0, 400])
def test_every_metric_of_multiclass_is_what_the_engine_says(name: str, rows: int) -> None:
    random, cells = np.random.default_rng(6), ROUTER.cells.zeros()
    label = random.integers(0, 5, rows).astype(float)  # 4: a class that nobody lists
    scores = random.dirichlet(np.ones(4) * 0.5, rows)
    answer = scores[:, [1, 0, 3, 2]].argmax(axis=1).astype(float)
    cells.add(np.zeros(rows, np.int64), *ROUTER.contribute(answer, answer, label, 1.0, scores))
    told(ROUTER, name, cells)


def test_what_answers_cost_is_what_the_engine_says() -> None:
    task = Binary({"tp": -5.0, "fp": 1.0, "fn": 25.0, "tn": 0.0})
    cells = task.cells.zeros()
    for name, count in {"labelled": 100, "tp": 10, "fp": 7, "fn": 3, "tn": 80}.items():
        cells.count(name)[0] = count
    told(task, "cost", cells)


def test_other_metrics_are_not_told() -> None:
    cells = plan().input_cells.zeros().array[0]
    assert list(window_lines("volume", 0.0, "evidence.value", plan(), Kind.INPUT, cells)) == []
