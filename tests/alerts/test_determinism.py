"""Whatever happens to windows: the same ticks give the same bytes, and a restart at any tick changes nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from monitor.alerts.book import RuleBook
from monitor.alerts.cloudevents import encode, records
from monitor.alerts.event import AlertEvent, Change, RuleAlert
from monitor.alerts.state import AlertState, Phase
from monitor.config.rules import Rule
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView
from tests.alerts.story import DELAYS, TICK_MS, Windows, rule, window
from tests.examples import examples

EWR = structs.replace(DELAYS, segment="origin=EWR")
RULES = (
    rule(min_coverage=0.5),
    rule(name="sustained", segments="each", **{"for": "40m"}),
    rule(name="few-rows", min_rows=30),
)
HOURS = 5
LAST_TICK = 3 * (HOURS + 1)


@dataclass(frozen=True)
class Tick:
    """A tick of the input: its number, what changed, which series had rows."""

    number: int
    changed: tuple[WindowView, ...]
    active: frozenset[SeriesKey]


revisions = st.builds(
    lambda hour, recall, rows, labelled, series: window(
        f"{hour:02d}:00", recall, rows=rows, labelled=labelled, series=series
    ),
    st.integers(0, HOURS - 1),
    st.sampled_from([None, 0.1, 0.3, 0.39, 0.4, 0.6, 0.9]),
    st.sampled_from([5, 30, 50]),
    st.sampled_from([10, 50, 100]),
    st.sampled_from([DELAYS, EWR]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Tick]:
    """Ticks in order, some left out; at the end every window that was ever seen becomes final."""
    numbers = draw(st.lists(st.integers(1, LAST_TICK), min_size=1, max_size=12, unique=True))
    ticks: list[Tick] = []
    newest: dict[WindowKey, WindowView] = {}
    for number in sorted(numbers):
        changed = {view.key: view for view in draw(st.lists(revisions, max_size=4))}
        newest |= changed
        active = draw(st.sets(st.sampled_from([DELAYS, EWR])))
        ticks.append(Tick(number, tuple(changed.values()), frozenset(active)))
    finals = tuple(replace(view, final=True) for view in newest.values())
    return [*ticks, Tick(LAST_TICK + 1, finals, frozenset())]


def play(
    history: list[Tick], *, restarts: frozenset[int] = frozenset(), backwards: bool = False
) -> tuple[list[AlertEvent], list[AlertState]]:
    """Events, and the state after each tick. Before the ticks in `restarts` everything but the saved state is made
    anew."""
    book, state, windows = _book(RULES), AlertState(), Windows()
    events: list[AlertEvent] = []
    states: list[AlertState] = []
    for number, tick in enumerate(history):
        if number in restarts:
            book, state = _book(RULES), AlertState.from_document(json.loads(json.dumps(state.to_document())))
        tick_ms = tick.number * TICK_MS
        changed = [windows.put(view, tick_ms) for view in tick.changed]
        if backwards:
            changed.reverse()
        step = book.step(state, tick_ms, TICK_MS, Kind.PERFORMANCE, changed, tick.active, windows)
        state = step.state
        events += step.events
        states.append(state)
    return events, states


def _book(rules: tuple[Rule, ...]) -> RuleBook:
    return RuleBook("flights", rules, {}, lambda _: {})


@settings(max_examples=examples(150), deadline=None)
@given(histories())
def test_the_same_ticks_give_the_same_bytes_whatever_the_order_of_the_windows_in_a_tick(history: list[Tick]) -> None:
    once, again = play(history), play(history, backwards=True)
    assert [encode(event) for event in once[0]] == [encode(event) for event in again[0]]
    assert once[1] == again[1]


@settings(max_examples=examples(150), deadline=None)
@given(histories(), st.sets(st.integers(0, 12)))
def test_a_restart_from_the_saved_state_at_any_ticks_gives_the_same_events(
    history: list[Tick], restarts: set[int]
) -> None:
    through, restarted = play(history), play(history, restarts=frozenset(restarts))
    assert [encode(event) for event in through[0]] == [encode(event) for event in restarted[0]]
    assert [state.to_document() for state in through[1]] == [state.to_document() for state in restarted[1]]


@settings(max_examples=examples(150), deadline=None)
@given(histories())
def test_alerts_take_turns_in_firing_and_resolving_and_ids_are_never_used_twice(history: list[Tick]) -> None:
    events, _ = play(history)
    assert len({event.id for event in events}) == len(events)
    turns: dict[str, list[Change]] = defaultdict(list)
    for event in events:
        if event.change is not Change.AMENDED:
            turns[event.partitionkey].append(event.change)
    for changes in turns.values():
        assert changes == [Change.FIRING, Change.RESOLVED] * (len(changes) // 2) + [Change.FIRING] * (len(changes) % 2)


@settings(max_examples=examples(150), deadline=None)
@given(histories())
def test_the_state_topic_ends_with_what_the_rules_remember(history: list[Tick]) -> None:
    events, states = play(history)
    compacted = {r.key: e for e in events for topic, r in records(e, "events", "state") if topic == "state"}
    firing = {e.subject for e in compacted.values() if e.data.state == "firing"}
    remembered = {key for key, entry in states[-1].open() if entry.phase is Phase.FIRING}
    assert firing == {f"delays/1/{key.series.segment}/{key.rule}" for key in remembered}


@settings(max_examples=examples(150), deadline=None)
@given(histories())
def test_the_last_word_on_every_cited_window_is_its_final_value(history: list[Tick]) -> None:
    events, states = play(history)
    finals = {view.key: view for view in history[-1].changed}
    last: dict[tuple[str, int], RuleAlert] = {}
    told = {event.id: event for event in events}
    for event in events:
        data = event.data
        assert isinstance(data, RuleAlert)
        assert data.evidence is not None
        about = (event.partitionkey, data.evidence.window.start_ms)
        if data.amends is not None:
            amended = told[data.amends.event].data
            assert isinstance(amended, RuleAlert)
            assert amended.evidence is not None
            assert last[about] is amended, "what is amended is what was said last about that window"
            assert (data.amends.value, data.amends.broken) == (amended.evidence.value, amended.evidence.broken)
        last[about] = data
    for data in last.values():
        assert data.evidence is not None
        span = data.evidence.window
        series = SeriesKey(data.model, data.version, data.segment)
        final = next(v for k, v in finals.items() if k.series == series and k.start_ms == span.start_ms)
        assert data.evidence.value == final.metrics["recall"].value
    assert not any(entry.citations for entry in states[-1].entries.values()), "final windows are forgotten"


@settings(max_examples=examples(100), deadline=None)
@given(histories())
def test_nothing_fires_on_a_window_that_is_not_mature(history: list[Tick]) -> None:
    for event in play(history)[0]:
        data = event.data
        assert isinstance(data, RuleAlert)
        assert data.evidence is not None
        if event.change is Change.AMENDED:
            continue
        assert data.evidence.window.end_ms <= data.tick_ms
        assert data.evidence.broken is (event.change is Change.FIRING)
        if data.rule == "low-recall":
            assert data.evidence.coverage is not None
            assert data.evidence.coverage >= 0.5
        if data.rule == "few-rows":
            assert data.evidence.rows >= 30
