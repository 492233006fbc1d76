"""A live run on Kafka whose workers were killed in the middle, and a backtest of the same configuration over the same topics:
the same alerts and the same final windows, byte for byte."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.checker import windows
from tests.checker.sources import flat
from tests.kafka.broker import Kafka
from tests.kafka.deployment import FLIGHTS, Deployment, eventually, published, succeed
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_flights import LABELS, ONE_AT_A_TIME, PREDICTIONS

SENT = (0, 30_000, 60_000, PREDICTIONS)
"""How many predictions there are when a worker begins, and its successors: none of those that are killed can be at the end."""
KILLED_AT = (15_000, 45_000)
"""Predictions read when the worker of the time is killed."""
SMALL = ("state.max_batch_rows=997", "state.commit_interval=40ms")


def alerts_by_id(deployment: Deployment, namespace: str) -> dict[str, bytes]:
    """What subscribers saw, each id once; alerts about the daemon itself are not in a backtest."""
    found: dict[str, bytes] = {}
    for raw in flat(deployment.source.read(f"{namespace}.alerts")):
        assert raw.value is not None
        told = json.loads(raw.value)
        assert found.setdefault(told["id"], raw.value) == raw.value, "an id was published with two contents"
    return {id_: value for id_, value in found.items() if json.loads(value)["data"]["category"] != "operational"}


def send(live: Deployment, folder: Path, part: int) -> None:
    """Produce one part of both streams: as much of the labels as of the predictions."""
    for topic, name in ((live.predictions, "predictions"), (live.labels, "labels")):
        records = gzip.decompress((FLIGHTS / f"{name}.jsonl.gz").read_bytes()).splitlines(keepends=True)
        begin, end = (len(records) * SENT[n] // PREDICTIONS for n in (part, part + 1))
        file = folder / f"{name}.{part}.jsonl"
        file.write_bytes(b"".join(records[begin:end]))
        assert live.start("produce", topic, str(file), "-q", "--bootstrap", live.bootstrap).wait(240) == 0


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


@pytest.mark.timeout(900)
def test_a_backtest_tells_what_a_run_with_kills_told(kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path) -> None:
    names = fresh_topics("predictions"), fresh_topics("labels")
    namespace = fresh_topics("live")
    with Deployment(kafka.bootstrap_servers, *names, tmp_path) as live:
        for part, reached in enumerate(KILLED_AT):
            send(live, tmp_path, part)
            worker = live.worker(namespace, *SMALL, until_end=False)
            eventually(lambda n=reached: live.read_offsets(namespace)[0] > n, 240, f"{reached} are read", worker)  # type: ignore[misc]
            worker.kill()
        send(live, tmp_path, len(KILLED_AT))
        succeed(live.worker(namespace, *ONE_AT_A_TIME), secs=240)
        assert live.read_offsets(namespace) == (PREDICTIONS, LABELS)
        assert live.audits(namespace) == []

        out = tmp_path / "out"
        backtest = live.start("backtest", *live.config(namespace, *ONE_AT_A_TIME), "--to", str(out), "-q")
        assert backtest.wait(240) == 0, backtest.said
        assert sorted(lines(out / "first" / "windows.jsonl")) == sorted(published(live.source, namespace).values())
        alerts = alerts_by_id(live, namespace)
        told = {json.loads(line)["id"]: line for line in lines(out / "first" / "alerts.jsonl")}
        assert windows.differences(told, alerts, "alert") == []
        assert len(told) > 50

        # Another namespace and other cuts, as when settings are tried: the same windows, and alerts at the same times.
        other = tmp_path / "other"
        again = live.start("backtest", *live.config(fresh_topics("tried")), "--to", str(other), "-q")
        assert again.wait(240) == 0, again.said
        assert lines(other / "first" / "windows.jsonl") == lines(out / "first" / "windows.jsonl")
        reports = [json.loads((folder / "backtest.json").read_text())["first"]["alerts"] for folder in (out, other)]
        brief = [
            [(a["rule"], a["segment"], a["fired_ms"], a["resolved_ms"], a["value"], a["amended"]) for a in alerts_]
            for alerts_ in reports
        ]
        assert brief[0] == brief[1] != []
