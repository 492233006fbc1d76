"""The whole daemon on a regression model: an alert names the segment whose errors became larger, and a replay says the same."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import orjson

from monitor.config import Config, loads
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.world import World, alerts, topics, worker

START_MS, WINDOWS, CHANGE, WINDOW_MS = 1_699_990_000_000, 12, 7, 50_000
CONFIG = """
namespace: one
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, prediction: $.prediction}
    features: {hue: categorical}
  labels:
    topic: labels
    fields: {id: $.id, at: $.at, label: $.label}
time: {horizon: 100s, skew: 10s, disorder: 20s, lateness: 60s, max_jump: 30d, tick: 10s, idle_after: 30d}
models: [{name: m, task: regression, largest: 1000, segments: {hue: [red, blue]}}]
windows: [50s]
explanations: true
rules:
  - {name: far-off, metric: mae, op: ">", threshold: 2.0, window: 50s, min_rows: 20, min_coverage: 1}
"""


@cache
def history() -> tuple[list[Prediction], list[Label]]:
    """Sixty numbers a window; after the change those that are red are far off."""
    rng = random.Random(5)
    predictions: list[Any] = []
    labels: list[Any] = []
    for number in range(WINDOWS * 60):
        at, hue = START_MS + number * WINDOW_MS // 60, rng.choice(["red", "blue"])
        truth = rng.uniform(0, 50)
        spread = 6.0 if hue == "red" and number >= CHANGE * 60 else 1.0
        predictions.append(
            {"id": f"p{number}", "model": "m", "version": "1", "at": at, "prediction": truth + rng.gauss(0, spread),
             "segments": {"hue": hue}}
        )  # fmt: skip
        labels.append({"id": f"p{number}", "at": at + rng.randint(500, 30_000), "label": truth})
    return predictions, sorted(labels, key=lambda label: label["at"])


def config() -> Config:
    return loads(CONFIG)


def errors(start_ms: int, end_ms: int, hue: str | None = None) -> list[float]:
    """Of the predictions of a time, how far each was off, from the records."""
    predictions, labels = history()
    truth: dict[str, float] = {label["id"]: label["label"] for label in labels}  # type: ignore[misc]
    records: list[Any] = list(predictions)
    inside = [p for p in records if start_ms <= p["at"] < end_ms and hue in (None, p["segments"]["hue"])]
    return [abs(p["prediction"] - truth[p["id"]]) for p in inside]


def test_the_segment_whose_errors_became_larger_is_named_with_what_a_recount_gives() -> None:
    log: World = topics([history()[0]], [history()[1]])
    worker(log, config()).run()
    found = [orjson.loads(value)["data"] for value in alerts(log, "one")]
    data = min((data for data in found if data["state"] == "firing"), key=lambda data: data["tick_ms"])
    why, judged = data["explanation"], data["evidence"]["window"]
    now, before = (judged["start_ms"], judged["end_ms"]), (why["before_start_ms"], why["before_end_ms"])
    assert np.isclose(why["means"]["mean"], np.mean(errors(*now)), rtol=1e-9)
    assert np.isclose(why["means"]["before_mean"], np.mean(errors(*before)), rtol=1e-9)
    (part,) = why["means"]["slices"]
    assert part["segment"] == "hue=red"
    assert (part["rows"], part["before_rows"]) == (len(errors(*now, "red")), len(errors(*before, "red")))
    assert np.isclose(part["mean"], np.mean(errors(*now, "red")), rtol=1e-9)
    assert sentences(prove(log, config()).differences) == []
    again, differences = run_again(log, config())
    assert (sentences(differences), again.alerts) == ([], len(found))
