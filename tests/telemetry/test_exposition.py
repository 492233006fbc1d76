from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitor.adapters.exposition import Exposer
from monitor.alerts.event import LAST_MS
from monitor.events import Reason
from monitor.telemetry import BY_NAME, FAMILIES, NAMESPACE_LABEL, Type
from monitor.view import View
from monitor.windows.view import SeriesKey, WindowView
from tests.telemetry.samples import DAY_MS, HOUR_MS, START_MS, input_window, performance_window, sample_view

parse_openmetrics = cast(Callable[[str], Iterator[Metric]], openmetrics_parser)  # published without types
Labels = frozenset[tuple[str, str]]


def families(view: View, *, process: bool = False) -> dict[str, Metric]:
    text = Exposer(process=process).render(view).text.decode()
    return {family.name: family for family in parse_text(text)}


def samples(exposer: Exposer, view: View) -> dict[tuple[str, Labels], float]:
    parsed = parse_text(exposer.render(view).text.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in parsed for s in family.samples}


def values(view: View, name: str) -> dict[str, float]:
    """The values of a family whose last label tells its series apart."""
    found = {}
    for (sample, labels), value in samples(Exposer(process=False), view).items():
        if sample == name:
            last = BY_NAME[name].labels[-1]
            found[dict(labels)[last]] = value
    return found


def test_exactly_the_families_of_the_catalogue_are_exported() -> None:
    stems = {f.full_name.removesuffix("_total") if f.type is Type.COUNTER else f.full_name for f in FAMILIES}
    assert set(families(sample_view())) == stems


def test_every_sample_carries_the_labels_the_catalogue_says() -> None:
    for name, labels in samples(Exposer(process=False), sample_view()):
        if name in BY_NAME:
            assert {label for label, _ in labels} == {NAMESPACE_LABEL, *BY_NAME[name].labels}, name
        assert dict(labels)[NAMESPACE_LABEL] == "flights"


def test_both_formats_say_the_same() -> None:
    exposition = Exposer(process=False).render(sample_view(models=2, versions=2, segments=4))
    text = [(s.name, s.labels, s.value) for f in parse_text(exposition.text.decode()) for s in f.samples]
    openmetrics = [
        (s.name, s.labels, s.value) for f in parse_openmetrics(exposition.openmetrics.decode()) for s in f.samples
    ]
    assert text == openmetrics
    assert exposition.openmetrics.endswith(b"# EOF\n")


def test_both_formats_parse_with_the_process_families_appended() -> None:
    exposition = Exposer().render(sample_view())
    assert "process_resident_memory_bytes" in {f.name for f in parse_text(exposition.text.decode())}
    assert "process_resident_memory_bytes" in {f.name for f in parse_openmetrics(exposition.openmetrics.decode())}
    assert exposition.openmetrics.count(b"# EOF") == 1


def test_an_undefined_metric_is_absent_not_zero() -> None:
    exported = values(sample_view(segments=1), "driftline_quality_score")
    assert "precision" not in exported
    assert exported["accuracy"] == 0.643


def test_what_is_to_be_expected_is_exported_where_it_is_known() -> None:
    view = sample_view(segments=1)
    assert list(values(view, "driftline_quality_coverage_expected_ratio").values()) == [0.991]
    (until,) = values(view, "driftline_quality_settled_until_timestamp_seconds").values()
    assert until == (START_MS + DAY_MS - 33 * HOUR_MS) / 1_000
    assert values(view, "driftline_quality_bound") == {"lower": 0.63, "upper": 0.65}
    found = {
        (dict(labels)["basis"], dict(labels)["metric"]): value
        for (name, labels), value in samples(Exposer(process=False), view).items()
        if name == "driftline_quality_estimate"
    }
    assert found == {
        ("completed", "accuracy"): 0.641,
        ("unlabelled", "accuracy"): 0.66,
        ("unlabelled", "residual"): -0.01,
    }


def test_values_are_written_to_the_last_bit() -> None:
    value = 0.1 + 0.2
    series = SeriesKey("m", "v1", "all")
    window = performance_window(series)
    metrics = {"accuracy": structs.replace(window.metrics["accuracy"], value=value)}
    view = replace(sample_view(), windows=(replace(window, metrics=metrics),))
    assert values(view, "driftline_quality_score") == {"accuracy": value}


def test_a_window_that_lost_records_is_told_apart() -> None:
    window = performance_window(SeriesKey("m", "v1", "all"))
    for partial in (False, True):
        view = replace(sample_view(), windows=(replace(window, partial=partial),))
        assert list(values(view, "driftline_window_partial").values()) == [float(partial)]


def test_only_firing_alerts_are_active() -> None:
    (found,) = (
        key for key in samples(Exposer(process=False), sample_view()).items() if key[0][0] == "driftline_alert_active"
    )
    labels, value = dict(found[0][1]), found[1]
    assert (labels["severity"], value) == ("page", 1.0)
    assert (labels["owner"], labels["runbook"]) == ("team-x", "")


def test_counters_are_there_before_anything_is_counted() -> None:
    view = sample_view()
    fresh = replace(view, counters=type(view.counters)())
    exported = samples(Exposer(process=False), fresh)
    rejected = [value for (name, _), value in exported.items() if name == "driftline_records_rejected_total"]
    assert len(rejected) == 2 * len(Reason)
    assert set(rejected) == {0.0}


