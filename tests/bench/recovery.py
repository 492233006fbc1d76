"""A worker with a million pending predictions is killed, its disk removed: how long the next takes, and what was announced.

    python -m tests.bench.recovery --folder build/recovery                 # on an embedded log
    python -m tests.bench.recovery --folder build/recovery --kafka         # on a Kafka that it starts
    python -m tests.bench.recovery --folder build/recovery --memory-rows 200000

`announced` is what the killed process exported (`driftline_recovery_estimate_seconds`, all partitions); `said` what the new one
said when it began; `took` is from there until its last partition was open; `ready` from the start of the process, with the
session of the killed one, which has to time out on Kafka. The rows held and what is pending must be the same before and
after, and the ledger must pass its audit, or nothing is told. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from monitor.adapters.embedded import EmbeddedLog
from monitor.ports import OutRecord, TopicSpec
from tests.bench import daemon, generate
from tests.kafka.broker import KafkaCluster

PATIENCE_S = 900


def fill_embedded(folder: Path, data: generate.Data, labels: int, partitions: int) -> None:
    """All predictions and the first `labels` labels, in an embedded log."""
    log = EmbeddedLog(folder)
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, partitions))
    appender = log.appender()
    for topic, records in (
        ("predictions", generate.predictions(data)),
        ("labels", islice(generate.labels(data), labels)),
    ):
        for n, (id_, value) in enumerate(records):
            appender.send(topic, OutRecord(value, id_.encode()))
            if n % 50_000 == 49_999:
                appender.flush(60_000)
        appender.flush(60_000)
    appender.close()
    log.close()


def fill_kafka(bootstrap: str, data: generate.Data, labels: int) -> None:
    """The same in Kafka."""
    from confluent_kafka import Producer

    producer = Producer(
        {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 50, "compression.type": "lz4"}
    )
    for topic, records in (
        ("predictions", generate.predictions(data)),
        ("labels", islice(generate.labels(data), labels)),
    ):
        for n, (id_, value) in enumerate(records):
            producer.produce(topic, value, id_)
            while n % 10_000 == 0 and len(producer) > 50_000:
                producer.poll(0.1)
    if producer.flush(60):
        raise RuntimeError("the records could not be produced")


class Process:
    """A daemon, its log and its status."""

    def __init__(self, arguments: list[str], port: int, log: Path) -> None:
        self._port, self._log = port, log
        self.began = time.monotonic()
        with log.open("wb") as err:
            self._process = subprocess.Popen(
                [daemon.driftline(), "run", *arguments], stdin=subprocess.DEVNULL, stderr=err
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def status(self) -> dict[str, Any] | None:
        """None before it listens."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the daemon ended: {self._log.read_text()[-3000:]}")
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/api/v1/status", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return None

    def lines(self) -> Iterator[str]:
        """What it has said so far."""
        yield from self._log.read_text(errors="replace").splitlines()

    def wait_for(self, partitions: int, records: int) -> dict[str, Any]:
        """Until it owns every partition and has committed every record; its status then."""
        while time.monotonic() - self.began < PATIENCE_S:
            status = self.status()
            owned = status["partitions"] if status else []
            if len(owned) == partitions and sum(p["recovery_rows"] for p in owned) == records:
                assert status is not None
                return status
            time.sleep(0.2)
        raise RuntimeError(f"the daemon does not come to the end: {self._log.read_text()[-3000:]}")

    def end(self, number: signal.Signals) -> None:
        """Kill or stop it."""
        self._process.send_signal(number)
        self._process.wait(60)


def held(status: dict[str, Any]) -> dict[str, int]:
    """What must be the same before and after."""
    owned = status["partitions"]
    return {
        "rows": sum(p["state_rows"] for p in owned),
        "pending": sum(p["prediction_outcomes"]["pending"] for p in owned),
        "matched": sum(p["prediction_outcomes"]["matched"] for p in owned),
    }


def measure(arguments: argparse.Namespace, where: list[str], config: Path, port: int, records: int) -> dict[str, Any]:
    """Run, kill, remove, run again."""
    disk = arguments.folder / "disk"
    run = ["-c", str(config), *where]
    first = Process(run, port, arguments.folder / "first.log")
    before = first.wait_for(arguments.partitions, records)
    caught_up_s = time.monotonic() - first.began
    time.sleep(1.5)  # so that the status is of after the last measurement
    before = first.status() or before
    first.end(signal.SIGKILL)
    shutil.rmtree(disk, ignore_errors=True)
    second = Process(run, port, arguments.folder / "second.log")
    began = None
    while began is None or sum(": open, epoch" in line for line in second.lines()) < arguments.partitions:
        if began is None and any("are read again" in line for line in second.lines()):
            began = time.monotonic()
        if time.monotonic() - second.began > PATIENCE_S:
            raise RuntimeError("it does not recover")
        time.sleep(0.02)
    took, ready = time.monotonic() - began, time.monotonic() - second.began
    after = second.wait_for(arguments.partitions, records)
    second.end(signal.SIGTERM)
    if held(after) != held(before):
        raise RuntimeError(f"held before {held(before)}, after {held(after)}")
    subprocess.run([daemon.driftline(), "ledger", "audit", *run], check=True, stdout=subprocess.DEVNULL)
    said = [float(found[1]) for line in second.lines() if (found := re.search(r"join, about ([\d.]+) s", line))]
    return {
        **held(after),
        "spilled_rows": sum(p["spilled_rows"] for p in before["partitions"]),
        "announced_s": round(sum(p["recovery_ms"] for p in before["partitions"]) / 1_000, 2),
        "said_s": round(sum(said), 2),
        "took_s": round(took, 2),
        "ready_s": round(ready, 2),
        "caught_up_s": round(caught_up_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recovery", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="predictions that stay pending, about")
    parser.add_argument("--labels", type=int, default=20_000)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--memory-rows", type=int, help="more rows than these are put into files")
    parser.add_argument("--kafka", action="store_true", help="on a Kafka that is started for it")
    parser.add_argument("--folder", type=Path, required=True, help="must not exist; removed at the end")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    data = generate.make(arguments.rows)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ExitStack() as closing:
        closing.callback(shutil.rmtree, arguments.folder)
        bootstrap, where = "localhost:1", ["--embedded", str(arguments.folder / "log")]
        if arguments.kafka:
            broker = closing.enter_context(KafkaCluster(heap_mb=1024))
            bootstrap, where = broker.bootstrap_servers, []
            for topic in ("predictions", "labels"):
                broker.create_topic(topic, arguments.partitions)
            fill_kafka(bootstrap, data, arguments.labels)
        else:
            fill_embedded(arguments.folder / "log", data, arguments.labels, arguments.partitions)
        text = daemon.config("recovery", bootstrap, "predictions", "labels", None, watched=False)
        text = text.replace("port: 0", f"port: {port}")
        if arguments.memory_rows:
            text += f"state: {{memory_rows: {arguments.memory_rows}, directory: {arguments.folder / 'disk'}}}\n"
        config = arguments.folder / "config.yaml"
        config.write_text(text)
        print(json.dumps(measure(arguments, where, config, port, arguments.rows + arguments.labels)))


if __name__ == "__main__":
    main()
