"""The whole daemon with rules on a distance and `explanations`: the bins that an alert names are those of its window at its
tick, however much was caught up in one go."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from monitor.config import Config, load
from monitor.drift.reference import FirstRows, build_reference
from tests.replay.proving import prove, sentences
from tests.simulation.test_budget import CHANGE_MS, CONFIG, history, world
from tests.simulation.test_explanations import firing
from tests.simulation.world import alerts, worker

RULE = """rules:
  - {name: hue-moved, metric: "psi:hue", op: ">", threshold: 0.2, window: 50s, min_rows: 20}
  - {name: hue-moved-much, metric: "psi:hue", op: ">", threshold: 0.5, window: 50s, min_rows: 20}
explanations: true
"""


def redder(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    """Nearly everything is red, and every fifth record is as late as may be."""
    if rng.random() < 0.9:
        prediction["segments"] = {"hue": "red"}
    if rng.random() < 0.2:
        prediction["at"] -= 55_000
    return label


def config(folder: Path, rows: int = 1_000) -> Config:
    reference = build_reference("m", {"hue": ["red", "blue"] * 500}, None, FirstRows("predictions"))
    (folder / "m.json").write_text(reference.dumps())
    text = CONFIG.replace("budget: {budget}\n", "").replace("{{name: m}}", "{{name: m, reference: m.json}}")
    path = folder / "driftline.yaml"
    path.write_text(text.format(namespace="one", rows=rows) + RULE)
    return load([path])


def recount(start_ms: int, end_ms: int) -> float:
    """Share of what is red among the predictions of a time."""
    found: Any = [p for p in history(redder)[0] if start_ms <= p["at"] < end_ms]
    red: int = sum(p["segments"]["hue"] == "red" for p in found)
    return red / len(found)


@pytest.mark.parametrize(("partitions", "rows", "pace"), [(1, 7, 20), (3, 50, 13)])
def test_the_bins_do_not_depend_on_how_much_is_caught_up_at_once(
    partitions: int, rows: int, pace: int, tmp_path: Path
) -> None:
    one, other = (world(redder, partitions) for _ in range(2))
    worker(one, config(tmp_path)).run()
    other.paces = {"predictions": pace, "labels": pace}
    worker(other, config(tmp_path, rows)).run()
    assert alerts(other, "one") == alerts(one, "one")
    assert sentences(prove(one, config(tmp_path)).differences) == []
    every = [orjson.loads(value)["data"] for value in alerts(one, "one")]
    assert any("explanation" in data for data in every)


def test_the_shares_of_the_bins_are_those_of_the_records(tmp_path: Path) -> None:
    log = world(redder)
    worker(log, config(tmp_path)).run()
    data = firing(log)
    judged = data["evidence"]["window"]
    assert judged["start_ms"] >= CHANGE_MS - 100_000
    share = {one["bin"]: one["share"] for one in data["explanation"]["bins"]}
    assert share["'red'"] == pytest.approx(recount(judged["start_ms"], judged["end_ms"]), abs=0.1), (
        "latecomers miss still"
    )
    assert sum(share.values()) == pytest.approx(1)
