"""The whole daemon with `explanations`: a change confined to a segment is named by the alert, with numbers that a plain recount
of the records gives."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from monitor.config import Config, loads
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.test_budget import CHANGE_MS, CONFIG, history, world
from tests.simulation.world import World, alerts, worker

RULE = """rules:
  - {name: accuracy-low, metric: accuracy, op: "<", threshold: 0.7, window: 5m, min_rows: 100, min_coverage: 0.95}
"""


def config(rows: int = 1_000, *, explanations: bool = True) -> Config:
    text = CONFIG.replace("budget: {budget}\n", "").replace("[50s, 30s]", "[5m]")
    text = text.replace("{{name: m}}", "{{name: m, segments: {{hue: [red, blue]}}}}")
    more = RULE + ("explanations: true\n" if explanations else "")
    return loads(text.format(namespace="one", rows=rows) + more)


def red_only(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    """Of what is red, the truth is the other one now, more often than not."""
    if prediction["segments"]["hue"] == "red" and rng.random() < 0.7:
        return {**label, "label": 1 - label["label"]}
    return label


def firing(log: World) -> dict[str, Any]:
    found = [orjson.loads(value)["data"] for value in alerts(log, "one")]
    data: dict[str, Any] = min((data for data in found if data["state"] == "firing"), key=lambda data: data["tick_ms"])
    return data


def recount(start_ms: int, end_ms: int, hue: str | None = None) -> tuple[int, int]:
    """Labelled rows and errors of the predictions of a time, from the records."""
    predictions, labels = history(red_only)
    truth: dict[str, int] = {label["id"]: label["label"] for label in labels}  # type: ignore[misc]
    rows = errors = 0
    for record in predictions:
        p: Any = record
        if start_ms <= p["at"] < end_ms and hue in (None, p["segments"]["hue"]):
            rows, errors = rows + 1, errors + (truth[p["id"]] != p["prediction"])
    return rows, errors


def test_a_change_confined_to_a_segment_is_named_with_its_numbers() -> None:
    log = world(red_only)
    worker(log, config()).run()
    data = firing(log)
    why, judged = data["explanation"], data["evidence"]["window"]
    assert CHANGE_MS - 300_000 <= judged["start_ms"] <= CHANGE_MS + 300_000
    assert [part["segment"] for part in why["slices"]] == ["hue=red"]
    (split,) = why["splits"]
    assert split["within"] > 10 * abs(split["mix"])
    assert why["before_windows"] >= 3
    # The window is judged at 95 % of its labels: what is still out can only be missing from it.
    rows, errors = recount(judged["start_ms"], judged["end_ms"])
    assert rows * 0.95 <= why["rows"] <= rows
    assert errors - (rows - why["rows"]) <= why["errors"] <= errors
    assert (why["before_rows"], why["before_errors"]) == recount(why["before_start_ms"], why["before_end_ms"])
    (part,) = why["slices"]
    assert (part["before_rows"], part["before_errors"]) == recount(why["before_start_ms"], why["before_end_ms"], "red")


@pytest.mark.parametrize(("partitions", "rows", "pace"), [(1, 7, 1_000), (3, 50, 13)])
def test_what_is_said_depends_neither_on_partitions_nor_on_the_cuts(partitions: int, rows: int, pace: int) -> None:
    one, other = world(red_only), world(red_only, partitions)
    worker(one, config()).run()
    other.paces = {"predictions": pace, "labels": pace}
    worker(other, config(rows=rows)).run()
    assert alerts(other, "one") == alerts(one, "one")
    assert "explanation" in firing(one)


def test_a_replay_says_the_same_and_without_explanations_nothing_else_is_different() -> None:
    log, plain = world(red_only), world(red_only)
    worker(log, config()).run()
    worker(plain, config(explanations=False)).run()
    assert sentences(prove(log, config()).differences) == []
    again, found = run_again(log, config())
    assert (sentences(found), again.alerts > 0) == ([], True)
    told = [{**orjson.loads(value)["data"], "explanation": None} for value in alerts(log, "one")]
    assert told == [{**orjson.loads(value)["data"], "explanation": None} for value in alerts(plain, "one")]
