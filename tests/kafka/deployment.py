"""The daemon as processes on a real broker: start workers, hurt them, wait for them, compare what they left.

A `Deployment` is a broker, two source topics and a folder; namespaces on it read the same topics. Every process it
started is dead when it is closed.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import orjson

from tests.checker import audit, windows
from tests.checker.sources import Kafka as Source
from tests.checker.sources import Source as AnySource
from tests.checker.sources import flat

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "monitor" / "demo"
FLIGHTS = DEMO / "flights"
SESSION_MS = 1_500
PATIENCE = 4
"""How many times as long as it takes on an idle machine something may take: a red run is to mean a changed program. Where a limit
is promised, the test measures it."""

LAYER = """
kafka:
  bootstrap_servers: "{bootstrap}"
  properties: {{session.timeout.ms: "{session}", heartbeat.interval.ms: "300"}}
streams:
  predictions: {{topic: {predictions}}}
  labels: {{topic: {labels}}}
time: {{idle_after: 1h}}
rules:
  - {{name: low-recall, metric: recall, op: "<", threshold: 0.45, window: day, min_rows: 20, min_coverage: 0.5}}
  - {{name: low-accuracy, metric: accuracy, op: "<", threshold: 0.6, window: day, min_rows: 50, min_coverage: 0.3,
      segments: each, for: 2h}}
  - {{name: hour-drifts, metric: "psi:hour", op: ">", threshold: 0.05, window: day, min_rows: 300}}
"""


class Process:
    """One command of Driftline as a process of its own; standard error goes to a file. `tree`: where the code is."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, tree: Path = ROOT) -> None:
        self.log_path = folder / f"{name}.log"
        command = [sys.executable, "-m", "monitor.cli.entry", *arguments]
        with self.log_path.open("wb") as out:
            self._process = subprocess.Popen(
                command, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=out
            )

    @property
    def running(self) -> bool:
        """Whether it lives (a frozen one does)."""
        return self._process.poll() is None

    @property
    def said(self) -> str:
        """What it printed to standard error so far."""
        return self.log_path.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9; a frozen one dies too."""
        self.send(signal.SIGKILL)
        self._process.wait(30)

    def wait(self, secs: float) -> int:
        """Its exit code; a failure with what it said when it takes longer than `secs`."""
        try:
            return self._process.wait(secs)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {secs:.0f} s:\n{self.said[-3_000:]}") from None


class Deployment:
    """Two source topics of flights on a broker, and any number of namespaces that read them."""

    def __init__(self, bootstrap: str, predictions: str, labels: str, folder: Path) -> None:
        self.bootstrap, self.predictions, self.labels = bootstrap, predictions, labels
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._layer = folder / "layer.yaml"
        self._layer.write_text(
            LAYER.format(bootstrap=bootstrap, session=SESSION_MS, predictions=predictions, labels=labels)
        )
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            process.kill()

    def everything_said(self) -> list[str]:
        """What each of the processes printed to standard error."""
        return [process.said for process in self._processes]

    @property
    def source(self) -> Source:
        """The topics, to be read raw."""
        return Source(self.bootstrap)

    def start(self, *arguments: str, tree: Path = ROOT) -> Process:
        """Start any command."""
        process = Process(f"{len(self._processes)}-{arguments[0]}", arguments, self.folder, tree)
        self._processes.append(process)
        return process

    def config(self, namespace: str, *settings: str) -> list[str]:
        """The configuration of a namespace, as arguments; `settings` are `key=value`."""
        files = ["-c", str(DEMO / "flights.yaml"), "-c", str(self._layer)]
        return [*files, *(a for s in (f"namespace={namespace}", *settings) for a in ("--set", s))]

    def worker(
        self,
        namespace: str,
        *settings: str,
        until_end: bool = True,
        embedded: Path | None = None,
        tree: Path = ROOT,
    ) -> Process:
        """Start a worker."""
        flags = [*(["--until-end"] if until_end else []), *(["--embedded", str(embedded)] if embedded else [])]
        return self.start("run", "--no-http", *flags, *self.config(namespace, *settings), tree=tree)

    def produce(self, topic: str, file: str, *options: str, embedded: Path | None = None) -> Process:
        """Send one of the files of flights into a topic."""
        where = ["--embedded", str(embedded)] if embedded else ["--bootstrap", self.bootstrap]
        return self.start("produce", topic, str(FLIGHTS / file), "-q", *where, *options)

    def produce_all(self, *options: str, embedded: Path | None = None) -> None:
        """Send all flights into both topics, the two streams at once."""
        running = [
            self.produce(topic, file, *options, embedded=embedded)
            for topic, file in ((self.predictions, "predictions.jsonl.gz"), (self.labels, "labels.jsonl.gz"))
        ]
        assert [process.wait(60 * PATIENCE) for process in running] == [0, 0]

    def read_offsets(self, namespace: str) -> tuple[int, int]:
        """Records read of predictions and labels, as the ledger has them now; zeros before there is one."""
        walks = self.walks(namespace)
        reads = [w.commits[-1]["records"] for w in walks if w.commits]
        return sum(r[0] for r in reads), sum(r[1] for r in reads)

    def walks(self, namespace: str) -> list[audit.Walk]:
        """The ledger, walked by the checker."""
        from confluent_kafka import KafkaException

        try:
            logs = self.source.read(f"{namespace}.ledger")
        except KafkaException:
            return []
        return [audit.walk(p, (raw.value for raw in log)) for p, log in enumerate(logs)]

    def audits(self, namespace: str) -> list[str]:
        """What does not hold of the ledger, by the checker and by the command."""
        process = self.start("ledger", "audit", *self.config(namespace))
        complaints = audit.audit(self.source, namespace)[1]
        return complaints if process.wait(60 * PATIENCE) == 0 else [*complaints, process.said]


def succeed(*workers: Process, secs: float = 60) -> None:
    """Wait until every worker has ended by itself with exit code 0, `secs` on an idle machine."""
    for worker in workers:
        code = worker.wait(PATIENCE * secs)
        assert code == 0, worker.said[-3_000:]


def published(source: AnySource, namespace: str) -> dict[str, bytes]:
    """The final windows of a namespace, by key."""
    return windows.final(windows.current(flat(source.read(f"{namespace}.windows"))))


def differences(left: tuple[AnySource, str], right: tuple[AnySource, str]) -> list[str]:
    """In what two namespaces' final windows and alerts differ, byte by byte."""
    compared, found = windows.compare_namespaces(left[0], left[1], right[0], right[1])
    assert compared > 200, "too few windows to say anything"
    return found


def without_config(published_windows: dict[str, bytes]) -> dict[str, bytes]:
    """Payloads without the digest of the configuration: the topics' names go into it."""
    kept = {}
    for key, value in published_windows.items():
        document = orjson.loads(value)
        assert document.pop("config").startswith("sha256:")
        kept[key] = orjson.dumps(document)
    return kept


def eventually(holds: Callable[[], bool], within_secs: float, what: str, *processes: Process) -> None:
    """Wait until something holds, `within_secs` on an idle machine; a failure that says what did not. It fails at once when one
    of `processes` ends."""
    deadline = time.monotonic() + PATIENCE * within_secs
    while not holds():
        for process in processes:
            assert process.running, f"ended before {what}: {process.said[-3_000:]}"
        told = "".join(f"\n{process.said[-3_000:]}" for process in processes)
        assert time.monotonic() < deadline, f"not within {PATIENCE * within_secs:.0f} s: {what}{told}"
        time.sleep(0.1)
