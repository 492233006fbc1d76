"""From a label's append to the alert that another consumer reads, at a steady rate, and what a burst does.

    python -m tests.bench.latency --seconds 120 --burst 10 --commit-interval 100ms
    KAFKA_BOOTSTRAP_SERVERS=host:port python -m tests.bench.latency

A broker, `driftline run`, a producer and a consumer of the alerts topic, on this machine. Predictions and their labels come
at half of `--rate` each, with the time of the wall clock as event time. The model is right in every second window of half
a second and wrong in the others, so that a rule fires and resolves once per window. An alert is decided by the tick that
closes when the slowest partition of both streams has a record behind it; the latency of an alert is the time from handing
that record to the producer to having the alert in hand, linger of the producer (1 ms), broker and all.

With `--burst N` there are N times as many records for five seconds afterwards; told is how long it takes, from the end of
the burst, until an alert is in hand that was as quick as the slowest before the burst. Prints JSON, writes
build/latency.json. The machine is shared between all of them, so that the largest figures are pessimistic.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.daemon import driftline
from tests.kafka.broker import Kafka, KafkaCluster

WINDOW_MS, DISORDER_MS = 500, 20
BURST_SECS, CALM_SECS = 5, 30
CONFIG = """\
namespace: latency
kafka: {{bootstrap_servers: "{bootstrap}"}}
streams:
  predictions:
    topic: latency.predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}}
    features: {{amount: numeric, channel: categorical}}
  labels: {{topic: latency.labels, fields: {{id: $.id, at: $.at, label: $.label}}}}
time: {{horizon: 1m, lateness: 1m, disorder: {disorder}ms, tick: {window}ms, idle_after: 10m, stalled_after: 10m}}
models: [{{name: m, task: binary, threshold: 0.5, positive: 1}}]
windows: [{window}ms]
rules: [{{name: wrong, metric: accuracy, op: "<", threshold: 0.5, window: {window}ms, min_rows: 20, min_coverage: 0.3}}]
state: {{commit_interval: {commit}}}
http: {{host: 127.0.0.1, port: 0}}
"""


@dataclass
class Sent:
    """What was handed to the producer: by topic and partition the event times and the wall times, both ascending."""

    at_ms: dict[tuple[str, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    wall: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def closed(self, tick_ms: int) -> float | None:
        """When the record was handed over that closed a tick; None when some partition had none."""
        found = []
        for where, times in self.at_ms.items():
            place = bisect.bisect_left(times, tick_ms + DISORDER_MS)
            if place == len(times):
                return None
            found.append(self.wall[where][place])
        return max(found, default=None)


@dataclass
class Heard:
    """Alerts: the tick and when it was in hand."""

    alerts: list[tuple[int, float]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def produce(bootstrap: str, partitions: int, rate: int, phases: Sequence[tuple[float, int]], sent: Sent) -> list[float]:
    """Send records for each (seconds, times the rate); when each phase ended."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "queue.buffering.max.messages": 1_000_000})
    n, ends = 0, []
    for seconds, times in phases:
        until, step = time.time() + seconds, 0.005
        due = time.time()
        owed = 0.0
        while (now := time.time()) < until:
            owed += rate * times / 2 * (now - due)
            due = now
            at = int(now * 1000)
            for _ in range(int(owed)):
                n += 1
                partition = n % partitions
                wrong = at // WINDOW_MS % 2
                head = f'{{"id":"{n:036d}","at":{at},'
                value = f'{head}"model":"m","version":"1","score":0.9,"amount":{n % 97}.5,"channel":"app"}}'
                label = f'{head}"label":{1 - wrong}}}'
                for topic, record in (("latency.predictions", value), ("latency.labels", label)):
                    producer.produce(topic, record.encode(), partition=partition)
                    sent.at_ms[topic, partition].append(at)
                    sent.wall[topic, partition].append(now)
            owed -= int(owed)
            producer.poll(0)
            time.sleep(step)
        ends.append(time.time())
    assert producer.flush(60) == 0
    return ends


