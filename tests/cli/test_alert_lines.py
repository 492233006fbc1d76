"""The log says what fires and what does not any more, in few lines."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.alerts.examples import example_events
from monitor.cli.alert_lines import LINES, PER_MS, AlertLines
from monitor.cli.scan import read_all
from tests.adapters.memory import ManualClock
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


def test_each_change_is_one_line_and_a_page_that_fires_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    events = example_events()
    firing, resolved = events["firing"], events["resolved"]
    with caplog.at_level(logging.INFO, "driftline.alerts"):
        AlertLines(ManualClock(), "ns.alerts").tell([firing, resolved])
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]
    said = caplog.messages
    assert said[0] == f"alert firing: {firing.subject}, severity page, at {firing.time}, id {firing.id}"
    assert said[1].startswith(f"alert resolved: {firing.subject}, ")


def test_more_changes_than_are_told_are_counted_and_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock, firing = ManualClock(), example_events()["firing"]
    lines = AlertLines(clock, "ns.alerts")
    with caplog.at_level(logging.INFO, "driftline.alerts"):
        lines.tell([firing] * (LINES + 3))
        lines.tell([firing] * 4)
        assert len(caplog.messages) == LINES
        clock.advance(PER_MS)
        lines.tell([firing])
        assert caplog.messages[LINES:-1] == ["7 more changes of alerts are not logged; topic ns.alerts has them"]
        lines.sum_up()
    assert len(caplog.messages) == LINES + 2, "nothing was left out since"


def test_a_run_writes_them_and_as_json_with_their_parts(deployment: Deployment, tmp_path: Path) -> None:
    log, again = shutil.copytree(deployment.log, tmp_path / "log"), ("--set", "namespace=again")
    options = ("--until-end", "--no-http", "--log-format", "json", *again)
    ran = driftline("run", "-c", deployment.config, "--embedded", log, *options)
    assert ran.code == 0, ran.err
    told = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    (fired,) = (each for each in told if each.get("alert", {}).get("change") == "firing")
    assert (fired["level"], fired["logger"]) == ("WARNING", "driftline.alerts")
    assert fired["alert"]["subject"].endswith("/too-good")
    listed = driftline("alerts", "list", "-c", deployment.config, "--embedded", log, *again, "-o", "json")
    assert fired["alert"]["id"] in listed.out
    published = re.search(r"driftline: ([\d,]+) final windows published, and ([\d,]+) provisional revisions", ran.err)
    assert published is not None
    held = EmbeddedLog(log)
    decoded = [
        json.loads(found.value) for found in read_all(held, "again.windows", "windows") if found.value is not None
    ]
    held.close()
    final = sum(each["final"] for each in decoded)
    assert [int(number.replace(",", "")) for number in published.groups()] == [final, len(decoded) - final]
    assert final > 0
