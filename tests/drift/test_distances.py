"""Distances against scipy's and the literature's results on the weather data, and their properties."""

from __future__ import annotations

import csv
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, wasserstein_distance

from monitor.drift import distances
from monitor.drift.binning import bin_numbers
from monitor.events import Float64s, Int64s

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
TABLE = list(csv.DictReader((REFERENCE / "exact_two_sample.csv").read_text().splitlines()))


@cache
def measurements() -> Float64s:
    """Eight features of 18,000 days, shape (8, 18000)."""
    with np.load(REFERENCE / "weather.npz") as archive:
        values: Float64s = archive["values"] / float(archive["scale"])
    return values


def weather(feature: str, window: int) -> tuple[Float64s, Float64s]:
    """Reference (the first 3,000 rows) and current values of one row of the table."""
    values = measurements()[int(feature.removeprefix("feat_")) - 1]
    return values[:3000], values[3000 * (window + 1) : 3000 * (window + 2)]


def deciles(reference: Float64s, values: Float64s) -> Int64s:
    """Counts in the table's own bins: reference deciles, closed above, open at both ends."""
    inner = np.unique(np.quantile(reference, np.linspace(0, 1, 11)))[1:-1]
    return np.bincount(np.searchsorted(inner, values, side="left"), minlength=len(inner) + 1)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['feature']}-{row['window']}")
def test_distances_on_reference_deciles_are_those_of_the_table(row: dict[str, str]) -> None:
    reference, current = weather(row["feature"], int(row["window"]))
    p, q = deciles(reference, reference), deciles(reference, current)[np.newaxis]
    assert len(p) == int(row["n_bins"])
    binned, _ = distances.kolmogorov_smirnov(p, q, np.zeros(len(p), dtype=np.bool_))
    found = {
        "psi_ref_deciles_floor1e_4": distances.psi(p, q),
        "js_base2": distances.jensen_shannon(p, q),
        "hellinger": distances.hellinger(p, q),
        "tvd": distances.total_variation(p, q),
        "ks_binned_ref_deciles": binned,
    }
    for name, value in found.items():
        assert value[0] == pytest.approx(float(row[name]), abs=1e-9, rel=1e-9), name


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['feature']}-{row['window']}")
def test_the_exact_ks_lies_within_the_bound_of_the_deciles_and_of_our_bins(row: dict[str, str]) -> None:
    reference, current = weather(row["feature"], int(row["window"]))
    exact = float(row["ks"])
    bins = bin_numbers(reference)
    ours = [np.bincount(bins.codes(x), minlength=bins.bins)[: bins.ordered] for x in (reference, current)]
    tens = [deciles(reference, x) for x in (reference, current)]
    for (p, q), alone in ((ours, bins.singletons), (tens, np.zeros(len(tens[0]), dtype=np.bool_))):
        value, bound = distances.kolmogorov_smirnov(p, q[np.newaxis], alone)
        assert value[0] - 1e-9 <= exact <= value[0] + bound[0] + 1e-9
        assert bound[0] <= max(p.max() / 3000, q.max() / 3000) + 1e-12


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['feature']}-{row['window']}")
def test_the_exact_wasserstein_distance_lies_within_the_bound_and_what_is_beyond_the_range(row: dict[str, str]) -> None:
    reference, current = weather(row["feature"], int(row["window"]))
    bins = bin_numbers(reference)
    p, q = (np.bincount(bins.codes(x), minlength=bins.bins)[: bins.ordered] for x in (reference, current))
    value, bound = distances.wasserstein(p, q[np.newaxis], bins.uppers)
    beyond = np.abs(current - np.clip(current, reference.min(), reference.max())).mean()
    assert abs(value[0] - float(row["wasserstein"])) <= bound[0] + beyond + 1e-9
    assert bound[0] <= np.ptp(reference) * (p.max() + q.max()) / 6000 + 1e-12  # a bin's share of the range


values = st.lists(st.integers(-30, 30).map(lambda k: k / 4), min_size=1, max_size=80).map(np.array)


def exact_ks(x: Float64s, y: Float64s) -> float:
    points = np.concatenate([x, y])
    return float(max(abs((x <= v).mean() - (y <= v).mean()) for v in points))


@given(values, values)
def test_the_exact_ks_is_never_outside_the_bound(reference: Float64s, current: Float64s) -> None:
    bins = bin_numbers(reference)
    p, q = (np.bincount(bins.codes(x), minlength=bins.bins)[: bins.ordered] for x in (reference, current))
    value, bound = distances.kolmogorov_smirnov(p, q[np.newaxis], bins.singletons)
    assert value[0] - 1e-12 <= exact_ks(reference, current) <= value[0] + bound[0] + 1e-12


