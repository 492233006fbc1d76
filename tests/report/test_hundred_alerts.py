"""A hundred alerts drawn from a thousand: every number in them is what scikit-learn and SciPy make of the source topics, with
nothing else of an alert than its JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from scipy.stats import binomtest
from sklearn import metrics

from tests.checker.sources import open_source
from tests.cli.driving import driftline
from tests.report.conftest import Flights

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
HORIZON_MS = 36 * HOUR_MS
LIMITS = {
    "accuracy": 0.78, "precision": 0.45, "recall": 0.5, "f1": 0.48, "specificity": 0.85, "npv": 0.85,
    "balanced_accuracy": 0.68, "mcc": 0.33, "kappa": 0.33,
}  # fmt: skip
SETTINGS = {"day": "min_rows: 20, min_coverage: 0.4", "month": "min_rows: 200, min_coverage: 0.3"}
DRAWN, LEAST_Z = 20, 3.0


def rules() -> str:
    named = (
        f'  - {{name: {name}-{where}-{window}, metric: {name}, op: "<", threshold: {limit}, window: {window}, '
        f"segments: {where}, {settings}}}"
        for name, limit in LIMITS.items()
        for where in ("all", "each")
        for window, settings in SETTINGS.items()
    )
    return "explanations: true\nrules:\n" + "\n".join(named) + "\n"


@pytest.fixture(scope="module")
def told(flights: Flights, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every alert that fired or resolved, as its JSON."""
    folder = tmp_path_factory.mktemp("hundred")
    (folder / "rules.yaml").write_text(rules())
    config = [flights.where[0], flights.where[1], "-c", folder / "rules.yaml", "--set", "namespace=hundred"]
    done = driftline("run", "--no-http", "--until-end", *config, "--embedded", flights.log, "-q")
    assert done.code == 0, done.err
    events = [
        json.loads(raw.value or b"")
        for log in open_source(None, str(flights.log)).read("hundred.alerts")
        for raw in log
    ]
    return [e["data"] for e in events if e["data"]["category"] == "rule" and e["data"]["evidence"] is not None]


