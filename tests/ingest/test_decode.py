"""Decoding: every record ends as a row or as a rejection with its reason, whatever the bytes."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import Config, loads
from monitor.daemon.shared import make_shared
from monitor.events import INVALID, MISSING, LabelColumns, PredictionColumns, Reason, RecordBatch
from monitor.plan import plan_of
from tests.examples import examples

NOW = 1_700_000_000_000
CONFIG = """
streams:
  predictions:
    topic: p
    max_bytes: 4KiB
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {amount: numeric, country: categorical}
  labels:
    topic: l
    fields: {id: $.id, at: {from: $.at, unit: iso}, label: $.verdict}
    values: {fraud: 1, fine: 0}
models: [{name: m, threshold: 0.5}]
windows: [1h]
"""
GOOD: dict[str, Any] = {
    "id": "a",
    "model": "m",
    "version": "1",
    "at": NOW,
    "score": 0.7,
    "features": {"amount": 1.5, "country": "DE"},
}
LABEL = {"id": "a", "at": "2023-11-14T22:13:20Z", "verdict": "fraud"}


def config() -> Config:
    return loads(CONFIG)


def batch(values: list[bytes | None]) -> RecordBatch:
    n = len(values)
    return RecordBatch("p", 0, np.arange(5, 5 + n), np.full(n, NOW), values, 5 + n)


def predictions(*values: bytes | None) -> PredictionColumns:
    return make_shared(config(), plan_of(config())).predictions.decode(batch(list(values)))


def labels(*values: bytes | None) -> LabelColumns:
    decoder = make_shared(config(), plan_of(config())).labels
    assert decoder is not None
    return decoder.decode(batch(list(values)))


def good(**changes: Any) -> bytes:
    return orjson.dumps({**GOOD, **changes})


def without(field: str) -> bytes:
    return orjson.dumps({name: value for name, value in GOOD.items() if name != field})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.EMPTY),
        (b"", Reason.EMPTY),
        (b'{"id":"a"', Reason.MALFORMED),
        (b"[1]", Reason.MALFORMED),
        (b"7", Reason.MALFORMED),
        (b'{"id":"\xff"}', Reason.ENCODING),
        (b'{"x":' + b"[" * 900 + b"]" * 900 + b"}", Reason.NESTING),
        (good(padding="x" * 5_000), Reason.OVERSIZED),
        (without("id"), Reason.MISSING),
        (good(id=None), Reason.MISSING),
        (good(id=""), Reason.MISSING),
        (good(id=["a"]), Reason.TYPE),
        (good(id=1.5), Reason.TYPE),
        (without("at"), Reason.MISSING),
        (good(at="yesterday"), Reason.TYPE),
        (good(at=-1), Reason.TIME),
        (good(at=10**15), Reason.TIME),
        (good(at=NOW + 10_000_000), Reason.FUTURE),
        (good(score=1.5), Reason.NUMBER),
        (good().replace(b"0.7", b"NaN"), Reason.NUMBER),
        (good(score="0.7"), Reason.TYPE),
        (good(model="other"), Reason.UNKNOWN_MODEL),
    ],
)
def test_a_record_that_cannot_be_used_says_why(value: bytes | None, reason: Reason) -> None:
    found = predictions(good(id="x"), value, good(id="y"))
    assert [(r.offset, r.reason) for r in found.rejected] == [(6, reason)]
    assert found.offsets.tolist() == [5, 7]
    assert len(found.rejected[0].detail) <= 200


def test_a_bad_feature_costs_its_value_and_nothing_else() -> None:
    found = predictions(
        good(features={"amount": "much", "country": ["DE"]}), good(features={}), good(features=None), good()
    )
    assert not found.rejected
    assert [math.isnan(x) for x in found.numeric["amount"]] == [True, True, True, False]
    assert found.category["country"].tolist()[:3] == [INVALID, MISSING, MISSING]
    assert found.faults == {"amount": 1, "country": 1}


def test_the_class_follows_from_the_models_threshold() -> None:
    assert predictions(good(score=0.5), good(score=0.49)).predicted.tolist() == [1.0, 0.0]


def test_an_integer_id_is_the_id_of_its_decimal_text() -> None:
    found = predictions(good(id="5"), good(id=5))
    assert (found.ids[0] == found.ids[1]).all()


def test_a_null_label_with_a_time_withdraws_and_an_absent_one_is_rejected() -> None:
    found = labels(
        orjson.dumps(LABEL),
        orjson.dumps({**LABEL, "verdict": None}),
        orjson.dumps({**LABEL, "verdict": "perhaps"}),
        b'{"id":"a","at":"2023-11-14T22:13:20Z"}',
    )
    assert found.value[0] == 1.0
    assert math.isnan(found.value[1])
    assert [r.reason for r in found.rejected] == [Reason.LABEL_VALUE, Reason.MISSING]
    assert found.at_ms.tolist() == [NOW, NOW]


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2)
)
records = st.one_of(
    st.binary(max_size=60),
    st.none(),
    st.dictionaries(st.sampled_from([*GOOD, "x"]), scalars).map(lambda d: json.dumps(d).encode()),
    st.fixed_dictionaries({}, optional={name: st.one_of(st.just(value), scalars) for name, value in GOOD.items()}).map(
        lambda d: json.dumps(d).encode()
    ),
    st.builds(lambda cut: good()[:cut], st.integers(0, 120)),
    st.just(good()),
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(records, max_size=30))
def test_every_record_is_a_row_or_a_rejection_in_the_order_of_the_log(values: list[bytes | None]) -> None:
    found = predictions(*values)
    offsets = found.offsets.tolist()
    rejected = [r.offset for r in found.rejected]
    assert sorted([*offsets, *rejected]) == list(range(5, 5 + len(values)))
    assert offsets == sorted(offsets)
    assert rejected == sorted(rejected)
    for column in (found.ids, found.at_ms, found.model, found.version, found.score, found.predicted, found.withdrawn):
        assert len(column) == len(offsets)
    usable = [i for i, value in enumerate(values) if value == good()]
    assert set(usable) <= {offset - 5 for offset in offsets}


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(records, max_size=12), st.lists(records, max_size=12))
def test_what_a_record_gives_does_not_depend_on_its_neighbours(
    before: list[bytes | None], after: list[bytes | None]
) -> None:
    alone, among = predictions(good(id="z")), predictions(*before, good(id="z"), *after)
    place = among.offsets.tolist().index(5 + len(before))
    assert (among.ids[place] == alone.ids[0]).all()
    assert (among.at_ms[place], among.score[place], among.predicted[place]) == (NOW, 0.7, 1.0)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.just(orjson.dumps(LABEL)), records), max_size=20))
def test_labels_never_fail_and_lose_nothing(values: list[bytes | None]) -> None:
    found = labels(*values)
    assert len(found) + len(found.rejected) == len(values)
