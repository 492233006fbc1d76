"""Versions that are over: the last ones of a model are remembered, those that live all, and a restart does not change which."""

from __future__ import annotations

import msgspec
import numpy as np

from monitor.editions import DETAILED, LASTING
from monitor.groups import Group
from monitor.ingest.clocks import NEVER
from monitor.ledger.records import Delta, pack
from monitor.windows import saved
from monitor.windows.editions import Editions
from monitor.windows.engine import TickEngine
from monitor.windows.losses import Losses
from monitor.windows.over import OVER_KEPT, too_many
from monitor.windows.saved import SavedEngine
from monitor.windows.schedule import Schedule
from monitor.windows.view import Kind, SeriesKey
from tests.windows.test_in_hand import CONFIG, PLAN

VERSIONS = OVER_KEPT + 150
LIVE_TICKS = 80
"""An hour until the longer window ends, and lateness until it is final, and a little."""


def new(edition: int = LASTING) -> TickEngine:
    made = TickEngine(PLAN, Schedule(CONFIG.windows), Losses(), Kind.INPUT, Editions(PLAN))
    made._editions.terms = ((edition, NEVER),)
    return made


def feed(engine: TickEngine, ticks: range) -> None:
    """One row in each minute, of a version of its own; `0` comes every minute beside it. Closed one by one."""
    for tick in ticks:
        pane = tick * 60_000 // PLAN.pane_ms
        columns = ([0, 1], [pane, pane], [tick, tick], [1, 1], [0, 0], [1, 1])
        engine.add([Group("m", "0", ()), Group("m", f"{tick:04}", ())], Delta(*(pack(np.array(c)) for c in columns)))
        for _ in engine.close(tick + 1):
            pass


def versions(engine: TickEngine) -> list[str]:
    return sorted({view.key.series.version for view in engine.newest()})


def test_of_versions_that_are_over_the_last_ones_are_remembered_and_all_that_live() -> None:
    made = new()
    feed(made, range(1, VERSIONS + 1))
    known = versions(made)
    assert known[0] == "0"
    assert known[-1] == f"{VERSIONS:04}"
    assert OVER_KEPT < len(known) <= OVER_KEPT + LIVE_TICKS
    assert known[1:] == [f"{n:04}" for n in range(VERSIONS - len(known) + 2, VERSIONS + 1)], "the oldest went"
    assert len(made._shelves) == 2 * len(known)
    assert len(made.other_versions(SeriesKey("m", "0", "all"))) == len(known) - 1


def test_before_edition_3_none_is_forgotten() -> None:
    made = new(DETAILED)
    feed(made, range(1, VERSIONS + 1))
    assert len(versions(made)) == VERSIONS + 1


def test_whoever_is_restarted_remembers_the_same() -> None:
    whole, half = new(), new()
    feed(whole, range(1, VERSIONS + 1))
    feed(half, range(1, VERSIONS - 40))
    raw = msgspec.msgpack.encode(saved.save(half))
    again = new()
    saved.restore(again, msgspec.msgpack.decode(raw, type=SavedEngine))
    feed(again, range(VERSIONS - 40, VERSIONS + 1))
    assert msgspec.msgpack.encode(saved.save(again)) == msgspec.msgpack.encode(saved.save(whole))


def test_what_lives_or_is_spared_is_not_forgotten_and_models_are_counted_apart() -> None:
    def over(model: str, n: int) -> tuple[SeriesKey, bool, int]:
        return SeriesKey(model, f"v{n:03}", "all"), False, n

    many = [over("m", n) for n in range(OVER_KEPT + 3)] + [over("other", n) for n in range(OVER_KEPT)]
    assert too_many(many) == {("m", "v000"), ("m", "v001"), ("m", "v002")}
    lives = (SeriesKey("m", "v000", "hue=red"), True, 0)
    assert too_many([*many, lives]) == {("m", "v001"), ("m", "v002")}
    assert too_many([*many, lives], spared=frozenset({("m", "v001")})) == {("m", "v002")}
