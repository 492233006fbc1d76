"""A daemon that has read an embedded log to its end, with its listener: what the page is tried on."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monitor.adapters import dead_letters
from monitor.adapters.clock import SystemClock
from monitor.adapters.http import HttpServer
from monitor.adapters.http_token import TokenFile
from monitor.cli.observer import Observer, base_view
from monitor.cli.scan import open_embedded_existing
from monitor.config import load
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.demo import __file__ as demo
from monitor.plan import plan_of
from tests.cli.driving import driftline
from tests.cli.test_other_tasks import multiclass, records, regression, text_of
from tests.metrics.streams import approval, segments

FLIGHTS = Path(demo).parent
RULES = """
rules:
  - {name: low-recall, metric: recall, op: "<", threshold: 0.45, window: day, min_rows: 20, min_coverage: 0.5, severity: page}
  - {name: low-accuracy, metric: accuracy, op: "<", threshold: 0.6, window: day, min_rows: 50, min_coverage: 0.3, segments: each}
  - {name: hour-moved, metric: "psi:hour", op: ">", threshold: 0.2, window: day, min_rows: 50, severity: ticket}
estimates: true
"""
JANUARY = {"predictions": 27_004, "labels": 26_398}
"""Records of the flights of that month: more than the 20 windows of a day that the page looks back on."""
SILENT = "  - {name: not-heard-of-yet, task: binary, threshold: 0.5}\n"
"""A model that no record names: there is nothing to show of it."""


def binary(folder: Path) -> tuple[list[Path], dict[str, Path]]:
    """Flights of January, with rules, segments, a reference and estimates."""
    (folder / "rules.yaml").write_text(RULES)
    config = (
        (FLIGHTS / "flights.yaml")
        .read_text()
        .replace("flights.reference.json", str(FLIGHTS / "flights.reference.json"))
    )
    (folder / "flights.yaml").write_text(config.replace("models:\n", f"models:\n{SILENT}"))
    files = {}
    for name, count in JANUARY.items():
        lines = gzip.decompress((FLIGHTS / "flights" / f"{name}.jsonl.gz").read_bytes()).splitlines(keepends=True)
        files[f"flights.{name}"] = folder / f"{name}.jsonl"
        files[f"flights.{name}"].write_bytes(b"".join(lines[:count]))
    return [folder / "flights.yaml", folder / "rules.yaml"], files


def other(folder: Path, task: str) -> tuple[list[Path], dict[str, Path]]:
    """Image segments, or approval ratings: without features, segments and reference."""
    stream, of = (segments(), multiclass) if task == "multiclass" else (approval(), regression)
    (folder / "d.yaml").write_text(text_of(stream, of))
    files = {}
    for topic, rows in zip(("p", "y"), records(stream), strict=True):
        files[topic] = folder / f"{topic}.jsonl"
        files[topic].write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [folder / "d.yaml"], files


@contextlib.contextmanager
def served(folder: Path, task: str, token: TokenFile | None = None) -> Iterator[HttpServer]:
    """The daemon of a task at the end of its input, still listened to."""
    configs, files = binary(folder) if task == "binary" else other(folder, task)
    for topic, lines in files.items():
        sent = driftline("produce", topic, lines, "--embedded", folder / "log", "--partitions", 2, "-q")
        assert sent.code == 0, sent.err
    config, clock = load(configs), SystemClock()
    log = open_embedded_existing(folder / "log", read_only=False)
    try:
        plan = plan_of(config)
        observer = Observer(plan, base_view(config, "0.1.0", clock.now_ms()), clock)
        options = WorkerOptions(until_end=True)
        worker = Worker(log, config, plan, clock, dead_letters, options, observer.on_tick, observer.tell)
        worker.run()
        observer.refresh(worker)
        server = HttpServer("127.0.0.1", 0, lambda: observer.snapshot, lambda: 0, token=token)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        log.close()


def get(server: HttpServer, path: str, token: str | None = None) -> Any:
    """A document of the API."""
    from urllib.request import Request, urlopen

    request = Request(server.url + path, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())
