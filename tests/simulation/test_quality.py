"""Data quality in whole deployments: counts are a plain recount's, alerts name the feature and never the data."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.cloudevents import parse
from monitor.alerts.event import AlertEvent, OperationalAlert, RuleAlert
from tests.examples import examples
from tests.simulation import quality
from tests.simulation.quality import QUALITY, SECRETS, START, config, records, recount, split, topics
from tests.simulation.world import World, alerts, finals, revisions, worker

TYPES = ("missing", "wrong_type", "below_min", "above_max", "unexpected")


def once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each id once per model and version: what becomes of repeats is the join's business, and tested there."""
    return list({(row["id"], row["model"], row["version"]): row for row in rows}.values())


def run(log: World, namespace: str, rows: int) -> None:
    log.paces = {"predictions": rows}
    worker(log, config(namespace, rows)).run()


def input_counts(log: World, namespace: str) -> dict[tuple[str, int], dict[str, int]]:
    """Final counts of model m, without zeros."""
    found = {}
    for value in finals(log, namespace).values():
        window = orjson.loads(value)
        if window["kind"] == "input" and window["model"] == "m":
            found[window["version"], window["start_ms"]] = {k: n for k, n in window["counts"].items() if n}
    return found


def told(log: World, namespace: str = "one") -> list[AlertEvent]:
    return [parse(stored.record.value or b"") for stored in log.records(f"{namespace}.alerts")]


def conditions(log: World, namespace: str = "one") -> list[str]:
    return [
        f"{event.data.condition} {event.data.scope} {event.data.state}"
        for event in told(log, namespace)
        if isinstance(event.data, OperationalAlert)
    ]


@settings(max_examples=examples(60), deadline=None)
@given(records, st.integers(1, 20))
def test_the_counts_of_a_final_window_are_those_of_a_plain_recount(rows: list[dict[str, Any]], at_once: int) -> None:
    rows = once(rows)
    log = topics(split(rows))
    run(log, "one", at_once)
    assert input_counts(log, "one") == recount(rows)


@settings(max_examples=examples(40), deadline=None)
@given(records, st.integers(1, 20), st.integers(1, 20))
def test_the_cuts_between_commits_are_seen_nowhere(rows: list[dict[str, Any]], one: int, two: int) -> None:
    log = topics(split(rows))
    run(log, "one", one)
    run(log, "two", two)
    assert finals(log, "one") == finals(log, "two")
    assert revisions(log, "one") == revisions(log, "two")
    assert alerts(log, "one") == alerts(log, "two")


@settings(max_examples=30, deadline=None)
@given(records, st.randoms(use_true_random=False))
def test_no_order_within_the_lateness_changes_a_final_window(rows: list[dict[str, Any]], rng: random.Random) -> None:
    rows = once(rows)
    found = []
    for _ in range(2):
        log = topics(split(rows))
        run(log, "one", rng.randint(1, 20))
        found.append(finals(log, "one"))
        rng.shuffle(rows)
    assert found[0] == found[1]


@settings(max_examples=examples(40), deadline=None)
@given(records)
def test_nothing_that_a_feature_holds_gets_into_windows_or_alerts(rows: list[dict[str, Any]]) -> None:
    log = topics(split(rows))
    run(log, "one", 50)
    for topic in ("one.windows", "one.alerts", "one.alerts.state"):
        for stored in log.records(topic):
            assert not any(str(secret).encode() in (stored.record.value or b"") for secret in SECRETS)


def steady(seconds: range, model: str = "m", version: str = "1", **features: Any) -> list[dict[str, Any]]:
    """A prediction a second."""
    right = {"distance": 500, "carrier": "AA", "hour": 7}
    return [
        {"id": f"{second}", "model": model, "version": version, "at": START + second * 1000, "score": 0.9,
         "features": {k: v for k, v in {**right, **features}.items() if v != "absent"}}
        for second in seconds
    ]  # fmt: skip


