"""Views made up for the tests: every part filled, sizes as asked."""

from __future__ import annotations

from dataclasses import replace

from monitor.join.outcomes import Conservation
from monitor.telemetry import OUTCOMES, TaskState
from monitor.view import (
    ActiveAlert,
    Build,
    Counters,
    Durations,
    Evaluator,
    Headroom,
    Health,
    ModelStatus,
    PartitionStatus,
    StreamStatus,
    Threshold,
    View,
)
from monitor.windows.view import Estimate, Kind, Outlook, SeriesKey, Undefined, WindowKey, WindowView

DAY_MS = 86_400_000
START_MS = 1_357_344_000_000  # 2013-01-05 00:00 UTC
METRICS = ("accuracy", "precision", "recall", "f1", "specificity", "log_loss", "brier", "roc_auc")
FEATURES = ("hour", "origin")

HOUR_MS = 3_600_000
OUTLOOK = Outlook(
    0.991,
    0.994,
    START_MS + DAY_MS + 33 * HOUR_MS,
    {"accuracy": (0.63, 0.65)},
    {"accuracy": Estimate(0.641, 0.639, 0.643, 1_228), "precision": Estimate(None, None, None, 0)},
    {"accuracy": Estimate(0.66, 0.65, 0.67, 1_228), "residual": Estimate(-0.01, -0.02, 0.0, 1_204)},
)


def performance_window(
    series: SeriesKey, window: str = "1d", *, start_ms: int = START_MS, revision: int = 12, final: bool = False
) -> WindowView:
    metrics = {name: Estimate(0.643, 0.637, 0.649, 1_204) for name in METRICS}
    metrics["precision"] = Estimate(None, None, None, 0, undefined=Undefined.ZERO_DENOMINATOR)
    metrics["roc_auc"] = Estimate(0.7101, 0.70, 0.72, 1_204, bound=0.0006)
    return WindowView(
        WindowKey(series, window, start_ms, start_ms + DAY_MS),
        Kind.PERFORMANCE,
        revision,
        final,
        start_ms + DAY_MS,
        1_228,
        1_204,
        metrics,
        {"tp": 0, "fp": 0, "fn": 430, "tn": 774},
        "sha256:config",
        outlook=OUTLOOK,
    )


def input_window(series: SeriesKey, window: str = "1d", *, start_ms: int = START_MS) -> WindowView:
    metrics = {
        f"{method}:{f}": Estimate(0.0312, None, None, 1_228) for f in (*FEATURES, "$score") for method in ("psi", "ks")
    }
    metrics |= {f"missing:{f}": Estimate(0.01, 0.008, 0.012, 1_228) for f in FEATURES}
    metrics |= {f"{check}:hour": Estimate(0.002, 0.001, 0.004, 1_228) for check in ("wrong_type", "out_of_range")}
    metrics["volume"] = Estimate(1_228.0, None, None, 1_228)
    metrics["ks:origin"] = Estimate(None, None, None, 0, undefined=Undefined.NO_REFERENCE)
    return WindowView(
        WindowKey(series, window, start_ms, start_ms + DAY_MS),
        Kind.INPUT,
        3,
        False,
        start_ms + DAY_MS,
        1_228,
        0,
        metrics,
        {},
        "sha256:config",
        "sha256:reference",
    )


def partition(number: int, state: TaskState = TaskState.LIVE) -> PartitionStatus:
    predictions = dict.fromkeys(OUTCOMES["predictions"], 3) | {"matched": 1_000}
    labels = dict.fromkeys(OUTCOMES["labels"], 2) | {"applied": 1_000}
    read, labels_read = sum(predictions.values()), sum(labels.values())
    return PartitionStatus(
        number,
        state,
        4,
        1_017,
        StreamStatus(
            "predictions",
            10_200,
            10_242,
            START_MS + 7_000,
            START_MS - DAY_MS,
            240,
            headroom=Headroom(8_000, 5 * DAY_MS, 7 * DAY_MS),
        ),
        StreamStatus(
            "labels",
            9_900,
            None if number else 9_900,
            START_MS + 6_000,
            START_MS - DAY_MS,
            2,
            number == 0,
            headroom=Headroom(8_000, DAY_MS, 3 * DAY_MS),
        ),
        1_444,
        80_864,
        700,
        40_100,
        20_100,
        251,
        predictions,
        labels,
        Conservation(read, read, labels_read, labels_read),
    )


def sample_view(
    *, models: int = 1, versions: int = 1, segments: int = 2, windows: tuple[str, ...] = ("1d",), partitions: int = 2
) -> View:
    """A view of a process that is evaluator and owns partitions; `segments` counts `all`."""
    names = ["arrival-delay", *(f"model-{i}" for i in range(1, models))]
    keys = [
        SeriesKey(name, f"v{v + 1}", segment)
        for name in names
        for v in range(versions)
        for segment in ("all", *(f"origin={code}" for code in _codes(segments - 1)))
    ]
    views = [make(key, w) for key in keys for w in windows for make in (performance_window, input_window)]
    alert = ActiveAlert(
        "low-recall", keys[0], "1d", "firing", "page", START_MS, "recall", "<", 0.4, 0.2134, 430, {"owner": "team-x"}
    )
    return View(
        namespace="flights",
        at_ms=START_MS + DAY_MS,
        build=Build("0.1.0", "3.11.7"),
        config_digest="sha256:0a1b2c3d4e5f",
        files_digest="sha256:f11e5",
        topics=("predictions", "labels"),
        state_limit_rows=20_000_000,
        series_budget=10_000,
        models=tuple(ModelStatus(n, "binary", FEATURES, 27_000, "sha256:reference", False) for n in names),
        features=FEATURES,
        rules=("low-recall", "drift"),
        thresholds=(
            Threshold("low-recall", names[0], "all", "1d", "recall", "min", 0.4, "page"),
            Threshold("drift", names[0], "all", "1d", "psi:hour", "max", 0.2, "ticket"),
        ),
        windows=tuple(views),
        alerts=(alert, replace(alert, rule="drift", state="pending", severity="ticket", metric="psi:hour", op=">")),
        partitions=tuple(partition(i) for i in range(partitions)),
        evaluator=Evaluator(True, START_MS + DAY_MS),
        counters=Counters(
            consumed={"predictions": 20_400, "labels": 19_800},
            rejected={"predictions": {"malformed": 3}},
            skipped={"labels": {"tombstone": 2}},
            lost={},
            dead_letters={"predictions": {"record": 3}},
            feature_faults={"hour": 1},
            commits={"accepted": 2_034},
            commit_durations=Durations().observe(700).observe(40_000).observe(60_000_000),
            ledger_rejected=1,
            windows_published=77,
            windows_unplaced=2,
            alerts_emitted={"low-recall": {"firing": 1}},
        ),
        health=Health(True, {"worker": START_MS + DAY_MS}),
    )


def _codes(count: int) -> list[str]:
    return [*("EWR", "LGA", "JFK"), *(f"X{i:03d}" for i in range(max(0, count - 3)))][:count]
