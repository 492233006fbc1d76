"""The whole daemon with a budget of false alarms: what is told, what is not, and that nothing else decides it."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
import pytest

from monitor.adapters import dead_letters
from monitor.alerts.event import BudgetAlert, rfc3339
from monitor.config import Config, loads
from monitor.daemon.replay.sweep import sweep
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.world import World, alerts, topics, worker

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
models: [{{name: m}}]
windows: [50s, 30s]
budget: {budget}
state: {{max_batch_rows: {rows}, commit_interval: 1ms}}
"""
BUDGET = "{false_pages: 1, per: 5h, every: 30s, learn: 40m, season: none, quiet: 10m}"
START_MS = 1_699_990_020_000
"""On the grid of beats, and all of it before the log's own time."""
BEAT_MS = 30_000
LEARN, AFTER = 80, 90
"""Beats of learning, and beats of watching; the change comes in the middle of these."""
CHANGE_MS = START_MS + (LEARN + AFTER // 2) * BEAT_MS


def config(namespace: str = "one", rows: int = 1_000, budget: str = BUDGET) -> Config:
    return loads(CONFIG.format(namespace=namespace, rows=rows, budget=budget))


Change = Callable[[random.Random, dict[str, Any], dict[str, Any]], dict[str, Any] | None]
"""What becomes of a prediction (changed in place) and of its label (given back, or None) after the change."""


def nothing(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    return label


def worse(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    """A third of the labels are the other one."""
    return {**label, "label": 1 - label["label"]} if rng.random() < 0.33 else label


def holes(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    """Half of the values of a feature are gone."""
    if rng.random() < 0.5:
        prediction["segments"] = {}
    return label


def silent(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> None:
    """Labels stop."""


@cache
def history(change: Change, seed: int = 1) -> tuple[list[Prediction], list[Label]]:
    """Forty predictions a beat, a fifth of them wrong. Labels of wrong ones take longer."""
    rng = random.Random(seed)
    predictions: list[Any] = []
    labels: list[Any] = []
    for number in range((LEARN + AFTER) * 40):
        at = START_MS + number * BEAT_MS // 40
        truth = int(rng.random() < 0.4)
        called = truth if rng.random() < 0.8 else 1 - truth
        prediction: dict[str, Any] = {
            "id": f"p{number}", "model": "m", "version": "1", "at": at, "score": 0.2 + 0.6 * called,
            "prediction": called, "segments": {"hue": rng.choice(["red", "blue"])},
        }  # fmt: skip
        delay = rng.randint(500, 30_000) if called == truth else rng.randint(20_000, 60_000)
        label: dict[str, Any] | None = {"id": f"p{number}", "at": at + delay, "label": truth}
        if at >= CHANGE_MS:
            assert label is not None
            label = change(rng, prediction, label)
        predictions.append(prediction)
        if label is not None:
            labels.append(label)
    return predictions, sorted(labels, key=lambda label: label["at"])


def world(change: Change, partitions: int = 1, seed: int = 1) -> World:
    predictions, labels = history(change, seed)

    def spread(records: list[Any]) -> list[list[Any]]:
        return [[r for r in records if int(r["id"][1:]) % partitions == p] for p in range(partitions)]

    return topics(spread(predictions), spread(labels))


def for_turns(log: World, configuration: Config, turns: int) -> None:
    """A process that is stopped after so many turns with everything open."""
    left = turns

    def count(running: Worker) -> None:
        nonlocal left
        left -= running.judge is not None and bool(running.tasks)
        log.clock.advance(20)
        if left <= 0:
            running.stop()

    Worker(log, configuration, plan_of(configuration), log.clock, dead_letters, WorkerOptions(), tell=count).run()


def evaluations(log: World) -> int:
    return sum(1 for _ in log.records("one.evals"))


def until_told(log: World, configuration: Config, events: int) -> None:
    """A process that is stopped when so many events of the budget have been published."""
    for _ in range(30):
        for_turns(log, configuration, 500)
        if len(told(log)) >= events:
            return
    raise AssertionError("nothing more is told")


def told(log: World, namespace: str = "one") -> list[dict[str, Any]]:
    """Alerts of the budget, by time."""
    found = [orjson.loads(value) for value in alerts(log, namespace)]
    return sorted((e["data"] for e in found if e["data"]["category"] == "budget"), key=lambda data: data["tick_ms"])


def test_a_model_that_becomes_worse_is_one_page_that_says_what_and_since_when() -> None:
    log = world(worse)
    worker(log, config()).run()
    (firing,) = told(log)
    assert (firing["state"], firing["severity"], firing["rule"], firing["reason"]) == (
        "firing", "page", "budget-performance", "evidence"
    )  # fmt: skip
    assert (firing["model"], firing["version"], firing["segment"]) == ("m", "1", "all")
    first = firing["causes"][0]
    assert (first["channel"], first["area"], first["listed"]) == ("confusion", "performance", True)
    assert first["mean"] > first["limit"] > first["reference"]
    assert first["lower"] < first["mean"] < first["upper"]
    assert abs(firing["since_ms"] - CHANGE_MS) <= 3 * BEAT_MS
    assert first["dispersion"] < 1.5  # wrong labels come later here, which whole cohorts do not show
    assert CHANGE_MS < firing["fired_ms"] <= CHANGE_MS + 8 * BEAT_MS
    assert firing["alarms"] == 1


def test_missing_values_are_a_page_that_names_the_feature() -> None:
    log = world(holes)
    worker(log, config()).run()
    (firing,) = told(log)
    assert (firing["severity"], firing["rule"]) == ("page", "budget-input")
    assert (firing["causes"][0]["channel"], firing["causes"][0]["question"]) == ("missing:hue", "more missing")
    assert firing["fired_ms"] <= CHANGE_MS + 3 * BEAT_MS


@pytest.mark.parametrize("change", [nothing, silent])
def test_nothing_is_told_when_nothing_changes_and_when_labels_stop(change: Change) -> None:
    log = world(change)
    worker(log, config()).run()
    assert told(log) == []


def test_an_alert_resolves_when_no_further_alarm_comes() -> None:
    """The labels are wrong for a while only: the second half of the change is taken back."""

    def for_a_while(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
        return worse(rng, prediction, label) if prediction["at"] < CHANGE_MS + 22 * BEAT_MS else label

    log = world(for_a_while)
    worker(log, config(budget=BUDGET.replace("quiet: 10m", "quiet: 5m"))).run()
    firing, resolved = told(log)
    assert (firing["state"], resolved["state"], resolved["reason"]) == ("firing", "resolved", "quiet")
    assert resolved["resolved_ms"] - firing["fired_ms"] >= 300_000
    assert resolved["causes"] == firing["causes"]


@pytest.mark.parametrize(("partitions", "rows", "pace"), [(1, 7, 1_000), (3, 50, 13), (3, 1_000, 1_000)])
def test_what_is_told_depends_neither_on_partitions_nor_on_the_cuts(partitions: int, rows: int, pace: int) -> None:
    one = world(worse)
    worker(one, config()).run()
    other = world(worse, partitions)
    other.paces = {"predictions": pace, "labels": pace}
    worker(other, config(rows=rows)).run()
    assert alerts(other, "one") == alerts(one, "one")
    assert told(one)


def test_a_restart_decides_again_what_was_decided_and_goes_on() -> None:
    whole = world(worse)
    worker(whole, config()).run()
    log = world(worse)
    for _ in range(5):  # each process is stopped after its second decision
        process = worker(log, config(rows=100))
        process.start()
        before = evaluations(log)
        while evaluations(log) < before + 3:  # the fence of its opening is one
            assert not process.done()
            process.turn()
            log.clock.advance(20)
        process.close()
    worker(log, config(rows=100)).run()
    assert alerts(log, "one") == alerts(whole, "one")


def test_a_replay_makes_the_alerts_again_with_and_without_the_recorded_decisions() -> None:
    log = world(worse)
    worker(log, config()).run()
    assert len(told(log)) == 1
    assert sentences(prove(log, config()).differences) == []
    again, found = run_again(log, config())
    assert (sentences(found), again.alerts) == ([], 1)


def test_a_declared_quality_leaves_what_the_budget_tells_as_it_is() -> None:
    plain, declared = world(holes), world(holes)
    worker(plain, config()).run()
    text = CONFIG.format(namespace="one", rows=1_000, budget=BUDGET)
    quality = "quality: {window: 30s, min_rows: 1, features: {hue: {values: [red], missing: {at_most: 0.4}}}}"
    worker(declared, loads(text.replace("{name: m}", f"{{name: m, {quality}}}"))).run()
    assert [{**data, "config": ""} for data in told(declared)] == [{**data, "config": ""} for data in told(plain)]
    assert {orjson.loads(value)["data"]["category"] for value in alerts(declared, "one")} == {"budget", "rule"}


def test_another_budget_ends_what_fires_and_learns_anew() -> None:
    log = world(worse)
    until_told(log, config(), 1)
    until_told(log, config(budget=BUDGET.replace("false_pages: 1", "false_pages: 2")), 2)
    assert [(data["state"], data["reason"]) for data in told(log)] == [
        ("firing", "evidence"),
        ("resolved", "rule_gone"),
    ]


def test_labels_may_change_while_the_budget_stays() -> None:
    """What was told under the old labels is decided again with them."""
    log = world(worse)
    until_told(log, config(), 1)
    relabelled = loads(CONFIG.format(namespace="one", rows=1_000, budget=BUDGET) + "labels: {owner: me}\n")
    for_turns(log, relabelled, 100)
    worker(log, relabelled).run()  # decides everything again first
    assert [data["labels"] for data in told(log)] == [{}]


def test_without_a_budget_nothing_is_kept_and_nothing_told() -> None:
    text = CONFIG.replace("budget: {budget}\n", "").format(namespace="one", rows=1_000)
    log = world(worse)
    process = worker(log, loads(text))
    process.run()
    assert told(log) == []
    assert process.judge is not None
    assert all(engine.arrival_cells is None for engine in process.judge.evaluator.engines.values())


def test_a_sweep_over_a_settled_run_tells_what_the_budget_told() -> None:
    log, own = world(worse), config()
    worker(log, own).run()
    swept = sweep(log, own, plan_of(own), 1, {"as it is": own})["as it is"]
    told_again = {event.id for event in swept if isinstance(event.data, BudgetAlert)}
    published = [orjson.loads(stored.record.value or b"") for stored in log.records("one.alerts")]
    assert told_again == {event["id"] for event in published if event["data"]["category"] == "budget"} != set()


def test_a_change_within_a_maintenance_is_told_to_nobody() -> None:
    """The labels are wrong for a while, in which the model is worked on, as the configuration says."""
    end_ms = CHANGE_MS + 15 * BEAT_MS

    def for_a_while(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
        return {**label, "label": 1 - label["label"]} if prediction["at"] < end_ms else label

    begins, ends = (rfc3339(at_ms) for at_ms in (CHANGE_MS, end_ms))
    text = CONFIG.format(namespace="one", rows=1_000, budget=BUDGET)
    for more, pages in (("", 1), (f'maintenance: [{{model: m, from: "{begins}", until: "{ends}"}}]\n', 0)):
        log = world(for_a_while)
        worker(log, loads(text + more)).run()
        assert len(told(log)[:1]) == pages
