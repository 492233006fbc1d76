"""The budget of false alarms goes on from what was saved of it as if nothing had happened."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.budget import BudgetWatch
from monitor.alerts.cloudevents import encode
from monitor.alerts.saved_budget import SavedBudget, has_begins, restore_budget, save_budget
from monitor.config import loads
from monitor.events import Int64s
from monitor.ledger.checkpoints import encode_body
from monitor.plan import plan_of
from monitor.windows.arrivals import Arrival
from monitor.windows.view import Kind
from tests.examples import examples
from tests.simulation.test_budget import CONFIG

TICKS_A_BEAT, LEARN = 3, 64
BUDGET = "{{false_pages: 1, per: 5m, every: 30s, learn: 32m, season: {season}, quiet: {quiet}}}"
SEEN = {Kind.INPUT: [40, 38, 2], Kind.PERFORMANCE: [40, 40, 16, 4, 4, 16]}
"""A usual beat: seen, then valid and missing values of the one feature; seen, labelled, tp, fp, fn, tn."""


def watch(quiet: str = "5m") -> BudgetWatch:
    config = loads(CONFIG.format(namespace="saved", rows=1, budget=BUDGET.format(season="none", quiet=quiet)))
    return BudgetWatch.of(config, plan_of(config))


def wide(kind: Kind, cells: Sequence[int]) -> Int64s:
    """The cells of a vector of this kind: of the input, what stands between seen and the bins' last is empty."""
    if kind is Kind.PERFORMANCE:
        return np.array(cells, np.int64)
    model = watch()._plan.model("m")
    found = np.zeros(model.input_cells.size, np.int64)
    binning = model.features[0].base
    start = model.features[0].start
    found[0], found[start], found[start + binning.missing] = cells
    return found


USUAL = {kind: wide(kind, SEEN[kind]) for kind in Kind}

beats = st.lists(
    st.tuples(
        st.sampled_from(list(Kind)),
        st.integers(0, 3),  # how many beats were skipped before it
        st.sampled_from(["1", "2"]),
        st.integers(0, 4),  # how many panes ago the pairs were predicted
        st.integers(0, 30),  # of the rows, how many are bad
    ),
    max_size=25,
)


def feed(watch: BudgetWatch, kind: Kind, beat: int, version: str, ago: int, bad: int) -> list[bytes]:
    cells = USUAL[kind].copy()
    if kind is Kind.INPUT:
        binning = watch._plan.model("m").features[0]
        cells[binning.start] -= bad
        cells[binning.start + binning.base.missing] += bad
    else:
        cells[[2, 5]] -= min(bad, 30) // 2
        cells[[3, 4]] += min(bad, 30) // 2
    pane = watch._plan.pane_ms
    arrival = Arrival("m", version, (beat * 30_000 // pane - ago) * pane, cells)
    return [encode(event) for event in watch.step(kind, beat * TICKS_A_BEAT + 1, [arrival])]


@settings(max_examples=examples(150))
@given(beats, st.integers(-LEARN, 25), st.sampled_from(["30s", "5m"]))
def test_a_watch_that_was_saved_tells_what_the_other_one_tells(
    story: list[tuple[Kind, int, str, int, int]], cut: int, quiet: str
) -> None:
    one, other = watch(quiet), watch(quiet)
    at = dict.fromkeys(Kind, 1_000)
    learning = [(kind, 0, version, 0, 0) for _ in range(LEARN + 2) for version in ("1", "2") for kind in Kind]
    del learning[: len(learning) if cut % 5 == 0 else 0]  # some are cut while they still learn
    for place, (kind, skipped, version, ago, bad) in enumerate([*learning, *story]):
        if place - len(learning) == cut:
            saved = save_budget(one)
            assert isinstance(saved, SavedBudget)
            other = watch(quiet)
            restore_budget(other, msgspec.msgpack.decode(encode_body(saved), type=SavedBudget))
            assert msgspec.msgpack.encode(save_budget(other)) == msgspec.msgpack.encode(saved)
        at[kind] += skipped + (version == "1" or skipped > 0)
        told = feed(one, kind, at[kind], version, ago, bad)
        assert feed(other, kind, at[kind], version, ago, bad) == told
    assert msgspec.msgpack.encode(save_budget(one)) == msgspec.msgpack.encode(save_budget(other))


def test_the_story_has_alerts_that_fire_when_it_is_saved() -> None:
    one = watch()
    told = [feed(one, Kind.INPUT, 1_000 + beat, "1", 0, 0 if beat < LEARN + 5 else 30) for beat in range(LEARN + 12)]
    assert sum(map(len, told)) == 1
    saved = save_budget(one)
    assert isinstance(saved, SavedBudget)
    assert saved.open["input"][0].causes[0].channel == "missing:hue"


def test_what_was_saved_before_beginnings_were_is_read_and_says_the_beat() -> None:
    one = watch()
    told: list[bytes] = []
    for beat in range(LEARN + 12):  # an alarm begins all bets anew: after it come usual beats
        told += feed(one, Kind.PERFORMANCE, 1_000 + beat, "1", 2, 0 if beat < LEARN + 5 or told else 30)
    assert len(told) == 1
    saved = save_budget(one)
    assert isinstance(saved, SavedBudget)
    (series,), (fires,) = saved.series["performance"], saved.open["performance"]
    (cause,) = fires.causes
    assert has_begins(saved)
    assert isinstance(series.begins, tuple)
    assert fires.began_ms == cause.begin_ms == cause.since * 30_000 - 2 * one._plan.pane_ms
    before = msgspec.structs.replace(
        saved,
        series={**saved.series, "performance": (msgspec.structs.replace(series, begins=msgspec.UNSET),)},
        open={
            **saved.open,
            "performance": (
                msgspec.structs.replace(
                    fires,
                    began_ms=cause.since * 30_000,
                    causes=(msgspec.structs.replace(cause, begin_ms=msgspec.UNSET),),
                ),
            ),
        },
    )
    assert not has_begins(before)
    other = watch()
    restore_budget(other, msgspec.msgpack.decode(encode_body(before), type=SavedBudget))
    (again,) = other._open[Kind.PERFORMANCE].values()
    assert again.alarm.begins == (again.alarm.began_ms,) == (cause.since * 30_000,)
    assert save_budget(other) == before


def test_a_budget_of_something_else_is_refused() -> None:
    one = watch()
    for beat in range(LEARN + 5):
        feed(one, Kind.INPUT, 1_000 + beat, "1", 0, 0)
    saved = save_budget(one)
    assert isinstance(saved, SavedBudget)
    (series,) = saved.series["input"]
    assert series.state is not None
    fewer = msgspec.structs.replace(
        series, state=msgspec.structs.replace(series.state, evidence=series.state.evidence[8:])
    )
    wrong = msgspec.structs.replace(saved, series={**saved.series, "input": (fewer,)})
    with pytest.raises(ValueError, match="the detector of model 'm' has other cells than there are questions"):
        restore_budget(watch(), wrong)
    with pytest.raises(ValueError, match="it has no budget of false alarms where the rules in force have one"):
        restore_budget(watch(), msgspec.UNSET)
