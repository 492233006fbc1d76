"""Windows that were saved when the vector of their task was shorter are read with nothing in what came later."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.groups import Group
from monitor.ledger.records import Delta, pack, unpack
from monitor.plan import plan_of
from monitor.windows.engine import TickEngine
from monitor.windows.losses import Losses
from monitor.windows.saved import SavedEngine, SavedStore, restore, save
from monitor.windows.schedule import Schedule
from monitor.windows.view import Kind
from tests.simulation.test_budget_of_tasks import config

OWN = config("regression")
PLAN = plan_of(OWN)
TASK = PLAN.models["m"].task
BEFORE = TASK.cells.index("errors")
"""Cells that a window had when it had no histogram of errors."""


def engine() -> TickEngine:
    return TickEngine(PLAN, Schedule(OWN.windows), Losses(), Kind.PERFORMANCE)


def of_a_window() -> tuple[TickEngine, SavedEngine]:
    """An engine with windows of three rows, closed and saved."""
    own = engine()
    predicted, label = np.array([1.0, 2.0, 30.0]), np.array([1.5, 2.0, 28.0])
    cells = TASK.cells.zeros()
    cells.add(np.zeros(3, np.int64), *TASK.contribute(predicted, predicted, label, 1.0))
    cells.count("seen")[0] = 3
    there = np.flatnonzero(cells.array[0])
    columns = ([0], [0], [0], [len(there)], there, cells.array[0][there])
    own.add([Group("m", "1", ())], Delta(*map(pack, columns)))
    assert [len(closed.revised) for closed in own.close(1)] == [2]
    return own, save(own)


def cut(saved: SavedEngine, width: int) -> SavedEngine:
    stores = [
        SavedStore(
            s.model, s.windows, s.revisions, pack(unpack(s.cells).reshape(len(s.windows), -1)[:, :width].ravel())
        )
        for s in saved.stores
    ]
    return SavedEngine(**{**{f: getattr(saved, f) for f in saved.__struct_fields__}, "stores": tuple(stores)})


def test_what_was_saved_without_a_histogram_of_errors_has_an_empty_one() -> None:
    own, saved = of_a_window()
    again = engine()
    restore(again, cut(saved, BEFORE))
    store, was = again._store("m")[1], own._store("m")[1]
    keys = was.live()
    assert store.live() == keys
    now, then = (own.read([own.row(key) for key in keys]) for own in (store, was))
    assert np.array_equal(now[:, :BEFORE], then[:, :BEFORE])
    assert not now[:, BEFORE:].any()
    assert then[:, BEFORE:].any()


def test_vectors_that_never_were_are_refused() -> None:
    _, saved = of_a_window()
    with pytest.raises(ValueError, match="the windows of model 'm' have"):
        restore(engine(), cut(saved, BEFORE - 1))
