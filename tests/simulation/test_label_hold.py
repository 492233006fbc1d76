"""The whole daemon while labels stand still or are slow: what is held, for how long, and that nothing else decides it."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import orjson
import pytest

from monitor.config import Config, loads
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.test_budget import BEAT_MS, BUDGET, CHANGE_MS, CONFIG, told, world
from tests.simulation.test_label_feed import PARTITIONS, Deployment
from tests.simulation.test_label_feed import config as plain
from tests.simulation.world import alerts, worker

HOLD = "label_feed: {slow_after: 40s, hold_at_most: 30m}\n"
OUTAGE = range(CHANGE_MS, CHANGE_MS + 20 * BEAT_MS)


def config(namespace: str = "one", more: str = HOLD, rows: int = 1_000) -> Config:
    return loads(CONFIG.format(namespace=namespace, rows=rows, budget=BUDGET) + more)


def only_the_bad(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any] | None:
    """For ten minutes only the labels of wrong predictions come: a fifth of all."""
    return None if prediction["at"] in OUTAGE and prediction["prediction"] == label["label"] else label


def conditions(log: Any) -> list[tuple[str, str]]:
    found = [orjson.loads(value)["data"] for value in alerts(log, "one")]
    return [
        (data["condition"], data["state"]) for data in sorted(found, key=lambda d: d["tick_ms"]) if "condition" in data
    ]


def test_labels_that_come_because_they_are_bad_are_one_label_alert_and_no_page() -> None:
    log = world(only_the_bad)
    worker(log, config()).run()
    assert told(log) == []
    assert conditions(log) == [("label-feed-slow", "firing"), ("label-feed-slow", "resolved")]


def test_without_the_hold_they_are_taken_for_the_model() -> None:
    log = world(only_the_bad)
    worker(log, config(more="")).run()
    assert [data["rule"] for data in told(log)[:1]] == ["budget-performance"]
    assert conditions(log) == []


def test_beyond_the_deadline_what_there_is_is_judged() -> None:
    log = world(only_the_bad)
    worker(log, config(more=HOLD.replace("30m", "2m"))).run()
    assert [data["rule"] for data in told(log)[:1]] == ["budget-performance"]


@pytest.mark.parametrize(("partitions", "rows", "pace"), [(1, 7, 1_000), (3, 50, 13)])
def test_what_is_held_depends_neither_on_partitions_nor_on_the_cuts(partitions: int, rows: int, pace: int) -> None:
    one, other = world(only_the_bad), world(only_the_bad, partitions)
    worker(one, config()).run()
    other.paces = {"predictions": pace, "labels": pace}
    worker(other, config(rows=rows)).run()
    assert alerts(other, "one") == alerts(one, "one")


def test_a_restart_goes_on_and_a_replay_holds_the_same() -> None:
    whole, log = world(only_the_bad), world(only_the_bad)
    worker(whole, config()).run()
    starts, done = 0, False
    log.paces = {"predictions": 100, "labels": 100}
    while not done:
        process = worker(log, config(rows=20))
        process.start()
        for _ in range(25):
            done = done or process.done()
            if not done:
                process.turn()
                log.clock.advance(20)
        process.close()
        starts += 1
    assert starts > 3
    assert alerts(log, "one") == alerts(whole, "one")
    assert sentences(prove(log, config(rows=20)).differences) == []
    again, found = run_again(log, config(rows=20))
    assert (sentences(found), again.alerts) == ([], 0)


# -- labels that stand still, as the owners record it ----------------------------------------------------------------


class Labelled(Deployment):
    """Every prediction has its label at once, while labels come."""

    def label(self, *partitions: int) -> None:
        for partition in partitions:
            number = self.made - PARTITIONS + 1 + partition
            self.send("labels", partition, {"id": f"p{number}", "at": self.now_ms, "label": 1})


def standing(hold_at_most: str | None) -> Labelled:
    """Two partitions that grow by hand; a rule that breaks as soon as one label says that a prediction was wrong."""
    given = orjson.loads(plain().document())
    rule = {"name": "any-wrong", "metric": "accuracy", "op": "<", "threshold": 1, "window": "50s", "min_rows": 1}
    given["rules"] = [{**rule, "min_coverage": 0}]
    if hold_at_most is not None:
        given["label_feed"] = {"hold_at_most": hold_at_most}
    return Labelled(loads(orjson.dumps(given).decode()))


def told_of(d: Labelled) -> list[str]:
    found = [orjson.loads(value)["data"] for value in alerts(d.log, "one")]
    return [f"{data.get('rule', data.get('condition'))} {data['state']}" for data in found]


def test_ticks_of_labelled_windows_wait_for_labels_that_stand_still_until_the_deadline() -> None:
    d = standing("200s")
    d.step(0, 1, times=5)
    d.step(times=10)
    assert d.stalled() == [True, True]
    judge = d.workers[0].judge
    assert judge is not None
    at = [judge.evaluator.next_ticks()]
    for _ in range(3):
        d.step(times=10)
        at.append(judge.evaluator.next_ticks())
    inputs, labelled = zip(*at, strict=True)
    assert [after - before for before, after in pairwise(inputs)] == [10, 10, 10]
    behind = [own - other for own, other in zip(inputs, labelled, strict=True)]
    assert behind == [7, 17, 20, 20], "the tick of the last label has gone by; after two hundred seconds they follow"
    assert labelled[3] > labelled[2]


@pytest.mark.parametrize(("hold_at_most", "rules"), [(None, 1), ("1h", 0)])
def test_what_is_wrong_in_a_standstill_that_was_short_enough_is_not_told(hold_at_most: str | None, rules: int) -> None:
    d = standing(hold_at_most)
    d.step(0, 1, times=5)
    d.step(times=14)
    assert d.stalled() == [True, True]
    # Of all that was predicted in it, one label comes, late, and it says that the prediction was wrong.
    d.send("labels", 0, {"id": f"p{d.made - 1 - 5 * PARTITIONS}", "at": d.now_ms, "label": 0})
    d.step(0, 1, times=1)
    d.step(0, 1, times=4)
    assert d.stalled() == [False, False]
    told = told_of(d)
    expected = ["any-wrong firing"] * rules
    assert sorted(set(told)) == [*expected, "label-feed-stalled firing", "label-feed-stalled resolved"]


def test_what_is_told_of_a_feed_does_not_hang_on_where_the_last_commit_was_cut() -> None:
    """The commit that says that the input ended carries no records: it has no clock that says how far they went."""
    log = world(only_the_bad)
    worker(log, config(rows=1_000_000)).run()
    assert conditions(log) == [("label-feed-slow", "firing"), ("label-feed-slow", "resolved")]
