"""What record and replay hold in memory, over a topic and over one ten times as long.

    python -m tests.bench.replay_memory --folder build/replay-memory

Hours of the same density of event time are written into embedded logs, so that a longer log does not have more rows
waiting for labels, only more of everything else: the shorter one has to be longer than horizon and lateness, four hours.
Each command is a process of its own; what is told is its highest resident memory, its time and its rate. Prints a table,
and one JSON line with `--json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from monitor.adapters.embedded import EmbeddedLog
from monitor.ports import OutRecord, TopicSpec
from tests.bench import daemon, generate

PARTITIONS = 4


@dataclasses.dataclass(frozen=True)
class Measured:
    """One command over one log."""

    command: str
    records: int
    rss_mb: float
    seconds: float

    @property
    def rate(self) -> float:
        """Records a second of wall time."""
        return self.records / self.seconds


def fill(folder: Path, hours: int, pairs: int) -> int:
    """An embedded log of so many hours; returns the number of source records."""
    log = EmbeddedLog(folder)
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, PARTITIONS))
    appender = log.appender()
    for hour in range(hours):
        data = generate.make(pairs, seed=hour)
        shift = hour * generate.HOUR_MS
        data = dataclasses.replace(data, at_ms=data.at_ms + shift, label_at_ms=data.label_at_ms + shift)
        for topic, records in (("predictions", generate.predictions(data)), ("labels", generate.labels(data))):
            for id_, value in records:
                appender.send(topic, OutRecord(value, id_.encode()))
        appender.flush(60_000)
    appender.close()
    log.close()
    return 2 * pairs * hours


def measure(name: str, records: int, arguments: list[str]) -> Measured:
    """Run a command of driftline and see what it took."""
    began = time.monotonic()
    process = subprocess.Popen([daemon.driftline(), *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return Measured(name, records, usage.ru_maxrss / 1024, time.monotonic() - began)


def over(folder: Path, hours: int, pairs: int) -> list[Measured]:
    """Every command over a log of so many hours."""
    log, recording, out = folder / f"log-{hours}", folder / f"recording-{hours}", folder / f"out-{hours}"
    records = fill(log, hours, pairs)
    config = folder / "config.yaml"
    config.write_text(daemon.config("bench", "localhost:1", "predictions", "labels", None, watched=False))
    where = ["-c", str(config)]
    live, recorded = [*where, "--embedded", str(log)], [*where, "--recording", str(recording)]
    return [
        measure(name, records, arguments)
        for name, arguments in (
            ("run --until-end", ["run", *live, "--until-end", "--no-http", "-q"]),
            ("record --decisions", ["record", *live, "--decisions", "--to", str(recording), "-q"]),
            ("record verify", ["record", "verify", str(recording), "-q"]),
            ("replay --to", ["replay", *live, "--to", str(out), "-q"]),
            ("replay --verify", ["replay", *live, "--verify", "-q"]),
            ("replay --verify --without-decisions", ["replay", *live, "--verify", "--without-decisions", "-q"]),
            ("replay --recording --verify", ["replay", *recorded, "--verify", "-q"]),
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.replay_memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=4_000, help="predictions, and labels, an hour")
    parser.add_argument(
        "--hours", type=int, default=10, help="of the shorter log; the longer one has ten times as many"
    )
    parser.add_argument("--folder", type=Path, required=True, help="must not exist; removed at the end")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    try:
        short, long = (over(arguments.folder, n, arguments.pairs) for n in (arguments.hours, 10 * arguments.hours))
    finally:
        shutil.rmtree(arguments.folder)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(each) for each in (*short, *long)]))
    print(f"{'command':38} {short[0].records:>12,} {long[0].records:>12,} records   {'records/s':>10}")
    for one, ten in zip(short, long, strict=True):
        print(f"{one.command:38} {one.rss_mb:>9.0f} MB {ten.rss_mb:>9.0f} MB           {ten.rate:>10,.0f}")


if __name__ == "__main__":
    main()
