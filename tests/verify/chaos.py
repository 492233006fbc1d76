"""Chaos on three real brokers: processes and brokers are killed, stopped, frozen and moved while records arrive.

Flights arrive with 5 % repeated, 4 % corrected and 1 % that are no records. Workers of one namespace are hurt, so is a broker,
one at a time; when the last fault is over both are left alone to the end, and another namespace reads the same topics to the end
undisturbed. Then the checker (`tests.checker`, which shares no code with the engine, in processes of its own) compares both, the
windows with a recount of the raw topics, and audits the ledger.

The workers that are hurt put rows of their joins aside, and snapshots, on a file system of their own of 16 MB (a tmpfs; it takes
the right to mount), which is filled to the last byte now and then: what cannot be written must show nowhere but in their
logs. Where nothing can be mounted that fault is left out, and the figures say so.

Not here: a broker's full disk. A broker without room ends its log directory and itself, as a killed one does.
"""

from __future__ import annotations

import errno
import gzip
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Self

from confluent_kafka import Producer

from tests.kafka.broker import KafkaCluster
from tests.kafka.deployment import FLIGHTS, SESSION_MS, Deployment, Process, eventually, succeed
from tests.kafka.jars import BrokerUnavailable
from tests.kafka.three import NODES, ThreeNodes
from tests.verify import report
from tests.verify.progress import shown

PARTITIONS = 6
REPEATED, CORRECTED, MALFORMED = 0.05, 0.04, 0.01
CUTS = ("state.max_batch_rows=300", "state.commit_interval=50ms")
HURT, CALM = "hurt", "calm"
WORKERS_MAX = 3
RECORDS_MAX = 40_000
RATE_MAX = 150.0
SECS_A_FAULT = 4.0
BROKER_TRIES = 3
SHARE_OF_HASTY_FAULTS = 0.25
BEGUN_WITHIN_SECS = 30.0
FAULTS_A_DEPLOYMENT = 125
FULL_SECS_MAX = 30.0
"""A disk stays full until somebody noticed, but no longer."""
RECOUNT = (
    *("--window", "day", "--window", "month", "--horizon", "36h", "--lateness", "36h", "--disorder", "15m"),
    *("--max-jump", "2d", "--threshold", "0.25", "--segment", "origin=EWR,JFK,LGA"),
)


def records(chance: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """(stream, key, value) in the order of their times, with what goes wrong in them."""
    lines = []
    for stream in ("predictions", "labels"):
        for line in gzip.decompress((FLIGHTS / f"{stream}.jsonl.gz").read_bytes()).splitlines():
            document = json.loads(line)
            lines.append((document["at"], stream, document["id"], line))
            if stream == "labels" and chance.random() < CORRECTED:
                document = {**document, "at": document["at"] + 3_600_000, "label": 1 - document["label"]}
                lines.append((document["at"], stream, document["id"], json.dumps(document).encode()))
    lines.sort(key=lambda line: line[0])
    for _, stream, key, line in lines:
        yield stream, key, line
        if chance.random() < REPEATED:
            yield stream, key, line
        if chance.random() < MALFORMED:
            yield stream, key, line[: chance.randrange(len(line))]


class Feed(threading.Thread):
    """Sends records as they are drawn, so many a second, until it is told that it is enough."""

    def __init__(self, bootstrap: str, most: int, rate: float, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._servers, self._most, self._rate, self._chance = bootstrap, most, rate, chance
        self._enough = threading.Event()
        self.sent: Counter[str] = Counter()
        self.unsent = 0

    def run(self) -> None:
        producer = Producer({
            "bootstrap.servers": self._servers, "enable.idempotence": True, "acks": "all", "log_level": 0,
            "message.timeout.ms": 120_000, "linger.ms": 20, "partitioner": "murmur2_random",
        })  # fmt: skip
        began = time.monotonic()
        for stream, key, value in records(self._chance):
            if self._enough.is_set() or self.sent.total() >= self._most:
                break
            producer.produce(stream, value, key)
            self.sent[stream] += 1
            ahead = self.sent.total() / self._rate - (time.monotonic() - began)
            producer.poll(max(0.0, min(ahead, 1.0)) if ahead > 0.01 else 0)
        self.unsent = producer.flush(120)

    def finish(self) -> None:
        """Stop drawing, and wait until the brokers have what was drawn."""
        self._enough.set()
        self.join(180)
        assert self.unsent == 0, f"{self.unsent} records were not taken by the brokers"


class SmallDisk:
    """A file system of a few MB that can be filled. `there`: whether it could be mounted."""

    SIZE_MB = 16

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.SIZE_MB}m", "driftline-chaos", str(folder)]
        try:
            self.there = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self.there = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.there:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)

    @property
    def settings(self) -> tuple[str, ...]:
        """What makes a worker write to it, often."""
        if not self.there:
            return ()
        put_aside = ("state.memory_rows=1000", f"state.directory={self.folder / 'aside'}")
        return (*put_aside, f"state.snapshots={self.folder / 'snapshots'}", "state.snapshot_records=300")

    def fill(self, enough: Callable[[], bool]) -> None:
        """Leave no byte free until it is enough; what its users give back meanwhile is taken too."""
        ballast = self.folder / "ballast"
        with ballast.open("ab", buffering=0) as file:
            while not enough():
                try:
                    file.write(bytes(4_096))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    time.sleep(0.05)
        ballast.unlink()


