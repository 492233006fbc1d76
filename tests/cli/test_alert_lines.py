"""The log says what fires and what does not any more, in few lines."""

from __future__ import annotations

import json
import logging
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from monitor.adapters.embedded import EmbeddedLog
from monitor.alerts.event import AlertEvent, rfc3339
from monitor.alerts.examples import example_events
from monitor.alerts.standstill import Outage
from monitor.cli.alert_lines import LINES, PER_MS, AlertLines
from monitor.cli.scan import read_all
from monitor.evaluator import Basis, TickOutput
from monitor.windows.lookup import Lookup
from monitor.windows.view import Kind
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


def test_what_fired_before_an_evaluator_opened_still_fires_and_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    events = example_events()
    firing, resolved = events["firing"], events["resolved"]
    lines = AlertLines(ManualClock(), "ns.alerts")
    with caplog.at_level(logging.INFO, "driftline.alerts"):
        lines.tell_opening(output(firing, resolved, basis=DECIDED))  # decided again
        lines.tell_opening(output(firing, basis=None))  # as a checkpoint has it
        assert caplog.messages == []
        lines.still([firing])
        lines.still([firing])
        lines.tell_opening(output(resolved, basis=None))  # its rule is gone from the configuration
        lines.tell([firing])
        lines.still([firing])
    since = rfc3339(firing.data.fired_ms)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.INFO, f"alert still firing: {firing.subject}, severity page, since {since}, id {firing.id}"),
        (logging.INFO, f"alert resolved: {firing.subject}, severity page, at {resolved.time}, id {resolved.id}"),
        (logging.WARNING, f"alert firing: {firing.subject}, severity page, at {firing.time}, id {firing.id}"),
    ]


DECIDED = Basis((), frozenset(), Lookup({}), lambda _: Outage())


def output(*events: AlertEvent, basis: Basis | None) -> TickOutput:
    return TickOutput(Kind.INPUT, 0, (), (), events, (), basis=basis)


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("join-full/partition%2F1", "join-full/partition/1"),
        ("m/v%201/all/r%C3%BCckgang", "m/v 1/all/rückgang"),
        ("m/1%0Aalert%20firing/all/r", "m/1%0Aalert%20firing/all/r"),
        ("m/%E2%80%AE/all/r", "m/%E2%80%AE/all/r"),
    ],
)
def test_names_are_said_as_they_read_unless_they_would_show_as_something_else(
    subject: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    event = structs.replace(example_events()["firing"], subject=subject)
    with caplog.at_level(logging.INFO, "driftline.alerts"):
        AlertLines(ManualClock(), "ns.alerts").tell([event])
    (record,) = caplog.records
    assert record.getMessage().startswith(f"alert firing: {said}, severity page, at ")
    assert record.__dict__["alert"]["subject"] == subject


def test_a_restart_says_what_still_fires(deployment: Deployment, tmp_path: Path) -> None:
    log = shutil.copytree(deployment.log, tmp_path / "log")
    where = ("-c", deployment.config, "--embedded", log, "--set", "namespace=again", "--no-http")
    list_them = ("alerts", "list", *where[:-1])

    def published(_: str) -> bool:
        return "too-good" in driftline(*list_them).out  # what is stopped before is decided, and said, once more

    first = run_until(published, tmp_path / "first", *where)
    assert "WARNING driftline.alerts: alert firing: arrival-delay/" in first
    second = run_until(lambda said: "alert still firing: " in said, tmp_path / "second", *where)
    assert "INFO driftline.alerts: alert still firing: arrival-delay/" in second
    assert "alert firing: " not in second


def run_until(enough: Callable[[str], bool], to: Path, *arguments: object) -> str:
    """What a daemon says until it is stopped, once it said some words."""
    program = Path(sys.executable).with_name("driftline")
    with to.open("w") as err, subprocess.Popen([program, "run", *map(str, arguments)], stderr=err) as process:
        deadline = time.monotonic() + 60
        while not enough(to.read_text()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, to.read_text()
    return to.read_text()


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
