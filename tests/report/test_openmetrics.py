"""The OpenMetrics beside the page: what a Prometheus holds afterwards are the final windows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import Run
from tests.report.conftest import Report

SAMPLE = re.compile(r'\{__name__="(\w+)", (.*)\} (\S+) (\d+)$')
PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@pytest.fixture(scope="module")
def held(report: Report, promtool: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Any, ...], float]:
    """Every sample of a Prometheus that loaded the file, by name, labels and time."""
    folder = tmp_path_factory.mktemp("tsdb")
    path = report.page.with_suffix(".openmetrics")
    loaded = promtool("tsdb", "create-blocks-from", "openmetrics", str(path), str(folder))
    assert loaded.returncode == 0, loaded.stderr
    (folder / "wal").mkdir()
    dumped = promtool("tsdb", "dump", str(folder))
    assert dumped.returncode == 0, dumped.stderr
    found, digest = {}, report.json["first"]["config"].removeprefix("sha256:")
    for line in dumped.stdout.splitlines():
        match = SAMPLE.match(line)
        assert match is not None, line
        labels = dict(PAIR.findall(match[2]))
        assert labels.pop("driftline_namespace") == "flights"
        assert labels.pop("driftline_config") == digest[:12]
        found[match[1], tuple(sorted(labels.items())), int(match[4])] = float(match[3])
    return found


def test_every_metric_of_every_window_is_in_it(report: Report, held: dict[tuple[Any, ...], float]) -> None:
    wanted: dict[tuple[Any, ...], float] = {}
    for own in report.json["first"]["series"]:
        base = {name: own[name] for name in ("model", "version", "segment", "window")}
        if own["kind"] != "performance":
            continue
        for name, columns in own["metrics"].items():
            for family, part in (
                ("quality_score", "value"),
                ("quality_score_lower", "lower"),
                ("quality_score_upper", "upper"),
            ):
                labels = tuple(sorted({**base, "metric": name}.items()))
                for end_ms, value in zip(own["end_ms"], columns[part], strict=True):
                    if value is not None:
                        wanted[f"driftline_{family}", labels, end_ms] = value
    assert {key: value for key, value in held.items() if key[0].startswith("driftline_quality_score")} == wanted
    assert len(wanted) > 5_000
    drift = {dict(labels)["feature"] for name, labels, _ in held if name == "driftline_drift_score"}
    assert drift == {"hour", "distance", "origin", "carrier", "$score"}


def test_it_is_openmetrics_to_a_strict_reader(report: Report) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    for suffix in (".openmetrics", ".second.openmetrics"):
        text = Path(report.page.with_suffix(suffix)).read_text("utf-8")
        families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # published without types
        assert {"driftline_quality_score", "driftline_drift_score"} <= {family.name for family in families}
        assert [family.name for family in families if "newest" in family.documentation] == [], "a file has every window"


def test_two_configurations_are_told_apart(report: Report) -> None:
    told = []
    for suffix in (".openmetrics", ".second.openmetrics"):
        text = Path(report.page.with_suffix(suffix)).read_text("utf-8")
        found = set(re.findall(r'driftline_config="([^"]*)"', text))
        samples = [line for line in text.splitlines() if not line.startswith("#")]
        assert len(found) == 1
        assert all(f'{{driftline_config="{min(found)}",' in line for line in samples)
        told.append(min(found))
    assert [report.json[run]["config"].removeprefix("sha256:")[:12] for run in ("first", "second")] == told
    assert told[0] != told[1]