@dataclass(slots=True)
class Chaos:
    """Workers and brokers, and what has been done to them."""

    kafka: ThreeNodes
    flights: Deployment
    chance: random.Random
    disk: SmallDisk
    workers: list[Process] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)
    _first: list[Callable[[], str]] = field(default_factory=list)
    _coming_back: _Back | None = None

    def __post_init__(self) -> None:
        """Each kind of fault happens once, in any order, before any is drawn; the full disk first, while records arrive."""
        self._first = self.chance.sample([step for _, step in self._faults()], len(self._faults()))
        self._first.sort(key=lambda step: step == self._disk)

    def worker(self, *, until_end: bool = False) -> Process:
        """A worker that will be hurt."""
        return self.flights.worker(HURT, *CUTS, *self.disk.settings, until_end=until_end)

    def start(self) -> None:
        """One worker more."""
        self.workers.append(self.worker())

    def settle(self) -> None:
        """Mostly, wait until every worker has begun to work: faults that come faster than processes start hurt nobody. The
        others hit while it begins."""
        if self.chance.random() < SHARE_OF_HASTY_FAULTS:
            return
        deadline = time.monotonic() + BEGUN_WITHIN_SECS
        while not all(worker.said or not worker.running for worker in self.workers) and time.monotonic() < deadline:
            time.sleep(0.1)

    def fault(self) -> None:
        """One fault, drawn; a worker that ended by itself is started again, as its supervisor would."""
        for place, worker in enumerate(self.workers):
            if not worker.running:
                self.happened[f"(ended by itself with {worker.wait(1)}, started again)"] += 1
                self.workers[place] = self.worker()
        weights, steps = zip(*self._faults(), strict=True)
        step = self._first.pop() if self._first else self.chance.choices(steps, weights)[0]
        self.happened[step()] += 1

    def _faults(self) -> list[tuple[int, Callable[[], str]]]:
        """Those there are, with how often they are drawn."""
        found = [(6, self._kill), (3, self._stop), (4, self._freeze), (2, self._scale), (3, self._broker)]
        return [*found, (2, self._disk)] if self.disk.there else found

    def _kill(self) -> str:
        place = self.chance.randrange(len(self.workers))
        self.workers[place].kill()
        self.workers[place] = self.worker()
        return "worker killed (-9)"

    def _stop(self) -> str:
        place = self.chance.randrange(len(self.workers))
        self.workers[place].send(signal.SIGTERM)
        self.workers[place].wait(90)
        self.workers[place] = self.worker()
        return "worker told to stop (SIGTERM)"

    def _freeze(self) -> str:
        worker = self.chance.choice(self.workers)
        worker.send(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.3, 2.5) * SESSION_MS / 1_000)
        worker.send(signal.SIGCONT)
        return "worker frozen and woken (SIGSTOP)"

    def _disk(self) -> str:
        before, began = self._refused(), time.monotonic()
        least = began + self.chance.uniform(1.0, 4.0)

        def enough() -> bool:
            now = time.monotonic()
            return now > least and (self._refused() > before or now > began + FULL_SECS_MAX)

        self.disk.fill(enough)
        return "disk of the workers full"

    def _refused(self) -> int:
        return refusals(worker.said for worker in self.workers)

    def _scale(self) -> str:
        if len(self.workers) < WORKERS_MAX:
            self.start()
            return "a worker more"
        self.workers.pop(self.chance.randrange(len(self.workers))).kill()
        return "a worker less"

    def _broker(self) -> str:
        self.brokers_are_back()
        node = self.kafka.nodes[self.chance.randrange(NODES)]
        node.kill()
        self._coming_back = _Back(node, self.chance.uniform(0.2, 3.0))
        self._coming_back.start()
        return "broker killed (-9) and started, its leaders moved and moved back"

    def brokers_are_back(self) -> None:
        """Wait for the one that was killed: two of three must live for anything to be written. Raises BrokerUnavailable."""
        if self._coming_back is not None:
            self._coming_back.wait()
            self._coming_back = None


class _Back(threading.Thread):
    """A broker that starts again after a while; meanwhile other faults happen."""

    def __init__(self, node: KafkaCluster, after_secs: float) -> None:
        super().__init__(daemon=True)
        self._node, self._after_secs = node, after_secs
        self._error: BrokerUnavailable | None = None

    def run(self) -> None:
        time.sleep(self._after_secs)
        for left in reversed(range(BROKER_TRIES)):
            try:
                self._node.start()
                return
            except BrokerUnavailable as error:  # a loaded machine: one more life that ended early
                self._error = None if left else error

    def wait(self) -> None:
        """Until it is there. Raises BrokerUnavailable."""
        self.join()
        if self._error is not None:
            raise self._error


