"""Outcomes, label delays and distributions of the report against a count of the raw records."""

from __future__ import annotations

import bisect
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Deployment
from tests.cli.driving import driftline
from tests.report.conftest import FLIGHTS, Report

HOUR_MS, DAY_MS, HORIZON_MS = 3_600_000, 86_400_000, 36 * 3_600_000


def records(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()]


@pytest.fixture(scope="module")
def flown() -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The predictions, and when their label became known."""
    known = {label["id"]: label["at"] for label in records(FLIGHTS / "labels.jsonl.gz")}
    return records(FLIGHTS / "predictions.jsonl.gz"), known


def test_every_record_is_accounted_for(report: Report, flown: tuple[Any, dict[str, int]]) -> None:
    predictions, known = flown
    run = report.json["first"]
    assert run["records"] == {"predictions": len(predictions), "labels": len(known)}
    assert {stream: sum(counts.values()) for stream, counts in run["outcomes"].items()} == run["records"]
    assert run["outcomes"]["predictions"]["matched"] == len(known)
    assert run["lost"] == {"predictions": 0, "labels": 0}


def test_a_feature_is_met_in_each_bin_as_often_as_in_the_records(report: Report, flown: tuple[Any, Any]) -> None:
    reference = json.loads((FLIGHTS.parent / "flights.reference.json").read_text())["features"]
    told = {own["feature"]: own for own in report.json["first"]["distributions"]}
    assert told.keys() == reference.keys()
    for name in ("origin", "carrier"):
        found = Counter(p["features"][name] for p in flown[0])
        kept = reference[name]["categories"]
        assert told[name]["current"]["counts"][: len(kept)] == [found[value] for value in kept]
    profile = reference["$score"]
    assert profile["atoms"] == []
    scores = Counter(bisect.bisect_left(profile["edges"], p["score"]) for p in flown[0])
    below = sum(p["score"] < profile["minimum"] for p in flown[0])
    inside = [scores[0] - below, *(scores[i] for i in range(1, len(profile["edges"]) + 1))]
    assert told["$score"]["current"]["counts"] == [below, *inside, 0]
    for own in told.values():
        assert sum(own["current"]["counts"]) == own["current"]["rows"] == len(flown[0])
        assert own["current"]["share"] == [count / len(flown[0]) for count in own["current"]["counts"]]
        assert own["reference"]["counts"] == reference[own["feature"]]["counts"]


def test_label_delays_without_estimates_are_counted_from_the_day_to_the_tick(report: Report, flown: Any) -> None:
    predictions, known = flown
    (own,) = report.json["first"]["delays"]
    assert (own["from_prediction"], own["seen"], own["labelled"]) == (False, len(predictions), len(known))
    at_most: Counter[int] = Counter()
    for p in predictions:
        if p["id"] in known:
            tick_end = known[p["id"]] // HOUR_MS * HOUR_MS + HOUR_MS
            at_most[bisect.bisect_left(own["ends_ms"], tick_end - p["at"] // DAY_MS * DAY_MS)] += 1
    assert own["arrived"] == [at_most[i] for i in range(len(own["ends_ms"]))]
    assert own["share"][-1] == len(known) / len(predictions)


def test_label_delays_with_estimates_are_counted_from_the_prediction(deployment: Deployment, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    done = driftline("backtest", *deployment.where, "--set", "estimates=true", "--report", page, "-q")
    assert done.code == 0, done.err
    (own,) = json.loads(page.with_suffix(".json").read_text())["first"]["delays"]
    known = {label["id"]: label["at"] for label in records(deployment.labels)}
    pairs = [(p["at"], known[p["id"]]) for p in records(deployment.predictions) if p["id"] in known]
    assert all(label_ms - at_ms <= HORIZON_MS for at_ms, label_ms in pairs)
    middle = [label_ms // HOUR_MS * HOUR_MS + HOUR_MS // 2 - at_ms for at_ms, label_ms in pairs]
    found = Counter(bisect.bisect_left(own["ends_ms"], max(0, delay)) for delay in middle)
    assert (own["from_prediction"], own["tick_ms"]) == (True, HOUR_MS)
    assert own["labelled"] == sum(found.values()) > 1_000
    assert own["arrived"] == [found[i] for i in range(len(own["ends_ms"]))]


def test_bins_are_named_by_value_where_that_is_allowed(deployment: Deployment, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    alone = driftline("backtest", *deployment.where, "--show-values", "-q")
    assert (alone.code, "give --report" in alone.err) == (2, True)
    wrong = driftline("backtest", *deployment.where, "--report", tmp_path / "r.pdf", "-q")
    assert (wrong.code, "the report is HTML; give a file that ends in .html" in wrong.err) == (2, True)
    where = ("-c", FLIGHTS.parent / "flights.yaml", "--embedded", deployment.log)
    done = driftline("backtest", *where, "--report", page, "--show-values", "-q")
    assert done.code == 0, done.err
    document = json.loads(page.with_suffix(".json").read_text())
    names = {own["feature"]: own["bins"] for own in document["first"]["distributions"]}
    assert names["origin"][:3] == ["'EWR'", "'JFK'", "'LGA'"]
    assert "'EWR'" in page.read_text().replace("&#x27;", "'")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"format": 2}', "its format is 2, this version of Driftline reads up to 1"),
        ("{}", "is damaged"),
        ("[", "is damaged"),
    ],
)
def test_totals_that_cannot_be_used_are_refused(
    deployment: Deployment, tmp_path: Path, text: str, sentence: str
) -> None:
    to = ("--to", tmp_path / "out", "-q")
    assert driftline("backtest", *deployment.where, *to).code == 0
    (tmp_path / "out" / "first" / "totals.json").write_text(text)
    refused = driftline("backtest", *deployment.where, *to, "--resume", "--report", tmp_path / "r.html")
    assert (refused.code, sentence in refused.err) == (1, True)
    assert not (tmp_path / "r.html").exists()


def test_a_run_of_an_earlier_version_has_a_report_without_what_was_not_kept(
    deployment: Deployment, tmp_path: Path
) -> None:
    to = ("--to", tmp_path / "out", "-q")
    assert driftline("backtest", *deployment.where, *to).code == 0
    (tmp_path / "out" / "first" / "totals.json").unlink()
    done = driftline("backtest", *deployment.where, *to, "--resume", "--report", tmp_path / "r.html")
    assert done.code == 0, done.err
    assert "Not kept by the version that made these files." in (tmp_path / "r.html").read_text()
