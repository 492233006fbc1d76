"""Metrics of a window worked out of its cells by their definitions, against the engine's."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.alerts.recompute_windows import window_lines
from monitor.drift.statistics import STATISTICS, evaluate, names
from monitor.metrics.binary import BINARY
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


@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "ece", "log_loss", "brier"])
def test_what_stands_on_scores_is_what_the_engine_says(name: str) -> None:
    random, cells = np.random.default_rng(4), BINARY.cells.zeros()
    label = (random.random(500) < 0.4).astype(float)
    score = np.round(random.random(500) * 0.6 + 0.3 * label, 2)
    cell, amount = BINARY.contribute(score, (score > 0.5).astype(float), label, 1.0)
    np.add.at(cells.array[0], cell, amount)
    value = float(BINARY.metrics[name](cells).value[0])
    (line,) = window_lines(name, value, "evidence.value", plan(), Kind.PERFORMANCE, cells.array[0])
    assert line.agrees, line


def test_other_metrics_are_not_told() -> None:
    cells = plan().input_cells.zeros().array[0]
    assert list(window_lines("volume", 0.0, "evidence.value", plan(), Kind.INPUT, cells)) == []