def listen(bootstrap: str, heard: Heard) -> None:
    """Take alerts as a subscriber does."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "latency", "fetch.wait.max.ms": 10})
    while "latency.alerts" not in consumer.list_topics(timeout=10).topics:
        time.sleep(0.2)
    partitions = consumer.list_topics("latency.alerts", 10).topics["latency.alerts"].partitions
    consumer.assign([TopicPartition("latency.alerts", p, 0) for p in partitions])
    while not heard.stop.is_set():
        message = consumer.poll(0.1)
        if message is None or message.error():
            continue
        now, event = time.time(), json.loads(message.value() or b"")
        if event["data"].get("rule") == "wrong" and event["type"].split(".")[-2] != "amended":
            heard.alerts.append((round(datetime.fromisoformat(event["time"]).timestamp() * 1000), now))
    consumer.close()


def measure(bootstrap: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One run of the daemon; the figures."""
    path = folder / "latency.yaml"
    path.write_text(
        CONFIG.format(bootstrap=bootstrap, disorder=DISORDER_MS, window=WINDOW_MS, commit=arguments.commit_interval)
    )
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen([driftline(), "run", "-q", "-c", str(path)], stderr=log, stdout=log)
    heard, sent = Heard(), Sent()
    thread = threading.Thread(target=listen, args=(bootstrap, heard), daemon=True)
    thread.start()
    try:
        phases = [(10.0, 1), (float(arguments.seconds), 1)]
        if arguments.burst:
            phases += [(float(BURST_SECS), arguments.burst), (float(CALM_SECS), 1)]
        began = time.time()
        ends = produce(bootstrap, arguments.partitions, arguments.rate, phases, sent)
        time.sleep(2)
    finally:
        heard.stop.set()
        thread.join(10)
        daemon.terminate()
        daemon.wait(30)
    if daemon.returncode:
        raise RuntimeError(f"the daemon ended with {daemon.returncode}: {(folder / 'daemon.log').read_text()[-2000:]}")
    waits = [(closed, now - closed) for tick, now in heard.alerts if (closed := sent.closed(tick)) is not None]
    steady = sorted(wait for closed, wait in waits if ends[0] <= closed < ends[1])
    if len(steady) < arguments.seconds * 1000 / WINDOW_MS / 2:
        raise RuntimeError(f"{len(steady)} alerts in {arguments.seconds} s: too few to say anything")
    found: dict[str, Any] = {
        "rate": arguments.rate,
        "commit_interval": arguments.commit_interval,
        "alerts": len(steady),
        "p50_ms": 1000 * statistics.median(steady),
        "p99_ms": 1000 * steady[int(len(steady) * 0.99)],
        "max_ms": 1000 * steady[-1],
        "seconds": ends[1] - began,
        "load_average": os.getloadavg(),
    }
    if arguments.burst:
        after = [(closed, wait) for closed, wait in waits if closed >= ends[1]]
        quick = [closed + wait for closed, wait in after if closed >= ends[2] and wait <= steady[-1]]
        found["burst"] = {
            "times": arguments.burst,
            "events_per_second": (sum(map(len, sent.at_ms.values())) - arguments.rate * (ends[1] - began + CALM_SECS))
            / BURST_SECS,
            "max_ms": 1000 * max(wait for _, wait in after),
            "caught_up_after_s": min(quick, default=float("inf")) - ends[2],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.latency", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=2_000, help="records a second, of both streams together")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--burst", type=int, default=10, help="how many times the rate; 0: none")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--commit-interval", default="500ms")
    parser.add_argument("--out", type=Path, default=Path("build/latency.json"))
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftline-latency-")))
        address = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = Kafka(address) if address else stack.enter_context(KafkaCluster(heap_mb=512))
        names = broker.admin().list_topics(timeout=30).topics
        broker.delete_topics([name for name in names if name.startswith("latency.")])
        for name in ("predictions", "labels"):
            broker.create_topic(f"latency.{name}", arguments.partitions)
        found = measure(broker.bootstrap_servers, folder, arguments)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
