"""The whole daemon with two dimensions of segments: a change confined to two values together is told, with numbers that a
plain recount of the records gives, whatever the cuts, the partitions and the restarts."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest

from monitor.config import Config, loads
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.histories import PARTITIONS
from tests.simulation.saving import whole
from tests.simulation.test_budget import CHANGE_MS, CONFIG, START_MS, for_turns
from tests.simulation.test_explanations import firing
from tests.simulation.world import World, alerts, topics, worker

RULE = """rules:
  - {name: accuracy-low, metric: accuracy, op: "<", threshold: 0.74, window: 5m, min_rows: 100, min_coverage: 0.95}
explanations: true
"""
STEP_MS, ROWS = 750, 6_800


def config(rows: int = 1_000, state: str = "") -> Config:
    text = (
        CONFIG.replace("budget: {budget}\n", "")
        .replace("[50s, 30s]", "[5m]")
        .replace("commit_interval", f"{state}commit_interval")
    )
    text = text.replace("hue: categorical", "hue: categorical, size: categorical")
    text = text.replace("{{name: m}}", "{{name: m, segments: {{hue: [red, blue], size: [s, l]}}}}")
    return loads(text.format(namespace="one", rows=rows) + RULE)


@cache
def history() -> tuple[list[Prediction], list[Label]]:
    """A fifth is wrong; of what is red and large, from the change on, most is. A third of the colours and sizes are others."""
    rng = random.Random(4)
    predictions: list[Any] = []
    labels: list[Any] = []
    for number in range(ROWS):
        at, truth = START_MS + number * STEP_MS, int(rng.random() < 0.4)
        segments = {"hue": rng.choice(["red", "blue", "green"]), "size": rng.choice(["s", "l", "xl"])}
        called = truth if rng.random() < 0.8 else 1 - truth
        if at >= CHANGE_MS and (segments["hue"], segments["size"]) == ("red", "l"):
            called = 1 - truth
        predictions.append(
            {"id": f"p{number}", "model": "m", "version": "1", "at": at, "score": 0.2 + 0.6 * called, "prediction": called,
             "segments": segments}
        )  # fmt: skip
        labels.append({"id": f"p{number}", "at": at + rng.randint(500, 60_000), "label": truth})
    return predictions, sorted(labels, key=lambda label: label["at"])


def world(partitions: int = 1) -> World:
    def spread(records: list[Any]) -> list[list[Any]]:
        return [[r for r in records if int(r["id"][1:]) % partitions == p] for p in range(partitions)]

    predictions, labels = history()
    return topics(spread(predictions), spread(labels))


def recount(start_ms: int, end_ms: int) -> tuple[int, int]:
    """Rows and errors of what is red and large, from the records."""
    predictions, labels = history()
    truth: dict[str, Any] = {label["id"]: label["label"] for label in labels}
    own: list[Any] = [p for p in predictions if start_ms <= p["at"] < end_ms]
    own = [p for p in own if p["segments"] == {"hue": "red", "size": "l"}]
    return len(own), sum(truth[p["id"]] != p["prediction"] for p in own)


def test_a_change_confined_to_two_values_together_is_named_with_its_numbers() -> None:
    log = world()
    worker(log, config()).run()
    data = firing(log)
    why, judged = data["explanation"], data["evidence"]["window"]
    (part,) = why["crossed"]["slices"]
    assert part["segments"] == ["hue=red", "size=l"]
    assert why["crossed"]["searched"] == 3 + 3 + 9
    assert (part["before_rows"], part["before_errors"]) == recount(why["before_start_ms"], why["before_end_ms"])
    rows, errors = recount(judged["start_ms"], judged["end_ms"])
    # The window is judged at 95 % of its labels: what is still out can only be missing from it.
    assert rows - 25 <= part["rows"] <= rows
    assert errors - (rows - part["rows"]) <= part["errors"] <= errors
    assert part["z"] > max(one["z"] for one in why["slices"])


@pytest.mark.parametrize(("partitions", "rows", "pace"), [(1, 7, 1_000), (3, 50, 13)])
def test_what_is_said_depends_neither_on_partitions_nor_on_the_cuts(partitions: int, rows: int, pace: int) -> None:
    one, other = world(), world(partitions)
    worker(one, config()).run()
    other.paces = {"predictions": pace, "labels": pace}
    worker(other, config(rows=rows)).run()
    assert alerts(other, "one") == alerts(one, "one")
    assert firing(one)["explanation"]["crossed"]["slices"]


def test_who_goes_on_from_a_checkpoint_says_the_same() -> None:
    one, other = world(), world(PARTITIONS)
    worker(one, config()).run()
    other.paces = {"predictions": 60, "labels": 60}
    saving = config(rows=60, state="checkpoint_records: 5, ")
    for_turns(other, saving, 160)
    assert whole(other, "one"), "a checkpoint was saved"
    assert not alerts(other, "one"), "before anything was told"
    worker(other, saving).run()
    assert alerts(other, "one") == alerts(one, "one")


def test_a_replay_says_the_same() -> None:
    log = world()
    worker(log, config()).run()
    assert sentences(prove(log, config()).differences) == []
    again, found = run_again(log, config())
    assert (sentences(found), again.alerts > 0) == ([], True)
