"""README's way to a first notification: the second file lies over the first, and the inbox prints what Alertmanager sends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from monitor.config import load
from tests.docs.test_docs import README, ROOT, blocks
from tests.kafka.broker import free_ports
from tests.kafka.deployment import eventually

SENT = {
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DriftlineModelAlert", "severity": "page", "owner": "team-x"},
            "annotations": {"summary": "low-accuracy: fraud v7 (all)", "runbook_url": "https://wiki.example/models"},
        },
    ]
}


def test_the_second_file_of_the_readme_has_a_namespace_of_its_own_and_windows_of_minutes(tmp_path: Path) -> None:
    (first,) = [body for body in blocks(README, "yaml") if body.startswith("# driftline.yaml\n")]
    (second,) = [body for body in blocks(README, "yaml") if body.startswith("# try.yaml\n")]
    for name, body in (("driftline.yaml", first), ("try.yaml", second)):
        (tmp_path / name).write_text(body)
    alone, tried = load([tmp_path / "driftline.yaml"]), load([tmp_path / "driftline.yaml", tmp_path / "try.yaml"])
    assert tried.namespace != alone.namespace
    assert [window.name for window in tried.windows] == ["5m"]
    assert [rule.name for rule in tried.rules] == ["low-accuracy"]
    assert tried.streams == alone.streams
    assert tried.labels["owner"] == "team-x"


def test_the_inbox_prints_a_notification() -> None:
    (port,) = free_ports(1)
    inbox = subprocess.Popen(
        [sys.executable, str(ROOT / "docs/examples/inbox.py"), str(port)], stdout=subprocess.PIPE, text=True
    )

    def sent() -> bool:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", json.dumps(SENT).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        eventually(sent, 20, "the inbox answers")
        assert inbox.stdout is not None
        assert inbox.stdout.readline() == "firing page low-accuracy: fraud v7 (all) https://wiki.example/models\n"
    finally:
        inbox.kill()
        inbox.communicate(timeout=10)
    assert re.search(r"python docs/examples/inbox\.py 8080", README.read_text())
