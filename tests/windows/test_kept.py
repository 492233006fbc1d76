"""Sums of final windows: there as long as rules can read them, the same after a restart, and not before edition 2."""

from __future__ import annotations

import msgspec
import pytest

from monitor.editions import FIRST, NEWEST
from monitor.ingest.clocks import NEVER
from monitor.windows import saved
from monitor.windows.editions import Editions
from monitor.windows.engine import TickEngine
from monitor.windows.losses import Losses
from monitor.windows.saved import SavedEngine
from monitor.windows.schedule import Schedule
from monitor.windows.shelf import FINALS_KEPT
from monitor.windows.view import Kind, SeriesKey, WindowKey
from tests.windows.test_in_hand import CELLS, CONFIG, LAST, MINUTE_MS, PLAN, engine

ROWS = [(tick, 0, tick % CELLS) for tick in range(0, LAST, 3)]
"""Some rows in every window of ten minutes; it is final ten minutes after its end."""


def key(number: int) -> WindowKey:
    """The window of ten minutes of that number."""
    start = number * 10 * MINUTE_MS
    return WindowKey(SeriesKey("m", "1", "all"), "10m", start, start + 10 * MINUTE_MS)


def closed(edition: int = NEWEST, *, asked: bool = True) -> tuple[TickEngine, dict[WindowKey, list[int]]]:
    """An engine after all its ticks, and the last sums of every window as they were when it was revised."""
    made = engine(ROWS)
    made.hands_out_cells = asked
    made._editions.terms = ((edition, NEVER),)
    last: dict[WindowKey, list[int]] = {}
    for tick in range(1, LAST + 40):
        for each in made.close(tick):
            for view in each.revised:
                row = made.cells(view.key)
                if row is not None:
                    last[view.key] = row.tolist()
    return made, last


def test_a_final_window_has_its_sums_as_long_as_rules_can_read_it() -> None:
    made, last = closed()
    newest = (LAST - 1) // 10
    for number in range(newest + 1):
        row, held = made.cells(key(number)), made.get(key(number))
        if number > newest - FINALS_KEPT:
            assert row is not None
            assert row.tolist() == last[key(number)]
            assert sum(row.tolist()) > 0
            assert held is not None
            assert held.final
        else:
            assert row is None
            assert held is None


def test_after_a_restart_they_are_the_same() -> None:
    made, _ = closed()
    raw = msgspec.msgpack.encode(saved.save(made))
    again = TickEngine(PLAN, Schedule(CONFIG.windows), Losses(), Kind.INPUT, Editions(PLAN))
    saved.restore(again, msgspec.msgpack.decode(raw, type=SavedEngine))
    assert msgspec.msgpack.encode(saved.save(again)) == raw
    row = again.cells(key((LAST - 1) // 10))
    assert row is not None
    assert made._finals.save() == again._finals.save() != ()


@pytest.mark.parametrize(("edition", "asked"), [(FIRST, True), (NEWEST, False)])
def test_before_edition_2_and_where_nobody_asks_there_are_none(edition: int, asked: bool) -> None:
    made, _ = closed(edition, asked=asked)
    assert made.cells(key((LAST - 1) // 10)) is None
    assert saved.save(made).finals is msgspec.UNSET


def test_who_stops_asking_keeps_nothing() -> None:
    made, _ = closed()
    made.hands_out_cells = False
    for _ in made.close(LAST + 100):
        pass
    assert made.cells(key((LAST - 1) // 10)) is None
