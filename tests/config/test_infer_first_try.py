"""What `driftline init` proposes for who tries it on topics of their own: a model in an object, a rule that can fire soon."""

from __future__ import annotations

import orjson
import pytest

from tests.config.test_infer import Made, happenings, payments, place, proposed, sample, unwrapped


def scored(every_s: int, owner: str = "ml", n: int = 400) -> Made:
    """Model and version in an object; a prediction every so many seconds."""
    predictions, labels = [], []
    for i, _, score, truth, _, _ in happenings(n):
        at = 1_700_000_000_000 + i * every_s * 1_000
        row = {"id": f"r{i}", owner: {"name": "fraud", "rev": "v7"}, "ts": at, "score": score}
        predictions.append(sample(row, at))
        labels.append(sample({"id": f"r{i}", "at": at + 1_000, "label": int(truth)}, at + 1_000))
    return predictions, labels


@pytest.mark.parametrize("owner", ["ml", "model", "modelInfo", "scorer"])
def test_a_model_in_an_object_is_found_by_its_name_there(owner: str) -> None:
    _, config = proposed(scored(60, owner))
    assert config.streams.predictions.fields.model == place(owner, "name")
    assert config.streams.predictions.fields.version == place(owner, "rev")
    assert [model.name for model in config.models] == ["fraud"]


def test_a_name_in_an_object_about_something_else_is_no_model() -> None:
    _, config = proposed(scored(60, "customer"))
    assert config.streams.predictions.fields.model != place("customer", "name")


@pytest.mark.parametrize(("every_s", "window"), [(1, "1h"), (10, "1d")])
def test_a_rule_waits_an_hour_where_an_hour_has_rows_enough_to_be_no_chance(every_s: int, window: str) -> None:
    text, config = proposed(scored(every_s))
    assert config.rules[0].window == window
    assert "a rule judges a window when it is over: for a first try add 5m" in text


def test_who_has_few_rows_is_not_told_of_windows_of_minutes() -> None:
    text, _ = proposed(payments())
    assert ("for a first try add 5m" in text) == ("windows: [1h, 1d]" in text)


@pytest.mark.parametrize(("unit", "per_ms"), [("s", 1e-3), ("ms", 1), ("us", 1_000), ("ns", 1_000_000)])
def test_times_are_read_in_the_unit_that_makes_them_times(unit: str, per_ms: float) -> None:
    predictions, labels = [], []
    for i, at, score, truth, delay, _ in happenings(400):
        made, seen = (round(when * per_ms) for when in (at, at + delay))
        predictions.append(sample({"id": f"r{i}", "made": made, "score": score}, at))
        labels.append(sample({"id": f"r{i}", "seen_at": seen, "label": int(truth)}, at + delay))
    text, config = proposed((predictions, labels))
    stream = config.streams.labels
    assert stream is not None
    assert (stream.fields.at.source, stream.fields.at.unit) == (place("seen_at"), unit)
    field = config.streams.predictions.fields.at
    assert (field.source, field.unit) == (place("made"), unit)
    assert "Seen on 400 pairs: median 4h" in text


def test_labels_without_a_time_that_can_be_read_are_not_said_to_meet_nothing() -> None:
    predictions, labels = scored(60)
    days = [sample({**orjson.loads(s.value or b""), "at": "27.11.2026 10:00"}, s.timestamp_ms) for s in labels]
    text, _ = proposed((predictions, days))
    told = unwrapped(text)
    assert "this is a placeholder, and without it no record can be used" in told
    assert "CHECK: sampled labels have no time that can be read, so the delay of labels is unknown" in told
    assert "no sampled label met its prediction" not in told
