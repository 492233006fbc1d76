"""The whole daemon with a budget and `explanations`: a change that takes long to be seen is explained too, by windows that reach
back to before it."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.editions import DETAILED
from monitor.plan import plan_of
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.test_budget import BUDGET, CONFIG, history, told, world, worse
from tests.simulation.world import World, alerts, worker

SHORT_MS, LONG_MS = 30_000, 600_000


def config(rows: int = 1_000, windows: str = "[10m, 30s]") -> Config:
    text = CONFIG.replace("[50s, 30s]", windows)
    text = text.replace("{{name: m}}", "{{name: m, segments: {{hue: [red, blue]}}}}")
    return loads(text.format(namespace="one", rows=rows, budget=BUDGET) + "explanations: true\n")


def slightly(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    """Of what is red, the truth is the other one a little more often."""
    if prediction["segments"]["hue"] == "red" and rng.random() < 0.3:
        return {**label, "label": 1 - label["label"]}
    return label


def page(log: World) -> dict[str, Any]:
    (data,) = (one for one in told(log) if one["state"] == "firing" and one["severity"] == "page")
    return data


def recount(start_ms: int, end_ms: int, hue: str) -> tuple[int, int]:
    """Rows and errors of the predictions of a time and colour, from the records."""
    predictions, labels = history(slightly)
    truth: dict[str, Any] = {label["id"]: label["label"] for label in labels}
    own: list[Any] = [p for p in predictions if start_ms <= p["at"] < end_ms and p["segments"]["hue"] == hue]
    return len(own), sum(truth[p["id"]] != p["prediction"] for p in own)


@cache
def run() -> World:
    """The world in which what is red became slightly worse, and what was told of it. Only to be read."""
    log = world(slightly)
    worker(log, config()).run()
    return log


def test_what_is_seen_slowly_is_explained_by_windows_that_reach_back_to_before_it() -> None:
    data = page(run())
    why = data["explanation"]
    assert data["fired_ms"] - data["since_ms"] > 12 * SHORT_MS, "more than is held of short windows"
    assert why["before_end_ms"] <= data["since_ms"]
    assert why["before_end_ms"] - why["before_start_ms"] == why["before_windows"] * LONG_MS
    (part,) = why["slices"]
    assert part["segment"] == "hue=red"
    assert (part["before_rows"], part["before_errors"]) == recount(why["before_start_ms"], why["before_end_ms"], "red")


def test_editions_before_that_say_nothing_then() -> None:
    log, own = world(slightly), config()
    plan = plan_of(own).of_edition(DETAILED)
    Worker(log, own, plan, log.clock, dead_letters, WorkerOptions(until_end=True)).run()
    told_then, told_now = page(log), page(run())
    assert "explanation" not in told_then
    assert told_then["since_ms"] == told_now["since_ms"]


def test_it_depends_neither_on_partitions_and_cuts_nor_on_the_order_of_the_windows() -> None:
    other = world(slightly, 3)
    other.paces = {"predictions": 50, "labels": 50}
    worker(other, config(rows=50, windows="[30s, 10m]")).run()
    assert alerts(other, "one") == alerts(run(), "one")


def test_a_replay_says_the_same() -> None:
    log = world(slightly)
    worker(log, config()).run()
    assert sentences(prove(log, config()).differences) == []
    again, found = run_again(log, config())
    assert (sentences(found), again.alerts) == ([], 1)


def test_short_windows_that_reach_back_are_taken_before_long_ones() -> None:
    log = world(worse)
    worker(log, config()).run()
    why = page(log)["explanation"]
    assert why["before_end_ms"] - why["before_start_ms"] == why["before_windows"] * SHORT_MS
