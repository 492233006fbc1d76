"""A backtest of three months of flights under two configurations, with its report, shared by the tests of this folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import monitor.demo
from tests.cli.conftest import deployment
from tests.cli.driving import driftline
from tests.deploy.conftest import promtool
from tests.report.chromium import Page, browse, installed

__all__ = ["deployment", "promtool"]

DEMO = Path(monitor.demo.__file__).parent
FLIGHTS = DEMO / "flights"

RULES = """
rules:
  - {name: low-recall, metric: recall, op: "<", threshold: 0.45, window: day, min_rows: 20, min_coverage: 0.5, severity: page}
  - {name: low-accuracy, metric: accuracy, op: "<", threshold: 0.6, window: day, min_rows: 50, min_coverage: 0.3,
      segments: each, for: 2h}
"""
INCIDENTS = """
- {name: snow of February, from: 2013-02-08, until: 2013-02-11, noticed: 2013-02-09T12:00Z, model: arrival-delay}
- {name: storm of March, from: 2013-03-07, until: 2013-03-10, model: arrival-delay}
"""
SWEEP = ("--sweep", "rules.low-recall.threshold=0.3,0.4,0.45", "--sweep", "rules.low-accuracy.threshold=0.5,0.6")
OTHER = ("rules.low-recall.threshold=0.4", "time.horizon=6h", "time.lateness=6h")


@dataclass(frozen=True)
class Flights:
    """An embedded log of all flights, and the configuration that reads it."""

    folder: Path

    @property
    def log(self) -> Path:
        """Where it is."""
        return self.folder / "log"

    @property
    def where(self) -> tuple[object, ...]:
        """The options that every command takes."""
        return ("-c", DEMO / "flights.yaml", "-c", self.folder / "rules.yaml", "--embedded", self.log)


@dataclass(frozen=True)
class Report:
    """The files of a report."""

    page: Path
    command: list[str]

    @property
    def html(self) -> str:
        """The page."""
        return self.page.read_text("utf-8")

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.page.with_suffix(".json").read_bytes())


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Flights:
    """January to March in two partitions."""
    made = Flights(tmp_path_factory.mktemp("flights"))
    (made.folder / "rules.yaml").write_text(RULES)
    for topic in ("predictions", "labels"):
        file = FLIGHTS / f"{topic}.jsonl.gz"
        sent = driftline("produce", f"flights.{topic}", file, "--embedded", made.log, "--partitions", 2, "-q")
        assert sent.code == 0, sent.err
    return made


@pytest.fixture(scope="session")
def report(flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Everything that a report can be asked for."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "incidents.yaml").write_text(INCIDENTS)
    page = folder / "report.html"
    arguments = ["backtest", *flights.where, *SWEEP, "--incidents", folder / "incidents.yaml"]
    arguments += [word for setting in OTHER for word in ("--against-set", setting)]
    arguments += ["--fail-on", "pages > 3", "--fail-on", "missed > 5", "--report", page, "-q"]
    done = driftline(*arguments)
    assert done.code == 3, done.err
    assert f"the report is {page}; beside it report.json, report.openmetrics, report.second.openmetrics" in done.err
    return Report(page, ["driftline", *map(str, arguments)])


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A headless Chromium."""
    if installed() is None:
        said = "Chromium is missing; it is in the Debian package `chromium`"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    with browse(tmp_path_factory.mktemp("profile")) as page:
        yield page
