"""No predictions at all: only the clock of the wall can tell, so the owners decide it, and one alert says it."""

from __future__ import annotations

from typing import Any

import orjson

from monitor.config import Config, loads
from tests.simulation.test_label_feed import PARTITIONS, Deployment
from tests.simulation.world import CONFIG, alerts

LIMIT = "quality: {freshness: {at_most: 60s}}"


def config(namespace: str = "one", limit: str = LIMIT) -> Config:
    text = CONFIG.format(namespace=namespace, rows=1_000, lateness=60)
    text = text.replace("idle_after: 30d", "idle_after: 40s, stalled_after: 10h")
    return loads(text.replace("{name: m, ", "{name: m, " + limit + (", " if limit else "")))


def silent(d: Deployment) -> list[bool]:
    return [d.commits(partition)[-1].silent is True for partition in range(PARTITIONS)]


def told(d: Deployment, namespace: str = "one") -> list[dict[str, Any]]:
    """Each event once: the last step's are published again by whoever opens next."""
    events = [orjson.loads(s.record.value or b"{}") for s in d.log.records(f"{namespace}.alerts")]
    by_id = {event["id"]: event["data"] for event in events}
    return [data for data in by_id.values() if data.get("condition") == "predictions-silent"]


def states(d: Deployment) -> list[str]:
    return [data["state"] for data in told(d)]


def predict_one(d: Deployment, partition: int) -> None:
    d.made += 1
    record = {"id": f"p{d.made}", "model": "m", "version": "1", "at": d.now_ms, "score": 0.9}
    d.send("predictions", partition, {**record, "prediction": 1, "features": {"hue": "red"}})


def test_silence_is_one_page_that_ends_when_predictions_come_again() -> None:
    d = Deployment(config())
    d.step(times=5)
    d.step(predictions=False, times=5)
    assert silent(d) == [False, False]
    d.step(predictions=False, times=3)
    assert silent(d) == [True, True]
    assert states(d) == ["firing"]
    d.step(predictions=False, times=20)
    d.step(times=4)
    assert silent(d) == [False, False]
    assert states(d) == ["firing", "resolved"]
    firing, resolved = told(d)
    assert (firing["severity"], firing["scope"], firing["about"]) == ("page", "predictions", "data_quality")
    assert firing["episode"] == resolved["episode"]


def test_one_partition_that_goes_on_is_enough() -> None:
    d = Deployment(config())
    d.step(times=3)
    for _ in range(15):
        predict_one(d, 0)
        d.step(predictions=False)
    assert silent(d) == [False, True]
    assert states(d) == []


def test_labels_that_go_on_do_not_hide_it() -> None:
    d = Deployment(config())
    d.step(0, 1, times=3)
    d.step(0, 1, predictions=False, times=9)
    assert states(d) == ["firing"]


def test_who_is_slow_to_read_does_not_take_himself_for_an_outage() -> None:
    d = Deployment(config())
    d.step(times=3)
    d.log.paces["predictions"] = 0  # nothing of it is handed out
    d.step(times=12)
    assert silent(d) == [False, False]
    del d.log.paces["predictions"]
    d.step(times=2)
    assert states(d) == []


def test_the_next_owner_takes_the_decision_over_and_goes_on_counting() -> None:
    d = Deployment(config())
    d.step(times=2)
    d.step(predictions=False, times=4)
    d.restart()
    assert silent(d) == [False, False]
    d.step(predictions=False, times=4)
    assert silent(d) == [True, True], "a restart does not begin the silence anew"
    d.restart()
    d.step(predictions=False, times=2)
    assert silent(d) == [True, True]
    assert states(d) == ["firing"], "nor does it end it"


def test_without_a_limit_nobody_asks_and_no_record_says_so() -> None:
    d = Deployment(config(limit=""))
    d.step(times=2)
    d.step(predictions=False, times=30)
    assert silent(d) == [False, False]
    assert all(b"silent" not in (s.record.value or b"") for s in d.log.records("one.ledger", 0))
    assert told(d) == []


def test_two_namespaces_that_decide_the_same_say_the_same() -> None:
    d = Deployment(config("one"), config("two"))
    d.step(times=3)
    d.step(predictions=False, times=9)
    d.step(times=4)
    assert states(d) == ["firing", "resolved"]
    assert alerts(d.log, "one") == alerts(d.log, "two")
