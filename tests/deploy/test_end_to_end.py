"""A real Prometheus and a real Alertmanager beside a running daemon, in the incident `quality` of the demo: what the daemon
decides fires in Prometheus by the rules we ship, is delivered once, and its end is delivered too.

Only times are shortened: scrapes and evaluations every second, and what the rules wait for.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from monitor.adapters.embedded import EmbeddedLog
from monitor.demo import INCIDENTS, LIVE_MS, Script
from monitor.demo.incidents import DAY_MS
from monitor.ports import OutRecord, TopicSpec
from tests.kafka.broker import free_ports
from tests.kafka.fixtures import unavailable

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
FROM_MS = LIVE_MS
BROKEN_MS = LIVE_MS + 7 * DAY_MS
"""In the middle of the incident: 6 to 9 February."""
WHOLE_MS = LIVE_MS + 14 * DAY_MS
WITHIN_SECS = 120.0


class Inbox:
    """What a webhook of Alertmanager is told."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                inbox.notes.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self, status: str) -> list[tuple[str, ...]]:
        """(alert, rule, model, version, segment, severity) of each delivered alert of this status, repeats included."""
        names = ("alertname", "rule", "model", "version", "segment", "severity")
        alerts = [alert for note in list(self.notes) for alert in note["alerts"]]
        return [tuple(alert["labels"].get(n, "") for n in names) for alert in alerts if alert["status"] == status]


class Stack(ExitStack):
    """Processes that end with the test; each says where its log is when something does not come."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.logs: list[Path] = []

    def spawn(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start one; it is told to stop at the end, and must."""
        self.logs.append(self.folder / f"{name}.log")
        with self.logs[-1].open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self.callback(_end, process)
        return process

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something; a failure shows the ends of the logs."""
        deadline = time.monotonic() + WITHIN_SECS
        while not holds():
            logs = "\n".join(f"{path.name}:\n{path.read_text(errors='replace')[-1_500:]}" for path in self.logs)
            assert time.monotonic() < deadline, f"not within {WITHIN_SECS:.0f} s: {what}\n{logs}"
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def get(url: str) -> str:
    """The body of an answer, "" while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body: str = answer.read().decode()
            return body
    except (OSError, urllib.error.HTTPError):
        return ""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


def send(folder: Path, after_ms: int, until_ms: int) -> None:
    """Put what is due in [after, until) of the demo's flights into the embedded log, with the incident in it."""
    script = Script(_lines("predictions"), _lines("labels"), INCIDENTS["quality"], until_ms)
    log = EmbeddedLog(folder)
    try:
        topics = {name: f"flights.{name}" for name in ("predictions", "labels")}
        for topic in topics.values():
            log.ensure(TopicSpec(topic, 2))
        appender = log.appender()
        for due in script:
            value = script.value(due, lambda record: record)
            if value is not None and max(after_ms, FROM_MS) <= due.at_ms < until_ms:
                appender.send(topics[due.stream], OutRecord(value, due.key))
        appender.flush(60_000)
        appender.close()
    finally:
        log.close()


def _lines(name: str) -> Iterator[bytes]:
    with (files("monitor.demo") / "flights" / f"{name}.jsonl.gz").open("rb") as raw, gzip.open(raw) as stream:
        for line in stream:
            yield line.rstrip(b"\n")


def configured(folder: Path, daemon: int, alertmanager: int, inbox: str) -> tuple[Path, Path]:
    """The shipped configurations of Prometheus and Alertmanager, with our ports, a webhook, and times of seconds."""
    rules = re.sub(r"keep_firing_for: \w+", "keep_firing_for: 3s", (PROMETHEUS / "driftline.rules.yml").read_text())
    (folder / "driftline.rules.yml").write_text(rules)
    prometheus = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    prometheus["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    prometheus["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{daemon}"]
    prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{alertmanager}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
    manager = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    manager["route"] |= {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"}
    for receiver in manager["receivers"]:
        receiver["webhook_configs"] = [{"url": inbox, "send_resolved": True}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(manager))
    return folder / "prometheus.yml", folder / "alertmanager.yml"


def test_an_incident_fires_is_delivered_once_and_its_end_is_delivered(stack: Stack, tmp_path: Path) -> None:
    for command in ("prometheus", "prometheus-alertmanager"):
        if shutil.which(command) is None:
            unavailable(f"{command} is missing; Debian has it in the package of that name")
    daemon, prometheus, alertmanager = free_ports(3)
    log = tmp_path / "log"
    log.mkdir()
    inbox = stack.enter_context(Inbox())
    of_prometheus, of_manager = configured(tmp_path, daemon, alertmanager, inbox.url)
    send(log, 0, BROKEN_MS)
    stack.spawn(
        "driftline", sys.executable, "-m", "monitor.cli.entry", "run", "-c", str(ROOT / "monitor/demo/demo.yaml"),
        "--embedded", str(log), "--set", f"http.port={daemon}",
    )  # fmt: skip
    stack.spawn(
        "alertmanager", "prometheus-alertmanager", f"--config.file={of_manager}", f"--storage.path={tmp_path / 'am'}",
        f"--web.listen-address=127.0.0.1:{alertmanager}", "--cluster.listen-address=",
    )  # fmt: skip
    stack.spawn(
        "prometheus", "prometheus", f"--config.file={of_prometheus}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{prometheus}",
    )  # fmt: skip
    page = ("DriftlineModelAlert", "accuracy-low", "arrival-delay", "1", "all", "page")

    stack.until(lambda: page in inbox.told("firing"), "the page is delivered")
    active = [json.loads(get(f"http://127.0.0.1:{daemon}/api/v1/status"))["alerts"]]
    assert "accuracy-low" in {alert["rule"] for alert in active[0]}
    assert inbox.told("resolved") == []

    send(log, BROKEN_MS, WHOLE_MS)
    stack.until(lambda: page in inbox.told("resolved"), "its end is delivered")
    fired, ended = inbox.told("firing"), inbox.told("resolved")
    assert fired.count(page) == 1, "a page that is repeated is two pages"
    assert ended.count(page) == 1
    assert {name for name, *_ in fired} == {"DriftlineModelAlert"}, "Driftline itself was well"
    named = {rule for _, rule, *_ in fired}
    assert {"quality:missing:carrier", "quality:out_of_range:distance"} & named, f"only {sorted(named)} fired"
    healthy = json.loads(get(f"http://127.0.0.1:{prometheus}/api/v1/query?query=up"))["data"]["result"]
    assert [sample["value"][1] for sample in healthy] == ["1"]
    rules = json.loads(get(f"http://127.0.0.1:{prometheus}/api/v1/rules"))["data"]["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}
