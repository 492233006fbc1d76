"""Proposed configs of models with several classes and of models that predict numbers."""

from __future__ import annotations

import random

import pytest

from monitor.config import loads
from monitor.config.infer import Sample, propose
from tests.config.test_infer import START_MS, Made, by_time, sample

CLASSES = ("billing", "outage", "sales", "spam-or-ham")


def tickets(n: int = 300, *, probabilities: bool = True, words: tuple[str, ...] = CLASSES) -> Made:
    """A queue for each ticket; the label says who closed it. The country is a word too, and a feature."""
    dice, predictions, labels = random.Random(3), list[Sample](), list[Sample]()
    for i in range(n):
        at, truth = START_MS + i * 5_000, dice.choice(words)
        answer = truth if dice.random() < 0.7 else dice.choice(words)
        value = {
            "ticket_id": f"t{i}",
            "at": at,
            "version": "3",
            "queue": answer,
            "country": dice.choice(["DE", "FR", "US"]),
        }
        if probabilities:
            value["p"] = {name: round(0.7 if name == answer else 0.3 / (len(words) - 1), 6) for name in words}
        predictions.append(sample(value, at))
        labels.append(sample({"ticket_id": f"t{i}", "at": at + 60_000, "closed_by": truth}, at + 60_000))
    return predictions, by_time(labels)


def trips(n: int = 300) -> Made:
    """Minutes, predicted and true; the distance is a feature that moves with them."""
    dice, predictions, labels = random.Random(4), list[Sample](), list[Sample]()
    for i in range(n):
        at, truth = START_MS + i * 5_000, round(dice.uniform(5, 90), 1)
        features = {"distance": round(truth * 0.8 + dice.uniform(-5, 5), 2)}
        answer = {"trip": f"x{i}", "at": at, "version": "3", "predicted_minutes": truth + dice.randrange(-4, 5)}
        predictions.append(sample({**answer, "features": features}, at))
        labels.append(sample({"trip": f"x{i}", "at": at + 60_000, "actual_minutes": truth}, at + 60_000))
    return predictions, by_time(labels)


def proposed(made: Made, *, labels: bool = True) -> str:
    predictions, truths = made
    return propose(
        predictions,
        truths if labels else None,
        predictions_topic="predictions",
        labels_topic="labels" if labels else None,
    )


def test_the_same_words_on_both_sides_are_classes() -> None:
    text = proposed(tickets())
    config = loads(text)
    (model,) = config.models
    assert model.task == "multiclass"
    assert sorted(model.classes or ()) == sorted(CLASSES)
    fields = config.streams.predictions.fields
    assert fields.prediction is not None
    assert fields.prediction.text() == "$.queue"
    assert {name: source.text() for name, source in (fields.scores or {}).items()} == {
        name: f"$.p.{name}" for name in CLASSES
    }
    assert config.streams.labels is not None
    assert config.streams.labels.fields.label.text() == "$.closed_by"
    assert list(config.streams.predictions.features) == ["country"]
    assert config.rules[0].metric == "accuracy"
    assert "the answer was the label in 7" in text


def test_a_class_that_only_labels_have_has_no_probability() -> None:
    predictions, labels = tickets()
    odd = [
        sample({"ticket_id": f"t{i}", "at": START_MS + i * 5_000, "closed_by": "nobody"}, START_MS) for i in range(30)
    ]
    config = loads(proposed((predictions, [*odd, *labels])))
    assert set(config.models[0].classes or ()) == {*CLASSES, "nobody"}
    assert set(config.streams.predictions.fields.scores or ()) == set(CLASSES)


def test_classes_need_no_probabilities() -> None:
    config = loads(proposed(tickets(probabilities=False)))
    assert config.models[0].task == "multiclass"
    assert config.streams.predictions.fields.scores is None


def test_a_word_that_cannot_be_a_class_makes_none() -> None:
    assert loads(proposed(tickets(words=("a:b", "c", "d"), probabilities=False))).models[0].task == "binary"


def test_numbers_that_move_together_are_a_regression() -> None:
    text = proposed(trips())
    config = loads(text)
    (model,) = config.models
    assert model.task == "regression"
    assert model.largest == 10_000.0
    fields = config.streams.predictions.fields
    assert fields.prediction is not None
    assert fields.prediction.text() == "$.predicted_minutes"
    assert fields.score is None
    assert config.streams.labels is not None
    assert config.streams.labels.fields.label.text() == "$.actual_minutes"
    assert list(config.streams.predictions.features) == ["distance"]
    assert config.rules[0].metric == "mae"
    assert config.rules[0].threshold == pytest.approx(4.4, abs=0.5)


def test_numbers_that_have_nothing_to_do_with_each_other_are_no_regression() -> None:
    predictions, labels = trips()
    dice = random.Random(5)
    shuffled = [
        sample(
            {"trip": f"x{i}", "at": START_MS + i * 5_000, "actual_minutes": dice.random() * 90}, START_MS + i * 5_000
        )
        for i in range(len(labels))
    ]
    assert loads(proposed((predictions, shuffled))).models[0].task == "binary"


def test_without_labels_the_answers_alone_must_say_it() -> None:
    text = proposed(trips(), labels=False)
    assert loads(text).models[0].task == "regression"
    assert "by the answers alone" in text
