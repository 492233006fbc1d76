"""`driftline explain` of alerts whose rule changed while they fired, or came with a configuration that was not the first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.adapters import dead_letters
from monitor.adapters.clock import SystemClock
from monitor.adapters.embedded import EmbeddedLog
from monitor.config import loads
from monitor.daemon.counted import counted
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from tests.cli.driving import driftline

CONFIG = """
namespace: changed
streams:
  predictions:
    topic: shop.predictions
    fields: {id: $.id, model: {const: shop}, version: {const: "1"}, at: $.at, prediction: $.prediction}
  labels: {topic: shop.labels, fields: {id: $.id, at: $.at, label: $.label}}
time: {horizon: 1h, lateness: 0s, disorder: 0s, tick: 10m}
models: [{name: shop, task: binary}]
windows: [1h]
rules:
  - {name: bad, metric: accuracy, op: "<", threshold: 0.9, window: 1h, min_rows: 10, severity: page}
http: {port: 0}
state: {commit_interval: 1ms}
"""
LATER = CONFIG.replace("threshold: 0.9", "threshold: 0.1").replace(
    "http:",
    '  - {name: worse, metric: precision, op: "<", threshold: 0.9, window: 1h, min_rows: 10, severity: page}\nhttp:',
)
START = 1_700_000_400_000


def send(folder: Path, first: int, last: int) -> None:
    """A prediction a minute, of which one in two is wrong, with its label a minute later."""
    rows = range(first, last)
    at = [START + 60_000 * i for i in range(last)]
    lines = {
        "predictions": [{"id": f"p{i}", "at": at[i], "prediction": 1} for i in rows],
        "labels": [{"id": f"p{i}", "at": at[i] + 60_000, "label": i % 2} for i in rows],
    }
    for topic, of in lines.items():
        file = folder / f"{topic}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in of))
        sent = driftline("produce", f"shop.{topic}", file, "--embedded", folder / "log", "--partitions", 1, "-q")
        assert sent.code == 0, sent.err


def run_a_while(folder: Path, text: str) -> None:
    """A worker that stops once it has read all, decided what it can, and nothing more comes for a second."""
    (folder / "d.yaml").write_text(text)
    config, clock = loads(text), SystemClock()
    log = EmbeddedLog(folder / "log")
    state = {"sequence": -1, "since": clock.monotonic_ms()}

    def tell(worker: Worker) -> None:
        now = -1 if worker.judge is None else worker.judge.writer.follower.state.sequence
        if now != state["sequence"]:
            state.update(sequence=now, since=clock.monotonic_ms())
        elif now > 0 and clock.monotonic_ms() - state["since"] > 1_000:
            worker.stop()

    try:
        by = counted(log, config, plan_of(config))
        Worker(log, config, by.plan, clock, dead_letters, WorkerOptions(), tell=tell, counted=by).run()
    finally:
        log.close()


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hours under the first configuration, two more under the later one, to the end."""
    folder = tmp_path_factory.mktemp("changed")
    send(folder, 0, 240)
    run_a_while(folder, CONFIG)
    send(folder, 240, 360)
    run_a_while(folder, LATER)
    assert driftline("run", *where(folder), "--until-end", "--no-http", "-q").code == 0
    return folder


def where(folder: Path) -> tuple[object, ...]:
    return ("-c", folder / "d.yaml", "--embedded", folder / "log")


def test_what_ends_by_a_change_and_what_begins_with_one_is_told_again_as_it_was_recorded(changed: Path) -> None:
    events = driftline("alerts", "list", *where(changed), "--all", "-o", "json").lines
    told = {(event["data"]["rule"], event["data"]["state"]): event["id"] for event in events}
    assert set(told) >= {("bad", "firing"), ("bad", "resolved"), ("worse", "firing")}
    for name, recorded in {("bad", "firing"): False, ("bad", "resolved"): True, ("worse", "firing"): True}.items():
        shown = driftline("explain", told[name], *where(changed), "-q", "-o", "json")
        assert (shown.code, shown.json["differs"], shown.json["recorded"]) == (0, [], recorded), name
        assert shown.json["generation"] == (2 if recorded else 1)
        assert all(number["agrees"] for number in shown.json["numbers"])
    said = driftline("explain", told["worse", "firing"], *where(changed), "-q").out
    assert (
        "the recorded evaluations, made again from the ledger, under generation 2 of the configuration tell the same"
        in said
    )
