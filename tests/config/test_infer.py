"""Proposed configs: foreign shapes go in, a config that loads and means the right thing comes out."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import Config, Source, loads
from monitor.config.infer import Sample, guess, propose
from tests.examples import examples

START_MS = 1_760_000_000_000
HOUR = 3_600_000
Made = tuple[list[Sample], list[Sample]]


def sample(value: Any, at_ms: int, key: bytes | None = None, headers: tuple[tuple[str, bytes], ...] = ()) -> Sample:
    return Sample(key, value if isinstance(value, bytes) else json.dumps(value).encode(), headers, at_ms)


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def happenings(n: int, seed: int = 7) -> Iterator[tuple[int, int, float, bool, int, random.Random]]:
    """(number, time, score, truth, delay of the label, dice)"""
    dice = random.Random(seed)
    for i in range(n):
        score = round(dice.random(), 6)
        yield (
            i,
            START_MS + i * 5_000 + dice.randrange(4_000),
            score,
            dice.random() < score,
            dice.randrange(10 * HOUR),
            dice,
        )


def by_time(samples: list[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda made: made.timestamp_ms)


def payments(n: int = 400) -> Made:
    """Flat foreign names, seconds, no model, words for labels, a user id that also is in both topics."""
    predictions, labels = [], []
    for i, at, score, truth, delay, dice in happenings(n):
        uid, user = f"r-{i:05d}-{dice.randrange(10**9):x}", dice.randrange(40)
        predictions.append(
            sample(
                {
                    "request_id": uid,
                    "ts": at // 1000,
                    "proba": score,
                    "user_id": user,
                    "amount": round(dice.random() * 500, 2),
                    "country": dice.choice(["DE", "FR", "US", "other"]),
                    "session": f"{dice.random()}",
                    "model_version": "2024.1",
                },
                at + 200,
            )
        )
        outcome = {
            "request_id": uid,
            "ts": (at + delay) / 1000,
            "user_id": user,
            "outcome": "chargeback" if truth else "ok",
        }
        labels.append(sample(outcome, at + delay + 100))
    return predictions, by_time(labels)


def nested(n: int = 400) -> Made:
    """Nested objects, ISO times, model and version in headers, a class that is a word, booleans as labels."""
    predictions, labels = [], []
    for i, at, score, truth, delay, dice in happenings(n):
        uid = f"{dice.getrandbits(64):016x}"
        payload = {
            "meta": {
                "uid": uid,
                "event_time": iso(at),
                "ingested_at": iso(at + 90_000),
                "trace_id": f"{i}-{dice.random()}",
            },
            "inputs": {"tenure": dice.randrange(70), "plan": dice.choice(["basic", "pro"]), "email": f"u{i}@x.example"},
            "decision": "churn" if score >= 0.37 else "stay",
            "confidence": score,
        }
        headers = (("model-name", b"churn"), ("model-version", b"7"))
        predictions.append(sample({"payload": payload, "schema": 3}, at + 300, uid.encode(), headers))
        labels.append(
            sample(
                {"customer": {"ref": uid}, "known_at": iso(at + delay), "churned": truth},
                at + delay + 50,
                f"k{i}".encode(),
            )
        )
    return predictions, by_time(labels)


def keyed(n: int = 400) -> Made:
    """The id is only in the keys; two models; numbers 1 and 2 as labels; milliseconds; labels sometimes early."""
    predictions, labels = [], []
    for i, at, score, truth, delay, dice in happenings(n):
        uid = str(10_000_000 + i * 17)
        value = {
            "modelName": dice.choice(["a", "b"]),
            "rev": 3,
            "event_time": at,
            "risk": score,
            "x1": dice.gauss(0, 1),
            "x2": i % 5,
        }
        predictions.append(sample(value, at, uid.encode()))
        early = -4_000 if i % 50 == 0 else delay // 20
        labels.append(sample({"when": at + early, "y": 2 if truth else 1}, at + 5_000 + delay // 20, uid.encode()))
    return predictions, by_time(labels)


def prediction_only_class(n: int = 300) -> Made:
    """No score; 0/1 classes; several versions share an id; ids as numbers."""
    predictions, labels = [], []
    for i, at, _, truth, delay, dice in happenings(n):
        for version in ("1", "2"):
            answer = int(truth) if dice.random() < 0.9 else 1 - int(truth)
            value = {"id": i, "model": "m", "version": version, "at": at, "predicted_class": answer}
            predictions.append(sample({**value, "features": {"hour": i % 24}}, at))
        labels.append(sample({"id": i, "at": at + delay, "label": int(truth)}, at + delay))
    return predictions, by_time(labels)


def proposed(made: Made, **more: Any) -> tuple[str, Config]:
    text = propose(made[0], made[1], predictions_topic="acme.predictions", labels_topic="acme.labels", **more)
    return text, loads(text)


def unwrapped(text: str) -> str:
    """The text with its comments on one line each."""
    return re.sub(r"\n *# (?!CHECK)", " ", text)


def place(*path: str) -> Source:
    return Source("value", path)


def test_payments_with_foreign_names() -> None:
    text, config = proposed(payments())
    predictions, labels = config.streams.predictions, config.streams.labels
    assert labels is not None
    assert (predictions.topic, labels.topic) == ("acme.predictions", "acme.labels")
    assert predictions.fields.id == labels.fields.id == place("request_id")
    assert (predictions.fields.at.source, predictions.fields.at.unit) == (place("ts"), "s")
    assert (labels.fields.at.source, labels.fields.at.unit) == (place("ts"), "s")
    assert predictions.fields.score == place("proba")
    assert predictions.fields.prediction is None
    assert predictions.fields.model == Source("const", const="acme")
    assert predictions.fields.version == place("model_version")
    assert labels.fields.label == place("outcome")
    assert labels.values == {"chargeback": 1.0, "ok": 0.0}
    assert {name: feature.type for name, feature in predictions.features.items()} == {
        "amount": "numeric",
        "country": "categorical",
        "user_id": "numeric",
    }
    assert set(config.models[0].segments["country"]) == {"DE", "FR", "US"}
    assert config.time.horizon_ms == 24 * HOUR
    assert "session (an identifier: too many different values)" in text
    assert "400 of 400 sampled label ids are among the sampled predictions" in text
    assert "Seen on 400 pairs: median 4h" in text


def test_nested_objects_headers_and_words() -> None:
    text, config = proposed(nested())
    predictions, labels = config.streams.predictions, config.streams.labels
    assert labels is not None
    assert predictions.fields.id == place("payload", "meta", "uid")
    assert labels.fields.id == place("customer", "ref")
    assert (predictions.fields.at.source, predictions.fields.at.unit) == (place("payload", "meta", "event_time"), "iso")
    assert (labels.fields.at.source, labels.fields.at.unit) == (place("known_at"), "iso")
    assert predictions.fields.model == Source("header", name="model-name")
    assert predictions.fields.version == Source("header", name="model-version")
    assert predictions.fields.score == place("payload", "confidence")
    assert predictions.fields.prediction == place("payload", "decision")
    assert predictions.values == {"churn": 1.0, "stay": 0.0}
    assert labels.fields.label == place("churned")
    assert config.models[0].name == "churn"
    assert config.models[0].threshold == 0.37
    assert set(predictions.features) == {"tenure", "plan"}
    assert predictions.features["plan"].source == place("payload", "inputs", "plan")
    assert config.models[0].segments.keys() == {"plan"}
    assert "other times in the records: $.payload.meta.ingested_at" in text
    assert "$.payload.inputs.email (an identifier: too many different values)" in text


def test_ids_in_keys_two_models_and_labels_of_one_and_two() -> None:
    _, config = proposed(keyed())
    predictions, labels = config.streams.predictions, config.streams.labels
    assert labels is not None
    assert predictions.fields.id == labels.fields.id == Source("key")
    assert predictions.fields.model == place("modelName")
    assert predictions.fields.version == place("rev")
    assert {model.name for model in config.models} == {"a", "b"}
    assert all(model.positive == 2.0 for model in config.models)
    assert (predictions.fields.at.source, predictions.fields.at.unit) == (place("event_time"), "ms")
    assert labels.fields.at.source == place("when")
    assert labels.fields.label == place("y")
    assert predictions.fields.score == place("risk")
    assert set(predictions.features) == {"x1", "x2"}
    assert config.time.skew_ms == 60_000


def test_a_class_without_a_score_and_versions_that_share_ids() -> None:
    text, config = proposed(prediction_only_class())
    predictions, labels = config.streams.predictions, config.streams.labels
    assert labels is not None
    assert predictions.fields.id == labels.fields.id == place("id")
    assert predictions.fields.score is None
    assert predictions.fields.prediction == place("predicted_class")
    assert predictions.fields.version == place("version")
    assert "600 predictions share 300 ids" in text
    assert config.rules[0].metric == "accuracy"
    assert 0.7 <= config.rules[0].threshold <= 0.85


SHAPES = [payments, nested, keyed, prediction_only_class]


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_needs_a_look_at_its_placeholders_when_everything_is_there(shape: Callable[[], Made]) -> None:
    text, config = proposed(shape())
    assert "placeholder" not in text
    assert config.rules
    assert config.windows


@pytest.mark.parametrize("shape", SHAPES)
def test_a_config_without_labels_watches_inputs(shape: Callable[[], Made]) -> None:
    text = propose(shape()[0], None, predictions_topic="p")
    config = loads(text)
    assert config.streams.labels is None
    assert config.rules[0].metric.startswith("missing:")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_samples_give_the_same_text(shape: Callable[[], Made]) -> None:
    assert proposed(shape())[0] == proposed(shape())[0]


def test_brokers_and_namespace_are_taken_over() -> None:
    _, config = proposed(payments(50), bootstrap_servers="k:9092", namespace="acme")
    assert config.kafka is not None
    assert (config.kafka.bootstrap_servers, config.namespace) == ("k:9092", "acme")


def test_empty_topics_give_placeholders_that_load_and_say_so() -> None:
    text, config = proposed(([], []))
    assert text.count("CHECK") >= 5
    assert "no record was found in this topic" in text
    assert config.models[0].name == "acme"


def test_records_that_are_no_json_are_counted_aloud() -> None:
    avro = [sample(b"\x00\x00\x00\x00\x01\x02", START_MS + i) for i in range(20)]
    text, _ = proposed((avro, avro))
    assert "CHECK: 20 of 20 sampled records are not JSON objects and will be rejected" in text


def test_samples_that_do_not_meet_fall_back_on_names_and_say_so() -> None:
    predictions, _ = payments()
    _, labels = payments(400)
    shifted = [
        Sample(s.key, (s.value or b"").replace(b'"r-', b'"q-').replace(b'"user_id"', b'"u"'), s.headers, s.timestamp_ms)
        for s in labels
    ]
    text, config = proposed((predictions, shifted))
    assert config.streams.labels is not None
    assert config.streams.predictions.fields.id == config.streams.labels.fields.id == place("request_id")
    assert "CHECK: 0 of 400 sampled label ids are among the sampled predictions" in text
    assert "so the delay of labels is unknown; 7d is a placeholder" in text


def test_times_without_an_offset_are_named() -> None:
    predictions = [
        sample({"id": str(i), "at": "2025-01-01T00:00:00", "score": 0.1 + i / 100}, START_MS) for i in range(30)
    ]
    text, _ = proposed((predictions, []))
    assert "$.at lacks the offset from UTC, so its instant is unknown" in unwrapped(text)


def test_one_kind_of_label_suggests_what_absence_means() -> None:
    predictions, labels = payments(60)
    only = [s for s in labels if b"chargeback" in (s.value or b"")]
    numbers = [Sample(s.key, (s.value or b"").replace(b'"chargeback"', b"1"), s.headers, s.timestamp_ms) for s in only]
    text, _ = proposed((predictions, numbers))
    assert "absent: {value: 0, after: 7d}" in text


def test_a_small_number_of_pairs_is_marked() -> None:
    text, _ = proposed(payments(30))
    assert "CHECK: longest wait for a label. Seen on 30 pairs" in text
    assert "too few to rely on" in unwrapped(text)


def test_many_models_become_a_template() -> None:
    rows = [
        sample(
            {"id": f"i{i}", "model": f"m{i % 30}", "version": "1", "at": START_MS + i, "score": 0.01 * (i % 99 + 1)},
            START_MS + i,
        )
        for i in range(300)
    ]
    text, config = proposed((rows, []))
    assert config.unlisted_models is not None
    assert "30 models were seen: all are treated alike" in text


def test_no_id_or_key_of_a_record_is_written_into_the_config() -> None:
    for shape in (payments, nested, keyed):
        predictions, labels = shape()
        text, _ = proposed((predictions, labels))
        found = guess(predictions, labels)
        assert found.ids is not None
        assert not any(identity in text for identity in found.ids.prediction.texts().values())


names = st.sampled_from(
    ["id", "at", "ts", "score", "model", "label", "y", "a b", "x:y", "$", "no", "features", "1", "ü", "'", '"', "="]
)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(START_MS, START_MS + 10**6),
    st.floats(0, 1),
    st.sampled_from(["a", "b", "no", "1", "x: y", "#", "2025-01-01T00:00:00Z", "other", ""]),
)
objects = st.dictionaries(
    names, st.one_of(leaves, st.dictionaries(names, leaves, max_size=3), st.lists(leaves, max_size=2)), max_size=6
)
records = st.builds(
    Sample,
    st.one_of(st.none(), st.binary(max_size=5)),
    st.one_of(st.none(), st.binary(max_size=20), objects.map(lambda value: json.dumps(value).encode())),
    st.lists(
        st.tuples(st.sampled_from(["model", "h", "ü: x"]), st.one_of(st.none(), st.binary(max_size=4))), max_size=2
    ).map(tuple),
    st.integers(START_MS, START_MS + 10**6),
)


@settings(max_examples=examples(150))
@given(st.lists(records, max_size=12), st.one_of(st.none(), st.lists(records, max_size=12)))
def test_whatever_the_records_are_the_proposal_loads(predictions: list[Sample], labels: list[Sample] | None) -> None:
    text = propose(predictions, labels, predictions_topic="p", labels_topic="l")
    assert loads(text).streams.predictions.topic == "p"


def test_one_slip_in_a_hundred_does_not_decide_what_a_field_is() -> None:
    predictions, labels = payments(200)
    slipped = list(predictions)
    slipped[7] = sample(json.loads(slipped[7].value or b"") | {"proba": "high"}, slipped[7].timestamp_ms)
    fields = [proposed((rows, labels))[1].streams.predictions.fields for rows in (predictions, slipped)]
    assert fields[0] == fields[1]
    assert fields[1].score == place("proba")


@pytest.mark.parametrize(("every_s", "written"), [(30, "about 124 predictions an hour"), (10, "windows: [1h, 1d]")])
def test_the_rate_is_that_of_the_first_and_of_the_last_records_whatever_lies_between(
    every_s: int, written: str
) -> None:
    times = [START_MS + i * every_s * 1_000 for i in range(30)]
    times += [at + 144 * HOUR for at in times]
    predictions = [
        sample({"id": f"r{i}", "ts": iso(at), "score": (i % 10) / 10, "answer": i % 2}, at)
        for i, at in enumerate(times)
    ]
    assert written in unwrapped(proposed((predictions, []))[0])
