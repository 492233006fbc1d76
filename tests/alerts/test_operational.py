"""Alerts from what owners recorded: the order of reading cannot be seen, nor how often somebody looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.cloudevents import encode
from monitor.alerts.event import AlertEvent, Change, OperationalAlert
from monitor.alerts.operational import OperationalWatch
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.ledger.records import Clock, Commit, Flood
from tests.examples import examples
from tests.ledger.records import RECORDS

PARTITIONS = 3
_COMMIT = RECORDS["commit"]
assert isinstance(_COMMIT, Commit)


def commit(sequence: int, at_ms: int, **flags: bool) -> Commit:
    """A commit of a partition that reached `at_ms`; flags that are not named are false."""
    assert isinstance(_COMMIT, Commit)
    given_flags = {"idle": False, "stalled": False, "flooding": False, "ended": False, **flags}
    clocks = {"prediction_clock": Clock(at_ms), "label_clock": Clock(at_ms - 5)}
    return msgspec.structs.replace(_COMMIT, sequence=sequence, **clocks, **given_flags)


def watch(partitions: int = PARTITIONS) -> OperationalWatch:
    return OperationalWatch("flights", {"owner": "me"}, ("scores", "outcomes"), partitions)


def line(event: AlertEvent) -> str:
    return f"{event.data.tick_ms} {event.change} {event.subject.partition('/')[0]}"


def test_one_alert_however_many_partitions_stall_and_however_long() -> None:
    w = watch(2)
    told: list[str] = []
    for sequence, at_ms, stalled in ((1, 10, False), (2, 20, True), (3, 30, True), (4, 40, False), (5, 50, False)):
        for partition in (0, 1):
            w.feed(partition, commit(sequence, at_ms + partition, stalled=stalled))
            told += map(line, w.drain())
    assert told == ["20 firing label-feed-stalled", "41 resolved label-feed-stalled"]


def test_it_is_told_when_no_partition_can_have_been_earlier() -> None:
    w = watch(2)
    w.feed(1, commit(1, 50, stalled=True))
    assert w.drain() == []
    w.feed(0, commit(1, 40, stalled=True))
    assert w.drain() == []
    w.feed(0, commit(2, 60, stalled=True))
    assert [line(event) for event in w.drain()] == ["40 firing label-feed-stalled"]


def test_a_partition_that_is_idle_or_at_its_end_is_not_waited_for() -> None:
    w = watch(3)
    w.feed(0, commit(1, 50, stalled=True))
    w.feed(1, commit(1, 10, idle=True))
    w.feed(2, commit(1, FOREVER, ended=True))
    assert w.drain() == []
    w.feed(0, commit(2, 51, stalled=True))
    assert [line(event) for event in w.drain()] == ["50 firing label-feed-stalled"]
    w.feed(1, commit(2, 20, stalled=True))  # it was idle, and comes back with something of long ago
    w.feed(0, commit(3, 70))
    w.feed(1, commit(3, 80))
    w.feed(0, commit(4, 90))
    w.feed(1, commit(4, 91))
    assert [line(event) for event in w.drain()] == ["80 resolved label-feed-stalled"]


def test_predictions_are_silent_when_they_are_in_every_partition() -> None:
    w = watch(2)
    told: list[str] = []
    for partition, sequence, at_ms, silent in (
        (0, 1, 10, True), (1, 1, 20, False), (1, 2, 20, True), (0, 2, 30, False), (1, 3, 40, False), (0, 3, 50, False),
    ):  # fmt: skip
        w.feed(partition, commit(sequence, at_ms, silent=silent))
        told += map(line, w.drain())
    assert told == ["20 firing predictions-silent", "30 resolved predictions-silent"]


def flooded(sequence: int, at_ms: int, *streams: int, since_ms: int = 15) -> Commit:
    floods = tuple(Flood(stream, 0, 0, since_ms) for stream in streams)
    made = commit(sequence, at_ms, flooding=bool(floods))
    return msgspec.structs.replace(made, floods=floods) if floods else made


def told(w: OperationalWatch) -> list[tuple[str, str]]:
    return [(line(e), e.subject.partition("/")[2]) for e in w.drain()]


def test_a_flood_is_an_alert_of_its_topic_and_partition() -> None:
    w = watch(2)
    w.feed(1, flooded(1, 10, 0))
    w.feed(0, flooded(1, 20, 0, 1))
    w.feed(1, flooded(2, 30))
    assert told(w) == [
        ("20 firing dead-letter-flood", "scores%2Fpartition%2F0"),
        ("20 firing dead-letter-flood", "outcomes%2Fpartition%2F0"),
        ("10 firing dead-letter-flood", "scores%2Fpartition%2F1"),
        ("30 resolved dead-letter-flood", "scores%2Fpartition%2F1"),
    ]
    w.feed(0, flooded(2, 40, 1))
    (event,) = w.drain()
    assert event.data.summary == "scores, partition 0: rejected records are few again"
    assert isinstance(event.data, OperationalAlert)
    assert event.data.facts == {"topic": "scores", "partition": 0}


def test_a_join_that_fills_and_empties_while_event_time_stands_still_uses_no_id_twice() -> None:
    """Predictions wait while it is full: on a disk that is full and has room in turn nothing else moves."""
    w, events = watch(1), list[AlertEvent]()
    for sequence, (at_ms, full) in enumerate([(1000, True), (2000, False), (2000, True), (2000, False), (2000, True)]):
        w.feed(0, commit(sequence, at_ms, full=full))
        events += w.drain()
    assert len({event.id for event in events}) == len(events) == 5
    assert [event.data.tick_ms for event in events] == [1000, 2000, 2001, 2002, 2003]


def test_a_flood_before_any_event_time_has_the_time_of_the_log() -> None:
    w = watch(1)
    w.feed(0, flooded(1, NEVER, 0, since_ms=1_700_000_000_000))
    w.feed(0, flooded(2, NEVER))
    w.feed(0, flooded(3, NEVER, 0, since_ms=1_700_000_000_000))
    w.feed(0, flooded(4, 90))  # what was read at last is older than the log
    events = w.drain()
    assert [(e.change, e.data.tick_ms - 1_700_000_000_000) for e in events] == [
        ("firing", 0),
        ("resolved", 1),
        ("firing", 2),
        ("resolved", 3),
    ]
    assert all(e.data.fired_ms >= 1_700_000_000_000 for e in events)
    assert len({e.id for e in events}) == 4


def test_what_an_earlier_version_recorded_is_told_as_it_was_told_then() -> None:
    w = watch(1)
    w.feed(0, commit(1, 10, flooding=True))
    assert told(w) == [("10 firing dead-letter-flood", "partition%2F0")]
    w.feed(0, flooded(2, 20, 0))
    assert told(w) == [
        ("20 resolved dead-letter-flood", "partition%2F0"),
        ("20 firing dead-letter-flood", "scores%2Fpartition%2F0"),
    ]


# ---------------------------------------------------------------------------------------------------- determinism


Step = tuple[int, bool, bool]
"""What a commit says: the event time that the partition reached, whether its label feed is stalled, whether it is idle."""


@dataclass(frozen=True)
class Reading:
    """Commits of each partition, the end of its input last; and the orders in which two readers take them, with looks
    in between."""

    steps: Sequence[Sequence[Step]]
    orders: tuple[Sequence[int], Sequence[int]]
    looks: tuple[Sequence[bool], Sequence[bool]]


@st.composite
def readings(draw: st.DrawFn, *, idle: bool) -> Reading:
    steps: list[list[Step]] = []
    for _ in range(PARTITIONS):
        at_ms, own = 100, []
        for ahead, stalled, quiet in draw(
            st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 4)), max_size=8)
        ):
            at_ms += ahead
            own.append((at_ms, stalled, idle and quiet == 0))
        steps.append([*own, (FOREVER, False, False)])
    places = [partition for partition, own in enumerate(steps) for _ in own]
    n = len(places)
    looks = st.lists(st.booleans(), min_size=n, max_size=n)
    return Reading(steps, (draw(st.permutations(places)), draw(st.permutations(places))), (draw(looks), draw(looks)))


def read(
    steps: Sequence[Sequence[Step]], order: Sequence[int], looks: Sequence[bool], flag: str = "stalled"
) -> list[list[AlertEvent]]:
    """What each look told; there is a last one at the end. `flag`: which feed the steps are of."""
    w, at, told = watch(), [0] * PARTITIONS, []
    for partition, look in zip(order, looks, strict=True):
        at_ms, stalled, idle = steps[partition][at[partition]]
        w.feed(partition, commit(at[partition], at_ms, idle=idle, ended=at_ms == FOREVER, **{flag: stalled}))
        at[partition] += 1
        told.append(w.drain() if look else [])
    return [*told, w.drain()]


def flat(told: Sequence[Sequence[AlertEvent]]) -> list[bytes]:
    return [encode(event) for events in told for event in events]


@settings(max_examples=examples(400), deadline=None)
@given(readings(idle=False))
def test_the_same_decisions_say_the_same_whatever_was_read_first_and_however_often(reading: Reading) -> None:
    once, again = (read(reading.steps, reading.orders[i], reading.looks[i]) for i in (0, 1))
    assert flat(once) == flat(again)


@pytest.mark.parametrize("flag", ["stalled", "silent"])
@settings(max_examples=examples(400), deadline=None)
@given(reading=readings(idle=True))
def test_looks_that_told_nothing_need_not_be_repeated(flag: str, reading: Reading) -> None:
    """A restart decides again at the places where something was told, and at no others."""
    first = read(reading.steps, reading.orders[0], reading.looks[0], flag)
    places = [bool(events) for events in first[:-1]]
    assert flat(read(reading.steps, reading.orders[0], places, flag)) == flat(first)


@pytest.mark.parametrize("flag", ["stalled", "silent"])
@settings(max_examples=examples(400), deadline=None)
@given(reading=readings(idle=True))
def test_it_fires_and_resolves_in_turn_at_growing_times_and_no_id_is_used_twice(flag: str, reading: Reading) -> None:
    told = [event for events in read(reading.steps, reading.orders[0], reading.looks[0], flag) for event in events]
    assert [event.change for event in told] == [Change.FIRING, Change.RESOLVED] * (len(told) // 2)
    assert all(before.data.tick_ms < after.data.tick_ms for before, after in pairwise(told))
    assert len({event.id for event in told}) == len(told)
