"""`make bench`. See the package for how it is measured.

python -m tests.bench                            # everything; prints a table, writes build/bench.json
python -m tests.bench --contenders b1,river      # without the daemon: no ratios of it are written
python -m tests.bench --skip-memory --rounds 3 --pairs 100000
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import daemon, generate
from tests.kafka.broker import Kafka, KafkaCluster

BROKER_CORE, CONTENDER_CORE = 0, 1
MEMORY_ROWS = (1_000_000, 2_000_000, 5_000_000, 10_000_000)
EMPTY_RUNS = 3
LIBRARIES = ("confluent-kafka", "orjson", "msgspec", "numpy", "river")


@dataclass(frozen=True, slots=True)
class Topics:
    """A pair of source topics and what a right reader finds in them."""

    name: str
    data: generate.Data | None

    @property
    def predictions(self) -> str:
        return f"bench.{self.name}.predictions"

    @property
    def labels(self) -> str:
        return f"bench.{self.name}.labels"

    @property
    def truth(self) -> dict[str, generate.Counts]:
        """`segment start` -> counts."""
        return {f"{s} {t}": c for (s, t), c in generate.truth(self.data).items()} if self.data else {}

    @property
    def records(self) -> int:
        return 2 * len(self.data) if self.data else 0

    @property
    def broken(self) -> int:
        """Records that are no JSON."""
        return int(self.data.broken_prediction.sum() + self.data.broken_label.sum()) if self.data else 0


@dataclass(frozen=True, slots=True)
class Run:
    """One process that ended well: its CPU time and the JSON line it printed, if any."""

    cpu_ns: int
    says: dict[str, Any]


@dataclass
class Contender:
    """Something that reads both topics to their end. `check` raises when what it found is not the truth."""

    name: str
    start: Callable[[Topics, str], list[str]]
    check: Callable[[Topics, str, Run], None]
    empty_ns: list[int] = field(default_factory=list)
    cpu_ns: dict[str, list[int]] = field(default_factory=dict)

    def per_event(self, topics: Topics) -> float:
        """Median ns of CPU time per record, start-up not included."""
        return (statistics.median(self.cpu_ns[topics.name]) - statistics.median(self.empty_ns)) / topics.records


class WrongCounts(AssertionError):
    """A contender did not find what is in the topics: its speed means nothing."""


class Bench:
    """The broker, the topics and the contenders of one run."""

    def __init__(self, broker: Kafka, folder: Path, pairs: int, partitions: int) -> None:
        self.broker, self.folder, self.partitions = broker, folder, partitions
        self.clean = Topics("clean", generate.make(pairs))
        self.bad = Topics("bad", generate.make(pairs, bad=True))
        self.empty = Topics("empty", None)
        self.all = (self.clean, self.bad, self.empty)
        self._runs = 0

    def prepare(self, *, bad: bool) -> None:
        """Topics with their records, made anew."""
        self.clean_up()
        for topics in (self.empty, self.clean, *([self.bad] if bad else [])):
            for name in (topics.predictions, topics.labels):
                self.broker.create_topic(name, self.partitions)
            if topics.data is not None:
                bootstrap = self.broker.bootstrap_servers
                generate.produce(topics.data, bootstrap, topics.predictions, topics.labels)

    def script(self, module: str) -> Callable[[Topics, str], list[str]]:
        """A contender that is a module of this package."""
        address = self.broker.bootstrap_servers
        return lambda topics, _: [sys.executable, "-m", module, address, topics.predictions, topics.labels]

    def daemon_start(self, topics: Topics, tag: str) -> list[str]:
        """A daemon under a namespace of its own, so that it begins at the beginning."""
        path = self.folder / f"{tag}.yaml"
        reference = self.folder / "reference.json"
        path.write_text(daemon.config(tag, self.broker.bootstrap_servers, topics.predictions, topics.labels, reference))
        return daemon.command(path)

    def build_reference(self) -> None:
        """The daemon's reference, from records of the same distribution and another seed."""
        sample = generate.make(10_000, seed=1)
        generate.write(sample, self.folder / "reference")
        path = self.folder / "reference.yaml"
        bootstrap = self.broker.bootstrap_servers
        path.write_text(
            daemon.config("bench-reference", bootstrap, self.clean.predictions, self.clean.labels, None, watched=False)
        )
        daemon.build_reference(path, self.folder / "reference" / "predictions.jsonl", self.folder / "reference.json")

    def run(self, contender: Contender, topics: Topics) -> tuple[str, Run]:
        """One run in a process of its own on its core. Raises when it does not end with 0."""
        self._runs += 1
        tag = f"bench-{os.getpid()}-{self._runs}"
        command = _pinned(contender.start(topics, tag), CONTENDER_CORE)
        out, err = self.folder / f"{tag}.out", self.folder / f"{tag}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            tail = err.read_text(errors="replace")[-3000:]
            raise RuntimeError(f"{contender.name}: {' '.join(command)} ended with {process.returncode}:\n{tail}")
        cpu_ns = round((usage.ru_utime + usage.ru_stime) * 1e9)
        return tag, Run(cpu_ns, _last_json(out.read_text()))

    def warm_up(self, contender: Contender, topics: Sequence[Topics]) -> None:
        """Check what it counts, before anything is timed."""
        for pair in topics:
            tag, run = self.run(contender, pair)
            contender.check(pair, tag, run)
            self.forget(tag)

    def measure(self, contender: Contender, topics: Topics) -> None:
        """One timed run."""
        tag, run = self.run(contender, topics)
        known = contender.empty_ns if topics.data is None else contender.cpu_ns.setdefault(topics.name, [])
        known.append(run.cpu_ns)
        self.forget(tag)

    def forget(self, tag: str) -> None:
        """Delete what a daemon wrote, so that the broker is the same for everybody."""
        letters = [f"{topic}.dlq" for t in self.all for topic in (t.predictions, t.labels)]
        names = self.broker.admin().list_topics(timeout=30).topics
        self.broker.delete_topics([name for name in names if name.startswith(f"{tag}.") or name in letters])

    def clean_up(self) -> None:
        """Delete the source topics: the broker may be somebody's own."""
        self.broker.delete_topics([topic for t in self.all for topic in (t.predictions, t.labels)])

    # -- checks ------------------------------------------------------------------------------------------------------

    def check_read(self, topics: Topics, _: str, run: Run) -> None:
        """Every record was read."""
        _equal(run.says, {"events": topics.records, "broken": topics.broken}, "B1")

    def check_loop(self, topics: Topics, tag: str, run: Run) -> None:
        """Every record was read, every window has its counts."""
        self.check_read(topics, tag, run)
        _equal(run.says["counts"], topics.truth, "river loop")

    def check_daemon(self, topics: Topics, tag: str, _: Run) -> None:
        """Every final window has its counts, every broken record is a dead letter."""
        bootstrap = self.broker.bootstrap_servers
        _equal(daemon.published(bootstrap, tag), topics.truth, "daemon")
        if topics.broken:
            letters = daemon.dead_letters(bootstrap, [topics.predictions, topics.labels])
            _equal({"dead letters": letters}, {"dead letters": topics.broken}, "daemon")


