"""Detectors of river beside the rules, in the whole daemon: advice that a restart, a replay and other cuts leave as it is."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson
import pytest

from monitor.alerts.saved_advice import SavedFed, save_advice
from monitor.config import Config, loads
from monitor.daemon.checkpoints import of_evals
from monitor.saved import read_evaluation
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.test_budget import evaluations
from tests.simulation.world import World, alerts, topics, worker

START_MS, WINDOW_MS, PANES, CHANGE = 1_699_990_000_000, 50_000, 60, 35
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
models: [{{name: m, labels: {{team: a}}}}]
windows: [50s]
advisories: [{advisories}]
state: {{max_batch_rows: {rows}, commit_interval: 1ms{state}}}
"""
KSWIN = (
    "{name: right-kswin, detector: KSWIN, options: {window_size: 20, stat_size: 6}, metric: accuracy, window: 50s, "
    "min_rows: 5, quiet: 8m, severity: ticket}"
)
HOLES = (
    "{name: holes, detector: PageHinkley, options: {min_instances: 8, threshold: 0.8}, metric: 'missing:hue', window: 50s, "
    "min_rows: 5, quiet: 8m, labels: {team: b}}"
)


def config(*advisories: str, rows: int = 1_000, state: str = "") -> Config:
    told = ", ".join(advisories or (KSWIN, HOLES))
    return loads(CONFIG.format(namespace="one", rows=rows, advisories=told, state=state))


@cache
def history() -> tuple[list[Prediction], list[Label]]:
    """Twenty predictions a window; from one window on many more are wrong, and half of the hues are missing."""
    rng = random.Random(3)
    predictions: list[Any] = []
    labels: list[Any] = []
    for number in range(PANES * 20):
        pane, at = number // 20, START_MS + number * WINDOW_MS // 20
        truth = int(rng.random() < 0.5)
        wrong = rng.random() < (0.1 if pane < CHANGE else 0.5)
        hue = {} if pane >= CHANGE and rng.random() < 0.5 else {"hue": "red"}
        called = 1 - truth if wrong else truth
        predictions.append(
            {
                "id": f"p{number}", "model": "m", "version": "1", "at": at, "score": 0.2 + 0.6 * called, "prediction": called,
                "segments": hue,
            }
        )  # fmt: skip
        labels.append({"id": f"p{number}", "at": at + rng.randint(500, 60_000), "label": truth})
    return predictions, sorted(labels, key=lambda label: label["at"])


def world(partitions: int = 1) -> World:
    def spread(records: list[Any]) -> list[list[Any]]:
        return [[r for r in records if int(r["id"][1:]) % partitions == p] for p in range(partitions)]

    predictions, labels = history()
    return topics(spread(predictions), spread(labels))


def told(log: World) -> list[dict[str, Any]]:
    found = [orjson.loads(value)["data"] for value in alerts(log, "one")]
    return sorted((d for d in found if d["category"] == "advisory"), key=lambda d: (d["tick_ms"], d["rule"]))


def test_a_change_is_advice_that_ends_when_nothing_more_changes() -> None:
    log = world()
    worker(log, config()).run()
    for rule, severity, team in (("right-kswin", "ticket", "a"), ("holes", "info", "b")):
        firing, resolved = (data for data in told(log) if data["rule"] == rule)
        assert (firing["state"], firing["reason"], firing["severity"]) == ("firing", "changed", severity)
        assert (firing["model"], firing["version"], firing["segment"]) == ("m", "1", "all")
        assert firing["labels"] == {"team": team}
        begins = firing["window"]["start_ms"]
        assert START_MS + CHANGE * WINDOW_MS <= begins <= START_MS + (CHANGE + 8) * WINDOW_MS
        assert firing["tick_ms"] >= firing["window"]["end_ms"]
        assert 0 < firing["values"] <= CHANGE + 8
        assert (resolved["state"], resolved["reason"]) == ("resolved", "quiet")
        assert resolved["resolved_ms"] - firing["fired_ms"] >= 480_000
        assert (resolved["fired_ms"], resolved["value"]) == (firing["fired_ms"], firing["value"])


@pytest.mark.parametrize(("partitions", "rows", "pace"), [(1, 7, 1_000), (3, 50, 13)])
def test_what_is_told_depends_neither_on_partitions_nor_on_the_cuts(partitions: int, rows: int, pace: int) -> None:
    one, other = world(), world(partitions)
    worker(one, config()).run()
    other.paces = {"predictions": pace, "labels": pace}
    worker(other, config(rows=rows)).run()
    assert alerts(other, "one") == alerts(one, "one")
    assert len(told(one)) == 4


def test_a_restart_goes_on_from_a_checkpoint_with_detectors_that_know_what_they_knew() -> None:
    whole, log, own = world(), world(), config(rows=60, state=", checkpoint_records: 5")
    worker(whole, config()).run()
    log.paces = {"predictions": 60, "labels": 60}  # what is read at once is decided at once
    knew, saved = list[int](), list[int]()
    for _ in range(6):  # each process is stopped after a few decisions
        process = worker(log, own)
        process.start()
        before = evaluations(log)
        while evaluations(log) < before + 5 and not process.done():
            process.turn()
            log.clock.advance(20)
        assert process.judge is not None
        assert not process.done()
        knew.append(_values(save_advice(process.judge.evaluator._advice)))
        process.close()
        newest = of_evals(log, "one.checkpoints", 1).look()[0]
        saved.append(_values(read_evaluation(newest.body()).evaluator.advice or ()))
    assert all(saved), "each of the others had something to go on from"
    assert knew[:3] == sorted(set(knew[:3])), "they went on being fed, until a change begins them anew"
    worker(log, own).run()
    assert alerts(log, "one") == alerts(whole, "one")


def _values(advice: Iterable[SavedFed]) -> int:
    """How many values all detectors were fed."""
    return sum(len(one.values) for one in advice)


def test_a_replay_tells_the_same_with_and_without_the_recorded_decisions() -> None:
    log = world()
    worker(log, config()).run()
    assert sentences(prove(log, config()).differences) == []
    again, found = run_again(log, config())
    assert (sentences(found), again.alerts) == ([], 4)
