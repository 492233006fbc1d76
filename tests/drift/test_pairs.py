"""Pairs of features: a change that neither shows alone is seen, one that each shows alone is not taken for one of both."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.drift.binning import bin_categories, bin_numbers
from monitor.drift.document import loads
from monitor.drift.edetector import Channel, Detector
from monitor.drift.functionals import numeric
from monitor.drift.nulls import null_of
from monitor.drift.pairs import CELLS, GROUPS, USABLE, bins_of, dependence, groups_of, joint, paired
from monitor.drift.reference import Column, Reference, build_reference
from monitor.errors import ReferenceProfileError
from monitor.events import INVALID, Float64s, Int64s
from monitor.windows.view import Undefined
from tests.drift.profiles import ORIGIN
from tests.drift.streams import alarms, delays, tally

GOLDEN = Path(__file__).parent / "golden" / "reference-v2.json"


def both(random: np.random.Generator, rows: int, correlation: float) -> tuple[Float64s, Float64s]:
    x = random.normal(size=rows)
    return x, correlation * x + math.sqrt(1 - correlation**2) * random.normal(size=rows)


def referenced(correlation: float = 0.0, rows: int = 10_000, seed: int = 1) -> Reference:
    x, y = both(np.random.default_rng(seed), rows, correlation)
    return build_reference("m", {"x": x, "y": y}, None, ORIGIN, pairs=[("x", "y")])


def counted(reference: Reference, x: Float64s, y: Float64s) -> Int64s:
    """The pair's cells of these rows."""
    sides = []
    for name, column in (("x", x), ("y", y)):
        profile = reference.features[name]
        sides.append(groups_of(profile.binning, profile.reference)[bins_of(profile.binning, column)])
    return joint(*sides)


def small_pairs() -> Reference:
    """Twelve rows with every kind of value."""
    columns: dict[str, Column] = {
        "hour": np.array([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, math.nan, 3]),
        "origin": ["EWR", "EWR", "EWR", "JFK", "JFK", "LGA", None, INVALID, "EWR", "JFK", "LGA", "LGA"],
        "other": np.arange(12.0),
    }
    return build_reference("m", columns, None, ORIGIN, pairs=[("origin", "hour"), ("hour", "other")])


def test_a_profile_with_pairs_survives_the_way_there_and_back_and_has_format_2() -> None:
    reference = small_pairs()
    text = reference.dumps()
    again = loads(text)
    assert again == reference
    assert again.digest == reference.digest
    assert text == GOLDEN.read_text()
    assert sum(reference.pairs["origin", "hour"]) == 12


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('"features":["origin","hour"]', '"features":["origin"]'), "features: must name two features, it names 1"),
        (('"features":["origin","hour"]', '"features":["origin","minute"]'), "pairs.origin~minute: must be 64 counts"),
        (('"version":2', '"version":1'), "pairs"),
        (('"version":2', '"version":3'), "format version 3, this driftline reads up to 2"),
    ],
)
def test_a_broken_pair_is_refused(change: tuple[str, str], sentence: str) -> None:
    text = small_pairs().dumps()
    assert change[0] in text
    with pytest.raises(ReferenceProfileError, match=sentence):
        loads(text.replace(*change))


def test_groups_of_numbers_hold_about_as_many_rows_each_and_missing_ones_are_apart() -> None:
    values = np.append(np.random.default_rng(2).normal(size=7_000), np.full(50, math.nan))
    binning = bin_numbers(values)
    counts = np.bincount(binning.codes(values), minlength=binning.bins)
    groups = groups_of(binning, counts)
    held = np.bincount(groups, weights=counts, minlength=GROUPS)
    assert held[USABLE] == 50
    assert groups[binning.missing] == USABLE
    assert (held[:USABLE] > 600).all()
    assert (held[:USABLE] < 1_400).all()
    assert (np.diff(groups[: binning.ordered].astype(int)) >= 0).all()


def test_the_largest_categories_are_groups_of_their_own() -> None:
    binning = bin_categories({f"c{i}": 100 * (10 - i) for i in range(10)})
    counts = np.array([100 * (10 - i) for i in range(10)] + [0, 0, 0, 0])
    groups = groups_of(binning, counts)
    by_name = {name: int(groups[code]) for code, name in enumerate(binning.categories)}
    assert [by_name[f"c{i}"] for i in range(10)] == [0, 1, 2, 3, 4, 5, 6, 6, 6, 6]
    assert groups[[binning.other, binning.unseen, binning.missing, binning.invalid]].tolist() == [6, 6, USABLE, USABLE]


def test_a_correlation_that_comes_or_goes_is_a_distance_and_a_shift_of_either_feature_is_none() -> None:
    random, reference = np.random.default_rng(3), referenced(0.5)
    held = np.array(reference.pairs["x", "y"])
    x, y = both(random, 20_000, 0.5)
    same, shifted = counted(reference, x, y), counted(reference, x + 0.7, 0.6 * y)
    gone = counted(reference, *both(random, 20_000, 0.0))
    turned = counted(reference, *both(random, 20_000, -0.5))
    value = dependence(held, np.stack([same, shifted, gone, turned])).value
    assert value[0] < 0.03
    assert value[1] < 0.08, "the margins moved, and what is left of the shape by grouping"
    assert value[2] > 0.13
    assert value[3] > 1.6 * value[2]


