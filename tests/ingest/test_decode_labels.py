from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from monitor.ingest.ids import hash_text
from tests.ingest.build import AT_MS, BROKER_MS, batch, labels, only_rejection


def raw(**changes: Any) -> bytes:
    good = {"id": "a-1", "at": AT_MS, "label": 1}
    return json.dumps({key: value for key, value in {**good, **changes}.items() if value is not ...}).encode()


def test_a_good_label_becomes_a_row() -> None:
    columns = labels().decode(batch([raw()]))
    assert columns.offsets.tolist() == [100]
    assert columns.broker_ms.tolist() == [BROKER_MS]
    assert columns.ids.tolist() == [list(hash_text("a-1"))]
    assert columns.at_ms.tolist() == [AT_MS]
    assert columns.value.tolist() == [1.0]
    assert columns.rejected == ()


def test_numbers_booleans_and_mapped_words_are_labels() -> None:
    decoder = labels(values={"chargeback": 1, "ok": 0})
    shapes = (0, 1, 0.0, 1.0, True, False, "chargeback", "ok")
    assert decoder.decode(batch([raw(label=label) for label in shapes])).value.tolist() == [0, 1, 0, 1, 1, 0, 1, 0]
    words = [raw(label=word) for word in ("ok", "chargeback")] * 200
    assert decoder.decode(batch(words)).value.tolist() == [0.0, 1.0] * 200


def test_a_null_label_with_a_time_withdraws_and_an_absent_one_is_rejected() -> None:
    columns = labels().decode(batch([raw(label=None), raw(label=...), raw(label=None, at=...), raw(label=0)]))
    assert np.isnan(columns.value).tolist() == [True, False]
    assert [(r.offset, str(r.reason)) for r in columns.rejected] == [(101, "missing"), (102, "missing")]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (2, "label_value"),
        (-1, "label_value"),
        (0.5, "label_value"),
        ("1", "label_value"),
        ("", "label_value"),
        ([], "type"),
        ({}, "type"),
        (math.nan, "type"),  # must not be taken for a withdrawal
        (math.inf, "type"),
    ],
)
def test_a_label_that_nobody_knows_is_rejected(label: Any, reason: Any) -> None:
    assert only_rejection(labels().decode(batch([raw(label=label)])))[0] == reason
    columns = labels().decode(batch([raw(), raw(label=label), raw(label=None)]))
    assert [(r.offset, str(r.reason)) for r in columns.rejected] == [(101, reason)]
    assert columns.value.tolist()[:1] == [1.0]


def test_without_known_values_any_finite_number_is_a_label() -> None:
    decoder = labels(known=None)
    assert decoder.decode(batch([raw(label=x) for x in (3.5, -1e300)])).value.tolist() == [3.5, -1e300]


def test_labels_in_headers_are_words_or_numbers_as_text() -> None:
    decoder = labels({"label": "header:y", "id": "key"}, values={"no": 0})
    texts = [b"1", b"no", b"true", None, b"2", b"\xff"]
    columns = decoder.decode(batch([raw()] * 7, keys=[b"k"] * 7, headers=[*[[("y", text)] for text in texts], []]))
    assert columns.value.tolist()[:3] == [1.0, 0.0, 1.0]
    assert np.isnan(columns.value).tolist() == [False, False, False, True]
    assert [(r.offset, str(r.reason)) for r in columns.rejected] == [
        (104, "label_value"),
        (105, "type"),
        (106, "missing"),
    ]


def test_rows_and_rejections_are_in_offset_order() -> None:
    values = [b"{", raw(label=9), raw(id=...), raw(), None, raw(at=BROKER_MS + 1), raw(label="1")] * 200
    columns = labels().decode(batch(values))
    assert columns.offsets.tolist() == list(range(103, 1500, 7))
    offsets = [r.offset for r in columns.rejected]
    assert offsets == sorted(offsets)
    assert len(offsets) + len(columns) == len(values)
