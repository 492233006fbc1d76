"""Advisories without a daemon around them: which windows a detector is fed, what ends an alert, what is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from monitor.alerts.advice import VERSIONS_MAX, AdviceWatch
from monitor.alerts.event import AdvisoryAlert, AlertEvent
from monitor.alerts.saved_advice import SavedFed, restore_advice, save_advice
from monitor.alerts.standstill import Outage
from monitor.cli.observer import active
from monitor.config.advisories import Advisory
from monitor.ledger.checkpoints import encode_body
from monitor.windows.schema import example_windows
from monitor.windows.view import Estimate, Kind, SeriesKey, WindowKey, WindowView

DAY_MS = 86_400_000
LIKE, _ = example_windows()
KEYS = {
    "name": "recall-ph", "detector": "PageHinkley", "options": {"min_instances": 5, "threshold": 0.2}, "metric": "recall",
    "window": "1d", "quiet": "2d",
}  # fmt: skip


def advisory(**keys: object) -> Advisory:
    return Advisory.model_validate({**KEYS, **keys})


@dataclass
class Held:
    """A lookup that holds the windows it was given."""

    views: dict[SeriesKey, dict[int, WindowView]] = field(default_factory=dict)

    def put(self, day: int, value: float, version: str = "1", labelled: int = 100) -> SeriesKey:
        series = SeriesKey("m", version, "all")
        key = WindowKey(series, "1d", day * DAY_MS, (day + 1) * DAY_MS)
        metrics = {"recall": Estimate(value, None, None, 120)}
        view = replace(LIKE, key=key, metrics=metrics, seen=100, labelled=labelled, final=False)
        self.views.setdefault(series, {})[day * DAY_MS] = view
        return series

    def held(self, series: SeriesKey, window: str, kind: Kind) -> Mapping[int, WindowView]:
        return self.views.get(series, {})


def watch(*advisories: Advisory) -> AdviceWatch:
    made = AdviceWatch("n")
    made.use(advisories or [advisory()], lambda _: {}, lambda *_: False, 0)
    return made


def play(own: AdviceWatch, values: Sequence[float], first: int = 0, version: str = "1") -> list[AlertEvent]:
    held, told = Held(), list[AlertEvent]()
    for day, value in enumerate(values, first):
        series = held.put(day, value, version)
        told += own.step(Kind.PERFORMANCE, (day + 1) * DAY_MS + 3_600_000, [series], held)
    return told


def said(events: Sequence[AlertEvent]) -> list[tuple[str, str]]:
    return [(event.data.state, event.data.reason) for event in events]


CALM = [0.63, 0.64] * 4


def test_a_change_fires_and_quiet_ends_it() -> None:
    told = play(watch(), [*CALM, 0.3, *[0.3] * 4])
    assert said(told) == [("firing", "changed"), ("resolved", "quiet")]
    firing, resolved = (event.data for event in told)
    assert isinstance(firing, AdvisoryAlert)
    assert (firing.value, firing.values, firing.mean, firing.window.start_ms) == (0.3, 8, 0.635, 8 * DAY_MS)
    assert resolved.tick_ms - firing.tick_ms == 2 * DAY_MS
    shown = active(told[0])
    assert (shown.rule, shown.window, shown.metric, shown.value, shown.rows) == ("recall-ph", "1d", "recall", 0.3, 120)


def test_windows_are_fed_once_in_order_and_one_that_matures_after_a_newer_one_is_left_out() -> None:
    own, held, series = watch(), Held(), SeriesKey("m", "1", "all")
    for day, labelled in ((0, 100), (1, 10), (2, 100)):
        held.put(day, 0.5 + day / 10, labelled=labelled)
    own.step(Kind.PERFORMANCE, 3 * DAY_MS, [series], held)
    held.put(1, 0.9)
    held.put(3, 0.8)
    own.step(Kind.PERFORMANCE, 4 * DAY_MS - 1, [series], held)  # the third day is not over
    own.step(Kind.PERFORMANCE, 4 * DAY_MS, [series], held)
    held.put(3, 0.1)  # late labels
    own.step(Kind.PERFORMANCE, 5 * DAY_MS, [series], held)
    assert own._fed["recall-ph"][series].advisor.values == [0.5, 0.7, 0.8]


def test_nothing_is_fed_of_a_maintenance_nor_while_labels_are_held() -> None:
    own, held = watch(), Held()
    series = held.put(0, 0.5)
    own.step(Kind.PERFORMANCE, DAY_MS, [series], held, lambda _: Outage(holding=True))
    assert own._fed == {}
    own.use([advisory()], lambda _: {}, lambda *_: True, 0)
    own.step(Kind.PERFORMANCE, DAY_MS, [series], held)
    assert own._fed.get("recall-ph", {}) == {}


def test_an_advisory_that_is_gone_or_asks_something_else_ends_and_another_way_of_telling_does_not() -> None:
    for other, ends in (
        ([], True),
        ([advisory(options={"min_instances": 6})], True),
        ([advisory(severity="ticket")], False),
    ):
        own = watch()
        assert said(play(own, [*CALM, 0.3])) == [("firing", "changed")]
        told = own.use(other, lambda _: {}, lambda *_: False, 10 * DAY_MS)
        assert said(told) == ([("resolved", "rule_gone")] if ends else [])
        assert bool(own._fed.get("recall-ph")) is not ends


def test_versions_that_came_and_went_are_forgotten() -> None:
    own = watch()
    assert said(play(own, [*CALM, 0.3], version="0")) == [("firing", "changed")]
    told = [event for n in range(1, VERSIONS_MAX + 1) for event in play(own, [0.6], 20 + n, version=str(n))]
    assert said(told) == [("resolved", "quiet")]
    assert len(own._fed["recall-ph"]) == VERSIONS_MAX
    assert SeriesKey("m", "0", "all") not in own._fed["recall-ph"]


def test_a_watch_that_was_saved_tells_what_the_other_one_tells() -> None:
    values = [*CALM, 0.3, 0.3, 0.3, *CALM, 0.2, 0.2, 0.2, 0.2]
    whole = play(watch(), values)
    assert len(whole) == 6
    for cut in range(len(values)):
        one = watch()
        before = play(one, values[:cut])
        saved = encode_body(SavedAll(save_advice(one)))
        other = watch()
        restore_advice(other, msgspec.msgpack.decode(saved, type=SavedAll).fed)
        assert encode_body(SavedAll(save_advice(other))) == saved
        assert [*before, *play(other, values[cut:], first=cut)] == whole


class SavedAll(msgspec.Struct):
    fed: tuple[SavedFed, ...]
