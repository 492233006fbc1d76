"""Whether enough comes of each model, tick by tick: what is told, when, and what a change of limits does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from monitor.alerts.cloudevents import encode
from monitor.alerts.event import AlertEvent, OperationalAlert
from monitor.alerts.traffic import TrafficWatch, _newest_ended
from monitor.config.quality_rules import TrafficLimits
from monitor.config.windows import Window
from monitor.windows.losses import Losses
from monitor.windows.schedule import Schedule
from monitor.windows.spans import spans_of
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView

TICK_MS = 20 * 60_000
HOUR_MS = 3 * TICK_MS
LIMITS = TrafficLimits("1h", 10, 2 * HOUR_MS, "page")


def watch(limits: TrafficLimits | None = LIMITS, listed: Sequence[str] = ("m",)) -> TrafficWatch:
    made = TrafficWatch("flights", Schedule([Window.parse("1h"), Window.parse("24h/1h")]), Losses(), TICK_MS)
    made.use(lambda name: limits if name == "m" else None, lambda name: {"owner": name}, listed, 0)
    return made


def series(model: str, version: str = "1", segment: str = "all") -> SeriesKey:
    return SeriesKey(model, version, segment)


def view(hour: int, seen: int, version: str = "1", segment: str = "all", model: str = "m") -> WindowView:
    key = WindowKey(series(model, version, segment), "1h", hour * HOUR_MS, (hour + 1) * HOUR_MS)
    return WindowView(key, Kind.INPUT, 1, False, 0, seen, 0, {}, {}, "sha256:c0")


def line(event: AlertEvent) -> str:
    """`4 firing volume-low`: at the end of which tick."""
    data = event.data
    assert isinstance(data, OperationalAlert)
    assert data.labels == {"owner": "m"}
    return f"{data.tick_ms // TICK_MS} {data.state} {data.condition}"


def test_silence_is_counted_in_ticks_in_which_others_came_and_ends_with_a_prediction() -> None:
    w, told = watch(), []
    for tick in range(12):
        came = [series("n")] if 1 < tick < 10 else [series("n"), series("m")]
        told += w.close(tick, came if tick not in (4, 5) else [], [])
    # Last rows in tick 1; ticks 4 and 5 are empty, but event time goes on over them.
    assert [e for e in map(line, told) if "silent" in e] == ["9 firing model-silent", "11 resolved model-silent"]


def test_volume_is_of_all_versions_and_of_no_segment() -> None:
    w = watch()
    views = [view(1, 6), view(1, 5, "2"), view(1, 3, segment="origin=EWR"), view(1, 99, model="n")]
    told = [w.close(tick, [series("m")], views if tick == 5 else [view(0, 50)]) for tick in range(7)]
    assert [line(event) for events in told for event in events] == []
    w = watch()
    told = [w.close(tick, [series("m")], [view(1, 6)] if tick == 5 else [view(0, 50)]) for tick in range(7)]
    assert [line(event) for events in told for event in events] == ["7 firing volume-low"]


def test_late_predictions_that_fill_the_newest_window_end_it_and_those_taken_back_begin_it() -> None:
    w = watch()
    for tick in range(6):
        w.close(tick, [series("m")], [view(1, 6)] if tick == 5 else [view(0, 50)])
    assert [line(e) for e in w.close(6, [series("m")], [])] == ["7 firing volume-low"]
    assert [line(e) for e in w.close(7, [series("m")], [view(1, 12)])] == ["8 resolved volume-low"]
    assert [line(e) for e in w.close(8, [series("m")], [view(1, 9)])] == ["9 firing volume-low"]
    assert w.close(8, [series("m")], [view(1, 9)]) == []


def test_a_limit_that_is_gone_ends_its_alert_and_a_window_that_was_not_counted_is_not_judged() -> None:
    w = watch()
    for tick in range(7):
        w.close(tick, [series("m")], [view(1, 6)] if tick == 5 else [view(0, 50)])
    without = replace(LIMITS, volume=None)
    ended = w.use(lambda _: without, lambda _: {"owner": "m"}, ("m",), 7 * TICK_MS)
    assert [line(event) for event in ended] == ["7 resolved volume-low"]
    assert w.use(lambda _: LIMITS, lambda _: {"owner": "m"}, ("m",), 7 * TICK_MS) == []
    told = [w.close(tick, [series("m")], [view(tick // 3, 6)]) for tick in range(7, 13)]
    assert [line(event) for events in told for event in events] == ["13 firing volume-low"], "hour 3, not hour 2"


def counted(*seen: int, lost: dict[int, tuple[Kind, int, int]] | None = None) -> list[str]:
    """Windows with so many predictions, one an hour; `lost`: what was lost, by the hour in which it became known."""
    w, told = watch(), list[str]()
    for hour, number in enumerate(seen):
        for tick in range(3 * hour, 3 * hour + 3):
            if tick == 3 * hour and lost is not None and hour in lost:
                w._losses.add(*lost[hour])
            told += [line(e) for e in w.close(tick, [series("m")], [view(hour, number)])]
    return told


def test_a_window_that_lost_records_is_not_counted_and_those_beside_it_are() -> None:
    plenty, few = 50, 3
    assert counted(plenty, plenty, few, plenty, plenty) == ["10 firing volume-low", "13 resolved volume-low"]
    of_the_second = (Kind.INPUT, 2 * HOUR_MS + 1, 2 * HOUR_MS + 2)
    assert counted(plenty, plenty, few, plenty, plenty, lost={2: of_the_second}) == []
    for beside in ((Kind.INPUT, 1 * HOUR_MS, 2 * HOUR_MS), (Kind.INPUT, 3 * HOUR_MS, 4 * HOUR_MS)):
        assert counted(plenty, plenty, few, plenty, plenty, lost={2: beside})[0] == "10 firing volume-low"
    of_labels = (Kind.PERFORMANCE, 2 * HOUR_MS, 3 * HOUR_MS)
    assert counted(plenty, plenty, few, plenty, plenty, lost={2: of_labels})[0] == "10 firing volume-low"


def test_what_fires_stands_over_windows_that_lost_records_until_a_whole_one_has_enough() -> None:
    lost = {3: (Kind.INPUT, 3 * HOUR_MS, 5 * HOUR_MS)}
    assert counted(50, 50, 3, 50, 50, 3, 50, 50, lost=lost) == ["10 firing volume-low", "22 resolved volume-low"]


def test_models_without_a_limit_are_not_even_remembered() -> None:
    w = watch(None)
    for tick in range(50):
        assert w.close(tick, [series(f"model {tick}"), series("m")], []) == []
    assert not w._models


ticks = st.lists(
    st.tuples(
        st.integers(0, 3),  # ticks that pass before this one
        st.sets(st.sampled_from("mn")),
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20), st.sampled_from("12")), max_size=3),
    ),
    max_size=25,
)


@given(ticks)
def test_alerts_fire_and_end_in_turn_and_the_same_ticks_say_the_same(
    history: list[tuple[int, set[str], list[tuple[int, int, str]]]],
) -> None:
    told: list[list[AlertEvent]] = []
    for _ in range(2):
        w, tick, events = watch(), 0, list[AlertEvent]()
        for ahead, models, views in history:
            tick += 1 + ahead
            events += w.close(tick, map(series, sorted(models)), [view(hour, n, v) for hour, n, v in views])
        told.append(events)
    assert [encode(event) for event in told[0]] == [encode(event) for event in told[1]]
    for condition in ("model-silent", "volume-low"):
        states = [line(event).split()[1] for event in told[0] if line(event).endswith(condition)]
        assert states == ["firing", "resolved"] * (len(states) // 2) + ["firing"] * (len(states) % 2)
    assert len({event.id for event in told[0]}) == len(told[0])


@given(st.sampled_from(["1h", "24h/1h", "day", "month", "7h"]), st.integers(0, 2_000_000))
def test_the_newest_window_that_is_over_is_the_last_of_all_that_are(name: str, minutes: int) -> None:
    window, now_ms = Window.parse(name), 1_700_000_000_000 // 60_000 * 60_000 + minutes * 60_000
    found = _newest_ended(window, now_ms)
    step = 3_600_000
    earlier = range(now_ms - 63 * 86_400_000, now_ms, step)
    every = {span for at_ms in earlier for span in spans_of(window, at_ms)} | set(spans_of(window, now_ms - 1))
    assert found == max(span for span in every if span[1] <= now_ms)


def test_in_a_maintenance_nothing_is_missed() -> None:
    told = {}
    for worked_on in (False, True):
        one = watch()
        one.maintained = lambda _, start, end, on=worked_on: on and start < 6 * HOUR_MS and end > 2 * HOUR_MS  # type: ignore[misc]
        events = []
        for hour in range(12):
            seen = 20 if not 2 <= hour < 6 else 0
            came = [series("m")] if seen else [series("other")]
            for tick in range(3 * hour, 3 * hour + 3):
                events += one.close(tick, came, [view(hour, seen)] if seen else [])
        told[worked_on] = [event.subject for event in events]
    assert set(told[False]) == {"model-silent/model%2Fm", "volume-low/model%2Fm"}
    assert told[True] == []
