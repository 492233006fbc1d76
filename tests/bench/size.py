"""What `driftline size` predicts beside what a daemon then takes, for configurations that differ in all that matters.

    python -m tests.bench.size --folder build/size                     # on a Kafka that it starts, some minutes for each
    python -m tests.bench.size --folder build/size --case binary       # only those whose name has this in it

For each configuration records of horizon + lateness and a bit more are there already, from now on they come at their pace.
The daemon reads what is there and lives on for a while. Then it is looked at: rows and bytes of the join and series by what it
exports, memory by what the kernel says (resident now; `peak`: the most so far), the ledger by the values that were appended
meanwhile. Then it is killed and another one started: how long the rebuild of all partitions takes, as processor time of the
thread that does it (what else the machine does is not in it) and by the clock. How much
of it a row takes depends on what shares the core and its caches, by a factor of two where other work keeps the machine busy: so
what it is compared with is foretold again just before, at the speed of that moment.

Prints a table, and one JSON line for each configuration. Exit code 1 when a prediction is off by more than a quarter.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from monitor.daemon.trial_reading import yardstick_secs
from tests.bench import daemon
from tests.bench.recovery import Process
from tests.bench.size_cases import CASES, Case, Stream
from tests.checker.sources import Kafka, flat
from tests.kafka.broker import KafkaCluster

WITHIN = 0.25
SPANS = 1.15
"""Of horizon + lateness, that are there already: as many rows leave as come after one and the steps in which they do."""
PATIENCE_S = 900


@dataclass(frozen=True, slots=True)
class Pair:
    """A quantity, as predicted and as measured."""

    name: str
    predicted: float
    measured: float

    @property
    def off(self) -> float:
        """By how much the prediction is too large, as a share of what was measured."""
        return self.predicted / self.measured - 1 if self.measured else float("inf")


class Producer:
    """Sends a stream: what lies in the past at once, the rest when its time comes."""

    def __init__(self, bootstrap: str, stream: Stream) -> None:
        from confluent_kafka import Producer as Client

        settings = {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "linger.ms": 20}
        self._client = Client(settings | {"compression.type": "lz4", "queue.buffering.max.messages": 500_000})
        self._records = stream.records()
        self.sent = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def catch_up(self) -> None:
        """Send what is due, until it is now."""
        for at_ms, topic, id_, value in self._records:
            self._send(topic, id_, value)
            if at_ms >= time.time() * 1_000:
                break
        self._client.flush(60)

    def go_on(self) -> None:
        """Send the rest at its pace, beside."""
        self._thread = threading.Thread(target=self._pace, daemon=True)
        self._thread.start()

    def _pace(self) -> None:
        for at_ms, topic, id_, value in self._records:
            wait_s = at_ms / 1_000 - time.time()
            if wait_s > 0:
                self._client.poll(0)
                if self._stop.wait(wait_s):
                    break
            self._send(topic, id_, value)
        self._client.flush(60)

    def _send(self, topic: str, id_: str, value: bytes) -> None:
        while True:
            try:
                self._client.produce(topic, value, id_)
                break
            except BufferError:
                self._client.poll(0.1)
        self.sent += 1

    def stop(self) -> None:
        """Stop sending."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)
        self._client.flush(60)


