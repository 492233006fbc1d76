"""The whole daemon with a budget, watching models that answer with classes and with numbers."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest

from monitor.config import Config, loads
from tests.oracle.join import Label, Prediction
from tests.simulation.test_budget import AFTER, BEAT_MS, BUDGET, CHANGE_MS, LEARN, START_MS, told
from tests.simulation.world import World, alerts, topics, worker

CONFIG = """
namespace: one
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, prediction: $.prediction}}
  labels:
    topic: labels
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 100s, skew: 10s, disorder: 20s, lateness: 60s, max_jump: 30d, tick: 10s, idle_after: 30d}}
models: [{{name: m, {model}}}]
windows: [50s, 30s]
budget: {budget}
state: {{max_batch_rows: {rows}, commit_interval: 1ms}}
"""
MODELS = {"multiclass": "task: multiclass, classes: [cat, dog, owl]", "regression": "task: regression, largest: 1000"}


def config(task: str, rows: int = 1_000) -> Config:
    return loads(CONFIG.format(model=MODELS[task], budget=BUDGET, rows=rows))


@cache
def history(task: str, worse: bool) -> tuple[list[Prediction], list[Label]]:
    """Forty predictions a beat; from the change on owls are taken for cats, or numbers are twice as far off."""
    rng = random.Random(7)
    predictions: list[Any] = []
    labels: list[Any] = []
    for number in range((LEARN + AFTER) * 40):
        at = START_MS + number * BEAT_MS // 40
        bad = worse and at >= CHANGE_MS
        if task == "multiclass":
            truth: Any = rng.choice(["cat", "dog", "owl"])
            answer: Any = truth if rng.random() < 0.85 else rng.choice(["cat", "dog", "owl"])
            answer = "cat" if bad and truth == "owl" and rng.random() < 0.5 else answer
        else:
            truth = round(rng.uniform(100, 200), 3)
            answer = round(truth + rng.gauss(0, 2.0) * (2 if bad else 1), 3)
        predictions.append({"id": f"p{number}", "model": "m", "version": "1", "at": at, "prediction": answer})
        labels.append({"id": f"p{number}", "at": at + rng.randint(500, 40_000), "label": truth})
    return predictions, sorted(labels, key=lambda label: label["at"])


def world(task: str, worse: bool, partitions: int = 1) -> World:
    def spread(records: list[Any]) -> list[list[Any]]:
        return [[r for r in records if int(r["id"][1:]) % partitions == p] for p in range(partitions)]

    predictions, labels = history(task, worse)
    return topics(spread(predictions), spread(labels))


@pytest.mark.parametrize(
    ("task", "channel", "questions"),
    [("multiclass", "confusion", ("missed owl", "false cat", "errors")), ("regression", "errors", ("larger errors",))],
)
def test_a_model_that_becomes_worse_is_one_page_whatever_the_partitions_and_cuts(
    task: str, channel: str, questions: tuple[str, ...]
) -> None:
    one = world(task, worse=True)
    worker(one, config(task)).run()
    (firing,) = told(one)
    assert (firing["state"], firing["severity"], firing["rule"]) == ("firing", "page", "budget-performance")
    first = firing["causes"][0]
    assert (first["channel"], first["area"], first["listed"]) == (channel, "performance", True)
    assert first["question"] in questions or first["question"].startswith("errors of ")
    assert first["mean"] > first["limit"] > first["reference"]
    assert abs(firing["since_ms"] - CHANGE_MS) <= 4 * BEAT_MS
    assert CHANGE_MS < firing["fired_ms"] <= CHANGE_MS + 12 * BEAT_MS
    three = world(task, worse=True, partitions=3)
    worker(three, config(task, rows=50)).run()
    assert alerts(three, "one") == alerts(one, "one")


@pytest.mark.parametrize("task", list(MODELS))
def test_nothing_is_told_when_nothing_changes(task: str) -> None:
    log = world(task, worse=False)
    worker(log, config(task)).run()
    assert told(log) == []
