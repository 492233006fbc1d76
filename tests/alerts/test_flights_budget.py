"""The flights of the demo under a budget: what the world really does, and a scripted change of it."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import numpy as np
import orjson
import pytest

from monitor.alerts.watching import Alarm, Series
from monitor.demo import INCIDENTS, LIVE_MS, Script, by_the_formula
from monitor.events import Int64s
from monitor.windows.view import Kind
from tests.alerts.test_watching import HOUR_MS, budget, plan

FLIGHTS = Path(__file__).parents[2] / "monitor" / "demo" / "flights"
CHANGE_MS = LIVE_MS + 4 * 24 * HOUR_MS
CELL = {(1, 1): 2, (1, 0): 3, (0, 1): 4, (0, 0): 5}


@cache
def history(incident: str) -> list[tuple[int, int, int]]:
    """(when it became known, when it was predicted, cell: 0 for a prediction, 2 to 5 for a pair), in order."""
    predictions, labels = (
        gzip.decompress((FLIGHTS / f"{n}.jsonl.gz").read_bytes()).splitlines() for n in ("predictions", "labels")
    )
    script = Script(predictions, labels, INCIDENTS[incident])
    predicted, found = dict[str, tuple[int, int]](), list[tuple[int, int, int]]()
    for due in script:
        value = script.value(due, by_the_formula)
        if value is None:
            continue
        record = orjson.loads(value)
        if due.stream == "predictions":
            predicted[record["id"]] = record["at"], record["prediction"]
            found.append((record["at"], record["at"], 0))
        elif record["at"] - (flight := predicted[record["id"]])[0] <= 36 * HOUR_MS:
            found.append((record["at"], flight[0], CELL[flight[1], record["label"]]))
    return found


def play(rows: list[tuple[int, int, int]], **keys: object) -> list[tuple[int, Alarm]]:
    """Alarms of the performance detector, with the ends of their beats."""
    series = Series(
        plan(), Kind.PERFORMANCE, budget(every="3h", learn="14d", **keys), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS
    )
    found, every_ms = [], 3 * HOUR_MS
    for known_ms, at_ms, cell in rows:
        beat, was = known_ms // every_ms, series.open_beat
        if was is not None and was < beat and (alarm := series.close()) is not None:
            found.append(((was + 1) * every_ms, alarm))
        cells: Int64s = np.zeros(6, np.int64)
        cells[[0] if cell == 0 else [1, cell]] = 1
        series.add(beat, at_ms // HOUR_MS * HOUR_MS, cells)
    return found


@pytest.mark.parametrize(("season", "most"), [("day", 24), ("none", 48)])
def test_a_change_of_the_world_is_paged_on_its_first_day_and_each_day_after(season: str, most: int) -> None:
    found = play(history("concept-change"), season=season)
    after = [(at_ms, alarm) for at_ms, alarm in found if at_ms > CHANGE_MS]
    first_ms, alarm = after[0]
    assert first_ms - CHANGE_MS <= most * HOUR_MS
    assert abs(alarm.began_ms - CHANGE_MS) <= most * HOUR_MS
    assert alarm.causes[0].mean > alarm.causes[0].limit
    assert len(after) >= 10
    assert len(found) - len(after) <= 1  # one budget of a month, three weeks of it before the change


def test_flights_in_random_order_are_silence() -> None:
    """The null: who is right is dealt anew over the flights, clocks and delays stay as they are."""
    rows = [row for row in history("none") if row[2]]
    total = 0
    for seed in range(3):
        random = np.random.default_rng(seed)
        cells = random.permutation([cell for _, _, cell in rows]).tolist()
        dealt = [(known, at, cell) for (known, at, _), cell in zip(rows, cells, strict=True)]
        merged = sorted([row for row in history("none") if not row[2]] + dealt, key=lambda row: row[0])
        total += len(play(merged))
    assert total <= 3  # 37 days each, one alarm to be expected in 30, at most
