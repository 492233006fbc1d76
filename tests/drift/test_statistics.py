"""Drift statistics by name: values, rows, bounds, reasons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.drift.reference import Reference, build_reference, histogram_name
from monitor.drift.statistics import ORDERED, PUBLISHED, STATISTICS, evaluate, names, split_name, without_reference
from monitor.events import Float64s
from monitor.sketches.cells import Cells
from monitor.windows.view import Undefined
from tests.drift.profiles import ORIGIN, small

TYPES = {"$score": "numeric", "hour": "numeric", "origin": "categorical"}


def unchanged(reference: Reference, times: int = 1) -> Cells:
    """One window that holds exactly what the reference held."""
    cells = reference.layout().zeros()
    cells.count("seen")[:] = times * reference.rows
    for name, profile in reference.features.items():
        cells.histogram(histogram_name(name))[0] = times * profile.reference
    return cells


def test_names_are_a_statistic_and_a_feature_and_categories_have_no_ks() -> None:
    assert names(TYPES) == (
        "psi:$score",
        "ks:$score",
        "missing:$score",
        "psi:hour",
        "ks:hour",
        "missing:hour",
        "psi:origin",
        "missing:origin",
    )
    assert set(PUBLISHED) <= set(STATISTICS)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("psi:hour", ("psi", "hour")),
        ("ks:a:b", ("ks", "a:b")),
        ("psi:", None),
        ("psi", None),
        ("recall", None),
        ("pse:hour", None),
    ],
)
def test_a_name_is_taken_apart_at_its_first_colon(name: str, parts: tuple[str, str] | None) -> None:
    assert split_name(name) == parts


def test_a_window_like_the_reference_has_no_distance_from_it() -> None:
    reference = small()
    found = evaluate(reference, unchanged(reference, times=3), names(TYPES, STATISTICS))
    for name, column in found.items():
        estimate = column.at(0)
        if name.startswith(("psi:", "ks:", "js:", "hellinger:", "tvd:", "linf:", "chi_square:", "wasserstein:")):
            assert estimate.value == pytest.approx(0.0, abs=1e-7), name
        if name.startswith("psi_corrected:"):
            assert estimate.value is not None
            assert estimate.value < 0


def test_rows_are_those_with_a_value_for_ks_and_all_for_the_rest() -> None:
    reference = small()
    found = evaluate(reference, unchanged(reference))
    assert {name: column.at(0).rows for name, column in found.items() if name.endswith("hour")} == {
        "psi:hour": 400,
        "ks:hour": 380,
        "missing:hour": 400,
    }


def test_the_missing_rate_is_a_share_with_wilsons_interval() -> None:
    reference = small()
    found = evaluate(reference, unchanged(reference))["missing:hour"].at(0)
    assert found.value == 0.05
    assert found.lower == pytest.approx(0.0326, abs=1e-4)
    assert found.upper == pytest.approx(0.0760, abs=1e-4)


def test_missing_values_alone_move_psi_and_leave_ks_where_it_was() -> None:
    reference = small()
    cells = unchanged(reference)
    profile = reference.features["hour"]
    cells.histogram("bins:hour")[0, profile.binning.missing] += 400
    found = evaluate(reference, cells, ["psi:hour", "ks:hour"])
    psi, ks = found["psi:hour"].at(0), found["ks:hour"].at(0)
    assert psi.value is not None
    assert psi.value > 0.5
    assert ks.value == 0.0


def test_a_window_without_rows_says_so_for_every_statistic() -> None:
    reference = small()
    found = evaluate(reference, reference.layout().zeros(), names(TYPES, STATISTICS))
    assert len(found) == 3 * len(STATISTICS) - len(ORDERED)
    assert {column.at(0).undefined for column in found.values()} == {Undefined.NO_ROWS}


def test_a_feature_that_was_always_missing_has_no_ks() -> None:
    reference = build_reference("m", {"x": np.full(10, math.nan)}, None, ORIGIN)
    cells = reference.layout().zeros()
    cells.histogram("bins:x")[0, 0] = 5
    found = evaluate(reference, cells)
    assert found["ks:x"].at(0).undefined is Undefined.NO_REFERENCE
    psi = found["psi:x"].at(0)
    assert psi.value is not None
    assert psi.value > 1


def test_a_model_without_a_reference_has_reasons_instead_of_values() -> None:
    found = without_reference(names(TYPES), np.array([7, 0]))
    assert list(found) == list(names(TYPES))
    first = found["psi:hour"].at(0)
    assert (first.value, first.rows, first.undefined) == (None, 7, Undefined.NO_REFERENCE)


@pytest.mark.parametrize("name", ["psi:carrier", "ks:origin", "wasserstein:origin", "recall", "pse:hour"])
def test_what_the_reference_cannot_answer_is_refused(name: str) -> None:
    reference = small()
    with pytest.raises(KeyError, match=f"has no statistic '{name}'"):
        evaluate(reference, reference.layout().zeros(), [name])


samples = st.lists(st.integers(-40, 40).map(lambda k: k / 8), min_size=1, max_size=60).map(np.array)


@settings(max_examples=60)
@given(samples, samples)
def test_the_exact_ks_lies_within_value_and_bound_and_the_interval_adds_both_margins(x: Float64s, y: Float64s) -> None:
    reference = build_reference("m", {"x": x}, None, ORIGIN)
    cells = reference.layout().zeros()
    binning = reference.features["x"].binning
    cells.histogram("bins:x")[0] = np.bincount(binning.codes(y), minlength=binning.bins)  # type: ignore[union-attr]
    found = evaluate(reference, cells, ["ks:x"])["ks:x"].at(0)
    points = np.concatenate([x, y])
    exact = max(abs((x <= v).mean() - (y <= v).mean()) for v in points)
    assert found.value is not None
    assert found.lower is not None
    assert found.upper is not None
    assert found.value - 1e-12 <= exact <= found.value + found.bound + 1e-12
    margin = math.sqrt(math.log(80) / 2) * (1 / math.sqrt(len(x)) + 1 / math.sqrt(len(y)))
    assert found.lower == pytest.approx(max(0.0, found.value - margin), abs=1e-12)
    assert found.upper == pytest.approx(min(1.0, found.value + found.bound + margin), abs=1e-12)


@settings(max_examples=60)
@given(st.data())
def test_a_window_has_the_same_bits_alone_and_among_others(data: st.DataObject) -> None:
    reference = small()
    layout = reference.layout()
    flat = data.draw(st.lists(st.integers(0, 9), min_size=3 * layout.size, max_size=3 * layout.size))
    cells = Cells(layout, np.array(flat).reshape(3, layout.size))
    asked = names(TYPES, STATISTICS)
    together = evaluate(reference, cells, asked)
    for i in range(3):
        alone = evaluate(reference, Cells(layout, cells.array[i : i + 1].copy()), asked)
        assert {name: column.at(i) for name, column in together.items()} == {
            name: column.at(0) for name, column in alone.items()
        }
