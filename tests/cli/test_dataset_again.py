"""What happens to a version when the topics go on, are cut, or are others: it stays, and `make_again` says which."""

from __future__ import annotations

import random
from typing import Any

import pytest

from monitor.cli.dataset_make import Mismatch, make, make_again
from monitor.config import loads
from monitor.errors import MonitorError, OffsetLost
from pipelines.dataset import manifest as m
from pipelines.dataset.diff import Changed, Gone, compare
from pipelines.dataset.shelf import Shelf
from tests.cli.lists import ListLog
from tests.registry.memory import MemoryStore

BASE_S = 1_700_000_000
ABSENT = "absent: {value: 0, after: 20s}"


def config(more: str = "", features: str = "{hour: numeric, origin: categorical}") -> Any:
    return loads(f"""
streams:
  predictions:
    topic: p
    fields: {{id: $.id, model: {{const: m}}, version: $.version, at: {{from: $.at, unit: s}}, score: $.score,
      withdrawn: $.withdrawn}}
    features: {features}
  labels:
    topic: q
    fields: {{id: $.id, at: {{from: $.at, unit: s}}, label: $.label}}
    {more}
time: {{horizon: 100s, lateness: 100s, disorder: 5s, tick: 5s}}
models: [{{name: m}}]
windows: [1m]
""")


def prediction(i: int, **changes: Any) -> dict[str, Any]:
    features = {"hour": i % 24, "origin": "ab"[i % 2]}
    return {"id": i, "version": "1", "at": BASE_S + i, "score": i % 10 / 10, "features": features, **changes}


def label(i: int, value: int | None = 1, after: int = 5) -> dict[str, Any]:
    return {"id": i, "at": BASE_S + i + after, "label": value}


def log(predictions: list[Any], labels: list[Any]) -> Any:
    return ListLog({"p": [predictions], "q": [labels]}, random.Random(3))


def some(until: int = 50, **more: Any) -> m.Selection:
    return m.Selection(from_ms=(BASE_S + 10) * 1000, until_ms=(BASE_S + until) * 1000, **more)


def usual() -> Any:
    return log([prediction(i) for i in range(100)], [label(i) for i in range(100)])


def test_a_version_does_not_change_when_the_topics_go_on() -> None:
    shelf, topics = Shelf(MemoryStore()), usual()
    before = make(config(), topics, shelf, some())
    assert (before.rows, before.unlabelled_rows) == (40, 0)
    (source,) = before.source.partitions
    assert (source.predictions.start, source.predictions.end) == (10, 50)
    topics.topics["p"][0].extend(prediction(i) for i in range(100, 120))
    topics.topics["q"][0].extend(label(i) for i in range(100, 120))
    assert make(config(), topics, shelf, some()) == before
    assert make_again(config(), topics, before).same


def test_late_truth_makes_another_version_and_leaves_the_first() -> None:
    shelf, topics = Shelf(MemoryStore()), usual()
    before = make(config(), topics, shelf, some())
    topics.topics["q"][0] += [label(20, 0, 90), label(30, None, 80), label(40, 1, 70), label(49, 1, 500)]
    topics.topics["p"][0] += [prediction(25, withdrawn=True, score=None), prediction(35, at=BASE_S + 34)]
    after = make(config(), topics, shelf, some())
    assert make_again(config(), topics, before).same
    assert make_again(config(), topics, after).same
    found = compare(before, shelf.tables(before), after, shelf.tables(after))
    assert found.changed == {Changed.CORRECTED: 1, Changed.UNLABELLED: 1, Changed.AGAIN: 1}
    assert (found.removed, found.added, found.same) == ({Gone.REVISED: 2}, {Gone.REVISED: 1}, 35)
    assert after.excluded.predictions["withdrawn"] == 2
    assert after.excluded.predictions["duplicate"] == 1
    cut = make(config(), topics, shelf, some(label_cutoff_ms=(BASE_S + 60) * 1000))
    assert cut.unlabelled_rows == 0, "what was taken back after the cut-off still counts"