@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_without_a_change_it_is_about_nothing_whatever_the_rows(rows: int) -> None:
    random, reference = np.random.default_rng(4), referenced(0.3)
    held = np.array(reference.pairs["x", "y"])
    windows = np.stack([counted(reference, *both(random, rows, 0.3)) for _ in range(200)])
    found = dependence(held, windows)
    squares = found.value**2
    assert squares.mean() < 1.5 * 36 / (8 * math.log(2)) * (1 / rows + 1 / 10_000)
    # Few rows are a little above: with less than ten in a cell the average is no longer exact.
    assert (found.value == 0.0).mean() > (0.2 if rows >= 1_000 else 0.05)
    assert found.rows.tolist() == [rows] * 200


@given(st.lists(st.integers(0, 5), min_size=CELLS, max_size=CELLS), st.integers(1, 9))
def test_it_is_a_share_and_nothing_where_rows_are_those_of_the_reference(cells: list[int], times: int) -> None:
    held = np.array(cells)
    found = dependence(held, np.stack([times * 1_000 * held, np.zeros(CELLS, np.int64), np.roll(held, 1)]))
    usable = held.reshape(GROUPS, GROUPS)[:USABLE, :USABLE].sum()
    if usable:
        assert found.value[0] < 0.35  # what smoothing makes of a few rows
        assert 0.0 <= np.nan_to_num(found.value[2]) <= 1.0
    assert found.at(1).undefined is Undefined.NO_ROWS


def test_missing_values_take_no_part() -> None:
    held = np.zeros(CELLS, np.int64)
    held[[0, 9]] = 50
    current = held.copy()
    current[USABLE::GROUPS] += 1_000
    current[USABLE * GROUPS :] += 1_000
    found, alone = dependence(held, np.stack([current, held])).at(0), dependence(held, held[np.newaxis]).at(0)
    assert (found.value, found.rows) == (alone.value, 100)


def detector(reference: Reference, patience: float, features: int = 1) -> Detector:
    """The pair, with as many questions asked as a model with so many features has."""
    held = np.array(reference.pairs["x", "y"])
    asked = paired(held)
    null = null_of(asked, held, materiality=0.02, asked=features * 42 + len(asked))
    return Detector((Channel("x~y", asked, null, 1.0),), patience)


def test_a_change_of_correlation_alone_is_an_alarm_that_no_feature_alone_gives() -> None:
    """10,000 reference rows, ten features, 1,000 rows a tick; a correlation of 0.5 comes."""
    random, reference = np.random.default_rng(5), referenced(0.0)

    def draw(correlation: float, tick: int, lanes: int) -> Int64s:
        return np.stack([counted(reference, *both(random, 1_000, correlation)) for _ in range(lanes)])

    found = delays(
        detector(reference, 20 * 1000.0, 10),
        lambda t, n: draw(0.0, t, n),
        lambda t, n: draw(0.5, t, n),
        6,
        quiet=5,
        most=60,
    )
    assert found.mean() <= 5.0
    profile = reference.features["y"]
    alone = numeric(profile.binning, profile.reference)  # type: ignore[arg-type]
    one = Detector((Channel("y", alone, null_of(alone, profile.reference, materiality=0.02, asked=420), 1.0),), 1000.0)

    def of_y(tick: int, lanes: int) -> Int64s:
        codes = [profile.binning.codes(both(random, 1_000, 0.5)[1]) for _ in range(lanes)]  # type: ignore[union-attr]
        return np.stack([np.bincount(own, minlength=profile.binning.bins) for own in codes])

    assert alarms(one, [of_y], 60, 2).sum() == 0
    causes_of = detector(reference, 10.0)
    state, _, seen = causes_of.step(causes_of.start(), 0, [draw(0.9, 0, 1)])
    assert causes_of.explain(seen)[0].functional == "go together more"
    assert state is not seen


def null_world(references: int, lanes: int, ticks: int, *, margins: bool = True) -> bool:
    """Whether mean alarms of pairs that go together as they did keep the bound, at a patience of 100."""
    random, found = np.random.default_rng(6), []
    for number in range(references):
        reference = referenced(0.3, rows=2_000, seed=100 + number)
        held = np.array(reference.pairs["x", "y"])
        asked = paired(held)
        null = null_of(asked, held)
        if not margins:
            null = type(null)(null.mean, np.ceil(null.mean * 2**30) / 2**30, null.dispersion, null.rows)

        def draw(tick: int, n: int, own: Reference = reference) -> Int64s:
            return np.stack([counted(own, *both(random, 1_000, 0.3)) for _ in range(n)])

        found.append(alarms(Detector((Channel("p", asked, null, 1.0),), 100.0), [draw], ticks, lanes))
    result = tally(found, ticks, 100.0)
    print(f"\npairs, {'with' if margins else 'without'} margins: {result}")
    return result.holds


def test_a_sample_of_a_null_world_keeps_the_budget_and_does_not_without_margins() -> None:
    assert null_world(6, 2, 60)
    assert not null_world(6, 2, 60, margins=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_null_world_of_pairs_keeps_the_budget() -> None:
    assert null_world(20, 4, 150)  # 120 alarms are allowed
