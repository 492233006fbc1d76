"""Which metrics of final windows a report shows."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.backtest.report import series_of
from monitor.cli.report.nodes import At
from monitor.cli.report.sections import title_of_inputs
from tests.backtest.made import window

NOWHERE = {"value": None, "rows": 90, "reason": "no_reference"}


def inputs(metrics: dict[str, dict[str, Any]], start_ms: int = 0) -> dict[str, Any]:
    return window(None, start_ms, kind="input", metrics=metrics, end_ms=start_ms + 1, labelled=0, coverage=None)


@pytest.mark.parametrize(
    ("metrics", "shown", "title"),
    [
        (
            {"psi:a": {"value": 0.1}, "ks:a": {"value": 0.2}, "missing:a": {"value": 0.0}},
            ["psi:a"],
            "Inputs against the reference",
        ),
        ({"psi:a": NOWHERE, "ks:a": NOWHERE, "missing:a": {"value": 0.0}}, ["missing:a"], "Inputs"),
    ],
    ids=["a reference", "none"],
)
def test_inputs_are_held_against_a_reference_where_there_is_one(
    metrics: dict[str, dict[str, Any]], shown: list[str], title: str
) -> None:
    found = series_of([inputs(metrics)], frozenset())
    assert [own["shown"] for own in found] == [shown]
    assert title_of_inputs(At({"series": found})) == title


def test_a_distance_that_has_no_value_for_another_reason_is_shown() -> None:
    none = {"value": None, "rows": 0, "reason": "no_rows"}
    (own,) = series_of([inputs({"psi:a": NOWHERE}), inputs({"psi:a": none}, 1)], frozenset())
    assert own["shown"] == ["psi:a"]


def test_what_a_rule_looks_at_is_shown_whether_it_has_a_value_or_not() -> None:
    (own,) = series_of([inputs({"psi:a": NOWHERE, "missing:a": {"value": 0.0}})], frozenset({"psi:a"}))
    assert own["shown"] == ["missing:a", "psi:a"]
