"""River's detectors, fed again: an advisor is a function of the values it was given, and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.detectors import DetectorError, detectors, make
from monitor.drift import advisor
from monitor.drift.advisor import Advisor

OPTIONS: dict[str, dict[str, float]] = {
    "ADWIN": {"clock": 1, "grace_period": 5, "delta": 0.05},
    "KSWIN": {"window_size": 20, "stat_size": 6},
    "PageHinkley": {"min_instances": 5, "threshold": 1.0},
}
"""Of those that otherwise say nothing within a test's values."""


def shifted(number: int, at: int, seed: int = 1) -> list[float]:
    """Values about 0.1 that from one place on are about 0.6."""
    rng = random.Random(seed)
    return [rng.gauss(0.1 if i < at else 0.6, 0.05) for i in range(number)]


def test_every_detector_of_river_is_there_by_name() -> None:
    assert list(detectors()) == [
        "ADWIN", "DDM", "EDDM", "FHDDM", "HDDMA", "HDDMW", "KSWIN", "PageHinkley"
    ]  # fmt: skip


@pytest.mark.parametrize("name", detectors())
def test_who_is_fed_again_goes_on_as_if_nothing_had_happened(name: str) -> None:
    """After every value, changes and the beginning anew at the limit included."""
    values = shifted(90, 40) + shifted(90, 30, seed=2)
    live = Advisor(name, OPTIONS.get(name, {}))
    for value in values:
        again = Advisor(name, OPTIONS.get(name, {}), live.values)
        assert again.values == live.values
        assert again.update(value) == live.update(value)
        assert again.values == live.values


@pytest.mark.parametrize("name", OPTIONS)
def test_a_change_is_told_soon_after_it_and_not_before(name: str) -> None:
    one = Advisor(name, OPTIONS[name])
    told = [i for i, value in enumerate(shifted(120, 60)) if one.update(value)]
    assert told
    assert 60 <= told[0] <= 85


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=30, max_size=80), st.integers(0, 79))
def test_what_is_held_is_bounded_and_enough_wherever_it_is_cut(values: list[float], cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advisor, "VALUES_MAX", 16)
        one = Advisor("KSWIN", OPTIONS["KSWIN"])
        other = one
        for place, value in enumerate(values):
            if place == cut:
                other = Advisor("KSWIN", OPTIONS["KSWIN"], one.values)
            said = one.update(value)
            assert len(one.values) < 16
            assert other is one or other.update(value) == said
        assert other.values == one.values


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("Adwin", {}, "'Adwin' is not a detector of river; allowed: ADWIN, DDM"),
        ("DummyDriftDetector", {}, "'DummyDriftDetector' is not a detector of river"),
        ("ADWIN", {"detla": 0.1}, "ADWIN takes no 'detla'; allowed: delta, clock"),
        ("KSWIN", {"alpha": 2.0}, "KSWIN cannot be made with these options: "),
        ("KSWIN", {"window": 3}, "KSWIN takes no 'window'"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(name: str, options: dict[str, float], sentence: str) -> None:
    with pytest.raises(DetectorError, match=sentence.replace("(", "[(]")):
        make(name, options)
