"""Predictions and labels of multiclass and regression models: classes by name, probabilities of classes, numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Config, loads
from monitor.daemon.shared import make_shared
from monitor.events import Reason
from monitor.partition import Shared
from monitor.plan import plan_of
from tests.ingest.build import AT_MS, batch

FIELDS = "id: $.id, model: {const: m}, version: {const: '1'}, at: $.at, withdrawn: $.gone, prediction: $.answer"
TEXT = """
streams:
  predictions: {topic: p, fields: {FIELDS}}
  labels: {topic: y, fields: {id: $.id, at: $.at, label: $.truth}}
models: [{name: m, TASK}]
"""


def config(task: str, more: str = "") -> Config:
    return loads(TEXT.replace("FIELDS", FIELDS + more).replace("TASK", task))


def shared(of: Config) -> Shared:
    return make_shared(of, plan_of(of))


ANIMALS = config("task: multiclass, classes: [dog, cat, 3, true]", ", scores: {dog: $.p.dog, cat: $.p.cat}")
NUMBERS = config("task: regression, largest: 100")


def record(**fields: Any) -> bytes:
    return json.dumps({"id": "a", "at": AT_MS, **fields}).encode()


def reasons(columns: Any) -> list[Reason]:
    return [one.reason for one in columns.rejected]


def test_classes_are_codes_of_the_sorted_names_and_any_other_has_the_next_one() -> None:
    answers = ["3", "cat", "dog", "true", 3, 3.0, True, "bird", "", 4, False]
    columns = shared(ANIMALS).predictions.decode(batch([record(answer=answer) for answer in answers]))
    assert not columns.rejected
    assert columns.predicted.tolist() == [0, 1, 2, 3, 0, 0, 3, 4, 4, 4, 4]


def test_labels_have_the_same_codes_and_a_null_takes_back() -> None:
    labels = shared(ANIMALS).labels
    assert labels is not None
    columns = labels.decode(
        batch([record(truth=truth) for truth in ("cat", 3, "bird", None)] + [record(), record(truth={})])
    )
    assert columns.value.tolist()[:3] == [1, 0, 4]
    assert math.isnan(columns.value[3])
    assert reasons(columns) == [Reason.MISSING, Reason.TYPE]
    assert "label" in columns.rejected[1].detail
    assert "where a class is needed" in columns.rejected[1].detail


def test_probabilities_may_be_absent_and_may_not_be_wrong() -> None:
    given_ = [{"dog": 0.25, "cat": 0.75}, {"dog": 0.5}, {"cat": None}, None, {"dog": 1.5}, {"dog": "x"}, {"cat": -0.1}]
    columns = shared(ANIMALS).predictions.decode(batch([record(answer="cat", p=p) for p in given_]))
    assert columns.scores is not None
    # By name, "cat" first, whatever the order of the file.
    expected = [[0.75, 0.25], [math.nan, 0.5], [math.nan, math.nan], [math.nan, math.nan]]
    np.testing.assert_array_equal(columns.scores, np.array(expected))
    assert reasons(columns) == [Reason.NUMBER, Reason.TYPE, Reason.NUMBER]
    assert [one.detail.partition(":")[0] for one in columns.rejected] == [
        "score of dog",
        "score of dog",
        "score of cat",
    ]


def test_a_class_is_required_unless_the_prediction_is_taken_back() -> None:
    rows = [record(), record(gone=True), record(answer=None), record(answer=["cat"]), record(answer="cat")]
    columns = shared(ANIMALS).predictions.decode(batch(rows))
    assert reasons(columns) == [Reason.MISSING, Reason.MISSING, Reason.TYPE]
    assert columns.withdrawn.tolist() == [True, False]


def test_numbers_are_scores_and_zero_has_one_sign() -> None:
    columns = shared(NUMBERS).predictions.decode(batch([record(answer=x) for x in (1.5, -0.0, 10**6, -3)]))
    assert columns.score.tolist() == [1.5, 0.0, 1e6, -3.0]
    assert not np.signbit(columns.score[1])
    assert columns.predicted.tolist() == [0.0] * 4


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("many", Reason.LABEL_VALUE), ([1], Reason.TYPE), (None, Reason.MISSING), ("1.5", Reason.LABEL_VALUE)],
)
def test_what_is_no_number_is_rejected(answer: Any, reason: Reason) -> None:
    columns = shared(NUMBERS).predictions.decode(batch([record(answer=answer), record(answer=1.0)]))
    assert reasons(columns) == [reason]


def test_a_number_that_is_not_finite_is_rejected() -> None:
    labels = shared(NUMBERS).labels
    assert labels is not None
    raw = [f'{{"id": "a", "at": {AT_MS}, "truth": {word}}}'.encode() for word in ("NaN", "Infinity", "1e999", "2")]
    columns = labels.decode(batch(raw))
    assert columns.value.tolist() == [2.0]
    assert len(columns.rejected) == 3


words: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["cat", "dog", "3", "bird", 3, True, None, {}, 2.5]), st.text(max_size=4)
)


@given(st.lists(words, min_size=1, max_size=12), st.integers(1, 11))
def test_the_code_of_a_class_does_not_depend_on_its_batch(answers: list[Any], cut: int) -> None:
    records = [record(answer=answer) for answer in answers]
    whole = shared(ANIMALS).predictions.decode(batch(records))
    decoder = shared(ANIMALS).predictions
    parts = [decoder.decode(batch(part)) for part in (records[cut:], records[:cut]) if part][::-1]
    assert whole.predicted.tolist() == [code for part in parts for code in part.predicted.tolist()]
    assert [r.reason for r in whole.rejected] == [r.reason for part in parts for r in part.rejected]
