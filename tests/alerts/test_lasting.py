"""An alert of the budget stands while the change that it is about goes on, however slowly that is seen."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from monitor.alerts.budget import BudgetWatch
from monitor.alerts.cloudevents import LEAST_SHARE, budget_event
from monitor.alerts.event import AlertEvent, BudgetAlert, Reason, Standing
from monitor.alerts.saved_budget import SavedBudget, restore_budget, save_budget
from monitor.alerts.standstill import NO_OUTAGE, Outage
from monitor.alerts.watching import Alarm
from monitor.config.budget import Budget
from monitor.drift.budget import Area
from monitor.drift.edetector import Cause
from monitor.editions import DETAILED, LASTING
from monitor.windows.arrivals import Arrival
from monitor.windows.view import Kind, SeriesKey
from tests.alerts.test_saved_budget import LEARN, TICKS_A_BEAT, USUAL, watch

BEAT_MS, QUIET = 30_000, 10
"""`quiet` is ten beats long."""
SLOW, FAST = 1, 14
"""More errors among forty rows, of which eight are wrong as usual; the first needs more than twice `quiet` to be seen."""


class Story:
    """One version and its labels, beat by beat; what is told, by the beat in which it was."""

    def __init__(self, edition: int = LASTING) -> None:
        self.watch = watch()
        self.watch.editions.begin_with(edition)
        self.beat, self.told = 1_000, list[tuple[int, AlertEvent]]()
        self.beats(LEARN + 3, 0)

    def beats(self, many: int, errors: int, outage: Outage = NO_OUTAGE) -> None:
        """So many, with so many more errors each."""
        cells = USUAL[Kind.PERFORMANCE].copy()
        cells[[2, 3]] += [-errors, errors]
        for _ in range(many):
            pane = self.watch._plan.pane_ms
            arrival = Arrival("m", "1", (self.beat * BEAT_MS // pane - 2) * pane, cells)
            self.step([arrival], outage)

    def nothing(self, many: int, outage: Outage = NO_OUTAGE) -> None:
        """So many beats in which time goes on, and no label comes."""
        for _ in range(many):
            self.step([], outage)

    def step(self, arrived: list[Arrival], outage: Outage) -> None:
        told = self.watch.step(Kind.PERFORMANCE, self.beat * TICKS_A_BEAT + 1, arrived, lambda _: outage)
        self.told += [(self.beat, event) for event in told]
        self.beat += 1

    @property
    def standings(self) -> list[str]:
        return [str(event.data.state) for _, event in self.told]

    def until_it_fires(self, errors: int) -> int:
        """How many beats that took."""
        begun = self.beat
        while not self.told:
            self.beats(1, errors)
        return self.beat - begun


def test_a_change_that_is_seen_slowly_is_one_alert_until_it_ends() -> None:
    story = Story()
    assert story.until_it_fires(SLOW) > 2 * QUIET
    story.beats(20 * QUIET, SLOW)
    assert story.standings == ["firing"]
    ended = story.beat
    story.beats(3 * QUIET, 0)
    assert story.standings == ["firing", "resolved"]
    at, event = story.told[-1]
    assert event.data.reason is Reason.QUIET
    assert QUIET // 2 <= at - ended <= 2 * QUIET, "in a whole quiet time it was not above the limit on average"


def test_before_that_edition_it_came_and_went() -> None:
    story = Story(DETAILED)
    story.until_it_fires(SLOW)
    story.beats(20 * QUIET, SLOW)
    assert story.standings[:4] == ["firing", "resolved", "firing", "resolved"]


def test_one_that_fires_when_the_edition_begins_stands_from_then_on() -> None:
    story = Story(DETAILED)
    story.until_it_fires(SLOW)
    story.beats(QUIET // 2, SLOW)
    story.watch.editions.go_over(LASTING, story.beat * BEAT_MS)
    story.beats(10 * QUIET, SLOW)
    assert story.standings == ["firing"]


def test_what_was_quick_to_see_resolves_a_quiet_time_after_its_last_alarm_in_both() -> None:
    told = []
    for edition in (DETAILED, LASTING):
        story = Story(edition)
        story.until_it_fires(FAST)
        story.beats(3, FAST)
        story.beats(3 * QUIET, 0)
        assert story.standings == ["firing", "resolved"]
        told.append([(at, event.data.reason) for at, event in story.told])
    assert told[0] == told[1]


def test_where_nothing_comes_any_more_it_resolves() -> None:
    story = Story()
    story.until_it_fires(SLOW)
    fired = story.beat
    story.nothing(3 * QUIET)
    assert story.standings == ["firing", "resolved"]
    assert story.told[-1][0] - fired <= 2 * QUIET


@pytest.mark.parametrize("kept_away", [3, 40])
def test_while_labels_are_held_it_stands_and_a_whole_quiet_time_after(kept_away: int) -> None:
    story = Story()
    story.until_it_fires(FAST)
    held = replace(NO_OUTAGE, holding=True)
    story.nothing(kept_away * QUIET, held)
    assert story.standings == ["firing"], "of what is not known nothing is said"
    came = story.beat
    story.beats(3 * QUIET, 0)
    assert story.standings == ["firing", "resolved"]
    assert QUIET // 2 <= story.told[-1][0] - came <= QUIET


def test_who_goes_on_from_a_checkpoint_remembers_how_far_above_it_was() -> None:
    one = Story()
    one.until_it_fires(SLOW)
    one.beats(QUIET // 2, SLOW)
    saved = save_budget(one.watch)
    assert isinstance(saved, SavedBudget)
    (fires,) = saved.open["performance"]
    assert not isinstance(fires.excess, msgspec.UnsetType)
    assert max(fires.excess) > 0
    other: BudgetWatch = watch()
    restore_budget(other, msgspec.msgpack.decode(msgspec.msgpack.encode(saved), type=SavedBudget))
    assert save_budget(other) == saved
    one.watch = other
    one.beats(
        QUIET - 1 - QUIET // 2, 0
    )  # less than before in all, so that the mean is above the limit by what was saved alone
    assert one.standings == ["firing"]


def test_an_earlier_edition_saves_nothing_of_that() -> None:
    story = Story(DETAILED)
    story.until_it_fires(SLOW)
    story.beats(QUIET // 2, SLOW)
    assert b"excess" not in msgspec.msgpack.encode(save_budget(story.watch))


def of_three(edition: int) -> list[str]:
    """The causes that are told of an alarm of which one hardly has a part, and is not listed."""
    cause = Cause(
        channel="$score", functional="rank", log_evidence=8.0, share=0.9, since=10, mean=0.6, rows=900,
        reference=0.5, limit=0.52, dispersion=1.0, listed=True,
    )  # fmt: skip
    others = (
        replace(cause, channel="hue", share=0.1, log_evidence=5.0, listed=False),
        replace(cause, channel="size", share=1e-6, log_evidence=-6.0, listed=False),
        replace(cause, channel="rim", share=1e-7, log_evidence=4.0, listed=True),
    )
    causes = (cause, *others)
    alarm = Alarm(8.1, 0, causes, (Area.PREDICTIONS, *[Area.FEATURES] * 3), (0,) * len(causes))
    event = budget_event(
        "n", SeriesKey("m", "1", "all"), Kind.INPUT, alarm, Reason.EVIDENCE, Standing.FIRING, fired_ms=5, tick_ms=5, alarms=1,
        budget=Budget.model_validate({}), labels={}, config="", edition=edition,
    )  # fmt: skip
    assert isinstance(event.data, BudgetAlert)
    return [one.channel for one in event.data.causes]


def test_what_did_not_change_is_no_cause() -> None:
    assert of_three(LASTING) == ["$score", "rim", "hue"]
    assert of_three(DETAILED) == ["$score", "rim", "hue", "size"]
    assert 0 < LEAST_SHARE < 0.1
