"""Intervals of completed metrics hold what windows end with, where rows share their luck and where they do not."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events import Int64s
from monitor.windows.luck import ALONE, Grid, Past
from monitor.windows.outlook import LabelBook
from monitor.windows.saved import SavedBook, _restore_book, _save_book
from tests.examples import examples
from tests.windows import test_outlook as made
from tests.windows.flights_book import DAY_MS, HOUR_MS, Look, coverage, looks

GRID = Grid(2 * HOUR_MS, np.array([1, 3, 6], np.int64) * HOUR_MS)
AFTER = tuple(hours * HOUR_MS for hours in (0, 1, 2, 4))


@pytest.fixture(scope="module")
def days() -> list[Look]:
    """Days of flights from the eleventh of January on, looked at so long after their end."""
    return looks(DAY_MS, AFTER, from_day=10)


def without_luck(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if rows were independent."""
    monkeypatch.setattr(Past, "shared", lambda *_: ALONE)


@pytest.mark.parametrize(("metric", "least"), [("accuracy", 0.86), ("precision", 0.9), ("recall", 0.79)])
def test_intervals_of_days_of_flights_hold_what_the_days_end_with(days: list[Look], metric: str, least: float) -> None:
    found = coverage(days, metric)
    print(f"\n{metric}: {found}")
    assert list(found) == [0, 1, 2, 4]
    assert min(share for share, _, _ in found.values()) >= least
    assert all(number >= 70 for _, _, number in found.values())


def test_of_independent_rows_they_would_not(days: list[Look], monkeypatch: pytest.MonkeyPatch) -> None:
    without_luck(monkeypatch)
    plain = looks(DAY_MS, AFTER, from_day=10)
    for metric in ("accuracy", "precision", "recall"):
        before, now = coverage(plain, metric), coverage(days, metric)
        assert before[0][0] < 0.65
        assert all(now[hours][0] > before[hours][0] + 0.05 for hours in before)
    for one, other in zip(plain, days, strict=True):
        assert one.completed["accuracy"].value == other.completed["accuracy"].value, "the estimates are what they were"


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("hours", [1, 6])
def test_intervals_of_shorter_windows_of_flights_hold_what_they_end_with(hours: int) -> None:
    found = looks(hours * HOUR_MS, AFTER[::2], from_day=10)
    for metric in ("accuracy", "precision", "recall"):
        shares = coverage(found, metric)
        print(f"\n{hours} h, {metric}: {shares}")
        assert min(share for share, _, _ in shares.values()) >= 0.92


def test_rows_that_share_no_luck_have_intervals_hardly_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    def widths() -> tuple[float, float]:
        found, inside = [], []
        for step in range(12):
            now = made.NOW - step * made.HOUR
            start = now - 2 * made.HOUR
            told = made.outlook(made.FLIGHTS, start, now).completed["accuracy"]
            assert told.lower is not None
            assert told.upper is not None
            found.append(told.upper - told.lower)
            inside.append(told.lower <= made.truth(start, made.FLIGHTS)["accuracy"] <= told.upper)
        return float(np.mean(found)), float(np.mean(inside))

    own, held = widths()
    without_luck(monkeypatch)
    assert held >= 0.9
    assert own <= 1.35 * widths()[0]


blocks_ = st.dictionaries(
    st.integers(0, 11).map(lambda i: i * GRID.block_ms),
    st.lists(st.integers(0, 9), min_size=GRID.size, max_size=GRID.size).map(lambda v: np.array(v, np.int64)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=examples(100))
@given(blocks_, st.integers(0, 10))
def test_windows_that_are_over_are_compared_as_they_were_when_so_old(blocks: Mapping[int, Int64s], hours: int) -> None:
    """Read plainly, for windows of two blocks: what came later, and what the whole past has at that delay."""
    start, length = 26 * HOUR_MS, 2 * GRID.block_ms
    now = start + length + hours * HOUR_MS
    ages = [now - start - GRID.block_ms * i - GRID.block_ms // 2 for i in range(2)]

    def later(vector: Int64s, side: int, age: int) -> tuple[int, int, int]:
        """Positives that came later, all that came later, rows that waited."""
        over = int((GRID.ends <= age).sum())
        cells = vector[2:].reshape(3, 4)
        came = cells[:, 2 * side : 2 * side + 2]
        never = max(int(vector[side]) - int(came.sum()), 0)
        return int(came[over:, 0].sum()), int(came[over:].sum()), int(came[over:].sum()) + never

    places = {step: [start // GRID.block_ms - 2 * step + i for i in range(2)] for step in range(1, 8)}
    first, last = min(blocks) // GRID.block_ms, max(blocks) // GRID.block_ms
    # The order in `later` of called rows is tp, fp; of others fn, tn.
    empty = np.zeros(GRID.size, np.int64)
    off, spread = [], []
    for step, own in places.items():
        if own[1] > last or (start // GRID.block_ms - first) * GRID.block_ms // length < step:
            continue
        row, variance = [], []
        for part in range(2):
            for side in range(2):
                total, chance_ = 0.0, 0.0
                for place, age in zip(own, ages, strict=True):
                    hits, comes, rows = later(blocks.get(place * GRID.block_ms, empty), side, age)
                    whole = np.sum([later(vector, side, age) for vector in blocks.values()], axis=0)
                    share = whole[part] / max(whole[part + 1], 1)
                    total += (hits, comes)[part] - (comes, rows)[part] * share
                    chance_ += (comes, rows)[part] * share * (1 - share)
                row.append(total)
                variance.append(chance_)
        if sum(variance) > 0:
            off.append(row)
            spread.append(variance)
    found = Past(GRID, blocks).shared(start, start + length, now)
    if len(off) < 2:
        assert found is ALONE
        return
    np.testing.assert_allclose(found.usual, np.mean(spread, axis=0))
    moments = np.array(off).T @ np.array(off) / len(off) - np.diag(np.mean(spread, axis=0))
    for part in range(4):
        if moments[part, part] > 1e-9 and found.usual[part] > 0:
            ratio = found.beyond[part, part] * found.usual[part] ** 2 / moments[part, part]
            assert 1.0 < ratio < 13.0**2, "wider by what so few windows cost"
        elif moments[part, part] < -1e-9:
            assert not found.beyond[part].any()
    assert np.allclose(found.beyond, found.beyond.T)


def test_blocks_are_saved_restored_and_forgotten() -> None:
    book = made.book_of(made.FLIGHTS, made.NOW)
    assert len(book._blocks["m", "1"]) > 3
    saved = msgspec.msgpack.encode(_save_book(book))
    again = LabelBook(made.PLAN)
    _restore_book(again, msgspec.msgpack.decode(saved, type=SavedBook))
    assert msgspec.msgpack.encode(_save_book(again)) == saved
    without = msgspec.structs.replace(msgspec.msgpack.decode(saved, type=SavedBook), blocks=msgspec.UNSET)
    older = LabelBook(made.PLAN)
    _restore_book(older, without)
    assert older._blocks == {}, "checkpoints of earlier versions have none"
    seen = sum(int(vector[:2].sum()) for vector in book._blocks["m", "1"].values())
    history = book.history(("m", "1"))
    assert history is not None
    assert seen == history[0]
    book.take((made.NOW + 6 * 7 * 24 * made.HOUR) // made.MINUTE, ())
    assert book._blocks == {}