def test_a_process_without_partitions_exports_no_partition_and_no_zero_lag() -> None:
    names = {name for name, _ in samples(Exposer(process=False), sample_view(partitions=0))}
    assert "driftline_consumer_lag_records" not in names
    assert "driftline_partitions" in names


def test_lag_is_absent_until_the_end_is_known() -> None:
    lags = [
        dict(labels)
        for name, labels in samples(Exposer(process=False), sample_view(partitions=2))
        if name == "driftline_consumer_lag_records"
    ]
    assert {(lag["topic"], lag["partition"]) for lag in lags} == {
        ("predictions", "0"),
        ("predictions", "1"),
        ("labels", "0"),
    }


def test_the_clocks_of_an_ended_input_stand_at_infinity() -> None:
    view = sample_view(partitions=1)
    (p,) = view.partitions
    ended = replace(view, partitions=(replace(p, labels=None, predictions=replace(p.predictions, tick_ms=LAST_MS)),))
    (clock,) = values(ended, "driftline_tick_clock_timestamp_seconds").values()
    assert clock == math.inf


def test_the_histogram_is_cumulative_and_ends_with_all() -> None:
    parsed = families(sample_view())["driftline_commit_duration_seconds"]
    buckets = [s.value for s in parsed.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[0] == 1
    assert buckets[-1] == 3
    assert [s.value for s in parsed.samples if s.name.endswith("_sum")] == [60.0407]


@given(st.lists(st.text(max_size=12), min_size=3, max_size=3))
def test_any_text_comes_back_from_a_label(texts: list[str]) -> None:
    series = SeriesKey(*(text.encode("utf-8", "replace").decode() for text in texts))
    view = replace(sample_view(), windows=(performance_window(series),), alerts=(), thresholds=())
    exported = samples(Exposer(process=False), view)
    (labels,) = {labels for name, labels in exported if name == "driftline_quality_samples"}
    found = dict(labels)
    assert SeriesKey(found["model"], found["version"], found["segment"]) == series


# ------------------------------------------------------------------------------------------------- the series budget


def series_of(view: View, budget: int) -> set[tuple[str, str, str]]:
    exported = samples(Exposer(process=False), replace(view, series_budget=budget))
    found = set()
    for name, labels in exported:
        if name in ("driftline_quality_samples", "driftline_input_samples"):
            label = dict(labels)
            found.add((label["model"], label["version"], label["segment"]))
    return found


def count(view: View) -> int:
    return Exposer(process=False).render(view).exported_series


def test_within_the_budget_nothing_is_left_out() -> None:
    exposition = Exposer(process=False).render(sample_view(models=3, versions=2, segments=4))
    assert exposition.dropped_series == 0
    assert exposition.exported_series > 500


@pytest.mark.parametrize("budget", [1, 3, 10, 60, 200, 400, 10_000])
def test_never_more_than_the_budget_and_what_is_missing_is_counted(budget: int) -> None:
    view = replace(sample_view(models=2, versions=2, segments=3), series_budget=budget)
    exposer = Exposer(process=False)
    exposition = exposer.render(view)
    exported = samples(exposer, view)  # the second exposition of the same view: dropped series count twice
    budgeted = {f.full_name for f in FAMILIES if f.budgeted}
    assert sum(name in budgeted for name, _ in exported) == exposition.exported_series <= budget
    assert exposition.exported_series + exposition.dropped_series == count(replace(view, series_budget=10_000))
    counted = sum(value for (name, _), value in exported.items() if name == "driftline_dropped_series_total")
    assert counted == 2 * exposition.dropped_series


def test_alerts_and_thresholds_go_out_before_all_series() -> None:
    names = Counter(name for name, _ in samples(Exposer(process=False), replace(sample_view(), series_budget=3)))
    assert names["driftline_alert_active"] == 1
    assert names["driftline_quality_threshold"] == 1
    assert names["driftline_drift_threshold"] == 1
    assert names["driftline_quality_score"] == 0


def test_segments_are_left_out_before_any_all_and_whole() -> None:
    view = sample_view(models=2, segments=3)
    everything = count(view)
    kept = series_of(view, everything - 1)
    assert len(kept) == 2 * 3 - 1
    assert {series for series in kept if series[2] == "all"} == {
        ("arrival-delay", "v1", "all"),
        ("model-1", "v1", "all"),
    }
    lone = Counter(name for name, _ in samples(Exposer(process=False), replace(view, series_budget=everything - 1)))
    assert lone["driftline_quality_samples"] == lone["driftline_input_samples"] == 5


def test_versions_that_stopped_go_before_those_that_serve() -> None:
    old, new = SeriesKey("m", "a-old", "all"), SeriesKey("m", "b-new", "all")
    windows: tuple[WindowView, ...] = (input_window(old), input_window(new, start_ms=START_MS + DAY_MS))
    view = replace(sample_view(), windows=windows, alerts=(), thresholds=())
    assert series_of(view, count(view) - 1) == {("m", "b-new", "all")}


@given(st.permutations(range(12)), st.integers(1, 300))
def test_the_choice_does_not_depend_on_the_order_of_the_windows(order: list[int], budget: int) -> None:
    view = replace(sample_view(models=2, segments=3), series_budget=budget)
    shuffled = replace(view, windows=tuple(view.windows[i] for i in order))
    assert Exposer(process=False).render(view).text == Exposer(process=False).render(shuffled).text
