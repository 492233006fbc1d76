"""Rules on estimates: NannyML's car_loan with labels three days late. The drop is told by the scores long before any label of it,
and again by the truth; the calm days are not told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from monitor.config import Config, loads
from tests.config.examples import problems
from tests.oracle.join import Label, Prediction
from tests.simulation.world import World, topics, worker

DAY_MS, START_MS = 86_400_000, 1_697_760_000_000
CHUNK = 5_000  # rows a day, as in NannyML's chunks
CALM_DAYS, LATE_DAYS = 15, 3  # ten of the reference, five of the analysis
RULE = 'op: "<", threshold: 0.93, window: 1d, min_rows: 500'
CONFIG = f"""
namespace: one
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction}}
  labels:
    topic: labels
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 4d, disorder: 1m, lateness: 1d, tick: 1h, idle_after: 30d}}
models: [{{name: loan}}]
windows: [1d]
estimates: true
rules:
  - {{name: estimated, metric: "unlabelled:accuracy", {RULE}}}
  - {{name: real, metric: accuracy, {RULE}, min_coverage: 0.9}}
"""


def config(text: str = CONFIG) -> Config:
    return loads(text)


def loans(days: int, share: int = 2) -> tuple[list[Prediction], list[Label]]:
    """Each `share`-th row of the first days, evenly over its day; labels come three days after."""
    path = Path(__file__).parents[1] / "data" / "reference" / "car_loan.npz"
    with np.load(path) as archive:
        rows = zip(*(archive[name].tolist() for name in ("hundredths", "predicted", "repaid")), strict=True)
        chosen = [(i, row) for i, row in enumerate(rows) if i % share == 0 and i < days * CHUNK]
    predictions, labels = [], []
    for i, (hundredths, predicted, repaid) in chosen:
        at = START_MS + i * (DAY_MS // CHUNK)
        predictions.append(
            Prediction(
                id=f"r{i}", model="loan", version="1", at=at, score=hundredths / 100, prediction=float(predicted)
            )
        )
        labels.append(Label(id=f"r{i}", at=at + LATE_DAYS * DAY_MS, label=float(repaid)))
    return predictions, labels


def fired(log: World) -> dict[str, list[dict[str, Any]]]:
    """What fired, by rule."""
    found: dict[str, list[dict[str, Any]]] = {"estimated": [], "real": []}
    for stored in log.records("one.alerts"):
        assert stored.record.value is not None
        event = orjson.loads(stored.record.value)
        if event["type"] == "io.driftline.alert.firing.v1":
            found[event["data"]["rule"]].append(event["data"])
    return found


def amended(log: World) -> list[dict[str, Any]]:
    """What was taken back of the estimates."""
    events = [orjson.loads(stored.record.value) for stored in log.records("one.alerts") if stored.record.value]
    return [e["data"] for e in events if e["type"].endswith("amended.v1") and e["data"]["rule"] == "estimated"]


def test_the_drop_is_told_by_the_scores_before_any_label_and_by_the_truth_after() -> None:
    predictions, labels = loans(19)
    log = topics([predictions], [labels])
    worker(log, config()).run()
    told = fired(log)
    assert not amended(log), "final windows make no estimates, which takes nothing back"
    (estimated,), (real,) = told["estimated"], told["real"]
    drop_ms = START_MS + CALM_DAYS * DAY_MS
    assert [own["evidence"]["window"]["start_ms"] for own in (estimated, real)] == [drop_ms, drop_ms]
    assert estimated["fired_ms"] == drop_ms + DAY_MS, "when its first day was over"
    assert real["fired_ms"] - estimated["fired_ms"] >= (LATE_DAYS - 1) * DAY_MS
    assert estimated["evidence"]["labelled"] == 0
    assert estimated["evidence"]["rows"] == estimated["evidence"]["seen"]
    assert abs(estimated["evidence"]["value"] - real["evidence"]["value"]) < 0.01
    assert estimated["evidence"]["lower"] < real["evidence"]["value"] < estimated["evidence"]["upper"]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (("estimates: true\n", ""), "'unlabelled:accuracy' is an estimate, and none are made; set `estimates: true`"),
        (
            ("min_rows: 500}\n  - {name: real", "min_rows: 500, min_coverage: 0.5}\n  - {name: real"),
            "'unlabelled:accuracy' is there before the labels are, so coverage says nothing about it; leave this out",
        ),
        ((", score: $.score", ""), "'unlabelled:accuracy' needs a score"),
        (("unlabelled:accuracy", "unlabelled:acuracy"), "did you mean 'unlabelled:accuracy'?"),
    ],
)
def test_what_a_rule_on_an_estimate_needs_is_said(edit: tuple[str, str], sentence: str) -> None:
    assert any(sentence in said for said in problems(CONFIG.replace(*edit)))
