"""The evaluator decides again what it decided by what was told: a look that tells nothing leaves no trace."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.book import RuleBook
from monitor.alerts.operational import OperationalWatch
from monitor.config import Config
from monitor.evaluator import Evaluator
from monitor.ledger.records import Clock, Commit, Delta, GroupName, pack
from monitor.plan import plan_of
from tests.examples import examples
from tests.ledger.records import RECORDS
from tests.simulation import quality
from tests.simulation.world import config

CONFIG = config("one")
WATCHED = quality.config("one", quality="{volume: {at_least: 2}, freshness: {at_most: 20s}}")
PLAN = plan_of(CONFIG)
TICK_MS = PLAN.join.tick_ms
PARTITIONS = 2
FIRST_TICK = 1_000
_COMMIT = RECORDS["commit"]
assert isinstance(_COMMIT, Commit)

Step = tuple[int, int, int | None, str, str]
"""Partition, ticks that its clock goes on, how many ticks behind it one row lies (None: no row), whose it is, how silent
the partition is."""
silences = st.sampled_from(["", "idle", "quiet"])
steps = st.lists(
    st.tuples(
        st.integers(0, PARTITIONS - 1),
        st.integers(0, 3),
        st.sampled_from([None, 0, 1]),
        st.sampled_from("mn"),
        silences,
    ),
    max_size=14,
)


def evaluator(configuration: Config = CONFIG) -> Evaluator:
    watch = OperationalWatch("one", {}, ("predictions", "labels"), PARTITIONS)
    return Evaluator(plan_of(configuration), configuration.windows, RuleBook.of(configuration), watch, PARTITIONS)


def commits(configuration: Config, history: list[Step]) -> list[tuple[int, Commit]]:
    assert isinstance(_COMMIT, Commit)
    ticks, made = [FIRST_TICK] * PARTITIONS, []
    for sequence, (partition, ahead, behind, model, silent) in enumerate(history):
        ticks[partition] += ahead
        clock = Clock(ticks[partition] * TICK_MS)
        row = None if behind is None else _row(ticks[partition] - behind)
        commit = msgspec.structs.replace(
            _COMMIT, sequence=sequence, prediction_clock=clock, label_clock=clock, inputs=row, performance=None,
            groups=(GroupName(model if configuration.model(model) else "m", "1", ()),), idle=silent == "idle",
            quiet=silent == "quiet" or msgspec.UNSET, stalled=False, flooding=False,
        )  # fmt: skip
        made.append((partition, commit))
    return made


def _row(tick: int) -> Delta:
    pane = tick * TICK_MS // PLAN.pane_ms
    return Delta(*(pack([value]) for value in (0, pane, tick, 1, 0, 1)))


@pytest.mark.parametrize("configuration", [CONFIG, WATCHED], ids=["rules", "traffic"])
@settings(max_examples=examples(400), deadline=None)
@given(history=steps)
def test_deciding_again_at_the_places_where_something_was_told_gives_the_same(
    configuration: Config, history: list[Step]
) -> None:
    live, told = evaluator(configuration), []
    read = commits(configuration, history)
    for place, (partition, commit) in enumerate(read):
        live.feed(partition, commit)
        if list(live.close()):
            told.append((place + 1, live.digest))
    again, at = evaluator(configuration), 0
    for place, digest in told:
        for partition, commit in read[at:place]:
            again.feed(partition, commit)
        at = place
        assert list(again.close())
        assert again.digest == digest
