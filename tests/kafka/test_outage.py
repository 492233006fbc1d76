"""The label feed is out for more than a day of event time, then all of it comes at once: no window is judged without its
labels, nothing expires that has one, and the numbers are those of a recount."""

from __future__ import annotations

import gzip
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from tests.checker import recount, windows
from tests.checker.sources import flat
from tests.kafka.broker import Kafka
from tests.kafka.deployment import FLIGHTS, Deployment, eventually, published, succeed
from tests.kafka.fixtures import FreshTopics
from tests.oracle.join import Params, Window, outcomes

HOUR_MS = 3_600_000
FIRST = 1_356_998_400_000  # 1 January 2013 00:00 UTC
OUT, BACK, LAST = FIRST + 60 * HOUR_MS, FIRST + 90 * HOUR_MS, FIRST + 120 * HOUR_MS
"""The labels stop in the middle of 3 January, come again on the evening of the 4th; 5 January is the last day."""
IMPATIENT = ("time.idle_after=1s", "time.stalled_after=2s")
"""So that on the wall clock, too, the outage is longer than anything that anyone waits for. Who waits so little for a
quiet partition may not be sent more than the lateness at once."""
PARAMS = Params(
    horizon_ms=36 * HOUR_MS, lateness_ms=36 * HOUR_MS, skew_ms=0, disorder_ms=15 * 60_000, max_jump_ms=48 * HOUR_MS,
    window=Window(calendar="day"),
)  # fmt: skip


def lines(name: str, since: int, until: int) -> list[bytes]:
    with gzip.open(FLIGHTS / name) as rows:
        return [row for row in rows if since <= orjson.loads(row)["at"] < until]


class Outage(Deployment):
    """Flights that are sent in pieces of event time."""

    def send(self, topic: str, name: str, since: int, until: int) -> int:
        """Send what one stream holds of a piece of time; how many records that is."""
        rows, producer = lines(name, since, until), Producer({"bootstrap.servers": self.bootstrap})
        for row in rows:
            producer.produce(topic, row.rstrip(), orjson.loads(row)["id"])
        assert producer.flush(30) == 0
        return len(rows)

    def alerts(self, namespace: str, since_ms: int = 0) -> Counter[str]:
        """`rule change` of everything on the alerts topic that is about a tick from then on, each event once."""
        events: dict[str, dict[str, Any]] = {}
        for raw in flat(self.source.read(f"{namespace}.alerts")):
            event = orjson.loads(raw.value or b"")
            events[event["id"]] = event
        since = datetime.fromtimestamp(since_ms / 1_000, UTC)
        return Counter(
            f"{e['data'].get('rule') or e['data']['condition']} {e['type'].split('.')[-2]}"
            for e in events.values()
            if datetime.fromisoformat(e["time"]) >= since
        )


@pytest.fixture
def outage(kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path) -> Iterator[Outage]:
    names = fresh_topics.create("predictions", 3), fresh_topics.create("labels", 3)
    with Outage(kafka.bootstrap_servers, *names, tmp_path) as deployment:
        yield deployment


def test_a_day_without_labels_is_one_alert_and_no_wrong_number(outage: Outage, fresh_topics: FreshTopics) -> None:
    namespace, calm = fresh_topics("out"), fresh_topics("calm")
    sent = outage.send(outage.predictions, "predictions.jsonl.gz", FIRST, OUT)
    told = outage.send(outage.labels, "labels.jsonl.gz", FIRST, OUT)
    worker = outage.worker(namespace, *IMPATIENT, until_end=False)
    eventually(lambda: outage.read_offsets(namespace) == (sent, told), 60, "all is read", worker)
    assert not outage.alerts(namespace)["label-feed-stalled firing"]
    for since in range(OUT, BACK, 6 * HOUR_MS):  # predictions go on
        sent += outage.send(outage.predictions, "predictions.jsonl.gz", since, since + 6 * HOUR_MS)
        time.sleep(1.0)
    eventually(lambda: outage.read_offsets(namespace)[0] == sent, 60, "all predictions are read", worker)
    eventually(lambda: outage.alerts(namespace)["label-feed-stalled firing"] > 0, 30, "someone is told", worker)
    # By event time: what is about the days before may be told only now, and be right.
    during = outage.alerts(namespace, since_ms=OUT)
    assert {name for name in during if not name.startswith("label-feed-stalled")} == set()
    told += outage.send(outage.labels, "labels.jsonl.gz", OUT, BACK)
    eventually(lambda: outage.read_offsets(namespace) == (sent, told), 60, "the labels have caught up", worker)
    sent += outage.send(outage.predictions, "predictions.jsonl.gz", BACK, LAST)
    told += outage.send(outage.labels, "labels.jsonl.gz", BACK, LAST + 6 * HOUR_MS)
    eventually(lambda: outage.read_offsets(namespace) == (sent, told), 60, "all is read", worker)
    worker.send(signal.SIGTERM)
    assert worker.wait(20) == 0
    succeed(outage.worker(namespace, *IMPATIENT), outage.worker(calm))

    after = outage.alerts(namespace)
    assert after["label-feed-stalled firing"] == after["label-feed-stalled resolved"] > 0
    assert outage.audits(namespace) == []
    assert windows.differences(published(outage.source, namespace), published(outage.source, calm), "window") == []
    fields = recount.Fields(threshold=0.25)
    predictions = [recount.predictions_of(log, fields) for log in outage.source.read(outage.predictions)]
    labels = [recount.labels_of(log, fields) for log in outage.source.read(outage.labels)]
    whole = {k: v for k, v in published(outage.source, namespace).items() if orjson.loads(v)["segment"] == "all"}
    assert windows.against(whole, windows.recounted(predictions, labels, PARAMS, "day"), {"day"}) == []
    expected = outcomes(predictions, labels, PARAMS)[0]
    commits = [walk.commits[-1] for walk in outage.walks(namespace)]
    expired = sum(commit["prediction_outcomes"]["expired"] for commit in commits)
    assert expired == expected["expired"] == sum(expected.values()) - expected["matched"]