def merged(*parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((row for part in parts for row in part), key=lambda row: int(row["at"]))


def played(*parts: list[dict[str, Any]], text: str = QUALITY) -> World:
    log = topics(split(merged(*parts)))
    worker(log, config("one", 10, text)).run()
    return log


def test_a_unit_bug_is_one_page_that_names_the_feature_and_how_it_is_wrong() -> None:
    log = played(steady(range(150)), steady(range(150, 300), distance=9000), steady(range(300, 500)))
    firing, resolved = (event for event in told(log) if isinstance(event.data, RuleAlert))
    data = firing.data
    assert isinstance(data, RuleAlert)
    assert (data.rule, data.severity, data.about) == ("quality:out_of_range:distance", "page", "data_quality")
    evidence = data.evidence
    assert evidence is not None
    assert evidence.feature == "distance"
    assert evidence.violations == {"missing": 0, "wrong_type": 0, "below_min": 0, "above_max": 50}
    assert "out_of_range:distance 1 (above_max 50) is > 0.2" in data.summary
    assert (firing.change, resolved.change) == ("firing", "resolved")


@pytest.mark.parametrize(
    ("wrong", "rule", "kind"),
    [
        ({"distance": "absent"}, "quality:missing:distance", "missing"),
        ({"distance": "5 mi"}, "quality:wrong_type:distance", "wrong_type"),
        ({"distance": -1}, "quality:out_of_range:distance", "below_min"),
        ({"carrier": "absent"}, "quality:missing:carrier", "missing"),
        ({"carrier": ["AA"]}, "quality:wrong_type:carrier", "wrong_type"),
        ({"carrier": "aa"}, "quality:unexpected:carrier", "unexpected"),
    ],
)
def test_each_violation_has_its_own_rule_and_breaks_no_other(wrong: dict[str, Any], rule: str, kind: str) -> None:
    log = played(steady(range(150)), steady(range(150, 300), **wrong), steady(range(300, 400)))
    events = [event.data for event in told(log) if isinstance(event.data, RuleAlert)]
    assert [(data.rule, str(data.state)) for data in events] == [(rule, "firing"), (rule, "resolved")]
    evidence = events[0].evidence
    assert evidence is not None
    assert isinstance(evidence.violations, dict)
    assert {name for name, n in evidence.violations.items() if n} == {kind}


def test_what_is_not_declared_disturbs_nobody() -> None:
    """`hour` is watched and nothing is said of it; of model n nothing at all."""
    log = played(steady(range(300), hour="noon"), steady(range(300), "n", distance="far", carrier="absent"))
    assert told(log) == []


def test_a_model_that_falls_silent_while_others_go_on_is_told_and_comes_back() -> None:
    log = played(
        steady(range(100)), steady(range(400), "n"), steady(range(300, 400)), text="{freshness: {at_most: 70s}}"
    )
    assert conditions(log) == ["model-silent model/m firing", "model-silent model/m resolved"]
    event = told(log)[0]
    assert isinstance(event.data, OperationalAlert)
    assert event.data.about == "data_quality"
    assert event.data.facts == {"model": "m", "silent_s": 80, "at_most_s": 70}
    assert event.data.tick_ms == START + 180_000


def test_a_model_that_never_came_is_silent_from_the_first_tick_on() -> None:
    log = played(steady(range(200), "n"), text="{freshness: {at_most: 70s}}")
    assert conditions(log) == ["model-silent model/m firing"]


def test_a_pause_within_the_limit_and_the_end_of_input_are_no_silence() -> None:
    log = played(
        steady(range(100)), steady(range(160, 200)), steady(range(210), "n"), text="{freshness: {at_most: 70s}}"
    )
    assert conditions(log) == []


def test_too_few_in_a_window_are_told_whatever_the_versions() -> None:
    half = steady(range(0, 300, 20)), steady(range(10, 300, 20), version="2")  # 5 in a window together
    few = steady(range(300, 500, 25))
    log = played(*half, few, steady(range(500, 600)), text="{volume: {at_least: 4}}")
    assert conditions(log) == ["volume-low model/m firing", "volume-low model/m resolved"]
    event = told(log)[0]
    assert isinstance(event.data, OperationalAlert)
    assert event.data.facts == {
        "model": "m",
        "window": "50s",
        "start_ms": START + 300_000,
        "predictions": 2,
        "at_least": 4,
    }


def test_neither_the_window_that_a_model_began_in_nor_the_one_that_input_ends_in_is_judged() -> None:
    log = played(steady(range(48, 152)), text="{volume: {at_least: 40}}")
    assert conditions(log) == []


def test_a_window_without_a_single_prediction_has_too_few() -> None:
    log = played(steady(range(100)), steady(range(250), "n"), text="{volume: {at_least: 4}, freshness: {at_most: 1d}}")
    assert conditions(log) == ["volume-low model/m firing"]


def test_a_config_without_limits_tells_nothing_of_traffic() -> None:
    log = played(steady(range(60)), steady(range(400), "n"), text="{features: {distance: {min: 0}}}")
    assert told(log) == []


def test_the_recount_knows_every_kind_of_violation() -> None:
    rows = [
        {"id": "1", "model": "m", "version": "1", "at": START, "features": {"distance": d, "carrier": c}}
        for d, c in ((None, None), ("x", {}), (-1, "ZZ"), (7000, "AA"))
    ]
    names = {name.partition(":")[0] for counts in quality.recount(rows).values() for name in counts}
    assert names == {"seen", *TYPES}
