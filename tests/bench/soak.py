"""Half an hour under load with faults: do memory and descriptors stay flat, and is all counted at the end?

    python -m tests.bench.soak --minutes 30 --rate 10000

A broker, two workers of one namespace, a producer that also sends duplicates (5 %), corrections (4 %) and broken JSON (1 %).
Every half minute something happens, in turn: the second worker is killed with -9 and started again, is stopped with
SIGTERM and started again, or is frozen for longer than its session. The first worker is never harmed: it takes over
and gives back, and is the one whose resident memory and open descriptors are sampled once a second.

Told are the medians of each fifth of what follows two minutes of warming up, what `driftline ledger audit` says at
the end, and how many records were read against how many were sent. Prints JSON, writes build/soak.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.daemon import driftline
from tests.checker import audit
from tests.checker.sources import Kafka as Source
from tests.kafka.broker import Kafka, KafkaCluster

PARTITIONS, FAULT_EVERY_SECS, WARM_UP_SECS, SESSION_MS = 6, 30, 120, 1_500
CONFIG = """\
namespace: soak
kafka:
  bootstrap_servers: "{bootstrap}"
  properties: {{session.timeout.ms: "{session}", heartbeat.interval.ms: "300"}}
streams:
  predictions:
    topic: soak.predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}}
    features: {{amount: numeric, channel: categorical}}
  labels: {{topic: soak.labels, fields: {{id: $.id, at: $.at, label: $.label}}}}