def test_what_retention_took_outside_the_ranges_is_not_missed_and_inside_it_is() -> None:
    shelf, topics = Shelf(MemoryStore()), usual()
    made = make(config(), topics, shelf, some())
    topics.begins = {("p", 0): 10, ("q", 0): 10}
    assert make_again(config(), topics, made).same
    topics.begins = {("p", 0): 10, ("q", 0): 11}
    with pytest.raises(OffsetLost, match=r"topic 'q' partition 0: offset 10 is needed but the log holds \[11, 100\)"):
        make_again(config(), topics, made)


def test_rows_that_are_not_the_same_are_told_apart() -> None:
    shelf, topics = Shelf(MemoryStore()), usual()
    made = make(config(), topics, shelf, some())
    topics.topics["p"][0][20]["features"]["hour"] = 99
    again = make_again(config(), topics, made)
    assert not again.same
    assert compare(made, shelf.tables(made), made, again.tables).changed == {Changed.CONTENT: 1}


def test_a_topic_that_was_made_again_is_another_topic() -> None:
    topics = usual()
    made = make(config(), topics, Shelf(MemoryStore()), some())
    topics.made = 2
    with pytest.raises(Mismatch, match="topic 'p' was deleted and made again since"):
        make_again(config(), topics, made)


def test_absent_labels_are_settled_by_the_clock_of_the_labels_as_it_was() -> None:
    shelf, topics = Shelf(MemoryStore()), usual()
    del topics.topics["q"][0][10:50]
    topics.topics["q"][0].append(label(10, 1, 122))  # the clock: 132 s; less the lateness: 32 s
    made = make(config(ABSENT), topics, shelf, some())
    assert made.rows - made.unlabelled_rows == 2, "10 and 11: 20 s later is below 32 s"
    topics.topics["q"][0].append(label(99, 1, 100))
    assert make_again(config(ABSENT), topics, made).same
    assert make(config(ABSENT), topics, shelf, some()).unlabelled_rows < made.unlabelled_rows
    ended = make(config(ABSENT), topics, shelf, some(ended=True))
    assert ended.unlabelled_rows == 0
    (table,) = shelf.tables(ended)
    assert table.ints("label_at_ms").null.all(), "a label that never came has no time"


def test_a_log_that_gives_less_than_it_promised_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.cli.scan._SILENCE_S", 0.0)
    topics = usual()
    monkeypatch.setattr(topics, "end_offsets", lambda _: [105])
    with pytest.raises(MonitorError, match="the log gave nothing from offset 100 on"):
        make(config(), topics, Shelf(MemoryStore()), some())


def test_topics_with_other_partitions_do_not_join() -> None:
    topics: Any = ListLog({"p": [[]], "q": [[], []]}, random.Random(1))
    with pytest.raises(MonitorError, match="topic 'p' has 1 partitions and 'q' has 2"):
        make(config(), topics, Shelf(MemoryStore()), some())


def test_values_that_were_not_told_apart_are_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.ingest.decode_predictions.CATEGORIES_MAX", 1)
    with pytest.raises(MonitorError, match="the feature 'origin' has more values than are told apart"):
        make(config(), usual(), Shelf(MemoryStore()), some())


def test_missing_and_mistyped_features_are_null() -> None:
    shelf, topics = Shelf(MemoryStore()), usual()
    for i, (hour, origin) in enumerate([(None, None), ("x", {"y": 1}), (True, 3)]):
        topics.topics["p"][0][10 + i]["features"] = {"hour": hour, "origin": origin}
    (table,) = shelf.tables(make(config(), topics, shelf, some(until=13)))
    hours = table.floats("feature.hour").values.tolist()
    assert hours[2] == 1.0
    assert hours[0] != hours[0]
    assert hours[1] != hours[1]
    assert table.texts("feature.origin").texts() == [None, None, "3"]
