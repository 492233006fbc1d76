"""One cause breaks several rules, segments and models, and labels tell later what it costs: one group, in the whole daemon."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import orjson
import pytest

from monitor.config import Config, loads
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.test_budget import evaluations
from tests.simulation.world import World, alerts, topics, worker

START_MS, PANES, CHANGE, WINDOW_MS = 1_699_990_000_000, 30, 12, 50_000
CONFIG = """
namespace: {namespace}
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score, prediction: $.prediction}}
    features: {{hue: categorical}}
  labels:
    topic: labels
    fields: {{id: $.id, at: $.at, label: $.label}}
time: {{horizon: 100s, skew: 10s, disorder: 20s, lateness: 60s, max_jump: 30d, tick: 10s, idle_after: 30d}}
models: [{{name: m, segments: {{hue: [red, blue]}}}}, {{name: n}}, {{name: o}}]
windows: [50s]
rules:
  - {{name: holes, metric: "missing:hue", op: ">", threshold: 0.2, window: 50s, min_rows: 5, severity: ticket}}
  - {{name: bad, metric: accuracy, op: "<", threshold: 0.7, window: 50s, min_rows: 5, min_coverage: 0.9, severity: page}}
  - {{name: few, metric: accuracy, op: "<", threshold: 0.7, window: 50s, min_rows: 5, segments: each, model: m}}
grouping: {{within: 200s}}
state: {{max_batch_rows: {rows}, commit_interval: 1ms{state}}}
"""


def config(rows: int = 1_000, state: str = "", namespace: str = "one") -> Config:
    return loads(CONFIG.format(namespace=namespace, rows=rows, state=state))


@cache
def history() -> tuple[list[Prediction], list[Label]]:
    """Sixty predictions a window, of three models. For a while most hues are missing of two of them, and most of
    their rows are wrong; the third has its own trouble much later."""
    rng = random.Random(7)
    predictions: list[Any] = []
    labels: list[Any] = []
    for number in range(PANES * 60):
        pane, model = number // 60, "mno"[number % 3]
        at = START_MS + number * WINDOW_MS // 60
        truth = int(rng.random() < 0.5)
        broken = model != "o" and CHANGE <= pane < CHANGE + 3
        hue = {} if broken and rng.random() < 0.6 else {"hue": rng.choice(["red", "blue"])}
        odds = 0.6 if broken or (model == "o" and pane >= 24) else 0.02
        called = 1 - truth if rng.random() < odds else truth
        predictions.append(
            {
                "id": f"p{number}", "model": model, "version": "1", "at": at, "score": 0.2 + 0.6 * called,
                "prediction": called, "segments": hue,
            }
        )  # fmt: skip
        labels.append({"id": f"p{number}", "at": at + rng.randint(40_000, 60_000), "label": truth})
    return predictions, sorted(labels, key=lambda label: label["at"])


def world(partitions: int = 1) -> World:
    def spread(records: list[Any]) -> list[list[Any]]:
        return [[r for r in records if int(r["id"][1:]) % partitions == p] for p in range(partitions)]

    predictions, labels = history()
    return topics(spread(predictions), spread(labels))


def told(log: World) -> list[dict[str, Any]]:
    events = [orjson.loads(stored.record.value or b"") for stored in log.records("one.alerts")]
    return [event["data"] for event in {event["id"]: event for event in events}.values()]


def test_what_one_cause_breaks_is_one_group_that_ends_with_the_last_of_it() -> None:
    log = world()
    worker(log, config()).run()
    by_group: dict[str, list[dict[str, Any]]] = {}
    for data in told(log):
        if data["reason"] in ("sustained", "recovered", "late_truth"):
            by_group.setdefault(data["group"]["id"], []).append(data)
    assert len(by_group) == 2
    broken, other = sorted(by_group.values(), key=lambda each: each[0]["tick_ms"])
    firing = [data for data in broken if data["state"] == "firing"]
    assert {(data["rule"], data["model"]) for data in firing} == {
        ("holes", "m"), ("holes", "n"), ("bad", "m"), ("bad", "n"), ("few", "m")
    }  # fmt: skip
    assert len(firing) > 5, "segments are members of their own"
    roles = [data["group"]["role"] for data in firing]
    assert roles.count("opens") == roles.count("raises") == 1
    opens = firing[roles.index("opens")]
    assert (opens["rule"], opens["group"]["severity"], opens["group"]["size"]) == ("holes", "ticket", 2)
    raises = firing[roles.index("raises")]
    assert (raises["rule"], raises["group"]["severity"]) == ("bad", "page")
    assert raises["group"]["members"][0]["feature"] == "hue"
    ended = {data["episode"] for data in broken if data["state"] == "resolved"}
    # Nothing without a hue came afterwards, and what has no rows resolves nothing.
    assert ended == {data["episode"] for data in firing if data["segment"] != "hue=other"}
    assert {(data["rule"], data["model"]) for data in other} == {("bad", "o")}


@pytest.mark.parametrize(
    ("partitions", "rows", "pace"), [(1, 7, (1_000, 1_000)), (3, 50, (13, 200)), (3, 1_000, (500, 3))]
)
def test_groups_depend_neither_on_partitions_nor_on_the_cuts_nor_on_who_is_read_first(
    partitions: int, rows: int, pace: tuple[int, int]
) -> None:
    one, other = world(), world(partitions)
    worker(one, config()).run()
    other.paces = {"predictions": pace[0], "labels": pace[1]}
    worker(other, config(rows=rows)).run()
    assert alerts(other, "one") == alerts(one, "one")
    assert any(b'"group"' in value for value in alerts(one, "one"))


def test_another_namespace_has_the_same_groups_and_a_replay_too() -> None:
    log = world()
    worker(log, config()).run()
    worker(log, config(namespace="two")).run()
    assert alerts(log, "two") == alerts(log, "one")
    assert sentences(prove(log, config()).differences) == []
    again, found = run_again(log, config())
    assert (sentences(found), again.alerts) == ([], len(told(log)))


def test_a_restart_goes_on_with_the_groups_of_a_checkpoint() -> None:
    whole, log, own = world(), world(), config(rows=40, state=", checkpoint_records: 5")
    worker(whole, config()).run()
    for _ in range(8):  # each process is stopped after a few decisions
        process = worker(log, own)
        process.start()
        before = evaluations(log)
        while evaluations(log) < before + 5 and not process.done():
            process.turn()
            log.clock.advance(20)
        process.close()
    worker(log, own).run()
    assert alerts(log, "one") == alerts(whole, "one")
