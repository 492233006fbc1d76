"""Where a report says it comes from: ranges, digests, settings, the command line."""

from __future__ import annotations

import gzip
import shlex
from html import escape

import pytest

from monitor.cli.common import load_config
from monitor.config.canonical import digest_bytes
from monitor.drift.document import loads
from tests.report.conftest import DEMO, FLIGHTS, OTHER, Flights, Report
from tests.report.reading import Read

FILES = ("config", "meaning", "references/arrival-delay", "files/windows.jsonl/sha256", "files/alerts.jsonl/sha256")


def test_the_command_line_is_the_one_that_was_typed(report: Report) -> None:
    assert f'<pre id="command">{escape(shlex.join(report.command))}</pre>' in report.html


def test_the_settings_that_differ_are_those_that_were_given_and_what_follows_from_them(report: Report) -> None:
    found = {change["path"]: (change["first"], change["second"]) for change in report.json["changes"]}
    given = dict(setting.split("=") for setting in OTHER)
    assert found.keys() == given.keys() | {"time.stalled_after"}, "which is a part of the horizon unless it is set"
    assert {path: found[path][1] for path in given} == given


@pytest.mark.parametrize("run", ["first", "second"])
def test_the_digests_are_those_of_the_files(flights: Flights, report: Report, run: str) -> None:
    files = (DEMO / "flights.yaml", flights.folder / "rules.yaml")
    config = load_config(files, OTHER if run == "second" else ())
    told = report.json[run]
    assert told["config"] == digest_bytes(config.document().encode())
    assert told["meaning"] == config.digest
    reference = loads((DEMO / "flights.reference.json").read_bytes())
    assert told["references"] == {"arrival-delay": reference.digest}
    assert report.json["first"]["config"] != report.json["second"]["config"]
    shown = {value.where: value.text for value in Read.of(report.html).values}
    for place in FILES:
        value = told
        for step in place.split("/"):
            value = value[step]
        assert shown[f"/{run}/{place}"] == value


def test_the_ranges_hold_every_record(report: Report) -> None:
    told = report.json["first"]
    for topic in ("predictions", "labels"):
        spans = told["spans"][f"flights.{topic}"]
        lines = gzip.decompress((FLIGHTS / f"{topic}.jsonl.gz").read_bytes()).splitlines()
        assert len(spans) == 2, "a span for each partition"
        assert [start for start, _ in spans] == [0, 0]
        assert sum(end for _, end in spans) == len(lines) == told["records"][topic]
