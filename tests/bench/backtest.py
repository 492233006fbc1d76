"""What a backtest costs: beside reading and parsing the same records, with a sweep, and over ten times the data.

    python -m tests.bench.backtest --folder build/backtest            # from files: an embedded log and its recording
    python -m tests.bench.backtest --folder build/backtest --kafka    # and from a broker of its own

Hours of the same density of event time, as in `replay_memory`: a longer log has more of everything, not more rows that
wait. Each command is a process of its own. Two things are compared, each with the same of reading and parsing:

- processor time (user and system) of a backtest in one process, which other programs disturb less than wall time;
- wall time of a backtest in as many processes as it starts by itself, which is what people wait for. It says something on an
  idle machine only.

Of each the time of starting (`driftline version`, an idle reader) is taken off. Bytecode is kept, as that of an installed
package is: without it every start compiles all modules. The readers call orjson on every value, in one process, and keep
nothing. A sweep tries ten thresholds of one rule. Memory is the highest resident set of a process. Prints a table, and one
JSON line with `--json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import daemon
from tests.bench.replay_memory import PARTITIONS, fill

SWEEP = "rules.low-recall.threshold=" + ",".join(f"0.{tenth}5" for tenth in range(10))
RULES = """\
rules:
  - {name: low-recall, metric: recall, op: "<", threshold: 0.5, window: 1h, min_rows: 20, min_coverage: 0.5}
"""
_READ = """
import sys
import orjson
from monitor.adapters.{module} import {log}
log, loads, count = {log}({arguments}), orjson.loads, 0
for topic in ("predictions", "labels") * int(sys.argv[2]):
    reader = log.reader(keys=False, headers=False)
    ends = log.end_offsets(topic)
    reader.assign({{(topic, p): 0 for p in range(len(ends))}})
    left = sum(ends)
    while left:
        for batch in reader.poll(5_000, 200):
            left -= len(batch)
            for value in batch.values:
                loads(value)
    count += sum(ends)