def refusals(said: Iterable[str]) -> int:
    """How often processes said that the disk takes no more."""
    return sum(text.lower().count("no space left") for text in said)


def check(flights: Deployment) -> list[str]:
    """What the checker says, in processes of its own; nothing when all holds."""
    at = ("--bootstrap", flights.bootstrap)
    windows, audit = "tests.checker.windows", "tests.checker.audit"
    recount = ("--predictions", flights.predictions, "--labels", flights.labels, *RECOUNT)
    asked = [
        # An owner without room records that its join is full, and nobody else's is.
        (windows, *at, "--namespace", HURT, "--against", CALM, "--without", "join-full"),
        (windows, *at, "--namespace", HURT, *recount),
        (audit, *at, "--namespace", HURT),
        (audit, *at, "--namespace", CALM),
    ]
    found = []
    for module, *arguments in asked:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(command, cwd=report.ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            found.append(f"{module} {' '.join(arguments)}:\n{done.stdout[-1_500:]}{done.stderr[-1_500:]}")
    return found


def run(
    faults: int, seed: int, minutes: float | None, folder: Path, most: int = RECORDS_MAX
) -> tuple[list[str], dict[str, object]]:
    """So many faults while at most `most` records arrive, then the end, then the checker: what does not hold, and the figures."""
    chance, began = random.Random(f"chaos {seed}"), time.monotonic()
    with (
        SmallDisk(folder / "disk") as disk,
        ThreeNodes() as kafka,
        Deployment(kafka.bootstrap_servers, "predictions", "labels", folder) as flights,
    ):
        for topic in ("predictions", "labels"):
            kafka.create_topic(topic, PARTITIONS)
        rate = min(RATE_MAX, most / (faults * SECS_A_FAULT + 30))  # so that they come until the last fault
        feed = Feed(kafka.bootstrap_servers, most, rate, random.Random(f"feed {seed}"))
        feed.start()
        chaos = Chaos(kafka, flights, chance, disk)
        for _ in range(2):
            chaos.start()
        eventually(lambda: sum(flights.read_offsets(HURT)) > 500, 120, "the first commits")
        in_time = takewhile(lambda _: minutes is None or time.monotonic() - began < minutes * 60, range(faults))
        done = 0
        for _ in shown(in_time, faults, "faults"):
            chaos.settle()
            time.sleep(chance.uniform(0.1, 1.5))
            chaos.fault()
            done += 1
        chaos.brokers_are_back()
        feed.finish()
        for worker in chaos.workers:
            worker.kill()
        succeed(chaos.worker(until_end=True), chaos.worker(until_end=True), secs=400)
        succeed(flights.worker(CALM), secs=400)
        found = check(flights)
        walks = flights.walks(HURT)
        refused = refusals(flights.everything_said())
        ignored = sum((walk.ignored for walk in walks), Counter[str]())
    figures: dict[str, object] = {
        "faults": done,
        "of these": dict(chaos.happened.most_common()),
        "records": dict(feed.sent),
        "openings of partitions": sum(len(walk.epochs) for walk in walks),
        "commits that count": sum(len(walk.commits) for walk in walks),
        "records of the ledger that do not": dict(ignored),
        "writes that the disk refused": refused
        if disk.there
        else "no disk could be mounted that is small enough to be full",
        "what does not hold, by the checker": len(found),
    }
    return found, figures


def main(faults: int, seed: int, minutes: float | None) -> int:
    """Run, tell, keep the figures: in several deployments, one after the other, of which each is checked at its end."""
    began = time.monotonic()
    found: list[str] = []
    total: dict[str, object] = {}
    deployments = 0
    while (left := faults - deployments * FAULTS_A_DEPLOYMENT) > 0:
        minutes_left = None if minutes is None else minutes - (time.monotonic() - began) / 60
        if minutes_left is not None and minutes_left <= 0:
            break
        with tempfile.TemporaryDirectory(prefix="driftline-chaos-") as folder:
            own = min(left, FAULTS_A_DEPLOYMENT)
            most = max(RECORDS_MAX * own // FAULTS_A_DEPLOYMENT, 5_000)
            said, figures = run(own, seed + deployments, minutes_left, Path(folder), most)
        deployments += 1
        found += said
        total = {"deployments": deployments, **{name: _sum(total.get(name), value) for name, value in figures.items()}}
        for sentence in said:
            print(sentence)
        print("; ".join(f"{name}: {value}" for name, value in total.items()), flush=True)
        command = f"python -m tests.verify chaos --faults {faults} --seed {seed}"
        report.keep("chaos", command, time.monotonic() - began, total)
    return 1 if found else 0


def _sum(one: object, other: object) -> object:
    if isinstance(one, dict) and isinstance(other, dict):
        return dict((Counter(one) + Counter(other)).most_common())
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    return other
