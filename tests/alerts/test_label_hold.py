"""When labels are slow, what is held because of it, and for how long; without a daemon around it."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.alerts.cloudevents import encode
from monitor.alerts.event import OperationalAlert
from monitor.alerts.label_hold import LabelHold
from monitor.alerts.saved_hold import SavedHold, restore_hold, save_hold
from monitor.alerts.standstill import Outage, Stretch
from monitor.alerts.watching import Cohorts, Release
from monitor.config import loads
from monitor.ingest.clocks import ENDED, ClockState
from monitor.ledger.checkpoints import encode_body
from monitor.ledger.records import Commit
from monitor.plan import plan_of
from monitor.windows.arrivals import Arrival
from tests.ledger.records import RECORDS

HOUR_MS = 3_600_000
TEXT = """
streams:
  predictions: {topic: predictions, fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
time: {horizon: 8h, lateness: 1h, tick: 1h, disorder: 0s}
models: [{name: m}]
windows: [1h]
label_feed: {slow_after: 4h, hold_at_most: 2d}
"""
_COMMIT = RECORDS["commit"]


def hold(text: str = TEXT) -> LabelHold:
    config = loads(text)
    return LabelHold("test", plan_of(config), config.label_feed, lambda _: {"owner": "me"})


def commit(predicted_h: int, labelled_h: int, *, stalled: bool = False, ended: bool = False) -> Commit:
    clocks = (ENDED, ENDED) if ended else (ClockState(predicted_h * HOUR_MS), ClockState(labelled_h * HOUR_MS))
    assert isinstance(_COMMIT, Commit)
    return msgspec.structs.replace(
        _COMMIT, prediction_clock=clocks[0], label_clock=clocks[1], stalled=stalled, ended=ended
    )


def arrivals(hour: int, share: float, late: int = 2, rows: int = 200) -> list[Arrival]:
    """Predictions of this hour, and `share` of the labels of those of so many hours ago; one in fifty never comes."""
    seen = [Arrival("m", "1", hour * HOUR_MS, np.array([rows, 0]))]
    if hour < late:
        return seen
    return [*seen, Arrival("m", "1", (hour - late) * HOUR_MS, np.array([0, int(rows * 0.98 * share)]))]


def play(watch: LabelHold, hours: range, share: float, late: int = 2) -> list[tuple[int, OperationalAlert]]:
    found = []
    for hour in hours:
        watch.feed(0, commit(hour + 1, hour + 1))
        for event in watch.step(hour, arrivals(hour, share, late)):
            assert isinstance(event.data, OperationalAlert)
            found.append((hour, event.data))
    return found


def states(told: list[tuple[int, OperationalAlert]]) -> list[tuple[int, str]]:
    return [(hour, str(data.state)) for hour, data in told]


def held(watch: LabelHold, hour: int) -> bool:
    return watch.holds("m", (hour + 1) * HOUR_MS)


def test_a_feed_that_gives_fewer_than_half_is_one_alert_that_ends_by_itself() -> None:
    watch = hold()
    assert play(watch, range(100), 1.0) == []
    told = play(watch, range(100, 120), 0.3)
    # Labels come two hours after; four hours later they count as late, and half of what is looked at must lack them.
    assert states(told) == [(103, "firing")]
    data = told[0][1]
    assert (data.condition, data.scope, data.severity, data.labels) == (
        "label-feed-slow", "model/m", "ticket", {"owner": "me"},
    )  # fmt: skip
    assert data.facts == {"model": "m", "expected": 392, "labelled": 116}
    assert "116 labels came where 392 usually have by now" in data.summary
    assert held(watch, 119)
    assert states(play(watch, range(120, 140), 1.0)) == [(123, "resolved")]
    assert not held(watch, 139)


def test_a_feed_that_is_a_little_worse_is_not_slow() -> None:
    watch = hold()
    assert play(watch, range(100), 1.0) == []
    assert play(watch, range(100, 150), 0.6) == []


def test_labels_that_come_three_hours_later_than_usual_are_slow_when_nobody_waits_so_long() -> None:
    watch = hold(TEXT.replace("slow_after: 4h", "slow_after: 3h"))
    assert play(watch, range(100), 1.0) == []
    assert states(play(watch, range(100, 130), 1.0, late=6))[:1] == [(102, "firing")]


def test_a_model_of_which_little_is_known_is_not_judged() -> None:
    watch = hold()
    told = []
    for hour in range(200):
        watch.feed(0, commit(hour + 1, hour + 1))
        told += watch.step(hour, arrivals(hour, 1.0 if hour < 100 else 0.0, rows=10))
    assert told == [], "of a whole horizon fewer than a hundred labels are expected"


def test_where_few_predictions_come_more_of_the_past_is_looked_at() -> None:
    found = {}
    for rows in (20, 200):
        watch, told = hold(), []
        for hour in range(120):
            watch.feed(0, commit(hour + 1, hour + 1))
            told += [hour for _ in watch.step(hour, arrivals(hour, 1.0 if hour < 100 else 0.0, rows=rows))]
        found[rows] = told
    assert found == {20: [105], 200: [103]}


def test_the_hold_ends_with_the_deadline_and_what_comes_then_is_usual() -> None:
    watch = hold()
    play(watch, range(100), 1.0)
    told = play(watch, range(100, 153), 0.3)
    assert held(watch, 103)
    assert held(watch, 103 + 47)
    assert not held(watch, 103 + 48), "two days"
    told += play(watch, range(153, 900), 0.3)
    assert states(told)[0] == (103, "firing")
    assert [state for _, state in states(told)] == ["firing", "resolved"], "a feed that stays so has another usual"
    assert told[1][0] > 103 + 48
    assert not held(watch, 899)


def test_a_standstill_holds_the_ticks_that_it_kept_open() -> None:
    watch = hold()
    play(watch, range(100), 1.0)
    watch.feed(0, commit(106, 100, stalled=True))
    assert not watch.holds("m", 103 * HOUR_MS), (
        "it is not known yet where it ends: such a tick closes after the deadline"
    )
    watch.feed(0, commit(120, 100, stalled=True))
    watch.feed(0, commit(121, 121))
    assert [watch.holds("m", hour * HOUR_MS) for hour in (100, 101, 121, 122)] == [False, True, True, False]
    assert watch.outage("m", 130 * HOUR_MS) == Outage(False, (Stretch(100 * HOUR_MS, 121 * HOUR_MS),), 8 * HOUR_MS)
    told = []
    for hour in range(100, 121):  # ticks that close at once, without the labels that were lost
        told += watch.step(hour, arrivals(hour, 0.0))
    assert told == []
    assert play(watch, range(121, 160), 1.0) == [], "the alert of the standstill is enough"
    assert not held(watch, 159)


def test_a_standstill_beyond_the_deadline_holds_nothing() -> None:
    watch = hold()
    watch.feed(0, commit(100, 100))
    watch.feed(0, commit(106, 100, stalled=True))
    assert watch.label_clock_ms(prediction_ms=106 * HOUR_MS, label_ms=100 * HOUR_MS, stalled=True) == 100 * HOUR_MS
    assert watch.label_clock_ms(prediction_ms=170 * HOUR_MS, label_ms=100 * HOUR_MS, stalled=True) == 122 * HOUR_MS
    assert watch.label_clock_ms(prediction_ms=170 * HOUR_MS, label_ms=100 * HOUR_MS, stalled=False) == 100 * HOUR_MS
    watch.feed(0, commit(160, 100, stalled=True))
    watch.feed(0, commit(161, 161))
    assert not watch.holds("m", 150 * HOUR_MS)
    assert watch.outage("m", 150 * HOUR_MS).stretches == (), "and spoils no cohort"


def test_after_the_end_of_the_input_nothing_is_slow() -> None:
    watch = hold()
    play(watch, range(100), 1.0)
    watch.feed(0, commit(0, 0, ended=True))
    assert [event for hour in range(100, 130) for event in watch.step(hour, [])] == []


def test_without_a_configuration_nothing_is_told_or_held() -> None:
    watch = hold(TEXT.replace("label_feed: {slow_after: 4h, hold_at_most: 2d}", ""))
    assert watch.arrival_cells is None
    assert play(watch, range(100), 1.0) == play(watch, range(100, 150), 0.0) == []
    assert watch.flows == {}
    assert not held(watch, 149)


def test_a_change_of_the_configuration_ends_what_fires() -> None:
    watch = hold()
    play(watch, range(100), 1.0)
    play(watch, range(100, 120), 0.3)
    (event,) = watch.retire(120 * HOUR_MS)
    assert isinstance(event.data, OperationalAlert)
    assert (event.data.state, event.data.summary) == ("resolved", "m: how labels come is not looked at any more")


@pytest.mark.parametrize("cut", [3, 95, 103, 110, 123, 140])
def test_a_watch_that_was_saved_tells_what_the_other_one_tells(cut: int) -> None:
    one, other = hold(), hold()
    told: list[list[bytes]] = [[], []]
    for hour in range(180):
        if hour == cut:
            saved = save_hold(one)
            assert isinstance(saved, SavedHold)
            other = hold()
            restore_hold(other, msgspec.msgpack.decode(encode_body(saved), type=SavedHold))
            assert encode_body(saved) == encode_body(save_hold(other))  # type: ignore[arg-type]
        for number, watch in enumerate((one, other)):
            stalled = 140 <= hour < 150
            watch.feed(0, commit(hour + 1, min(hour + 1, 141) if stalled else hour + 1, stalled=stalled))
            told[number] += map(encode, watch.step(hour, arrivals(hour, 0.2 if 100 <= hour < 120 else 1.0)))
        assert held(one, hour) == held(other, hour)
    assert len(told[0]) == 2
    assert told[0] == told[1]
    assert encode_body(save_hold(one)) == encode_body(save_hold(other))  # type: ignore[arg-type]


def test_what_was_saved_of_another_configuration_is_refused() -> None:
    with pytest.raises(
        ValueError, match="it watches label feeds where the rules in force do not, or the other way round"
    ):
        restore_hold(hold(), msgspec.UNSET)


# -- cohorts of the budget -------------------------------------------------------------------------------------------


def pane(seen: int, right: int, wrong: int) -> Any:
    return np.array([seen, right + wrong, right, 0, wrong, 0])


def looked_at(found: Release | None) -> list[int]:
    assert found is not None
    return [*found.late, *found.cohorts]


def test_while_labels_are_held_only_cohorts_that_have_theirs_are_looked_at() -> None:
    cohorts = Cohorts(horizon_ms=10 * HOUR_MS, pane_ms=HOUR_MS)
    cohorts.take(0, pane(20, 5, 0))
    cohorts.take(HOUR_MS, pane(20, 19, 0))
    assert looked_at(cohorts.release(12 * HOUR_MS, Outage(holding=True))) == [HOUR_MS]
    assert list(cohorts.waiting) == [0]


def test_a_cohort_that_an_outage_spoilt_is_left_out_and_others_are_not() -> None:
    cohorts = Cohorts(horizon_ms=10 * HOUR_MS, pane_ms=HOUR_MS)
    spoilt = Outage(False, (Stretch(9 * HOUR_MS, 12 * HOUR_MS),), 10 * HOUR_MS)
    cohorts.take(0, pane(20, 5, 0))
    cohorts.take(HOUR_MS, pane(20, 15, 5))
    cohorts.take(30 * HOUR_MS, pane(20, 5, 0))
    assert looked_at(cohorts.release(11 * HOUR_MS, spoilt)) == [HOUR_MS], "the first has had its fast labels only"
    assert looked_at(cohorts.release(41 * HOUR_MS, spoilt)) == [30 * HOUR_MS], "this one came after it"
    assert not cohorts.waiting


def test_a_cohort_of_an_outage_that_is_overdue_is_looked_at() -> None:
    cohorts = Cohorts(horizon_ms=10 * HOUR_MS, pane_ms=HOUR_MS)
    cohorts.take(0, pane(20, 5, 0))
    assert looked_at(cohorts.release(11 * HOUR_MS, Outage())) == [0]
