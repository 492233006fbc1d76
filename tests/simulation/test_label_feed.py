"""A label feed that stops while predictions go on: one alert for the namespace, which ends when labels come again."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from monitor.adapters import dead_letters
from monitor.config import Config, loads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.editions import NEWEST
from monitor.ledger.records import Commit, decode
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from tests.simulation.world import CONFIG, World, alerts

START = 1_700_000_000_000
STEP_MS = 10_000
PARTITIONS = 2


def config(namespace: str = "one", *, labels: bool = True) -> Config:
    text = CONFIG.format(namespace=namespace, rows=1_000, lateness=60)
    text = text.replace("idle_after: 30d", "idle_after: 40s, stalled_after: 60s")
    if not labels:
        start, end = text.index("  labels:"), text.index("time:")
        rules = text.index("rules:")
        text = text[:start] + text[end:rules] + text[text.index("state:") :]
    return loads(text)


class Deployment:
    """Two topics that grow by hand, and workers of one or several namespaces that read them."""

    def __init__(self, *configs: Config, edition: int = NEWEST) -> None:
        self.log = World()
        self.configs, self.edition = configs, edition
        for topic in ("predictions", "labels"):
            self.log.ensure(TopicSpec(topic, PARTITIONS))
        self._appender = self.log.appender()
        self.made = 0
        self.workers = [self._worker(each) for each in configs]

    def _worker(self, configuration: Config) -> Worker:
        worker = Worker(
            self.log,
            configuration,
            plan_of(configuration).of_edition(self.edition),
            self.log.clock,
            dead_letters,
            WorkerOptions(until_end=False),
        )
        worker.start()
        return worker

    @property
    def now_ms(self) -> int:
        return self.log.clock.now_ms()

    def predict(self) -> None:
        for partition in range(PARTITIONS):
            self.made += 1
            record = {"id": f"p{self.made}", "model": "m", "version": "1", "at": self.now_ms, "score": 0.9}
            self.send("predictions", partition, {**record, "prediction": 1, "features": {"hue": "red"}})

    def label(self, *partitions: int) -> None:
        for partition in partitions:
            self.send("labels", partition, {"id": f"p{partition}", "at": self.now_ms, "label": 1})

    def send(self, topic: str, partition: int, record: dict[str, Any]) -> None:
        self._appender.append(topic, partition, OutRecord(orjson.dumps(record)))

    def step(self, *labelled: int, predictions: bool = True, times: int = 1) -> None:
        """So often: ten seconds pass, a prediction for each partition, labels for these, and the workers read it all."""
        for _ in range(times):
            self.log.clock.advance(STEP_MS)
            if predictions:
                self.predict()
            self.label(*labelled)
            for _ in range(6):
                for worker in self.workers:
                    worker.turn()

    def restart(self) -> None:
        for worker in self.workers:
            worker.close()
        self.workers = [self._worker(each) for each in self.configs]
        for _ in range(6):
            for worker in self.workers:
                worker.turn()

    def commits(self, partition: int, namespace: str = "one") -> list[Commit]:
        stored = self.log.records(f"{namespace}.ledger", partition)
        records = [decode(s.record.value or b"", "a record") for s in stored]
        return [record for record in records if isinstance(record, Commit)]

    def stalled(self) -> list[bool]:
        return [self.commits(partition)[-1].stalled for partition in range(PARTITIONS)]

    def told(self, namespace: str = "one") -> list[dict[str, Any]]:
        events = [orjson.loads(s.record.value or b"{}") for s in self.log.records(f"{namespace}.alerts")]
        return [event for event in events if event["data"].get("condition") == "label-feed-stalled"]

    def states(self) -> list[str]:
        return [event["data"]["state"] for event in self.told()]


def test_a_feed_that_stops_is_one_alert_which_ends_when_labels_come_again() -> None:
    d = Deployment(config())
    d.step(0, 1, times=5)
    d.step(times=5)
    assert d.stalled() == [False, False]
    d.step(times=4)
    assert d.stalled() == [True, True]
    assert d.states() == ["firing"]
    d.step(times=5)
    d.step(0)
    assert d.stalled() == [False, True]
    assert d.states() == ["firing"], "one partition is still without labels"
    d.step(0, 1, times=2)
    assert d.stalled() == [False, False]
    assert d.states() == ["firing", "resolved"]
    firing, resolved = d.told()
    assert firing["subject"] == "label-feed-stalled/labels"
    assert "in 2 of 2 partitions" in firing["data"]["summary"]
    assert firing["data"]["facts"] == {"partitions": 2}
    assert firing["data"]["episode"] == resolved["data"]["episode"] == firing["id"]
    assert firing["data"]["tick_ms"] < resolved["data"]["tick_ms"]


def test_the_decision_is_of_a_partition_and_one_is_enough_for_the_alert() -> None:
    d = Deployment(config())
    d.step(0, 1, times=3)
    d.step(0, times=10)
    assert d.stalled() == [False, True]
    assert [event["data"]["facts"] for event in d.told()] == [{"partitions": 1}]


def test_a_second_outage_is_another_episode() -> None:
    d = Deployment(config())
    d.step(0, 1)
    for _ in range(2):
        d.step(times=9)
        d.step(0, 1, times=2)
    assert d.states() == ["firing", "resolved"] * 2
    assert len({event["id"] for event in d.told()}) == 4
    assert len({event["data"]["episode"] for event in d.told()}) == 2


def test_input_ticks_and_expiry_go_on_while_it_lasts() -> None:
    d = Deployment(config())
    d.step(0, 1, times=3)
    d.step(times=10)
    assert d.stalled() == [True, True]
    judge = d.workers[0].judge
    assert judge is not None
    before = judge.evaluator.next_ticks()
    d.step(times=10)
    after = judge.evaluator.next_ticks()
    assert after[0] == before[0] + 10
    assert after[1] == before[1], "labelled ticks wait for the labels' own clock, as ever"
    assert not any(commit.idle for commit in d.commits(0)[-5:])


def test_predictions_that_pause_too_are_no_outage() -> None:
    d = Deployment(config())
    d.step(0, 1, times=3)
    d.step(predictions=False, times=30)
    assert d.stalled() == [False, False]
    d.step(times=5)
    assert d.stalled() == [False, False], "silence is counted from when predictions came again"
    d.step(0, 1)
    d.step(times=5)
    assert d.states() == []


def test_who_is_slow_to_read_does_not_take_himself_for_an_outage() -> None:
    d = Deployment(config())
    d.step(0, 1, times=3)
    d.label(*[0, 1] * 50)
    d.log.paces["labels"] = 0  # nothing of it is handed out
    d.step(times=12)
    assert d.stalled() == [False, False]
    del d.log.paces["labels"]
    d.step()
    assert d.states() == []


def test_a_broker_that_does_not_answer_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from monitor.errors import LogUnreachable

    d = Deployment(config())
    d.step(0, 1, times=3)

    answered = d.log.end_offsets

    def nobody(topic: str) -> list[int]:
        if topic in ("predictions", "labels"):
            raise LogUnreachable("no answer")
        return answered(topic)

    with monkeypatch.context() as patched:
        patched.setattr(d.log, "end_offsets", nobody)
        d.step(times=12)
    assert d.stalled() == [False, False]
    d.step(times=2)
    assert d.stalled() == [True, True]


def test_the_next_owner_takes_the_decision_over_and_goes_on_counting() -> None:
    d = Deployment(config())
    d.step(0, 1, times=2)
    d.step(times=5)
    d.restart()
    assert d.stalled() == [False, False]
    d.step(times=4)
    assert d.stalled() == [True, True], "a restart does not begin the silence anew"
    d.restart()
    d.step(times=2)
    assert d.stalled() == [True, True]
    assert d.states() == ["firing"], "nor does it end the outage"
    d.step(0, 1, times=2)
    assert d.states() == ["firing", "resolved"]


def test_without_labels_nothing_ever_stalls() -> None:
    d = Deployment(config(labels=False))
    d.step(times=30)
    assert not any(commit.stalled for partition in range(PARTITIONS) for commit in d.commits(partition))
    assert d.told() == []


def test_the_end_of_the_input_ends_it() -> None:
    d = Deployment(config())
    d.step(0, 1, times=2)
    d.step(times=10)
    assert d.states() == ["firing"]
    d.workers[0].end_when_read()
    for _ in range(50):
        if d.workers[0].done():
            break
        d.workers[0].turn()
    assert d.states() == ["firing", "resolved"]
    assert [commit.stalled for commit in (d.commits(0)[-1], d.commits(1)[-1])] == [False, False]


def test_two_namespaces_that_decide_the_same_say_the_same() -> None:
    d = Deployment(config("one"), config("two"))
    d.step(0, 1, times=3)
    d.step(times=9)
    d.step(0, 1, times=3)
    assert d.states() == ["firing", "resolved"]
    assert alerts(d.log, "one") == alerts(d.log, "two")
