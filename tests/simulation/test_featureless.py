"""A model that watches no feature is counted like any other."""

from __future__ import annotations

from monitor.adapters import dead_letters
from monitor.config import loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.oracle.join import Label, Prediction
from tests.simulation.world import CONFIG, counts, topics

PLAIN = CONFIG.replace("    features: {{hue: categorical}}\n", "").replace(", segments: {{hue: [red, blue]}}", "")
PLAIN = PLAIN.replace(",\n      segments: each", "")


def test_a_model_without_features_has_windows() -> None:
    at = 1_700_000_000_000
    predictions = [
        Prediction(id=f"{i}", model="m", version="1", at=at + i, score=0.9, prediction=1.0) for i in range(5)
    ]
    labels = [Label(id=f"{i}", at=at + 5 + i, label=float(i < 3)) for i in range(4)]
    log = topics([predictions], [labels])
    config = loads(PLAIN.format(namespace="plain", rows=1_000, lateness=60))
    assert not config.streams.predictions.features
    Worker(log, config, plan_of(config), log.clock, dead_letters, WorkerOptions(until_end=True)).run()
    (found,) = counts(log, "plain").values()
    assert found == {"seen": 5, "labelled": 4, "tp": 3, "fp": 1, "fn": 0, "tn": 0}
