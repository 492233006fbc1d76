"""Combinations of segments: what is kept of them, for how long, and that it does not depend on how it came."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import loads
from monitor.groups import Group
from monitor.plan import Dimension, ModelPlan, compile_plan
from monitor.windows.crossed import MOST_COMBINATIONS, Crossed, crossed
from monitor.windows.pieces import Piece
from monitor.windows.saved_crossed import restore_crossed, save_crossed
from monitor.windows.view import SeriesKey, WindowKey

CONFIG = """
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: $.v, at: $.at, score: $.score, prediction: $.class}
    features: {hue: categorical, size: categorical}
  labels: {topic: q, fields: {id: $.id, at: $.at, label: $.label}}
models: [{name: m, segments: {hue: [red, blue], size: [l]}}]
windows: [1h]
"""
CLASSES = "models: [{name: m, task: multiclass, classes: [a, b, c], segments: {hue: [red, blue], size: [l]}}]"
ALL = SeriesKey("m", "1", "all")
GROUPS = [Group("m", "1", (("hue", hue), ("size", size))) for hue in ("red", "other") for size in ("l", "other")]
HOUR_MS = 3_600_000
Row = tuple[int, int, int, int]
"""Group, hour, cell name's place among CELLS, sign."""
CELLS = ("tp", "fp", "fn", "tn")


def plan(models: str | None = None) -> ModelPlan:
    text = (
        CONFIG
        if models is None
        else CONFIG.replace("models: [{name: m, segments: {hue: [red, blue], size: [l]}}]", models)
    )
    if "regression" in text:
        text = text.replace("score: $.score, ", "")
    return compile_plan(loads(text), {}).models["m"]


PLAN = plan()


def piece(rows: list[Row]) -> Piece:
    """A slot for each row: it is labelled, and in one cell of the matrix."""
    cells = [[1, PLAN.task.cells.index(CELLS[name])] for _, _, name, _ in rows]
    return Piece(
        GROUPS,
        np.array([group for group, *_ in rows], np.int64),
        np.array([hour * HOUR_MS for _, hour, *_ in rows], np.int64),
        np.full(len(rows), 2, np.int64),
        np.array(cells, np.int64).ravel(),
        np.repeat(np.array([sign for *_, sign in rows], np.int64), 2),
    )


class Every:
    """All windows are live."""

    def __contains__(self, key: object) -> bool:
        return True


def spans(pane_ms: int) -> list[tuple[str, int, int]]:
    return [("1h", pane_ms, pane_ms + HOUR_MS)]


def counted(*lots: list[Row]) -> Crossed:
    found = Crossed()
    for rows in lots:
        found.add(found.additions(PLAN, [piece(rows)], spans, Every()))
    return found


rows_ = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.sampled_from([1, 1, 1, -1])), max_size=30
)


@given(rows_, st.integers(0, 30))
def test_it_does_not_matter_in_which_ticks_the_rows_came(rows: list[Row], cut: int) -> None:
    parts = [part for part in (rows[:cut], rows[cut:]) if part]
    whole = counted(rows) if rows else Crossed()
    assert save_crossed(counted(*parts)) == save_crossed(whole)


@given(rows_)
def test_rows_and_errors_are_those_of_a_plain_count(rows: list[Row]) -> None:
    found = counted(rows).total(ALL, "1h", [0, HOUR_MS]) if rows else {}
    for group in GROUPS:
        own = [(name, sign) for code, hour, name, sign in rows if GROUPS[code] == group and hour < 2]
        wanted = sum(sign for _, sign in own), sum(sign for name, sign in own if CELLS[name] in ("fp", "fn"))
        assert found.get(group.segments, (0, 0)) == wanted


def test_what_is_taken_back_leaves_nothing_behind() -> None:
    assert save_crossed(counted([(0, 0, 1, 1), (1, 0, 0, 1)], [(0, 0, 1, -1), (1, 0, 0, -1)])) == ()


def test_windows_that_nobody_can_read_are_forgotten() -> None:
    found = counted([(0, 0, 1, 1), (0, 1, 1, 1), (0, 2, 1, 1)])
    found.keep(ALL, "1h", {HOUR_MS: None})
    assert [one.start_ms for one in save_crossed(found)] == [HOUR_MS]


def test_a_window_that_is_final_takes_nothing() -> None:
    found, live = Crossed(), {WindowKey(ALL, "1h", HOUR_MS, 2 * HOUR_MS)}
    found.add(found.additions(PLAN, [piece([(0, 0, 1, 1), (0, 1, 1, 1)])], spans, live))
    assert [one.start_ms for one in save_crossed(found)] == [HOUR_MS]


@given(rows_)
def test_what_is_saved_comes_back(rows: list[Row]) -> None:
    found, again = counted(rows) if rows else Crossed(), Crossed()
    restore_crossed(again, save_crossed(found))
    assert save_crossed(again) == save_crossed(found)
    assert again.total(ALL, "1h", [0]) == found.total(ALL, "1h", [0])


def test_counts_that_are_missing_are_refused() -> None:
    (one,) = save_crossed(counted([(0, 0, 1, 1)]))
    broken = type(one)(one.model, one.version, one.segment, one.window, one.start_ms, one.combinations * 2, one.counts)
    with pytest.raises(ValueError, match="2 combinations of segments have 2 counts"):
        restore_crossed(Crossed(), (broken,))


def test_errors_of_classes_are_what_is_off_the_diagonal() -> None:
    model = plan(CLASSES)
    first, every, found = model.task.cells.slice("confusion").start, 4, Crossed()  # three classes and `other`
    sums = {1: 7, first: 3, first + 1: 2, first + every + 1: 2}  # 7 labelled: a as a, a as b, b as b
    one = Piece(
        GROUPS, np.array([0]), np.array([0]), np.array([len(sums)]), np.array(list(sums)), np.array(list(sums.values()))
    )
    found.add(found.additions(model, [one], spans, Every()))
    assert found.total(ALL, "1h", [0]) == {GROUPS[0].segments: (7, 2)}


def test_of_regression_models_and_of_one_dimension_nothing_is_kept() -> None:
    for models in (
        "models: [{name: m, task: regression, segments: {hue: [red, blue], size: [l]}}]",
        "models: [{name: m, segments: {hue: [red, blue]}}]",
    ):
        assert Crossed().additions(plan(models), [piece([(0, 0, 1, 1)])], spans, Every()) == []


def test_dimensions_are_crossed_while_their_values_make_few_combinations() -> None:
    def dimension(name: str, values: int) -> Dimension:
        return Dimension(name, tuple(map(str, range(values))))

    assert crossed([dimension("a", 9), dimension("b", 99)]) == {"a", "b"}
    assert crossed([dimension("a", 9), dimension("b", 100)]) == frozenset(), "1,010 would be too many, one is no pair"
    assert crossed([dimension("a", 9), dimension("b", 100), dimension("c", 99)]) == {"a", "c"}
    assert MOST_COMBINATIONS == 1_000