print(count)
"""
READERS = {
    "recording": _READ.format(module="recording", log="RecordedLog", arguments="sys.argv[1]"),
    "embedded": _READ.format(module="embedded", log="EmbeddedLog", arguments="sys.argv[1], read_only=True"),
}


@dataclasses.dataclass(frozen=True)
class Took:
    """One process."""

    cpu_s: float
    wall_s: float
    rss_mb: float


@dataclasses.dataclass(frozen=True)
class Result:
    """A source of records: what reading costs, a backtest, the same with a sweep; seconds of processor time, in one process.
    `*_wall_s`: seconds of wall time, of a backtest in as many processes as it likes."""

    source: str
    records: int
    reading_s: float
    backtest_s: float
    sweep_s: float
    rss_mb: float
    reading_wall_s: float
    backtest_wall_s: float

    @property
    def ratio(self) -> float:
        """Throughput of a backtest in that of reading and parsing, by processor time."""
        return self.reading_s / self.backtest_s

    @property
    def wall_ratio(self) -> float:
        """The same by wall time."""
        return self.reading_wall_s / self.backtest_wall_s

    @property
    def swept(self) -> float:
        """A sweep of ten in single runs."""
        return self.sweep_s / self.backtest_s


def run(arguments: Sequence[str]) -> Took:
    """A process and what it took. Raises RuntimeError when it fails."""
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return Took(usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / 1024)


def median(arguments: Sequence[str], rounds: int) -> Took:
    """The one in the middle, by processor time."""
    took = sorted((run(arguments) for _ in range(rounds)), key=lambda each: each.cpu_s)
    return took[len(took) // 2]


def measure(source: str, records: int, reader: list[str], where: list[str], rounds: int) -> Result:
    """Everything about one source. `reader` reads it as often as its last argument says."""
    once, thrice = (median([*reader, times], rounds) for times in ("1", "3"))
    reading = Took((thrice.cpu_s - once.cpu_s) / 2, (thrice.wall_s - once.wall_s) / 2, 0)
    return result(source, records, reading, where, rounds)


def result(source: str, records: int, reading: Took, where: list[str], rounds: int) -> Result:
    """A source of which it is known what reading takes, without starting."""
    start = median([daemon.driftline(), "version"], rounds)
    command = [daemon.driftline(), "backtest", *where, "-q", "-o", "json"]
    single = median([*command, "--processes", "1"], rounds)
    swept = median([*command, "--processes", "1", "--sweep", SWEEP], rounds)
    shared = median(command, rounds)
    times = (single.cpu_s - start.cpu_s, swept.cpu_s - start.cpu_s, single.rss_mb)
    return Result(source, records, reading.cpu_s, *times, reading.wall_s, shared.wall_s - start.wall_s)


def configuration(folder: Path, reference: Path | None, bootstrap: str = "localhost:1") -> Path:
    """The configuration of the benchmarks, with one rule; `reference` None: features are not compared."""
    path = folder / f"{'watched' if reference else 'plain'}.yaml"
    text = daemon.config("bench", bootstrap, "predictions", "labels", reference, watched=False)
    path.write_text(text if "\nrules:" in text else text + RULES)
    return path


def from_files(folder: Path, hours: int, pairs: int, rounds: int) -> list[Result]:
    """The same records from an embedded log and from its recording."""
    log, recording = folder / f"log-{hours}", folder / f"recording-{hours}"
    records = fill(log, hours, pairs)
    where = ["-c", str(configuration(folder, None))]
    run([daemon.driftline(), "record", *where, "--embedded", str(log), "--to", str(recording), "-q"])
    return [
        measure(name, records, [sys.executable, "-c", READERS[name], str(path)], [*where, option, str(path)], rounds)
        for name, option, path in (("recording", "--recording", recording), ("embedded", "--embedded", log))
    ]


def from_kafka(folder: Path, hours: int, pairs: int, rounds: int) -> Result:
    """The same records from a broker of its own; reading is that of the yardstick b1."""
    from monitor.adapters.embedded import EmbeddedLog
    from monitor.adapters.kafka_log import KafkaLog
    from monitor.ports import OutRecord, TopicSpec
    from tests.kafka.broker import KafkaCluster

    with KafkaCluster(heap_mb=512) as broker:
        source, target, records = (
            EmbeddedLog(folder / f"log-{hours}", read_only=True),
            KafkaLog(broker.bootstrap_servers),
            0,
        )
        appender = target.appender()
        for topic in ("predictions", "labels"):
            target.ensure(TopicSpec(topic, PARTITIONS))
            reader, ends = source.reader(headers=False), source.end_offsets(topic)
            reader.assign({(topic, p): 0 for p in range(PARTITIONS)})
            left = sum(ends)
            records += left
            while left:
                for batch in reader.poll(5_000, 200):
                    left -= len(batch)
                    assert batch.keys is not None
                    for key, value in zip(batch.keys, batch.values, strict=True):
                        appender.send(topic, OutRecord(value, key), batch.partition)
                appender.flush(60_000)
            reader.close()
        appender.close()
        target.close()
        source.close()
        where = ["-c", str(configuration(folder, None, broker.bootstrap_servers))]
        yardstick = [sys.executable, "-m", "tests.bench.b1", broker.bootstrap_servers, "predictions", "labels"]
        read, idle = median(yardstick, rounds), median([sys.executable, "-c", "import confluent_kafka, orjson"], rounds)
        reading = Took(read.cpu_s - idle.cpu_s, read.wall_s - idle.wall_s, 0)
        return result("kafka", records, reading, where, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.backtest", description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=4_000, help="predictions, and labels, an hour")
    parser.add_argument(
        "--hours", type=int, default=10, help="of the shorter log; the longer one has ten times as many"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the middle one counts")
    parser.add_argument("--folder", type=Path, required=True, help="must not exist; removed at the end")
    parser.add_argument("--kafka", action="store_true", help="also from a broker, over the longer log")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    try:
        found = [
            result
            for hours in (arguments.hours, 10 * arguments.hours)
            for result in from_files(arguments.folder, hours, arguments.pairs, arguments.rounds)
        ]
        if arguments.kafka:
            found.append(from_kafka(arguments.folder, 10 * arguments.hours, arguments.pairs, arguments.rounds))
    finally:
        shutil.rmtree(arguments.folder)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(each) for each in found]))
    print(
        f"{'source':10} {'records':>10} {'reading':>9} {'backtest':>9} {'ratio':>6} {'sweep of 10':>12} {'memory':>8}"
        f" {'wall':>8} {'ratio':>6}"
    )
    for each in found:
        print(
            f"{each.source:10} {each.records:>10,} {each.reading_s:>7.2f} s {each.backtest_s:>7.2f} s {each.ratio:>6.2f} "
            f"{each.swept:>11.2f}x {each.rss_mb:>5.0f} MB {each.backtest_wall_s:>6.2f} s {each.wall_ratio:>6.2f}"
        )
    print(f"median sweep: {statistics.median(each.swept for each in found):.2f} single runs")


if __name__ == "__main__":
    main()
