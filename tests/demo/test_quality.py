"""The demo with broken data: pages that name the features, nothing that trains.

That what is declared of the flights disturbs nobody without an incident is in `test_loop`, which has that play."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from monitor.demo import INCIDENTS, LIVE_MS
from monitor.demo.incidents import DAY_MS, KM_PER_MILE, WrongUnits
from pipelines.firing import Kind, firing
from pipelines.policy import Data, Policy, Trigger
from pipelines.states import State
from pipelines.trigger import Plan, Why, plan
from tests.demo.playing import Played, played


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return played(tmp_path_factory.mktemp("broken"), INCIDENTS["quality"])


def about_data(played_: Played) -> list[dict[str, Any]]:
    return [event for event in played_.events if event["data"].get("about") == "data_quality"]


def decided(events: list[dict[str, Any]]) -> Plan:
    """What the pipelines would do now, with labels enough and no run before."""
    policy = Policy("arrival-delay", Data("label", ("hour",)), Trigger(labels_min=100))
    found, unreadable = firing(orjson.dumps(event) for event in events)
    assert not unreadable
    return plan(policy, found, (), 10_000, LIVE_MS + 9 * DAY_MS)


def test_two_pages_name_the_features_and_how_they_are_wrong(broken: Played) -> None:
    told = [(e["data"]["rule"], e["data"]["state"], e["data"]["severity"]) for e in about_data(broken)]
    assert sorted(told) == [
        ("quality:missing:carrier", "firing", "page"),
        ("quality:missing:carrier", "resolved", "page"),
        ("quality:out_of_range:distance", "firing", "page"),
        ("quality:out_of_range:distance", "resolved", "page"),
    ]
    first = {e["data"]["evidence"]["feature"]: e["data"]["evidence"] for e in about_data(broken)[:2]}
    assert first["distance"]["violations"]["above_max"] > 100
    assert first["carrier"]["violations"] == {"missing": first["carrier"]["rows"], "wrong_type": 0, "unexpected": 0}
    assert {e["data"]["fired_ms"] for e in about_data(broken)} == {LIVE_MS + 6 * DAY_MS}, (
        "when the first bad day is over"
    )


def test_nothing_is_trained_on_it_and_the_data_alert_is_what_forbids_it(broken: Played) -> None:
    for run in broken.runs[1:]:  # the first one is the first model, from January
        assert State.TRAINING not in broken.states(run)
        (rejected,) = [moved for moved in broken.happened if moved.run == run and moved.after is State.REJECTED]
        assert rejected.reason == "data_quality", "once the alerts are over the rows are still wrong, and say so"
        assert "quality: out_of_range:distance in" in rejected.detail
    during = [event for event in broken.events if event["data"]["tick_ms"] <= LIVE_MS + 8 * DAY_MS]
    blocked = decided(during)
    assert blocked.why is Why.DATA_QUALITY
    assert all(cause.kind is Kind.DATA_QUALITY and cause.episode in blocked.detail for cause in blocked.causes)
    assert decided([event for event in during if "about" not in event["data"]]).why is Why.PERFORMANCE


def test_an_incident_touches_its_own_days_only() -> None:
    incident = INCIDENTS["quality"]
    assert isinstance(incident, WrongUnits)
    features = {"hour": 5.25, "distance": 1400, "carrier": "UA"}
    record = {"at": incident.end_ms, "score": 0.2, "prediction": 0, "features": features}
    assert incident.sent(record) == record
    touched = incident.sent({**record, "at": incident.start_ms})
    assert (touched["score"], touched["prediction"]) == (0.8, 1)
    assert touched["features"] == {"hour": 5.25, "distance": round(1400 * KM_PER_MILE, 1)}
