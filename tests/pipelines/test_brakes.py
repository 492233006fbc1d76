"""What keeps a loop that works from running away: alerts that flap, rollbacks in a row, young versions, people who say stop."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipelines.breaker import brakes_of, tenure_until, tripped
from pipelines.firing import Kind
from pipelines.journal import Reason
from pipelines.policy import DAY_MS, HOUR_MS, Brakes, Promotion, Trigger
from pipelines.runs import Admission, Mode, RunSummary
from pipelines.states import State
from pipelines.switch import Switch, Turn
from pipelines.trigger import Held, Why, plan
from tests.pipelines.memory import BORN_MS, alert, fakes, policy
from tests.pipelines.test_shadow import begun
from tests.pipelines.test_worker import AUTO, Story


def test_an_alert_that_flaps_all_day_has_at_most_one_run() -> None:
    story = Story(fakes(), policy(promote=Promotion.AUTO, trigger=Trigger(versions="any")))
    story.later(2 * DAY_MS)
    before, trained = len(story.book.admissions("fraud")), story.ports.trained
    for _ in range(48):
        story.fire()  # a new episode each time
        story.later(HOUR_MS // 4)
        story.ports.fires = []
        story.later(HOUR_MS // 4)
    assert len(story.book.admissions("fraud")) == before + 1
    assert story.ports.trained == trained + 1


def test_a_change_of_schema_that_makes_the_model_look_bad_has_no_run() -> None:
    story = Story(fakes())
    before = len(story.book.admissions("fraud"))
    story.fire()
    story.ports.fires.append(alert("9" * 32, kind=Kind.DATA_QUALITY, name="missing-hour"))
    for _ in range(24):
        assert story.later(HOUR_MS) == []
    assert len(story.book.admissions("fraud")) == before


# --------------------------------------------------------------------------------------------------------- the brakes


def ran(number: int, state: State, days_ago: int, promoted: bool = True) -> RunSummary:
    at_ms = BORN_MS - days_ago * DAY_MS
    admission = Admission(1, number, None, f"{number:032x}", "fraud", Mode.FULL, (), 0.05, policy(), "w", "why", at_ms)
    return RunSummary(admission, state, at_ms, promoted, None, at_ms if promoted else None)


@pytest.mark.parametrize(
    ("runs", "out"),
    [
        ([ran(1, State.ROLLED_BACK, 9), ran(2, State.ROLLED_BACK, 5)], True),
        ([ran(1, State.ROLLED_BACK, 9), ran(2, State.REJECTED, 7, False), ran(3, State.ROLLED_BACK, 5)], True),
        ([ran(1, State.ROLLED_BACK, 9), ran(2, State.SETTLED, 7), ran(3, State.ROLLED_BACK, 5)], False),
        ([ran(1, State.ROLLED_BACK, 9)], False),
        (
            [ran(n, s, 20 - n) for n, s in enumerate([State.ROLLED_BACK, State.SETTLED] * 3)],
            True,
        ),
        ([ran(n, s, 100 - 20 * n) for n, s in enumerate([State.ROLLED_BACK, State.SETTLED] * 2)], False),
    ],
)
def test_the_breaker_is_out_after_rollbacks_that_follow_each_other(runs: list[RunSummary], out: bool) -> None:
    assert (tripped(policy(), runs, BORN_MS) is not None) is out
    assert tripped(policy(), runs, BORN_MS, BORN_MS - DAY_MS) is None, "a person reset it"
    off = policy(brakes=Brakes(rollbacks_in_row=0, rollbacks_in_window=0))
    assert tripped(off, runs, BORN_MS) is None


def test_two_rollbacks_in_a_row_stop_the_loop_until_a_person_resets_it() -> None:
    story = Story(fakes())
    story.ports.live = -0.2
    for _ in range(2):
        story.fire()
        story.round()
        assert story.later(HOUR_MS)[-1] == (State.ROLLED_BACK, Reason.WORSE)
    story.fire()
    assert story.later(40 * DAY_MS) == []
    assert story.plan().why is Why.BREAKER
    story.switch("reset")
    assert story.later(1)[-1] == (State.PROBATION, Reason.PROMOTED)


def test_a_version_serves_for_its_tenure_before_alerts_may_replace_it() -> None:
    asked = msgspec.structs.replace(AUTO, brakes=Brakes(tenure_ms=5 * DAY_MS))
    runs = [ran(1, State.SETTLED, 4), ran(2, State.ROLLED_BACK, 3)]
    assert tenure_until(asked, runs) == BORN_MS + DAY_MS
    now = plan(asked, [alert()], runs, 10_000, BORN_MS, None)
    assert (now.why, now.not_before_ms) == (Why.TENURE, BORN_MS + DAY_MS)
    assert plan(asked, [alert()], runs, 10_000, BORN_MS + DAY_MS, None).begins
    assert plan(asked, [alert(kind=Kind.DRIFT)], runs, 10_000, BORN_MS, None).begins, "a candidate replaces nothing"
    assert brakes_of(AUTO).tenure_ms == 0


# ---------------------------------------------------------------------------------------------------- the kill switch


def test_a_stopped_model_begins_nothing_and_goes_on_where_it_was() -> None:
    story = begun()
    story.switch("stop", None)
    assert story.later(3 * DAY_MS) == []
    story.switch("start", "fraud")
    assert story.later(1)[-1] == (State.PROBATION, Reason.PROMOTED)
    assert plan(AUTO, [alert()], [], 9_999, BORN_MS, None, held=Held("ada stopped it")).why is Why.STOPPED


def test_a_step_at_work_is_given_back_when_somebody_stops_it() -> None:
    story = Story(fakes())
    story.fire()

    def stopped(alive: Any) -> None:
        story.switch("stop")
        alive()
        pytest.fail("it went on")

    story.ports.on_train = stopped
    assert story.round()[-1][0] is State.TRAINING
    story.ports.on_train = lambda alive: alive()
    assert story.later(HOUR_MS) == []
    story.switch("start")
    assert story.round("w2")[-1][0] is State.PROBATION, "nobody has to wait for a lease"


def test_a_promoted_version_that_is_worse_goes_back_even_while_all_is_stopped() -> None:
    story = Story(fakes())
    story.fire()
    story.round()
    story.switch("stop")
    story.ports.live = -0.2
    assert story.later(HOUR_MS) == [(State.ROLLED_BACK, Reason.WORSE)]


def test_the_newest_word_about_a_model_counts() -> None:
    store = fakes().store
    switch, other = Switch(store), Switch(store)
    for turn, model, stopped in (
        (Turn.STOP, "fraud", ("fraud",)),
        (Turn.STOP, None, ("fraud", "churn")),
        (Turn.START, "fraud", ("churn",)),
        (Turn.RESET, "churn", ("churn",)),
        (Turn.START, None, ()),
    ):
        switch.turn(turn, model, "ada", "to look", 7)
        assert tuple(name for name in ("fraud", "churn") if other.stopped(name)) == stopped
    assert (other.reset_ms("churn"), other.reset_ms("fraud")) == (7, 0)
    other.turn(Turn.STOP, "churn", "eve", "again", 8)
    assert switch.stopped("churn") == "eve stopped churn: again; `driftline retrain start` lets it go on"
