"""Reference profiles: what they hold, what they refuse, what they say about themselves."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.drift.binning import NumericBinning
from monitor.drift.reference import SCORE, Column, FeatureProfile, FirstRows, Reference, build_reference, histogram_name
from monitor.errors import ReferenceProfileError
from tests.drift.profiles import ORIGIN, small


def test_a_profile_counts_every_row_of_every_feature() -> None:
    reference = small()
    assert list(reference.features) == [SCORE, "hour", "origin"]
    assert {profile.rows for profile in reference.features.values()} == {400}
    assert reference.features["hour"].missing_rate == 0.05
    assert reference.features["hour"].measured_rows == 380
    assert reference.features["origin"].counts == (200, 150, 1, 0, 40, 9)
    assert reference.features["origin"].measured_rows == 351
    assert reference.prevalence == 90 / 390


@settings(max_examples=20)
@given(st.permutations(range(400)))
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    assert small(order=order).dumps() == small().dumps()


def test_the_digest_is_that_of_the_document_and_tells_profiles_apart() -> None:
    assert re.fullmatch("sha256:[0-9a-f]{64}", small().digest)
    assert small().digest == small().digest
    assert small().digest != small(FirstRows("predictions")).digest


def test_the_document_is_small_and_holds_no_rows() -> None:
    rows = 20_000
    random = np.random.default_rng(2)
    names = [f"customer-{i}" if i % 100 == 0 else "usual" for i in range(rows)]
    columns: dict[str, Column] = {"x": random.normal(size=rows), "c": names}
    reference = build_reference("m", columns, None, ORIGIN)
    assert len(reference.dumps()) < 10_000
    assert "customer-" not in reference.dumps()
    assert SCORE not in reference.features


def test_an_input_window_has_a_histogram_for_every_feature() -> None:
    reference = small()
    layout = reference.layout()
    assert layout.names == ("seen", "bins:$score", "bins:hour", "bins:origin")
    for name, profile in reference.features.items():
        assert layout.part(histogram_name(name)).size == profile.binning.bins


def test_a_feature_called_seen_does_not_clash_with_the_count() -> None:
    reference = build_reference("m", {"seen": np.arange(5.0)}, None, ORIGIN)
    assert reference.layout().names == ("seen", "bins:seen")


def test_a_reference_without_labels_has_no_prevalence() -> None:
    assert build_reference("m", {"x": np.arange(5.0)}, None, ORIGIN).prevalence is None


def test_what_cannot_be_resolved_is_said_per_feature() -> None:
    columns: dict[str, Column] = {"x": np.arange(10_000.0), "empty": np.full(10_000, np.nan), "c": ["a"] * 10_000}
    assert build_reference("m", columns, None, ORIGIN).limits() == [
        "empty: the reference has no number, so no shift can be measured.",
        "x: 10,000 reference rows cannot resolve KS shifts below 0.019 in a window of 10,000 rows (95 %).",
    ]
    assert "below 0.062 in a window of 500 rows" in build_reference("m", columns, None, ORIGIN).limits(500)[1]


def test_a_reference_needs_rows_and_something_to_profile() -> None:
    with pytest.raises(ReferenceProfileError, match="rows: the reference of 'm' has none"):
        build_reference("m", {"x": np.zeros(0)}, None, ORIGIN)
    with pytest.raises(ReferenceProfileError, match="'m' would be empty: it has neither features nor scores"):
        build_reference("m", {}, None, ORIGIN)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"differ in length: \[2, 3\]"):
        build_reference("m", {"x": np.zeros(2)}, np.zeros(3), ORIGIN)


def test_the_name_of_the_scores_cannot_be_a_feature() -> None:
    with pytest.raises(ReferenceProfileError, match=r"features.\$score: this name stands for the model's scores"):
        build_reference("m", {SCORE: np.zeros(2)}, None, ORIGIN)


def test_a_model_whose_features_are_not_profiled_is_told_what_to_do() -> None:
    reference = small()
    reference.require({"hour": "numeric", "origin": "categorical"})
    with pytest.raises(ReferenceProfileError, match=r"no feature 'carrier' \(it has \$score, hour, origin\). Build it"):
        reference.require({"carrier": "categorical"})
    with pytest.raises(ReferenceProfileError, match="holds 'hour' as numeric, the configuration says categorical"):
        reference.require({"hour": "categorical"})


def test_counts_must_fit_their_bins() -> None:
    bins = NumericBinning(0.0, (1.0,), ())
    with pytest.raises(ReferenceProfileError, match="counts: has 2 numbers for 4 bins"):
        FeatureProfile(bins, (1, 2))
    with pytest.raises(ReferenceProfileError, match="counts: must not be negative"):
        FeatureProfile(bins, (1, -2, 0, 0))


def test_parts_that_contradict_each_other_are_refused() -> None:
    profile = FeatureProfile(NumericBinning(0.0, (1.0,), ()), (0, 5, 0, 0))
    with pytest.raises(ReferenceProfileError, match=r"features.x.counts: add up to 5, the reference has 6 rows"):
        Reference("m", 6, ORIGIN, {"x": profile})
    with pytest.raises(ReferenceProfileError, match="labels: 3 positives of 2 labelled rows of 5 cannot be"):
        Reference("m", 5, ORIGIN, {"x": profile}, positives=3, labelled=2)


def test_the_document_is_one_line_of_sorted_ascii_json() -> None:
    text = small().dumps()
    assert text.isascii()
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) + "\n" == text
