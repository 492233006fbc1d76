"""What the series budget leaves out is counted without being written: the counts are those that writing would give."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from monitor.adapters.exposition import Exposer, WindowLabels
from monitor.adapters.exposition_sizes import sizes
from monitor.config.metric_names import DECLARED
from monitor.windows.view import Estimate, Kind, Outlook, SeriesKey, WindowView
from tests.telemetry.samples import input_window, performance_window, sample_view

ALL, SEGMENT = SeriesKey("m", "1", "all"), SeriesKey("m", "1", "hue=red")
PERFORMANCE, INPUT = performance_window(ALL), input_window(ALL)
WITHOUT_INTERVAL = {**PERFORMANCE.metrics, "npv": Estimate(0.5, None, None, 3), "mcc": Estimate(0.5, 0.4, None, 3)}
VIEWS: dict[str, WindowView] = {
    "performance": PERFORMANCE,
    "of a segment": performance_window(SEGMENT),
    "final": performance_window(ALL, final=True),
    "without rows": replace(PERFORMANCE, seen=0, labelled=0, metrics={}),
    "without intervals": replace(PERFORMANCE, metrics=WITHOUT_INTERVAL),
    "nothing to expect": replace(PERFORMANCE, outlook=None),
    "little to expect": replace(PERFORMANCE, outlook=Outlook(bounds={"accuracy": (0.1, 0.2)})),
    "inputs": INPUT,
    "inputs of a segment": input_window(SEGMENT),
    "violations": replace(
        INPUT, metrics={**INPUT.metrics, f"{next(iter(DECLARED))}:hour": Estimate(0.1, None, None, 9)}
    ),
    "inputs without rows": replace(INPUT, seen=0, metrics={}),
}


@pytest.mark.parametrize("name", VIEWS)
def test_as_many_samples_of_each_family_are_counted_as_would_be_written(name: str) -> None:
    view = VIEWS[name]
    written: list[tuple[str, str]] = []
    WindowLabels("ns", view.key.series, view.key.window, view.kind).write(view, written)
    counted = Counter[str]()
    for family, number in sizes(view):
        counted[family] += number
    assert +counted == Counter(family for family, _ in written)


def test_what_is_left_out_is_what_a_larger_budget_would_have_shown() -> None:
    view = sample_view(models=3, versions=2, segments=4)
    whole = Exposer(process=False).render(replace(view, series_budget=1_000_000))
    assert not whole.dropped_series
    for budget in (0, 1, 7, 100, whole.exported_series - 1, whole.exported_series):
        part = Exposer(process=False).render(replace(view, series_budget=budget))
        assert part.exported_series <= budget
        assert part.exported_series + part.dropped_series == whole.exported_series
        said = [line for line in part.text.decode().splitlines() if line.startswith("driftline_dropped_series_total")]
        assert sum(int(float(line.split()[-1])) for line in said) == part.dropped_series


def test_both_kinds_are_here() -> None:
    assert {view.kind for view in VIEWS.values()} == set(Kind)
