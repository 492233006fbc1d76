from __future__ import annotations

from dataclasses import replace

from tests.bench.scrape import CPU_MS_MAX, SERIES, Cost, measure


def test_a_scrape_of_ten_thousand_series_stays_within_its_budget() -> None:
    cost = measure()
    assert SERIES * 0.95 <= cost.series <= SERIES, "the view was meant to fill the budget of series"
    assert cost.dropped > 0
    assert cost.over() == []


def test_what_is_over_the_budget_is_said() -> None:
    cost = Cost(SERIES, 0, 50.0, 5.0, 1_500_000, 50_000)
    assert cost.over() == []
    assert replace(cost, render_cpu_ms=CPU_MS_MAX).over() == ["155 ms of processor, 150 are allowed"]
    assert len(replace(cost, body_bytes=1 << 22, zipped_bytes=1 << 20).over()) == 2