def test_the_ks_bound_is_reached_when_the_rows_of_a_bin_are_apart() -> None:
    value, bound = distances.kolmogorov_smirnov(
        np.array([0, 10, 0]), np.array([[0, 10, 0]]), np.zeros(3, dtype=np.bool_)
    )
    assert (value[0], bound[0]) == (0.0, 1.0)  # all current rows may lie below all reference rows of the one bin


def test_nothing_hides_in_bins_of_one_value() -> None:
    value, bound = distances.kolmogorov_smirnov(np.array([5, 5]), np.array([[8, 2]]), np.ones(2, dtype=np.bool_))
    assert value[0] == pytest.approx(0.3)
    assert bound[0] == 0.0


histograms = st.lists(st.integers(0, 50), min_size=6, max_size=6).map(np.array)
DISTANCES = [
    distances.psi,
    distances.jensen_shannon,
    distances.hellinger,
    distances.total_variation,
    distances.l_infinity,
]


@pytest.mark.parametrize("distance", DISTANCES)
@given(p=histograms, q=histograms)
def test_a_distance_is_zero_for_equal_shares_and_symmetric(distance, p: Int64s, q: Int64s) -> None:  # type: ignore[no-untyped-def]
    assume(p.sum() and q.sum())
    assert distance(p, 3 * p[np.newaxis])[0] == pytest.approx(0.0, abs=1e-7)
    there, back = distance(p, q[np.newaxis])[0], distance(q, p[np.newaxis])[0]
    assert there == pytest.approx(back, abs=1e-12)
    assert there >= 0.0
    assert distance is distances.psi or there <= 1.0 + 1e-12


@given(st.lists(histograms, min_size=1, max_size=6), histograms)
def test_a_window_has_the_same_bits_alone_and_among_others(windows: list[Int64s], p: Int64s) -> None:
    assume(p.sum())
    current = np.stack(windows)
    for distance in DISTANCES:
        together = distance(p, current)
        alone = [distance(p, current[i : i + 1])[0] for i in range(len(windows))]
        assert np.array_equal(together, np.array(alone), equal_nan=True)


@pytest.mark.parametrize("distance", DISTANCES)
def test_disjoint_histograms_are_as_far_apart_as_can_be(distance) -> None:  # type: ignore[no-untyped-def]
    found = distance(np.array([10, 0]), np.array([[0, 7]]))[0]
    largest = 2 * (1 - 1e-4) * math.log(1e4) if distance is distances.psi else 1.0
    assert found == pytest.approx(largest)


@pytest.mark.parametrize("distance", [*DISTANCES, distances.psi_bias])
def test_a_window_without_rows_has_no_distance(distance) -> None:  # type: ignore[no-untyped-def]
    found = distance(np.array([3, 4]), np.array([[0, 0], [3, 4]]))
    assert math.isnan(found[0])
    assert not math.isnan(found[1])


def test_an_empty_bin_counts_as_the_floor() -> None:
    p, q = np.array([1, 1]), np.array([[2, 0]])
    expected = 0.5 * math.log(2) + (1e-4 - 0.5) * math.log(1e-4 / 0.5)
    assert distances.psi(p, q)[0] == pytest.approx(expected)
    coarse = 0.5 * math.log(2) + (0.1 - 0.5) * math.log(0.1 / 0.5)
    assert distances.psi(p, q, floor=0.1)[0] == pytest.approx(coarse)


def test_psi_without_its_bias_is_zero_on_average_when_nothing_changed() -> None:
    random = np.random.default_rng(3)
    shares = np.full(20, 0.05)
    found = []
    for _ in range(200):
        p, q = random.multinomial(4000, shares), random.multinomial(2000, shares, size=20)
        found.append((distances.psi(p, q), distances.psi_bias(p, q)))
    plain, bias = (np.concatenate(column) for column in zip(*found, strict=True))
    assert bias[0] == pytest.approx(19 * (1 / 4000 + 1 / 2000))
    assert abs((plain - bias).mean()) < 0.05 * bias[0]
    assert plain.mean() > 0.9 * bias[0]


def test_bins_empty_on_both_sides_do_not_count_as_degrees_of_freedom() -> None:
    bias = distances.psi_bias(np.array([10, 10, 0, 0]), np.array([[5, 5, 0, 0], [5, 4, 1, 0]]))
    assert bias.tolist() == pytest.approx([0.3 * 0.5, 0.3])


