"""Each task goes over to the metrics of this release: windows that start before have the bytes they always had."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from monitor.adapters import dead_letters
from monitor.adapters.comparison import DiskDecisions
from monitor.config import Config, loads
from monitor.daemon.counted import alone
from monitor.daemon.replay.verify import verify
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.editions import DETAILED, FIRST, NEWEST
from monitor.plan import plan_of
from tests.simulation.fragile import FragileWorld
from tests.simulation.test_crashes import pace
from tests.simulation.test_editions import begins, finish, turn
from tests.simulation.world import finals, topics

START_MS = 1_700_000_000_000
CLASSES = ("ant", "bee", "cat", "dog")
SCORES = ", ".join(f"{name}: $.p.{name}" for name in CLASSES)
TASKS = {
    "regression": ("prediction: $.answer", "task: regression, largest: 1000", "mae", "mape"),
    "multiclass": (
        f"prediction: $.answer, scores: {{{SCORES}}}",
        f"task: multiclass, classes: [{', '.join(CLASSES)}], one_vs_rest: true",
        "accuracy",
        "top2_accuracy",
    ),
    "binary": ("score: $.score", "threshold: 0.5, costs: {fp: 1, fn: 5}", "accuracy", "cost"),
}


def config(task: str, namespace: str) -> Config:
    fields, model, metric, _ = TASKS[task]
    return loads(
        f"""
namespace: {namespace}
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: {{const: m}}, version: {{const: "1"}}, at: $.at, {fields}}}
    features: {{hue: categorical, kind: categorical}}
  labels: {{topic: labels, fields: {{id: $.id, at: $.at, label: $.truth}}}}
time: {{horizon: 100s, skew: 10s, disorder: 20s, lateness: 60s, max_jump: 30d, tick: 10s, idle_after: 30d}}
models: [{{name: m, segments: {{hue: [red, blue], kind: [a, b]}}, {model}}}]
windows: [50s]
rules: [{{name: bad, metric: {metric}, op: "<", threshold: 0.7, window: 50s, min_rows: 1, min_coverage: 0.1}}]
{"estimates: true" if task == "binary" else ""}
state: {{max_batch_rows: 9, commit_interval: 1ms, upgrade_after: 10ms}}
"""
    )


def process(log: FragileWorld, settings: Config, edition: int, *, until_end: bool = True) -> Worker:
    """A worker of the release that knew editions up to this one."""
    plan, options = plan_of(settings).of_edition(edition), WorkerOptions(until_end=until_end)
    made = Worker(log, settings, plan, log.clock, dead_letters, options)
    made.start()
    return made


def records(task: str, n: int) -> tuple[list[Any], list[Any]]:
    """Predictions a few seconds apart, each with a label, one in five corrected later."""
    draw, predictions, labels = random.Random(4), [], []
    for i in range(n):
        at = START_MS + i * 4_000
        features = {"hue": draw.choice(["red", "blue", "grey"]), "kind": "abc"[i % 3]}
        one: dict[str, Any] = {"id": f"r{i}", "at": at, "features": features}
        if task == "regression":
            truth: Any = round(draw.gauss(20.0, 5.0), 2)
            one["answer"], wrong = truth + round(draw.gauss(0.0, 2.0), 2), truth + 3.0
        elif task == "multiclass":
            weights = [draw.random() for _ in CLASSES]
            one["p"] = {name: weight / sum(weights) for name, weight in zip(CLASSES, weights, strict=True)}
            one["answer"], truth = max(one["p"], key=one["p"].get), draw.choice([*CLASSES, "eel"])
            wrong = draw.choice(CLASSES)
        else:
            one["score"], truth, wrong = round(draw.random(), 3), draw.randint(0, 1), draw.randint(0, 1)
        predictions.append(one)
        labels.append({"id": one["id"], "at": at + 2_000, "truth": wrong if i % 5 == 0 else truth})
        if i % 5 == 0:
            labels.append({"id": one["id"], "at": at + 9_000, "truth": truth})
    return predictions, labels


@pytest.mark.parametrize("task", TASKS)
def test_windows_of_both_editions_are_those_that_each_would_have_alone(task: str) -> None:
    assert NEWEST >= DETAILED
    predictions, labels = records(task, 120)
    halves = [
        [[row for row in rows if int(row["id"][1:]) % 2 == part] for part in (0, 1)] for rows in (predictions, labels)
    ]
    log = topics(halves[0], halves[1], FragileWorld())
    for namespace, edition in (("first", FIRST), ("second", NEWEST)):
        finish(log, [process(log, config(task, namespace), edition)])
    pace(log, 6)
    earlier = process(log, config(task, "one"), FIRST, until_end=False)
    turn(log, [earlier], 8)
    earlier.close()
    finish(log, [process(log, config(task, "one"), NEWEST)])
    (from_ms,) = begins(log)
    alone_before, alone_after, found = (finals(log, name) for name in ("first", "second", "one"))
    starts = {key: orjson.loads(value)["start_ms"] for key, value in found.items()}
    assert found == {key: (alone_before if start < from_ms else alone_after)[key] for key, start in starts.items()}
    told = [orjson.loads(value) for value in found.values()]
    later, bounded = TASKS[task][3], set[str]()
    for window in told:
        if window["kind"] == "performance":
            assert (later in window["metrics"]) == (window["start_ms"] >= from_ms)
            if task == "binary" and (added := {"f1", "roc_auc"} & window["outlook"]["bounds"]["metrics"].keys()):
                bounded |= added
                assert window["start_ms"] >= from_ms
    assert bounded == ({"f1", "roc_auc"} if task == "binary" else set())
    assert {start < from_ms for start in starts.values()} == {True, False}
    own, decisions = config(task, "one"), DiskDecisions()
    try:
        checked = verify(log, own, alone(own, plan_of(own)), decisions)
    finally:
        decisions.close()
    assert checked.evaluations > 0
    assert [one.sentence() for one in checked.differences] == []
