"""What the dials mean."""

from __future__ import annotations

import pytest

from monitor.drift.budget import WEIGHTS, Area, Budget, Materiality, shares


def test_one_false_page_in_thirty_days_of_minutes_is_a_patience_of_43_200_ticks() -> None:
    month = 30 * 86_400_000
    assert Budget(1.0, month, 60_000).patience == 43_200.0
    assert Budget(0.1, month, 60_000).patience == 432_000.0
    assert Budget(1.0, month, 3_600_000).patience == 720.0


def test_the_weights_are_shared_evenly_within_an_area_and_what_is_not_watched_goes_to_the_others() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    assert shares([Area.PERFORMANCE, Area.FEATURES, Area.FEATURES]) == pytest.approx([0.5 / 0.65, *[0.075 / 0.65] * 2])
    assert shares([Area.QUALITY]) == [1.0]
    assert shares([]) == []


def test_predictions_are_forgiven_what_features_are() -> None:
    forgiven = Materiality(performance=0.03, features=0.05, quality=0.01)
    assert [forgiven.of(area) for area in Area] == [0.03, 0.05, 0.01, 0.05]
