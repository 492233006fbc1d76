"""What can be asked of windows while ticks are handed out does not depend on how many were closed in one go."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import loads
from monitor.groups import Group
from monitor.ledger.records import Delta, pack
from monitor.plan import compile_plan
from monitor.windows.engine import TickEngine
from monitor.windows.losses import Losses
from monitor.windows.schedule import Schedule
from monitor.windows.view import Kind, WindowKey

CONFIG = loads(
    """
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: $.v, at: $.at, score: $.score}
time: {tick: 1m, lateness: 10m, disorder: 1m}
models: [{name: m, threshold: 0.5}]
windows: [10m, 1h]
"""
)
PLAN = compile_plan(CONFIG, {})
MINUTE_MS = 60_000
CELLS = PLAN.models["m"].input_cells.size
LAST = 200
Row = tuple[int, int, int]
"""The tick in which it is known, how many minutes before that it is of, and which cell it counts in."""


def engine(rows: list[Row]) -> TickEngine:
    """With one contribution for each row, all of them waiting."""
    made = TickEngine(PLAN, Schedule(CONFIG.windows), Losses(), Kind.INPUT)
    ticks = [tick for tick, *_ in rows]
    pane_ms = PLAN.pane_ms
    panes = [max(0, tick - back) * MINUTE_MS // pane_ms for tick, back, _ in rows]
    columns = {
        "group": [0] * len(rows), "pane": panes, "tick": ticks, "length": [1] * len(rows),
        "cell": [cell % CELLS for *_, cell in rows], "amount": [1] * len(rows),
    }  # fmt: skip
    made.add(
        [Group("m", "1", ())], Delta(**{name: pack(np.array(column, np.int64)) for name, column in columns.items()})
    )
    return made


def seen(made: TickEngine, stops: list[int]) -> list[tuple[int, dict[WindowKey, list[int] | None]]]:
    """The sums of every window that was ever revised, as they can be asked for in each tick."""
    known: set[WindowKey] = set()
    found = []
    for _, below in pairwise([0, *stops]):
        for closed in made.close(below):
            known |= {view.key for view in closed.revised}
            asked = {key: made.cells(key) for key in sorted(known)}
            found.append((closed.tick, {key: None if row is None else row.tolist() for key, row in asked.items()}))
    return found


@given(
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=30),
    st.lists(st.integers(1, LAST), max_size=5),
)
def test_the_sums_of_a_window_are_those_at_the_end_of_the_tick(rows: list[Row], stops: list[int]) -> None:
    one_by_one = seen(engine(rows), list(range(1, LAST + 200)))
    assert seen(engine(rows), [*sorted(stops), LAST + 199]) == one_by_one
