"""The past: what is kept of it, what is chosen, that it is bounded, and that the description of the API is what is served."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from monitor.adapters.http import HttpServer
from monitor.adapters.http_answers import Snapshot
from monitor.adapters.openapi import openapi, openapi_json
from monitor.alerts.examples import example_events
from monitor.distributions import BARS, Distribution, bars_of
from monitor.drift.reference import profile_column
from monitor.history import (
    EVENTS,
    NUMBERS,
    POINTS,
    SPREAD,
    VERSIONS,
    WINDOWS,
    Choice,
    DelayPoint,
    History,
    encode,
    select,
)
from monitor.view import encode as encode_view
from monitor.windows.view import Estimate, Kind, SeriesKey, WindowView
from tests.alerts.generated import ROOT
from tests.http.test_http import ask
from tests.telemetry.samples import DAY_MS, START_MS, input_window, performance_window, sample_view

ALL = SeriesKey("m", "v1", "all")


def day(series: SeriesKey, number: int, revision: int = 1) -> WindowView:
    return performance_window(series, start_ms=START_MS + number * DAY_MS, revision=revision)


def test_a_series_keeps_its_newest_windows_in_order_and_of_each_the_newest_revision() -> None:
    history = History()
    history.add([day(ALL, n) for n in reversed(range(POINTS + 5))])
    history.add([day(ALL, POINTS + 4, 7), day(ALL, POINTS + 4, 3)])
    windows = history.past().windows
    assert [w.key.start_ms for w in windows] == [START_MS + n * DAY_MS for n in range(5, POINTS + 5)]
    assert windows[-1].revision == 7


def test_many_series_share_the_room_and_those_that_find_none_are_counted() -> None:
    history = History()
    for n in range(3):
        history.add([day(SeriesKey("m", "v1", f"s={i}"), n) for i in range(WINDOWS // 2)])
    assert len(history.past().windows) == WINDOWS
    history.add([day(SeriesKey("m", "v2", f"s={i}"), 2) for i in range(WINDOWS)])
    assert len(history.past().windows) <= WINDOWS
    assert history.past().left_out == WINDOWS // 2
    history.add([day(SeriesKey("m", "v3", "all"), 9)])
    assert SeriesKey("m", "v3", "all") in {w.key.series for w in history.past().windows}, (
        "newer ones take the place of older"
    )


def test_happenings_and_versions_are_bounded_and_what_is_told_again_stands_once() -> None:
    history = History()
    for _ in range(2):
        for event in example_events().values():
            history.happened(event)
    once = len(history.past().happenings)
    assert 0 < once <= len(example_events())
    for n in range(EVENTS + 5):
        history.configured(n, START_MS + n)
    history.add([day(SeriesKey("m", f"v{n}", "all"), n) for n in range(VERSIONS + 5)])
    past = history.past()
    assert (len(past.happenings), len(past.versions)) == (EVENTS, VERSIONS)
    assert past.happenings[-1].generation == EVENTS + 4


def wide(series: SeriesKey, number: int, metrics: int) -> WindowView:
    values = {f"psi:f{n}": Estimate(0.01, None, None, 9) for n in range(metrics)}
    return replace(input_window(series, start_ms=START_MS + number * DAY_MS), metrics=values)


def test_wide_windows_are_fewer_so_that_the_numbers_in_all_are_bounded() -> None:
    history, metrics = History(), NUMBERS // 20
    for n in range(60):
        history.add([wide(SeriesKey("m", f"v{i}", "all"), n, metrics) for i in range(4)])
    windows = history.past().windows
    assert len(windows) == 20
    assert {w.key.start_ms for w in windows} == {START_MS + n * DAY_MS for n in range(55, 60)}
    history.add([wide(SeriesKey("m", "v0", f"s={i}"), 59, metrics) for i in range(40)])
    past = history.past()
    assert sum(len(w.metrics) for w in past.windows) <= NUMBERS
    assert past.left_out == 24
    history.add([wide(SeriesKey("m", "v0", "too=wide"), 99, NUMBERS + 1)])
    assert len(history.past().windows) == len(past.windows), "what can never fit drives nobody out"


def test_where_there_is_no_room_a_series_costs_about_what_one_costs_that_has_it() -> None:
    history, costs = History(), []
    for version, number in (("v1", 0), ("v2", 0), ("v3", 1)):  # all let in, none let in, all in the place of others
        views = [day(SeriesKey("m", version, f"s={i}"), number) for i in range(WINDOWS)]
        begun = time.process_time()
        history.add(views)
        costs.append(time.process_time() - begun)
    assert {w.key.series.version for w in history.past().windows} == {"v3"}
    assert max(costs) < 25 * costs[0], costs


def test_series_without_end_leave_no_more_than_a_bounded_trace() -> None:
    history = History()
    for n in range(5):
        history.add([day(SeriesKey("m", f"v{n}", f"s={i}"), 0) for i in range(WINDOWS)])
    assert history.past().left_out == WINDOWS


def bins(series: SeriesKey, number: int, features: int) -> list[Distribution]:
    key = day(series, number).key
    return [Distribution(series, key.window, key.start_ms, key.end_ms, 1, f"f{n}", ()) for n in range(features)]


def test_the_distributions_of_the_newest_versions_are_kept_and_what_has_no_room_is_counted_and_not_asked_for_again() -> (
    None
):
    history = History()
    for n in range(6):
        series = SeriesKey("m", f"v{n}", "all")
        view = wide(series, n, 3)
        history.add([view])
        assert history.spreads(view)
        history.spread(view, bins(series, n, SPREAD // 4))
        assert not history.spreads(view)
    assert {d.series.version for d in history.past().distributions} == {"v2", "v3", "v4", "v5"}
    view = wide(ALL, 9, 3)
    history.add([view])
    history.spread(view, bins(ALL, 9, SPREAD + 7))
    past = history.past()
    assert (len(past.distributions), past.cut) == (SPREAD, 7)
    assert not history.spreads(view)
    assert history.spreads(replace(view, revision=view.revision + 1))
    assert not history.spreads(wide(SeriesKey("other", "v", "all"), 9, 3)), "a series without a place has none"


def test_delays_are_those_of_the_models_there_are() -> None:
    history = History()
    history.delayed({"gone": (DelayPoint(1, 0.5),), "m": ()})
    history.past()
    history.delayed({"m": (DelayPoint(2, 0.7),)})
    assert history.past().delays == {"m": (DelayPoint(2, 0.7),)}


def test_what_does_not_change_is_handed_out_again_and_never_changes() -> None:
    history = History()
    history.add([day(ALL, 1)])
    first = history.past()
    assert history.past() is first
    history.add([day(ALL, 2)])
    assert len(first.windows) == 1
    assert len(history.past().windows) == 2


def test_a_part_is_chosen_by_each_of_the_names() -> None:
    history, other = History(), SeriesKey("n", "v2", "a=b")
    history.add([day(ALL, 1), day(other, 1), input_window(ALL)])
    past = history.past()

    def chosen(**names: Any) -> list[tuple[str, Kind]]:
        return [(w.key.series.model, w.kind) for w in select(past, Choice(**names)).windows]

    both = [("m", Kind.INPUT), ("m", Kind.PERFORMANCE)]
    assert chosen() == [*both, ("n", Kind.PERFORMANCE)]
    assert chosen(model="m") == chosen(version="v1") == chosen(segment="all") == both
    assert chosen(kind="input") == both[:1]
    assert chosen(window="2d") == []
    some = select(past, Choice(kind="performance", metrics=frozenset({"recall"})))
    assert [list(w.metrics) for w in some.windows] == [["recall"], ["recall"]]
    assert [v.model for v in select(past, Choice(model="n")).versions] == ["n"]


def test_bars_add_up_and_name_no_value() -> None:
    import numpy as np

    numbers = profile_column(np.array([*range(1_000), *[7_777.0] * 500, *[np.nan] * 20], np.float64))
    names = profile_column([f"secret-{n}" for n in range(14) for _ in range(100 - n)] + ["rare-one", None])
    for profile in (numbers, names):
        bars = bars_of(profile, [2 * count for count in profile.counts])
        assert sum(bar.reference for bar in bars) == profile.rows
        assert all(bar.current == 2 * bar.reference for bar in bars)
        assert len(bars) <= BARS + 4
        assert not [bar.name for bar in bars if "secret" in bar.name or "7777" in bar.name or "rare-one" in bar.name]


@pytest.fixture(scope="module")
def served() -> Any:
    history, view = History(), sample_view()
    history.add(view.windows)
    for event in example_events().values():
        history.happened(event)
    snapshot = Snapshot(status=encode_view(view), past=history.past())
    server = HttpServer("127.0.0.1", 0, lambda: snapshot, lambda: 0)
    server.start()
    yield server, history.past()
    server.stop()


def test_the_history_is_served_as_chosen_and_a_wrong_name_is_said(served: Any) -> None:
    server, past = served
    assert ask(server, "/api/v1/history").body == encode(past)
    asked = ask(server, "/api/v1/history?segment=all&metric=recall&metric=f1").body
    assert asked == encode(select(past, Choice(segment="all", metrics=frozenset({"recall", "f1"}))))
    wrong = ask(server, "/api/v1/history?modell=m")
    assert (wrong.status, b"'modell' chooses nothing; known are model" in wrong.body) == (400, True)
    none = ask(server, "/api/v1/history?kind=performances")
    assert (none.status, b"there are performance, input" in none.body) == (400, True)
    assert ask(server, "/api/v1/history?model=a&model=b").status == 400


def test_what_is_served_satisfies_the_description(served: Any) -> None:
    server, _ = served
    document = json.loads(ask(server, "/api/v1/openapi.json").body)
    assert document == json.loads(openapi_json())
    assert document == yaml.safe_load((ROOT / "docs/openapi.yaml").read_text()), "python -m tests.alerts.generated"
    for path in ("/api/v1/status", "/api/v1/history"):
        answer = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        schema = Draft202012Validator({**answer, "components": document["components"]})
        body = json.loads(ask(server, path).body)
        schema.validate(body)
        body["windows"] = "none"
        assert not schema.is_valid(body)


def test_every_path_is_described_and_what_is_described_is_there(served: Any) -> None:
    server, _ = served
    paths = openapi()["paths"]
    assert [path for path in paths if ask(server, path).status == 404] == []
    index = {line.partition("?")[0] for line in ask(server, "/").body.decode().split() if line.startswith("/")}
    assert index - {"/ui/"} == set(paths)


def test_nothing_can_be_written(served: Any) -> None:
    server, _ = served
    methods = ("POST", "PUT", "PATCH", "DELETE")
    found = {
        ask(server, path, method=m).status
        for path in (*openapi()["paths"], "/", "/ui/", "/ui/page.js")
        for m in methods
    }
    assert found == {405}
    assert {method for path in openapi()["paths"].values() for method in path} == {"get"}
