"""`driftline init` on records that are wrapped in a standard envelope."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from monitor.cli.init_envelope import unwrapped
from monitor.config import Config, load
from monitor.config.infer_columns import Sample
from tests.cli.conftest import FLIGHTS
from tests.cli.driving import driftline

CHANGED_MS = 1_357_000_000_000


def cloud_event(row: dict[str, Any]) -> dict[str, Any]:
    about = {"specversion": "1.0", "type": "scored", "source": "/x", "id": f"e-{row['id']}", "subject": row["id"]}
    return {**about, "datacontenttype": "application/json", "data": row}


def change_event(row: dict[str, Any]) -> dict[str, Any]:
    without_time = {key: value for key, value in row.items() if key != "at"}
    return {"op": "u", "before": None, "after": without_time, "source": {"ts_ms": row["at"]}, "ts_ms": row["at"] + 5}


def wrapped(name: str, wrap: Callable[[dict[str, Any]], dict[str, Any]], folder: Path) -> Path:
    rows = gzip.decompress((FLIGHTS / f"{name}.jsonl.gz").read_bytes()).splitlines()[:1500]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(wrap(json.loads(row))) + "\n" for row in rows))
    return path


def proposed(folder: Path, *wraps: Callable[[dict[str, Any]], dict[str, Any]]) -> tuple[str, Config]:
    predictions, labels = (
        wrapped(name, wrap, folder) for name, wrap in zip(("predictions", "labels"), wraps, strict=True)
    )
    made = folder / "made.yaml"
    said = driftline("init", "--from-file", predictions, "--labels-file", labels, "-o", made)
    assert said.code == 0, said.err
    assert driftline("check", "-c", made).code == 0
    return made.read_text(), load([made])


def test_events_are_told_and_what_is_in_them_is_mapped(tmp_path: Path) -> None:
    text, config = proposed(tmp_path, cloud_event, change_event)
    streams = config.streams
    assert streams.labels is not None
    assert streams.predictions.envelope is not None
    assert streams.labels.envelope is not None
    assert (streams.predictions.envelope.format, streams.labels.envelope.format) == ("cloudevents", "debezium")
    assert "the records are CloudEvents" in text
    assert "the records are change events of Debezium" in text
    assert streams.predictions.fields.at.source.text() == "$.at"
    assert streams.labels.fields.at.source.text() == "envelope:$.source.ts_ms", (
        "a change event says when, its row does not"
    )
    assert {"distance", "hour", "origin"} <= set(streams.predictions.features)


def test_what_is_proposed_reads_what_the_same_rows_without_envelopes_give(tmp_path: Path) -> None:
    counted = []
    bare: Callable[[dict[str, Any]], dict[str, Any]] = dict
    for at, (wraps, keys) in enumerate(
        (((cloud_event, change_event), ("data.id", "after.id")), ((bare, bare), ("id", "id")))
    ):
        folder = tmp_path / str(at)
        folder.mkdir()
        proposed(folder, *wraps)
        log = folder / "log"
        for name, key in zip(("predictions", "labels"), keys, strict=True):
            sent = driftline("produce", name, folder / f"{name}.jsonl", "--embedded", log, "--key", key)
            assert sent.code == 0, sent.err
        ran = driftline("run", "-c", folder / "made.yaml", "--embedded", log, "--until-end")
        assert ran.code == 0, ran.err
        told = driftline("windows", "-c", folder / "made.yaml", "--embedded", log, "-o", "json")
        windows = json.loads(told.out)["windows"]
        counted.append([{key: value for key, value in one.items() if key != "config"} for one in windows])
    assert sum(one["counts"]["labelled"] for one in counted[0]) > 1_000
    assert counted[0] == counted[1]


def test_rows_without_an_envelope_are_as_they_were(tmp_path: Path) -> None:
    text, config = proposed(tmp_path, dict, dict)
    assert "envelope" not in text
    assert config.streams.predictions.envelope is None


def sample(value: object, headers: Sequence[tuple[str, bytes]] = ()) -> Sample:
    return Sample(b"k", None if value is None else json.dumps(value).encode(), headers, CHANGED_MS)


BINARY = (("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_time", b"2026-01-01T00:00:00Z"), ("trace", b"t"))


def test_binary_events_lose_the_headers_that_are_the_envelope() -> None:
    envelope, (inside,) = unwrapped([sample({"x": 1}, BINARY)])
    assert envelope == "cloudevents"
    assert inside.headers == [("trace", b"t")]
    assert inside.envelope == {"id": "7", "time": "2026-01-01T00:00:00Z"}
    assert inside.value == b'{"x": 1}'


def test_deletions_and_tombstones_are_no_rows_of_the_sample() -> None:
    gone = {"op": "d", "before": {"id": "a"}, "after": None, "source": {"ts_ms": CHANGED_MS}}
    came = {"op": "c", "before": None, "after": {"id": "a"}, "source": {"ts_ms": CHANGED_MS}}
    envelope, inside = unwrapped([sample(came), sample(gone), sample(None), sample({"payload": came})])
    assert envelope == "debezium"
    assert [one.value for one in inside] == [b'{"id": "a"}'] * 2


@pytest.mark.parametrize(("others", "told"), [(1, "debezium"), (2, None)])
def test_a_few_records_of_another_kind_do_not_decide(others: int, told: str | None) -> None:
    came = {"op": "c", "after": {"id": "a"}}
    samples = [*[sample(came)] * 10, *[sample({"id": "b"})] * others]
    envelope, inside = unwrapped(samples)
    assert envelope == told
    assert len(inside) == len(samples)


def test_an_empty_topic_has_no_envelope() -> None:
    assert unwrapped([]) == (None, [])
    assert unwrapped([sample(None)])[0] is None