time: {{horizon: 2m, lateness: 1m, disorder: 1s, tick: 1s, idle_after: 10m, stalled_after: 10m}}
models: [{{name: m, task: binary, threshold: 0.5, positive: 1, segments: {{channel: [app, web]}}}}]
windows: [10s]
rules: [{{name: wrong, metric: accuracy, op: "<", threshold: 0.7, window: 10s, min_rows: 20, min_coverage: 0.3}}]
http: {{host: 127.0.0.1, port: 0}}
"""


@dataclass
class Sent:
    """How many records each topic was given."""

    predictions: int = 0
    labels: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


def produce(bootstrap: str, rate: int, sent: Sent) -> None:
    """Predictions and labels at half of the rate each until told to stop. Ten seconds of each minute are wrong."""
    from confluent_kafka import Producer

    settings = {"bootstrap.servers": bootstrap, "linger.ms": 5, "compression.type": "lz4"}
    producer = Producer({**settings, "queue.buffering.max.messages": 1_000_000})
    n, due, owed = 0, time.time(), 0.0
    while not sent.stop.is_set():
        now = time.time()
        owed += rate / 2 * (now - due)
        due, at = now, int(now * 1000)
        for _ in range(int(owed)):
            n += 1
            partition, wrong = n % PARTITIONS, at // 10_000 % 6 == 0
            head = f'{{"id":"{n:036d}","at":{at},'
            channel = "app" if n % 3 else "web"
            value = f'{head}"model":"m","version":"1","score":0.9,"amount":{n % 97}.5,"channel":"{channel}"}}'
            labels = [f'{head}"label":{0 if wrong else 1}}}']
            if n % 20 == 0:
                labels += labels
            if n % 25 == 0:
                labels.append(f'{{"id":"{n:036d}","at":{at + 1},"label":{n % 2}}}')
            if n % 100 == 0:
                value = value[:-9]
            producer.produce("soak.predictions", value.encode(), partition=partition)
            for label in labels:
                producer.produce("soak.labels", label.encode(), partition=partition)
            sent.predictions += 1
            sent.labels += len(labels)
        owed -= int(owed)
        producer.poll(0)
        time.sleep(0.01)
    if producer.flush(60):
        raise RuntimeError("records could not be sent")


class Worker:
    """One process of the namespace, started again after what is done to it."""

    def __init__(self, path: Path) -> None:
        self._path, self._starts = path, 0
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        with (self._path.parent / f"worker-{id(self)}-{self._starts}.log").open("wb") as log:
            self.process = subprocess.Popen([driftline(), "run", "-q", "-c", str(self._path)], stdout=log, stderr=log)
        return self.process

    def suffer(self, fault: str) -> None:
        """A fault, and back."""
        if fault == "freeze":
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(2 * SESSION_MS / 1000)
            self.process.send_signal(signal.SIGCONT)
            return
        self.process.send_signal(signal.SIGKILL if fault == "kill" else signal.SIGTERM)
        code = self.process.wait(30)
        if fault == "stop" and code:
            raise RuntimeError(f"a stopped worker ended with {code}")
        self.start()

    def sample(self) -> tuple[float, int]:
        """Resident MB and open descriptors."""
        if self.process.poll() is not None:
            raise RuntimeError(f"a worker that nobody harmed ended with {self.process.returncode}")
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def soak(bootstrap: str, folder: Path, minutes: float, rate: int) -> dict[str, Any]:
    """Run it; the figures."""
    path, sent = folder / "soak.yaml", Sent()
    path.write_text(CONFIG.format(bootstrap=bootstrap, session=SESSION_MS))
    sender = threading.Thread(target=produce, args=(bootstrap, rate, sent), daemon=True)
    first, second = Worker(path), Worker(path)
    faults: Iterator[str] = itertools.cycle(["kill", "freeze", "stop"])
    samples: list[tuple[float, int]] = []
    happened = 0
    sender.start()
    began = time.monotonic()
    try:
        while (passed := time.monotonic() - began) < minutes * 60:
            samples.append(first.sample())
            if passed > (happened + 1) * FAULT_EVERY_SECS:
                second.suffer(next(faults))
                happened += 1
            time.sleep(1)
    finally:
        sent.stop.set()
        sender.join(90)
        drained = _drained(bootstrap, sent, 120)
        for worker in (first, second):
            worker.process.terminate()
        codes = [worker.process.wait(30) for worker in (first, second)]
    warm = samples[min(WARM_UP_SECS, len(samples) // 3) :]
    fifth = max(1, len(warm) // 5)
    parts = [warm[n * fifth : (n + 1) * fifth] for n in range(5)]
    complaints = audit.audit(Source(bootstrap), "soak")[1]
    return {
        "minutes": minutes,
        "rate": rate,
        "faults": happened,
        "sent": [sent.predictions, sent.labels],
        "read": drained,
        "exit_codes": codes,
        "audit": complaints,
        "resident_mb": [round(statistics.median(mb for mb, _ in part), 1) for part in parts if part],
        "resident_mb_max": round(max(mb for mb, _ in warm), 1),
        "descriptors": [statistics.median(fds for _, fds in part) for part in parts if part],
    }


def _drained(bootstrap: str, sent: Sent, secs: float) -> list[int]:
    """Records read of both topics, once all are, or when time is over."""
    deadline = time.monotonic() + secs
    while True:
        walks = [
            audit.walk(p, (raw.value for raw in log)) for p, log in enumerate(Source(bootstrap).read("soak.ledger"))
        ]
        read = [sum(w.commits[-1]["records"][i] for w in walks if w.commits) for i in (0, 1)]
        if read == [sent.predictions, sent.labels] or time.monotonic() > deadline:
            return read
        time.sleep(2)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=10_000, help="records a second, of both streams together")
    parser.add_argument("--out", type=Path, default=Path("build/soak.json"))
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftline-soak-")))
        address = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        broker = Kafka(address) if address else stack.enter_context(KafkaCluster(heap_mb=512))
        names = broker.admin().list_topics(timeout=30).topics
        broker.delete_topics([name for name in names if name.startswith("soak.")])
        for name in ("predictions", "labels"):
            broker.create_topic(f"soak.{name}", PARTITIONS)
        found = soak(broker.bootstrap_servers, folder, arguments.minutes, arguments.rate)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
