"""`driftline alerts`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.alerts.cloudevents import operational_event
from monitor.alerts.event import Standing
from monitor.cli.alerts import _line, _table
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


def test_the_state_is_a_table_that_says_what_fires_and_on_which_numbers(deployment: Deployment) -> None:
    shown = driftline("alerts", "list", *deployment.where)
    assert shown.code == 0
    assert "firing" in shown.out
    assert "too-good" in shown.out
    assert "< 0.99" in shown.out
    newest = driftline("alerts", "list", *deployment.where, "-o", "json").lines
    assert all(event["id"][:8] in shown.out for event in newest)


def test_json_lines_are_the_published_events_to_the_byte(deployment: Deployment) -> None:
    shown = driftline("alerts", "tail", *deployment.where, "--from-start", "--no-follow", "-o", "json")
    log = EmbeddedLog(deployment.log)
    reader = log.reader()
    reader.assign({("small.alerts", 0): 0})
    published = [value for batch in reader.poll(1000, 100) for value in batch.values]
    reader.close()
    log.close()
    assert published
    assert shown.out.encode().splitlines() == [value for value in published if value]
    assert shown.err == ""


def test_the_state_holds_the_newest_event_of_each_alert(deployment: Deployment) -> None:
    state = driftline("alerts", "list", *deployment.where, "-o", "json").lines
    events = driftline("alerts", "list", *deployment.where, "--all", "-o", "json").lines
    assert len({event["data"]["fingerprint"] for event in state}) == len(state)
    newest = {event["data"]["fingerprint"]: event["id"] for event in events if event["data"]["latest"]}
    assert {event["data"]["fingerprint"]: event["id"] for event in state} == newest
    firing = driftline("alerts", "list", *deployment.where, "--firing", "-o", "json").lines
    assert firing == [event for event in state if event["data"]["state"] == "firing"]


def test_tail_prints_the_last_ones(deployment: Deployment) -> None:
    every = driftline("alerts", "list", *deployment.where, "--all", "-o", "json").out.splitlines()
    last = driftline("alerts", "tail", *deployment.where, "-n", 1, "--no-follow", "-o", "json").out.splitlines()
    assert last == every[-1:]
    assert driftline("alerts", "tail", *deployment.where, "-n", 0, "--no-follow").out == ""


def test_people_get_a_line_with_the_summary(deployment: Deployment) -> None:
    shown = driftline("alerts", "list", *deployment.where, "--all")
    first = json.loads(driftline("alerts", "list", *deployment.where, "--all", "-o", "json").out.splitlines()[0])
    assert first["data"]["summary"] in shown.out
    assert first["id"][:8] in shown.out, "so that it can be explained"
    assert first["time"] in shown.out


def test_state_and_history_at_once_is_a_usage_error(deployment: Deployment) -> None:
    assert driftline("alerts", "list", *deployment.where, "--all", "--firing").code == 2


def test_a_time_that_nobody_knew_is_unknown_and_not_1970(capsys: pytest.CaptureFixture[str]) -> None:
    event = operational_event(
        "small", "dead-letter-flood", "partition/0", Standing.RESOLVED,
        at_ms=0, fired_ms=0, severity="ticket", summary="a flood of an earlier version", facts={}, labels={},
    )  # fmt: skip
    _table([event])
    shown = capsys.readouterr().out + _line(event)
    assert "1970" not in shown
    assert shown.count("unknown") == 3


def test_the_counts_of_the_evidence_are_those_that_the_documentation_names(deployment: Deployment) -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    (said,) = re.findall(
        r"^\| `counts` \| object of integer \| The integers of the whole window.*$", page, re.MULTILINE
    )
    events = driftline("alerts", "list", *deployment.where, "--all", "-o", "json").lines
    counts = [
        e["data"]["evidence"]["counts"] for e in events if e["data"]["evidence"]["window"]["kind"] == "performance"
    ]
    assert counts
    assert all(f"`{name}`" in said for of_window in counts for name in of_window)
    assert all(of["tp"] + of["fp"] + of["fn"] + of["tn"] == of["labelled"] for of in counts)