class Run:
    """One case on a broker."""

    def __init__(self, case: Case, cluster: KafkaCluster, folder: Path, namespace: str, live_s: float) -> None:
        self.case, self.bootstrap, self.folder = case, cluster.bootstrap_servers, folder
        self.namespace, self.live_s, self._cluster = namespace, live_s, cluster
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        folder.mkdir(parents=True)
        self.config = folder / "config.yaml"

    def prepare(self) -> None:
        """Topics, and the configuration with its reference."""
        for topic in ("predictions", "labels"):
            self._cluster.delete_topics([topic, f"{topic}.dlq"])
            self._cluster.create_topic(topic, self.case.traffic.partitions)
        self._write("")
        if self.case.reference:
            sample = self.folder / "sample.jsonl"
            with sample.open("wb") as out:
                for _, topic, _, value in Stream(self.case, 1_700_000_000_000, 1_700_000_200_000).records():
                    if topic == "predictions":
                        out.write(value + b"\n")
            reference = self.folder / "reference.json"
            daemon.build_reference(self.config, sample, reference)
            self._write(f", reference: {reference}")

    def _write(self, reference: str) -> None:
        text = self.case.text.replace("REFERENCE", reference)
        http = f"http: {{host: 127.0.0.1, port: {self.port}}}\n"
        self.config.write_text(
            f'namespace: {self.namespace}\nkafka: {{bootstrap_servers: "{self.bootstrap}"}}\n{http}{text}'
        )

    def predict(self) -> dict[str, Any]:
        """What `driftline size` says."""
        traffic = self.case.traffic
        options = {
            "rate": traffic.rate, "labelled": traffic.labelled, "delay": f"{traffic.delay_ms}ms",
            "versions": traffic.versions, "partitions": traffic.partitions,
        }  # fmt: skip
        given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [daemon.driftline(), "size", "-c", str(self.config), *given, "-o", "json"]
        found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        return found

    def measure(self) -> dict[str, Any]:
        """Run, look, kill, run again."""
        from monitor.config import load

        config = load([self.config])
        horizon_ms = config.time.horizon_ms if config.streams.labels is not None else 0
        span_ms = round(SPANS * (horizon_ms + config.time.lateness_ms))
        now_ms = round(time.time() * 1_000)
        producer = Producer(self.bootstrap, Stream(self.case, now_ms - span_ms, now_ms + PATIENCE_S * 1_000))
        producer.catch_up()
        producer.go_on()
        arguments = ["-c", str(self.config)]
        first = Process(arguments, self.port, self.folder / "first.log")
        second: Process | None = None
        try:
            self.wait_until_read(first)
            time.sleep(5)
            began = time.time()
            time.sleep(self.live_s)
            found = self.look(first) | self._ledger(began, time.time())
            found["restart_predicted_now"] = self.predict()["restart_seconds"]
            first.end(signal.SIGKILL)
            second = Process(arguments, self.port, self.folder / "second.log")
            found |= self._recover(second)
            producer.stop()
        finally:
            producer.stop()
            for process in (first, second):
                if process is not None and process.running:
                    process.end(signal.SIGKILL)
        return found

    def wait_until_read(self, process: Process) -> None:
        """Wait until it has read what is there."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE_S:
            status = process.status()
            owned = status["partitions"] if status else []
            streams = [p[name] for p in owned for name in ("predictions", "labels") if p[name]]
            lag = [s["end"] - s["position"] for s in streams if s["end"] is not None]
            if len(owned) == self.case.traffic.partitions and len(lag) == len(streams) and sum(lag) < 2_000:
                return
            time.sleep(0.5)
        raise RuntimeError(f"{self.case.name}: it does not catch up")

    def look(self, process: Process) -> dict[str, Any]:
        """What it holds and exports now."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
        status = process.status()
        assert status is not None
        owned = status["partitions"]
        memory = kernel(process.pid)
        return {
            "held_rows": sum(p["state_rows"] for p in owned),
            "join_bytes": sum(p["state_bytes"] for p in owned),
            "recovery_rows": sum(p["recovery_rows"] for p in owned),
            "series": len(lines),
            "process_bytes": memory["VmRSS"],
            "peak_bytes": memory["VmHWM"],
        }

    def _ledger(self, began_s: float, ended_s: float) -> dict[str, float]:
        records = flat(Kafka(self.bootstrap).read(f"{self.namespace}.ledger"))
        sizes = [len(r.value or b"") for r in records if began_s <= (r.timestamp_ms or 0) / 1_000 < ended_s]
        a_day = 86_400 / (ended_s - began_s)
        return {"ledger_bytes_per_day": sum(sizes) * a_day, "commits_per_second": len(sizes) / (ended_s - began_s)}

    def _recover(self, process: Process) -> dict[str, Any]:
        began: tuple[float, float] | None = None
        while True:
            lines = list(process.lines())
            now = time.monotonic(), thread_secs(process.pid)
            if began is None and any("are read again" in line for line in lines):
                began = now
            opened = sum(": open, epoch" in line for line in lines if "partition" in line)
            if began is not None and opened == self.case.traffic.partitions:
                return {"restart_seconds": now[1] - began[1], "restart_by_the_clock": now[0] - began[0]}
            if now[0] - process.began > PATIENCE_S:
                raise RuntimeError(f"{self.case.name}: it does not recover")
            time.sleep(0.01)


