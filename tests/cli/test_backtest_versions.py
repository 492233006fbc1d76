"""`driftline backtest --versions`: two versions that answered the same records, compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from monitor.cli.report.nodes import shown
from monitor.errors import MonitorError
from monitor.notebook import backtest
from tests.cli.driving import Outcome, driftline
from tests.report.reading import Read, at

START_MS = 1_767_596_400_000
MINUTE_MS = 60_000
CONFIG = """
namespace: both
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: {const: fraud}, version: $.version, at: {from: $.at, unit: ms}, score: $.score}
  labels:
    topic: labels
    fields: {id: $.id, at: {from: $.at, unit: ms}, label: $.label}
time: {horizon: 2h, lateness: 1h, disorder: 1m, tick: 1m}
models: [{name: fraud}]
windows: [1h]
rules:
  - {name: accuracy-low, metric: accuracy, op: "<", threshold: 0.7, window: 1h, min_rows: 20, severity: page}
  - {name: brier-high, metric: brier, op: ">", threshold: 0.3, window: 1h, min_rows: 20}
"""
INCIDENT = "[{name: labels turn, from: 2026-01-05T11:10Z, until: 2026-01-05T16:00Z}]"
Rows = list[dict[str, Any]]


def answers(version: str) -> Rows:
    """The first version believes in the label that turns after 250 of 400; the second is less sure, and wrong from 170 on."""
    return [
        {
            "id": str(i),
            "version": version,
            "at": START_MS + i * MINUTE_MS,
            "score": 0.9 if version == "1" else (0.2 if 170 < i <= 250 else 0.6),
        }
        for i in range(1, 401)
    ]


LABELS = [{"id": str(i), "at": START_MS + (i + 10) * MINUTE_MS, "label": int(i <= 250)} for i in range(1, 401)]


def log(folder: Path, *versions: str) -> Path:
    """A log in which these versions answered."""
    folder.mkdir()
    rows = sorted((row for version in versions for row in answers(version)), key=lambda row: row["at"])
    for topic, records in (("predictions", rows), ("labels", LABELS)):
        file = folder / f"{topic}.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in records))
        assert driftline("produce", topic, file, "--embedded", folder / "log", "-q").code == 0
    return folder / "log"


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    """The options of a log in which both versions answered."""
    folder = tmp_path_factory.mktemp("versions")
    (folder / "d.yaml").write_text(CONFIG)
    (folder / "i.yaml").write_text(INCIDENT)
    return ("-c", folder / "d.yaml", "--embedded", log(folder / "both", "1", "2"), "--incidents", folder / "i.yaml")


def windows(folder: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The metrics of the final windows that a backtest left."""
    found = map(json.loads, (folder / "first" / "windows.jsonl").read_text().splitlines())
    return {(each["window"], each["kind"], each["start_ms"]): each["metrics"] for each in found}


def told(done: Outcome, name: str = "first") -> Rows:
    assert done.code == 0, done.err
    return [
        {part: alert[part] for part in ("rule", "version", "fired_ms", "value")} for alert in done.json[name]["alerts"]
    ]


def test_it_is_the_difference_of_a_backtest_of_each_alone(where: tuple[object, ...], tmp_path: Path) -> None:
    both = driftline("backtest", *where, "--versions", "1", "2", "-q", "-o", "json")
    alone = []
    for version in ("1", "2"):
        own = log(tmp_path / version, version)
        alone.append(
            driftline("backtest", *where[:3], own, *where[4:], "--to", tmp_path / f"to{version}", "-q", "-o", "json")
        )
    one, two = map(told, alone)
    assert sorted(map(str, told(both))) == sorted(map(str, [*one, *two]))
    found = both.json["differences"]
    moved = {(m["first"]["rule"], m["first"]["fired_ms"], m["second"]["fired_ms"]) for m in found["moved"]}
    wanted = {(a["rule"], a["fired_ms"], b["fired_ms"]) for a in one for b in two if a["rule"] == b["rule"]}
    assert moved == wanted != set()
    assert (found["only_first"], found["only_second"], found["same"]) == ([], [], 0)
    values = [windows(tmp_path / f"to{version}") for version in ("1", "2")]
    assert found["windows"] == len(values[0]) == len(values[1])
    pairs = [
        (own["brier"]["value"], values[1][key]["brier"]["value"]) for key, own in values[0].items() if "brier" in own
    ]
    assert found["higher_metrics"]["brier"] == sum(b > a for a, b in pairs) > 0
    assert found["lower_metrics"]["brier"] == sum(b < a for a, b in pairs) > 0
    assert found["changed_metrics"]["brier"] == sum(a != b for a, b in pairs)
    assert [each["version"] for each in both.json["versions"]] == ["1", "2"]
    assert [each["counts"] for each in both.json["versions"]] == [each.json["first"]["counts"] for each in alone]


def test_the_report_tells_it_too(where: tuple[object, ...], tmp_path: Path) -> None:
    done = driftline("backtest", *where, "--versions", "1", "2", "-q", "--report", tmp_path / "r.html")
    assert done.code == 0
    assert "driftline: version 2: " in done.err
    assert "What version 2 tells" in done.out
    assert "What version 2 tells, of fraud/" not in done.out
    document = json.loads((tmp_path / "r.json").read_text())
    page = (tmp_path / "r.html").read_text()
    assert "What the second version changes" in page
    values = Read.of(page).values
    assert any(value.where == "/versions/1/counts/false_alarms" for value in values)
    assert any(value.where == "/differences/higher_metrics/brier" for value in values)
    for value in values:
        assert value.text == shown(at(document, value.where), value.form), value


def test_a_notebook_says_the_same(where: tuple[object, ...]) -> None:
    command = driftline("backtest", *where, "--versions", "1", "2", "-q", "-o", "json").json["differences"]
    rows = pa.Table.from_pylist([*answers("1"), *answers("2")])
    found = backtest(str(where[1]), rows, LABELS, versions=("1", "2")).differences
    assert found is not None
    assert [moved.later_ms for moved in found.moved] == [
        moved["second"]["fired_ms"] - moved["first"]["fired_ms"] for moved in command["moved"]
    ]
    assert (found.windows, found.higher_metrics) == (command["windows"], command["higher_metrics"])
    with pytest.raises(MonitorError, match="against and versions both say what is compared"):
        backtest(str(where[1]), rows, LABELS, versions=("1", "2"), against=str(where[1]))


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--versions", "1", "3"), 1, "no final window is of version '3'; there are: fraud/1, fraud/2"),
        (("--versions", "2", "2"), 2, "--versions 2 2: that is one version; give two"),
        (
            ("--versions", "1", "2", "--against-set", "windows=2h"),
            2,
            "--versions and --against both say what is compared",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(
    where: tuple[object, ...], options: tuple[str, ...], code: int, sentence: str
) -> None:
    done = driftline("backtest", *where, *options, "-q")
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err
