"""Arrays, CloudEvents and change events of Debezium through whole deployments: as if each row had been a record of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import Config, loads
from monitor.ledger.records import EDITION_FORMAT
from monitor.ports import OutRecord, TopicSpec
from tests.checker.shapes import MAPPING, Shape, opened, wrapped
from tests.checker.sources import Raw
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.simulation.fragile import Crash, Fault, FragileWorld, run_to_the_end
from tests.simulation.histories import PARTITIONS, labels, predictions, split
from tests.simulation.ledgers import last_commits
from tests.simulation.test_crashes import a_history, crashes, paces
from tests.simulation.world import CONFIG, LATENESS_S, World, alerts, config, finals, topics, worker

SHAPES: list[tuple[Shape, Shape]] = [
    ("each", "plain"),
    ("each", "each"),
    ("cloudevents", "debezium"),
    ("debezium", "cloudevents"),
]


@cache
def wrapped_config(shapes: tuple[Shape, Shape], rows: int) -> Config:
    """That of the plain deployment, with streams of other shapes."""
    document = yaml.safe_load(CONFIG.format(namespace="wrapped", rows=rows, lateness=LATENESS_S))
    for stream, shape in zip(("predictions", "labels"), shapes, strict=True):
        own = MAPPING[shape]
        fields = document["streams"][stream]["fields"]
        changed = {key: place for key, place in own.get("fields", {}).items() if key in fields}
        document["streams"][stream] |= {**own, "fields": {**fields, **changed}}
        if shape == "debezium" and stream == "predictions":
            del document["streams"][stream]["fields"]["withdrawn"]
    return loads(yaml.safe_dump(document))


def as_rows(records: Sequence[Prediction] | Sequence[Label]) -> list[dict[str, Any]]:
    """As they are written where each is a record."""
    found = []
    for record in records:
        row: dict[str, Any] = dict(record)
        segments = row.pop("segments", None)
        found.append(row if segments is None else {**row, "features": dict(segments)})
    return found


def send(log: World, name: str, logs: Sequence[Sequence[Any]], shape: Shape, group: Sequence[int]) -> None:
    log.ensure(TopicSpec(name, len(logs)))
    appender = log.appender()
    for partition, records in enumerate(logs):
        for value, headers in wrapped(as_rows(records), shape, group):
            appender.append(name, partition, OutRecord(value, None, headers))


def without_config(windows: dict[bytes, bytes]) -> dict[bytes, Any]:
    documents = {key: json.loads(value) for key, value in windows.items()}
    return {key: {name: part for name, part in value.items() if name != "config"} for key, value in documents.items()}


@settings(max_examples=examples(25), deadline=None)
@given(
    predictions, labels, st.sampled_from(SHAPES), st.lists(st.integers(1, 9), min_size=1, max_size=3), paces,
    st.lists(crashes, max_size=2),
)  # fmt: skip
def test_rows_count_as_if_each_were_a_record_whatever_crashes(
    p: list[Prediction],
    q: list[Label],
    shapes: tuple[Shape, Shape],
    group: list[int],
    pace: int,
    faults: list[Any],
) -> None:
    assert_alike(p, q, shapes, group, pace, faults)


@pytest.mark.parametrize("shapes", SHAPES)
def test_a_history_counts_as_if_each_row_were_a_record(shapes: tuple[Shape, Shape]) -> None:
    assert_alike(*a_history(), shapes, [2, 5, 1], 4, [(3, Fault.CRASH_BEFORE)])


def assert_alike(
    p: list[Prediction],
    q: list[Label],
    shapes: tuple[Shape, Shape],
    group: list[int],
    pace: int,
    faults: list[tuple[int, Fault]],
) -> None:
    plain = topics(split(p), split(q))
    worker(plain, config("plain", 9)).run()
    log = FragileWorld()
    send(log, "predictions", split(p), shapes[0], group)
    send(log, "labels", split(q), shapes[1], group)
    log.paces = {"predictions": pace, "labels": pace}
    log.arm(faults)
    for _ in range(len(faults) + 1):
        process = worker(log, wrapped_config(shapes, pace))
        try:
            run_to_the_end(process)
            break
        except Crash:
            log.crashed(process)
    log.land()
    assert without_config(finals(log, "wrapped")) == without_config(finals(plain, "plain"))
    assert len(alerts(log, "wrapped")) == len(alerts(plain, "plain"))
    for ours, theirs in zip(
        last_commits(log, "wrapped", PARTITIONS), last_commits(plain, "plain", PARTITIONS), strict=True
    ):
        assert ours.prediction_outcomes == theirs.prediction_outcomes
        assert ours.label_outcomes == theirs.label_outcomes
        assert (ours.rows, ours.format) == (theirs.records, EDITION_FORMAT)


@pytest.mark.parametrize("shape", ["each", "cloudevents", "debezium"])
def test_the_checker_reads_back_what_was_wrapped(shape: Shape) -> None:
    rows = [
        {
            "id": f"i{n}",
            "model": "m",
            "at": 1_700_000_000_000 + n,
            "score": 0.5,
            **({"withdrawn": True} if n == 3 else {}),
        }
        for n in range(7)
    ]
    raws = [
        Raw(0, n, None, None, value, {name: data or b"" for name, data in headers})
        for n, (value, headers) in enumerate(wrapped(rows, shape, (2, 1)))
    ]
    assert [json.loads(raw.value or b"") for raw in opened(raws, shape)] == rows
