"""`driftline demo`: each incident is told as it should be, and what may be trained after it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from monitor.demo import INCIDENTS, KM_PER_MILE
from pipelines.firing import Kind, firing
from pipelines.policy import Data, Policy, Trigger
from pipelines.trigger import Plan, Why, plan
from tests.cli.driving import driftline


def play(incident: str, tmp_path: Path) -> list[dict[str, Any]]:
    played = driftline("demo", "--incident", incident, "--speed", "1000", "--keep", tmp_path)
    assert played.code == 0, played.err
    assert "0 still open" in played.err
    return played.lines


def told(events: list[dict[str, Any]]) -> list[str]:
    return sorted(f"{event['data']['rule']} {event['type'].split('.')[3]}" for event in events)


def decided(events: list[dict[str, Any]]) -> Plan:
    """What the pipelines would do now, with labels enough."""
    policy = Policy("arrival-delay", Data("late", ("hour",)), Trigger(labels_min=100))
    found, unreadable = firing(orjson.dumps(event) for event in events)
    assert not unreadable
    return plan(policy, found, (), 10_000, 0)


def at(events: list[dict[str, Any]], time: str) -> list[dict[str, Any]]:
    return [event for event in events if event["time"] <= time]


def test_without_an_incident_nobody_is_disturbed(tmp_path: Path) -> None:
    assert play("none", tmp_path) == []


def test_broken_data_is_paged_by_name_and_nothing_trains(tmp_path: Path) -> None:
    events = play("quality", tmp_path)
    assert told(events) == [
        "accuracy-low amended", "accuracy-low amended", "accuracy-low firing", "accuracy-low resolved",
        "quality:missing:carrier firing", "quality:missing:carrier resolved",
        "quality:out_of_range:distance firing", "quality:out_of_range:distance resolved",
    ]  # fmt: skip
    broken = [event["data"] for event in events if event["data"].get("about") == "data_quality"]
    assert {data["severity"] for data in broken} == {"page"}
    first = {data["evidence"]["feature"]: data["evidence"] for data in broken if data["state"] == "firing"}
    assert first["distance"]["violations"]["above_max"] > 100
    assert first["carrier"]["violations"] == {"missing": first["carrier"]["rows"], "wrong_type": 0, "unexpected": 0}
    during = at(events, "2013-01-13T12:00:00.000Z")
    blocked = decided(during)
    assert blocked.why is Why.DATA_QUALITY
    assert all(cause.kind is Kind.DATA_QUALITY and cause.episode in blocked.detail for cause in blocked.causes)
    assert decided([event for event in during if "about" not in event["data"]]).why is Why.PERFORMANCE, (
        "it is what blocks"
    )


def test_a_wrong_world_is_no_broken_data_and_does_train(tmp_path: Path) -> None:
    events = play("bad-release", tmp_path)
    assert {event["data"]["rule"] for event in events} == {"accuracy-low", "hour-drifts"}
    assert decided(at(events, "2013-01-13T12:00:00.000Z")).why is Why.PERFORMANCE


@pytest.mark.parametrize("name", [name for name, incident in INCIDENTS.items() if incident])
def test_an_incident_touches_its_own_days_only(name: str) -> None:
    incident = INCIDENTS[name]
    assert incident is not None
    features = {"hour": 5.25, "distance": 1400, "carrier": "UA"}
    record = {"at": incident.end_ms, "score": 0.2, "prediction": 0, "features": features}
    assert incident.touch(record) == record
    touched = incident.touch({**record, "at": incident.start_ms})
    assert (touched["score"], touched["prediction"]) == (0.8, 1)
    assert touched["features"] != features
    if name == "quality":
        assert touched["features"] == {"hour": 5.25, "distance": round(1400 * KM_PER_MILE, 1)}