def client(bootstrap: str, topic: str) -> dict[str, float]:
    """What this process's first thread takes to have the records of a topic handed over: microseconds and bytes of one."""
    from monitor.adapters.kafka_log import KafkaLog

    log = KafkaLog(bootstrap, group="size-client")
    reader = log.reader(keys=False, headers=False)
    ends = log.end_offsets(topic)
    reader.assign({(topic, partition): 0 for partition, end in enumerate(ends) if end})
    records = nbytes = 0
    time.sleep(2)  # so that there is something to hand over: who waits for the broker takes no processor
    began = time.thread_time()
    while records < sum(ends):
        for batch in reader.poll(5_000, 200):
            records += len(batch)
            nbytes += sum(map(len, batch.values))  # type: ignore[arg-type]
    took = time.thread_time() - began
    reader.close()
    log.close()
    return {"us": 1e6 * took / records, "bytes": nbytes / records, "yards": took / records / yardstick_secs()}


def clients(cluster: KafkaCluster, records: int) -> None:
    """Print what the client takes for records of each case, and the two numbers that say it of any size."""
    costs = []
    for case in CASES:
        for topic in ("predictions", "labels"):
            cluster.delete_topics([topic])
            cluster.create_topic(topic, 1)
        span_ms = round(1_000 * records / case.traffic.rate)
        Producer(cluster.bootstrap_servers, Stream(case, 1_700_000_000_000, 1_700_000_000_000 + span_ms)).catch_up()
        costs += [client(cluster.bootstrap_servers, topic) for topic in ("predictions", "labels")]
        for cost in costs[-2:]:
            print(f"{case.name}: {cost['bytes']:.0f} bytes, {cost['us']:.2f} us, {cost['yards']:.2f} yards", flush=True)
    slope, each = np.polyfit([cost["bytes"] for cost in costs], [cost["yards"] for cost in costs], 1)
    print(f"CLIENT, CLIENT_A_BYTE = {each:.2f}, {slope:.5f}")


def kernel(pid: int) -> dict[str, int]:
    """Bytes by the names of the kernel."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


def thread_secs(pid: int) -> float:
    """Processor time of a process's first thread."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


COMPARED = (
    "held_rows", "join_bytes", "process_bytes", "ledger_bytes_per_day", "commits_per_second", "series", "recovery_rows",
    "restart_seconds",
)  # fmt: skip


def compare(case: Case, predicted: dict[str, Any], measured: dict[str, Any]) -> list[Pair]:
    """Both, by quantity. What is said of one partition is said of all."""
    of_all = predicted | {
        "recovery_rows": predicted["recovery_rows"] * case.traffic.partitions,
        "restart_seconds": measured["restart_predicted_now"],
    }
    return [Pair(name, of_all[name], measured[name]) for name in COMPARED]


def table(case: Case, pairs: list[Pair], measured: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"{case.name}{'' if case.seen else ' (unseen)'}", f"{'':<24}{'predicted':>16}{'measured':>16}{'off':>8}"]
    for pair in pairs:
        mark = "" if abs(pair.off) <= WITHIN else "  <<"
        lines.append(f"{pair.name:<24}{pair.predicted:>16,.1f}{pair.measured:>16,.1f}{pair.off:>+8.0%}{mark}")
    lines.append(f"{'peak_bytes':<24}{'':>16}{measured['peak_bytes']:>16,.1f}")
    lines.append(f"{'restart_by_the_clock':<24}{'':>16}{measured['restart_by_the_clock']:>16,.1f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.size", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="must not exist; removed at the end")
    parser.add_argument("--case", default="", help="part of the name of those to run")
    parser.add_argument(
        "--unseen", action="store_true", help="only those that were not looked at while the model was made"
    )
    parser.add_argument("--live", type=float, default=60, help="seconds for which it is looked at how the ledger grows")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    parser.add_argument("--client", type=int, metavar="N", help="only what the client takes to hand N records over")
    arguments = parser.parse_args()
    wrong = 0
    with ExitStack() as closing:
        arguments.folder.mkdir(parents=True)
        if not arguments.keep:
            closing.callback(shutil.rmtree, arguments.folder)
        cluster = closing.enter_context(KafkaCluster(heap_mb=1024))
        if arguments.client:
            clients(cluster, arguments.client)
            return 0
        chosen = [c for c in CASES if arguments.case in c.name and not (arguments.unseen and c.seen)]
        for number, case in enumerate(chosen):
            run = Run(case, cluster, arguments.folder / str(number), f"size-{number}", arguments.live)
            run.prepare()
            predicted, measured = run.predict(), run.measure()
            pairs = compare(case, predicted, measured)
            print(table(case, pairs, measured), flush=True)
            print(json.dumps({"case": case.name, "predicted": predicted, "measured": measured}), flush=True)
            wrong += sum(abs(pair.off) > WITHIN for pair in pairs)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
