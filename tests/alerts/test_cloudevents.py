"""Identity, envelope and records of events."""

from __future__ import annotations

import json

import pytest
from msgspec import structs

from monitor.alerts.book import RuleBook
from monitor.alerts.cloudevents import comparable, encode, operational_event, parse, records
from monitor.alerts.event import LAST_MS, AlertEvent, Change, RuleAlert, Standing, rfc3339
from monitor.alerts.examples import example_events
from monitor.alerts.fingerprint import event_id, fingerprint, operational_fingerprint
from monitor.config.types import Config
from monitor.windows.canonical import FormatError
from monitor.windows.view import SeriesKey
from tests.alerts.story import DELAYS, Story, rule, window


def fired(namespace_rule: str = "low-recall", **keys: object) -> AlertEvent:
    story = Story(rule(name=namespace_rule, **keys), labels={"owner": "team-a"})
    story.tick("01:00", window("00:00", 0.3))
    return story.events[0]


def test_the_fingerprint_names_the_alert_and_not_how_it_is_configured() -> None:
    assert fired().partitionkey == fired(threshold=0.5, severity="page", labels={"a": "b"}).partitionkey
    assert fired().partitionkey != fired("lower-recall").partitionkey


def test_every_part_of_the_fingerprint_tells_alerts_apart_and_parts_do_not_run_together() -> None:
    prints = {
        fingerprint("a", "r", DELAYS),
        fingerprint("b", "r", DELAYS),
        fingerprint("a", "s", DELAYS),
        fingerprint("a", "r", structs.replace(DELAYS, model="other")),
        fingerprint("a", "r", structs.replace(DELAYS, version="2")),
        fingerprint("a", "r", structs.replace(DELAYS, segment="origin=EWR")),
        fingerprint("a", "r", SeriesKey("x", "y,z", "all")),
        fingerprint("a", "r", SeriesKey("x,y", "z", "all")),
        operational_fingerprint("a", "r", "delays"),
    }
    assert len(prints) == 9


def test_names_are_pinned_since_subscribers_keep_them() -> None:
    # printf '["rule","flights","low-recall","delays","1","all"]' | sha256sum | cut -c1-32
    name = fingerprint("flights", "low-recall", DELAYS)
    assert name == "597ea8a6c20b0986ecadee0e94d8d686"
    assert event_id(name, 3_600_000, Change.FIRING) == "4e662d4a54fa5b7ab8b84f0948b4854f"


def test_the_envelope_is_a_cloudevent_with_the_event_time_of_the_tick() -> None:
    document = json.loads(encode(fired()))
    data = document.pop("data")
    assert document == {
        "specversion": "1.0",
        "type": "io.driftline.alert.firing.v1",
        "source": "driftline/flights",
        "subject": "delays/1/all/low-recall",
        "id": data["episode"],
        "time": "1970-01-01T01:00:00.000Z",
        "partitionkey": data["fingerprint"],
        "datacontenttype": "application/json",
        "dataschema": "urn:driftline:schema:alert:v1",
    }


def test_the_evidence_says_what_was_compared_with_what_and_on_how_much() -> None:
    story = Story(rule(), labels={"owner": "team-a"})
    story.tick("01:00", window("00:00", 0.3123456789012345, rows=48, labelled=90))
    data = json.loads(encode(story.events[0]))["data"]
    assert data["evidence"] == {
        "metric": "recall",
        "value": 0.312345678901,
        "undefined": None,
        "lower": 0.212345678901,
        "upper": 0.412345678901,
        "op": "<",
        "threshold": 0.4,
        "broken": True,
        "rows": 48,
        "seen": 100,
        "labelled": 90,
        "coverage": 0.9,
        "counts": {"tp": 10, "fp": 5, "fn": 15, "tn": 70},
        "window": {
            "name": "1h",
            "kind": "performance",
            "start_ms": 0,
            "end_ms": 3_600_000,
            "revision": 1,
            "final": False,
        },
        "config": "sha256:c0ffee",
        "reference": None,
    }
    assert data["labels"] == {"owner": "team-a"}
    assert data["summary"] == (
        "low-recall firing (sustained): delays 1, segment all: recall 0.3123 is < 0.4 in window 1h "
        "from 1970-01-01T00:00:00.000Z on 48 rows, 90 % labelled"
    )


def test_a_subject_keeps_its_parts_apart_whatever_they_are_called() -> None:
    series = SeriesKey("a/b", "v 1", "origin=é/x")
    story = Story(rule(segments="each"))
    story.tick("01:00", window("00:00", 0.3, series=series), series=[series])
    assert story.events[0].subject == "a%2Fb/v%201/origin=%C3%A9%2Fx/low-recall"


