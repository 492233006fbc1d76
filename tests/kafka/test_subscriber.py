"""The subscriber of the README, as it is printed there, on a real broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer

from monitor.alerts import cloudevents
from monitor.alerts.examples import example_events
from tests.kafka.broker import Kafka
from tests.kafka.deployment import eventually
from tests.kafka.fixtures import FreshTopics

SUBSCRIBER = Path(__file__).parents[2] / "docs" / "examples" / "subscriber.py"

pytestmark = pytest.mark.kafka


def test_the_subscriber_prints_each_event_once_however_often_it_was_written(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    topic = fresh_topics.create("alerts")
    events = example_events()
    firing, resolved = events["firing"], events["resolved"]
    # The repeat stands before the last event: when that one is printed, the repeat has been read.
    sent = [cloudevents.records(event, topic, fresh_topics("alerts.state"))[0] for event in (firing, firing, resolved)]
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all", "log_level": 0})
    for to, record in sent:
        producer.produce(to, record.value, key=record.key, partition=0, headers=list(record.headers))
    assert producer.flush(30) == 0

    printed = tmp_path / "printed"
    with printed.open("wb") as out:
        process = subprocess.Popen([sys.executable, SUBSCRIBER, kafka.bootstrap_servers, topic], stdout=out)
        try:
            eventually(lambda: printed.read_text().count("\n") >= 2, 60, "two lines are printed")
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()
    assert printed.read_text().splitlines() == [
        f"{event.time} {event.data.severity} {event.data.summary}" for event in (firing, resolved)
    ]