def test_ks_noise_is_the_published_example() -> None:
    assert distances.ks_noise(10_000, 10_000) == pytest.approx(0.0192, abs=5e-5)


def test_the_margin_covers_the_true_distance() -> None:
    random = np.random.default_rng(5)
    misses = 0
    for _ in range(300):
        x, y = random.random(200), random.random(100) * 0.8  # the true distance is 0.2
        margin = distances.ks_margin(200, np.array([100]))[0]
        misses += abs(exact_ks(x, y) - 0.2) > margin
    assert misses <= 15
    assert distances.ks_margin(200, np.array([100]))[0] == pytest.approx(
        math.sqrt(math.log(2 / 0.025) / 2) * (1 / math.sqrt(200) + 1 / math.sqrt(100)), rel=1e-15
    )


@given(values, values)
def test_the_wasserstein_distance_of_values_cut_to_the_range_is_never_outside_the_bound(
    reference: Float64s, current: Float64s
) -> None:
    bins = bin_numbers(reference)
    p, q = (np.bincount(bins.codes(x), minlength=bins.bins)[: bins.ordered] for x in (reference, current))
    value, bound = distances.wasserstein(p, q[np.newaxis], bins.uppers)
    exact = wasserstein_distance(reference, np.clip(current, reference.min(), reference.max()))
    assert abs(value[0] - exact) <= bound[0] + 1e-9


def test_the_wasserstein_bound_is_reached_when_the_rows_of_a_bin_are_apart() -> None:
    uppers = np.array([0.0, 2.0])
    value, bound = distances.wasserstein(np.array([0, 10, 0]), np.array([[0, 10, 0]]), uppers)
    assert (value[0], bound[0]) == (0.0, 2.0)  # all of one side may stand at 0 and all of the other at 2


def test_the_wasserstein_distance_over_all_doubles_is_a_number() -> None:
    largest = 1.7976931348623157e308
    value, bound = distances.wasserstein(
        np.array([0, 5, 5, 0]), np.array([[0, 10, 0, 0]]), np.array([-largest, 0.0, largest])
    )
    assert math.isfinite(value[0])
    assert math.isfinite(bound[0])


def test_chi_square_is_scipys_and_takes_no_notice_of_bins_that_nobody_uses() -> None:
    p, q = np.array([40, 30, 30, 0]), np.array([[10, 20, 40, 0], [400, 300, 300, 0]])
    found = distances.chi_square(p, q)
    expected = chi2_contingency(np.array([p[:3], q[0][:3]]), correction=False)[0]
    assert found[0] == pytest.approx(expected, rel=1e-12)
    assert found[1] == pytest.approx(0.0, abs=1e-12)


def car_loan(column: str) -> tuple[Int64s, Int64s]:
    """Counts by category of the reference (50,000 rows) and of the twenty chunks of 5,000, as NannyML cut them."""
    with np.load(REFERENCE / "car_loan.npz") as archive:
        codes = archive[column].astype(np.int64)
    size = int(codes.max()) + 1
    chunks = np.array([np.bincount(part, minlength=size) for part in np.split(codes, 20)])
    return np.bincount(codes[:50_000], minlength=size), chunks


NANNYML = list(csv.DictReader((REFERENCE / "nannyml_car_loan.csv").read_text().splitlines()))


@pytest.mark.parametrize("column", ["salary_range", "size_of_downpayment", "repaid_loan_on_prev_car"])
def test_distances_of_categories_are_those_of_nannyml(column: str) -> None:
    reference, chunks = car_loan(column)
    ours = {
        "jensen_shannon": distances.jensen_shannon(reference, chunks),
        "hellinger": distances.hellinger(reference, chunks),
        "l_infinity": distances.l_infinity(reference, chunks),
        "chi2": distances.chi_square(reference, chunks),
    }
    compared = 0
    for row in NANNYML:
        method = row["name"].removeprefix(f"{column}|")
        if row["name"] == method or (method == "chi2" and len(reference) == 2):  # scipy corrects two by two tables
            continue
        chunk = int(row["chunk"]) + (10 if row["period"] == "analysis" else 0)
        assert ours[method][chunk] == pytest.approx(float(row["value"]), rel=2e-8, abs=1e-10), (row["name"], chunk)
        compared += 1
    assert compared == (60 if len(reference) == 2 else 80)