@pytest.mark.parametrize("event", example_events().values(), ids=example_events())
def test_an_event_reads_back_as_it_was_written(event: AlertEvent) -> None:
    assert parse(encode(event)) == event
    assert encode(parse(encode(event))) == encode(event)


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"specversion":"1.0"}'])
def test_what_is_no_alert_is_refused_with_a_hint(value: bytes) -> None:
    with pytest.raises(FormatError, match=r"an alert cannot be read: .*alerts topic"):
        parse(value)


def test_a_record_goes_to_both_topics_under_its_fingerprint_without_a_time_of_its_own() -> None:
    event = example_events()["firing"]
    told = records(event, "d.alerts", "d.alerts.state", [("epoch", b"7")])
    assert [topic for topic, _ in told] == ["d.alerts", "d.alerts.state"]
    for _, record in told:
        assert record.key == event.partitionkey.encode()
        assert record.headers == [("content-type", b"application/cloudevents+json"), ("epoch", b"7")]
        assert record.timestamp_ms is None


def test_an_amendment_of_an_older_episode_does_not_overwrite_the_state_of_the_newer_one() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("03:00", window("02:00", 0.2))
    story.tick("03:20", window("00:00", 0.6))
    compacted = {r.key: r.value for e in story.events for topic, r in records(e, "events", "state") if topic == "state"}
    (value,) = compacted.values()
    assert value is not None
    assert parse(value).id == story.events[2].id


def test_runs_under_two_namespaces_compare_equal_and_keep_apart_what_names_them() -> None:
    stories = [Story(rule()), Story(rule())]
    stories[1].book = RuleBook("elsewhere", [rule()], {}, lambda _: {})
    for story in stories:
        story.tick("01:00", window("00:00", 0.3))
        story.tick("02:00", window("01:00", 0.9))
        story.tick("02:20", window("00:00", 0.6))
    here, there = ([encode(event) for event in story.events] for story in stories)
    assert len(here) == 3
    assert not set(here) & set(there)
    assert [comparable(value) for value in here] == [comparable(value) for value in there]
    assert json.loads(comparable(here[2]))["data"]["amends"] == {"value": 0.3, "broken": True}


def test_an_operational_alert_lives_the_same_life_from_recorded_times() -> None:
    def event(standing: Standing, at_ms: int) -> AlertEvent:
        return operational_event(
            "flights",
            "label-feed-stalled",
            "labels/3",
            standing,
            at_ms=at_ms,
            fired_ms=1_000,
            severity="ticket",
            summary="labels/3 is silent",
            facts={"waiting_rows": 7},
            labels={"owner": "team-a"},
        )

    firing, resolved = event(Standing.FIRING, 1_000), event(Standing.RESOLVED, 5_000)
    assert (firing.change, resolved.change) == (Change.FIRING, Change.RESOLVED)
    assert firing.partitionkey == resolved.partitionkey
    assert firing.id == firing.data.episode == resolved.data.episode != resolved.id
    assert (firing.data.resolved_ms, resolved.data.resolved_ms) == (None, 5_000)
    assert (firing.time, resolved.subject) == ("1970-01-01T00:00:01.000Z", "label-feed-stalled/labels%2F3")
    assert event(Standing.FIRING, 1_000) == firing


def test_times_beyond_the_calendar_are_its_last_millisecond() -> None:
    assert rfc3339(LAST_MS) == rfc3339(2**62) == "9999-12-31T23:59:59.999Z"
    assert rfc3339(1_357_344_000_001) == "2013-01-05T00:00:00.001Z"


def test_labels_of_the_rule_override_those_of_the_model_and_these_the_global_ones() -> None:
    fields = {"id": "$.id", "model": "$.m", "version": "$.v", "at": "$.at", "score": "$.s"}
    config = Config.model_validate(
        {
            "streams": {"predictions": {"topic": "predictions", "fields": fields}},
            "models": [{"name": "delays", "labels": {"b": "model", "c": "model"}}],
            "labels": {"a": "global", "b": "global", "c": "global"},
        }
    )
    book = RuleBook.of(config)
    assert book.labels(rule(name="other", labels={"c": "rule"}), "delays") == {"a": "global", "b": "model", "c": "rule"}
    assert book.labels(rule(), "unknown") == {"a": "global", "b": "global", "c": "global"}


def test_a_rule_event_knows_its_change() -> None:
    told = {name: event.change for name, event in example_events().items() if isinstance(event.data, RuleAlert)}
    fired = dict.fromkeys(("firing", "data_quality", "grouped"), "firing")
    assert told == {**fired, "resolved": "resolved", "amended": "amended"}