def _equal(found: dict[str, Any], expected: dict[str, Any], who: str) -> None:
    """Everything expected is found; raises with the first that is not."""
    for key, value in expected.items():
        if found.get(key) != value:
            raise WrongCounts(f"{who}: {key} is {found.get(key)}, not {value}")


def _pinned(command: list[str], core: int) -> list[str]:
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > 1 else command


def _last_json(text: str) -> dict[str, Any]:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    return {}


def memory(rows: int) -> dict[str, float]:
    """What a waiting prediction costs with `rows` of them."""
    command = _pinned([sys.executable, "-m", "tests.bench.pending_memory", "--rows", str(rows)], CONTENDER_CORE)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return _last_json(done.stdout)


def beside(peers: Sequence[str]) -> dict[str, Any]:
    """A tick of the budget over a hundred features; and 10,000 rows by us and by peers, given as NAME=PYTHON."""
    options = [f"--{peer}" for peer in peers]
    found = {}
    for name, more in (("tick", []), ("peers", options)):
        command = _pinned([sys.executable, "-m", f"tests.bench.{name}", *more], CONTENDER_CORE)
        found[name] = _last_json(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def results(bench: Bench, by_name: dict[str, Contender], at: dict[int, dict[str, float]]) -> dict[str, Any]:
    """The numbers of `build/bench.json`: ratios first, what they come from after them."""
    clean = bench.clean
    per_event = {name: c.per_event(clean) for name, c in by_name.items()}
    found: dict[str, Any] = {}
    if "daemon" in by_name:
        d = by_name["daemon"]
        found["daemon_vs_b1"] = per_event["b1"] / per_event["daemon"] if "b1" in by_name else None
        found["daemon_vs_river_loop"] = per_event["river"] / per_event["daemon"] if "river" in by_name else None
        found["bad_input_cost"] = d.per_event(bench.bad) / per_event["daemon"] - 1
    for rows, cost in at.items():
        found[f"bytes_per_pending_{rows // 1_000_000}m"] = cost["bytes_per_pending"]
        found[f"insert_ns_{rows // 1_000_000}m"] = cost["insert_ns"]
        found[f"take_ns_{rows // 1_000_000}m"] = cost["take_ns"]
    found["cpu_ns_per_event"] = per_event
    found["raw"] = {
        name: {"empty_cpu_ns": c.empty_ns, **{f"{t}_cpu_ns": ns for t, ns in c.cpu_ns.items()}}
        for name, c in by_name.items()
    }
    found["setting"] = {
        "records": clean.records,
        "partitions_per_topic": bench.partitions,
        "prediction_bytes": generate.PREDICTION_BYTES,
        "label_bytes": generate.LABEL_BYTES,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_average": os.getloadavg(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }
    return found


def table(bench: Bench, by_name: dict[str, Contender], found: dict[str, Any], at: dict[int, dict[str, float]]) -> str:
    """The same for people."""
    lines = [
        f"{bench.clean.records} records in 2 x {bench.partitions} partitions, CPU of one process on one core",
        f"{'':<22}{'ns/event':>10}{'events/s/core':>15}{'x B1':>7}{'min..max ns/event':>22}",
    ]
    b1 = found["cpu_ns_per_event"].get("b1")
    for name, contender in by_name.items():
        ns = found["cpu_ns_per_event"][name]
        empty = statistics.median(contender.empty_ns)
        spread = [(cpu - empty) / bench.clean.records for cpu in contender.cpu_ns["clean"]]
        ratio = f"{b1 / ns:7.2f}" if b1 else f"{'':7}"
        lines.append(f"{name:<22}{ns:>10.0f}{1e9 / ns:>15,.0f}{ratio}{min(spread):>14.0f}..{max(spread):<6.0f}")
    for rows, cost in at.items():
        lines.append(
            f"pending, {rows // 1_000_000:>2} M rows: {cost['bytes_per_pending']:.1f} bytes each, "
            f"insert {cost['insert_ns']:.0f} ns, take {cost['take_ns']:.0f} ns"
        )
    tick, peers = found["tick"], found["peers"]
    lines.append(f"tick of {tick['features']} features: {tick['step_ms']:.1f} ms, aim 5")
    for name in ("driftline", "evidently", "nannyml"):
        said = peers[name]
        told = f"absent: {said['absent']}" if "absent" in said else f"{said['ms']:.1f} ms"
        lines.append(f"{peers['rows']} rows of {peers['features']} features, {name}: {told}")
    ratios = ("daemon_vs_b1", "daemon_vs_river_loop", "bad_input_cost")
    lines += [f"{name} = {found[name]:.2f}" for name in ratios if found.get(name) is not None]
    return "\n".join(lines)


def contenders(bench: Bench, names: Sequence[str]) -> dict[str, Contender]:
    """Those that were asked for, by name."""
    known = {
        "b1": Contender("b1", bench.script("tests.bench.b1"), bench.check_read),
        "river": Contender("river", bench.script("tests.bench.river_loop"), bench.check_loop),
        "daemon": Contender("daemon", bench.daemon_start, bench.check_daemon),
    }
    return {name: known[name] for name in names}


def compare(bench: Bench, by_name: dict[str, Contender], rounds: int) -> None:
    """Check everybody, then time everybody, interleaved."""
    with_bad = "daemon" in by_name
    bench.prepare(bad=with_bad)
    if with_bad:
        bench.build_reference()
    for name, contender in by_name.items():
        say(f"checking the counts of {name}")
        bench.warm_up(contender, [bench.clean, bench.bad] if name == "daemon" else [bench.clean])
    for contender in by_name.values():
        for _ in range(EMPTY_RUNS):
            bench.measure(contender, bench.empty)
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, contender in by_name.items():
            bench.measure(contender, bench.clean)
            if name == "daemon":
                bench.measure(contender, bench.bad)


def say(text: str) -> None:
    """Progress, for people who wait."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=400_000)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contenders", default="b1,river,daemon")
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON", help="see tests.bench.peers")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    arguments = parser.parse_args(argv)
    if shutil.which("taskset") is None:
        parser.error("taskset is needed to give the broker and the contenders a core each (Debian: util-linux)")
    address = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="driftline-bench-")))
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {BROKER_CORE})  # the broker inherits it; contenders are moved by taskset
        broker = Kafka(address) if address else stack.enter_context(KafkaCluster(heap_mb=1024))
        bench = Bench(broker, folder, arguments.pairs, arguments.partitions)
        stack.callback(bench.clean_up)
        by_name = contenders(bench, arguments.contenders.split(","))
        compare(bench, by_name, arguments.rounds)
        at = {} if arguments.skip_memory else {rows: memory(rows) for rows in MEMORY_ROWS}
        found = results(bench, by_name, at) | beside(arguments.peer)
        found["setting"]["broker"] = address or "one KRaft node on core 0"
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
        print(table(bench, by_name, found, at))
        print(f"written: {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