@pytest.fixture(scope="module")
def days(flights: Flights) -> Mapping[int, list[tuple[str, int, int, tuple[int, int] | None]]]:
    """By day of departure: origin, time, class, and (time, label)."""
    source = open_source(None, str(flights.log))
    labels = {}
    for log in source.read("flights.labels"):
        for record in (json.loads(raw.value or b"") for raw in log):
            labels[record["id"]] = (record["at"], int(record["label"]))
    found: dict[int, list[tuple[str, int, int, tuple[int, int] | None]]] = {}
    for log in source.read("flights.predictions"):
        for p in (json.loads(raw.value or b"") for raw in log):
            row = (p["features"]["origin"], p["at"], int(p["prediction"]), labels.get(p["id"]))
            found.setdefault(p["at"] // DAY_MS, []).append(row)
    return found


def rows(days: Any, start_ms: int, end_ms: int, tick_ms: int, segment: str) -> list[tuple[str, int, int | None]]:
    """Origin, class and label of a window as they were known at the end of a tick; None for a label that was not."""
    found = []
    for day in range(start_ms // DAY_MS, -(-end_ms // DAY_MS)):
        for origin, at, called, label in days.get(day, ()):
            if segment not in ("all", f"origin={origin}") or not start_ms <= at < end_ms or at >= tick_ms:
                continue
            known = label is not None and label[0] < tick_ms and label[0] - at <= HORIZON_MS
            found.append((origin, called, label[1] if label is not None and known else None))
    return found


SKLEARN: dict[str, Callable[[list[int], list[int]], float]] = {
    "accuracy": metrics.accuracy_score,
    "precision": metrics.precision_score,
    "recall": metrics.recall_score,
    "f1": metrics.f1_score,
    "specificity": lambda y, p: float(metrics.recall_score(y, p, pos_label=0)),
    "npv": lambda y, p: float(metrics.precision_score(y, p, pos_label=0)),
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "mcc": metrics.matthews_corrcoef,
    "kappa": metrics.cohen_kappa_score,
}
OF = {
    "accuracy": ("tp tn", "tp fp fn tn"),
    "precision": ("tp", "tp fp"),
    "recall": ("tp", "tp fn"),
    "specificity": ("tn", "tn fp"),
    "npv": ("tn", "tn fn"),
}
"""Hits and trials of the proportions."""


def check_evidence(data: Mapping[str, Any], days: Any) -> None:
    """Counts, value, interval, coverage and verdict."""
    said, window = data["evidence"], data["evidence"]["window"]
    there = rows(days, window["start_ms"], window["end_ms"], data["tick_ms"], data["segment"])
    known = [(y, p) for _, p, y in there if y is not None]
    truth, called = [y for y, _ in known], [p for _, p in known]
    tn, fp, fn, tp = (int(n) for n in metrics.confusion_matrix(truth, called, labels=[0, 1]).ravel())
    counts = {"seen": len(there), "labelled": len(known), "tp": tp, "fp": fp, "fn": fn, "tn": tn}
    assert {name: said["counts"][name] for name in counts} == counts
    assert (said["seen"], said["labelled"]) == (len(there), len(known))
    assert said["coverage"] == pytest.approx(len(known) / len(there), rel=1e-11)
    assert said["value"] == pytest.approx(SKLEARN[said["metric"]](truth, called), rel=1e-9)
    assert said["broken"] is (said["value"] < said["threshold"])
    assert said["threshold"] == LIMITS[said["metric"]]
    if said["metric"] in OF:
        hits, trials = (sum(counts[name] for name in names.split()) for names in OF[said["metric"]])
        assert said["rows"] == trials
        interval = binomtest(hits, trials).proportion_ci(method="wilson")
        assert (said["lower"], said["upper"]) == pytest.approx((interval.low, interval.high), rel=1e-9)


def errors(there: list[tuple[str, int, int | None]]) -> tuple[int, int]:
    known = [(p, y) for _, p, y in there if y is not None]
    return len(known), sum(p != y for p, y in known)


def check_explanation(data: Mapping[str, Any], days: Any) -> None:
    """What it was compared with, the split by origin, and the origins that got worse."""
    said, window, tick_ms = data["explanation"], data["evidence"]["window"], data["tick_ms"]
    now = rows(days, window["start_ms"], window["end_ms"], tick_ms, "all")
    assert (said["rows"], said["errors"]) == errors(now)
    metric, before, used = data["evidence"]["metric"], [], 0
    for day in range(said["before_start_ms"] // DAY_MS, said["before_end_ms"] // DAY_MS):
        there = rows(days, day * DAY_MS, (day + 1) * DAY_MS, tick_ms, "all")
        truth, called = zip(*[(y, p) for _, p, y in there if y is not None], strict=True)
        if SKLEARN[metric](list(truth), list(called)) >= data["evidence"]["threshold"]:
            before += there
            used += 1
    assert said["before_windows"] == used
    assert (said["before_rows"], said["before_errors"]) == errors(before)
    origins = {
        each: tuple(errors([r for r in side if r[0] == each]) for side in (now, before))
        for each in ("EWR", "JFK", "LGA")
    }
    mix = within = harm = 0.0
    worse = []
    rate = said["before_errors"] / said["before_rows"]
    for origin, ((n, wrong), (m, was_wrong)) in origins.items():
        q, p = n / said["rows"], m / said["before_rows"]
        mix += (q - p) * (wrong / n + was_wrong / m) / 2
        within += (q + p) / 2 * (wrong / n - was_wrong / m)
        harm += (q - p) * was_wrong / m
        expected = (was_wrong + DRAWN * rate) / (m + DRAWN)
        pooled = (wrong + was_wrong + DRAWN * rate) / (n + m + DRAWN)
        z = (wrong / n - expected) / (pooled * (1 - pooled) * (1 / n + 1 / (m + DRAWN))) ** 0.5
        if z >= LEAST_Z:
            worse.append((f"origin={origin}", n, wrong, m, was_wrong, expected, z, wrong - n * expected))
    (split,) = said["splits"]
    assert (split["mix"], split["within"], split["harm"]) == pytest.approx((mix, within, harm), rel=1e-9, abs=1e-12)
    assert mix + within == pytest.approx(said["errors"] / said["rows"] - rate, abs=1e-12)
    names = ("segment", "rows", "errors", "before_rows", "before_errors", "expected", "z", "excess")
    assert [one["segment"] for one in said["slices"]] == [w[0] for w in sorted(worse, key=lambda w: -w[6])]
    for one, wanted in zip(said["slices"], sorted(worse, key=lambda w: -w[6]), strict=True):
        assert tuple(one[name] for name in names[1:]) == pytest.approx(wanted[1:], rel=1e-9)


def test_every_number_of_a_hundred_alerts_is_what_the_records_say(told: list[dict[str, Any]], days: Any) -> None:
    assert len(told) > 500
    drawn = random.Random(5).sample(told, 100)
    assert len({(data["evidence"]["metric"], data["segment"]) for data in drawn}) > 20
    for data in drawn:
        check_evidence(data, days)


def test_every_number_of_their_explanations_too(told: list[dict[str, Any]], days: Any) -> None:
    explained = [d for d in told if "explanation" in d and d["evidence"]["window"]["name"] == "day"]
    assert len(explained) > 80
    for data in explained:
        check_explanation(data, days)
    assert any(data["explanation"]["slices"] for data in explained)
