"""Rows out of records: arrays, CloudEvents and change events of Debezium, decoded like records of their own."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config.streams import LabelStream, PredictionStream
from monitor.config.types import Model
from monitor.events import Headers, RecordBatch, Rejected
from monitor.ingest import rows as opening
from monitor.ingest.decode_labels import LabelDecoder
from monitor.ingest.decode_predictions import PredictionDecoder
from monitor.ingest.rows import ELEMENTS_MAX, portions
from tests.examples import examples
from tests.ingest import build
from tests.ingest.build import AT_MS, BROKER_MS, FEATURES, batch

FIELDS = {"id": "$.id", "model": "$.model", "version": "$.version", "at": "$.at", "score": "$.score"}


def predictions(stream: dict[str, Any], fields: dict[str, Any] | None = None) -> PredictionDecoder:
    whole = {"topic": "p", "features": FEATURES, **stream, "fields": {**FIELDS, **(fields or {})}}
    return PredictionDecoder(
        PredictionStream.model_validate(whole), [Model.model_validate({"name": "delay"})], None, skew_ms=0
    )


def labels(stream: dict[str, Any], fields: dict[str, Any] | None = None) -> LabelDecoder:
    whole = {"topic": "l", **stream, "fields": {"id": "$.id", "at": "$.at", "label": "$.label", **(fields or {})}}
    return LabelDecoder(LabelStream.model_validate(whole), 0, frozenset({0.0, 1.0}))


def told(rejected: Sequence[Rejected]) -> list[tuple[int, int | None, str]]:
    return [(each.offset, each.index, str(each.reason)) for each in rejected]


def event(data: object = ..., **attributes: object) -> bytes:
    whole = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", **attributes}
    return json.dumps(whole if data is ... else {**whole, "data": data}).encode()


STRUCTURED: Headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


# -- arrays ------------------------------------------------------------------------------------------------------------

EACH = {"each": "$.request.rows"}
BESIDE = {"model": "outer:$.request.model", "version": "outer:$.version", "at": "outer:$.at"}


def of_rows(rows: object, **changes: object) -> bytes:
    whole = {"request": {"model": "delay", "rows": rows}, "version": "v1", "at": AT_MS, **changes}
    return json.dumps({key: value for key, value in whole.items() if value is not ...}).encode()


def test_each_element_is_a_prediction_with_what_stands_beside_the_array() -> None:
    decoder = predictions(EACH, BESIDE)
    found = decoder.decode(batch([of_rows([{"id": "a", "score": 0.1}, {"id": "b", "score": 0.9}]), of_rows([])]))
    assert (found.offsets.tolist(), found.index is not None and found.index.tolist()) == ([100, 100], [0, 1])
    assert found.score.tolist() == [0.1, 0.9]
    assert found.at_ms.tolist() == [AT_MS, AT_MS]
    assert decoder.models.values[found.model[1]] == "delay"
    assert not found.rejected


def test_an_element_that_cannot_be_used_costs_itself_and_says_where_it_stood() -> None:
    rows = [{"id": "a", "score": 0.1}, {"id": "b", "score": "high"}, 7, {"score": 0.2}, {"id": "c", "score": 0.3}]
    found = predictions(EACH, BESIDE).decode(batch([of_rows(rows)]))
    assert found.score.tolist() == [0.1, 0.3]
    assert told(found.rejected) == [(100, 1, "type"), (100, 2, "malformed"), (100, 3, "missing")]


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "empty", "no value"),
        (b"", "empty", "no value"),
        (b"{", "malformed", "not JSON"),
        (b"[]", "malformed", "an array, where an object is needed"),
        (b'{"request": 5}', "type", "on the way to $.request.rows: a number"),
        (of_rows(None), "missing", "$.request.rows is absent or null"),
        (of_rows({"a": 1}), "type", "$.request.rows: an object, where an array is needed"),
        (of_rows([{}] * (ELEMENTS_MAX + 1)), "oversized", f"allowed: {ELEMENTS_MAX}"),
        (b'{"request": ' + b"[" * 700 + b"]" * 700 + b"}", "nesting", "deeper than"),
        (b'{"request":{"rows":[{"id":"\xff"}, {]}}', "encoding", "UTF-8"),
    ],
)
def test_a_record_without_its_array_is_one_rejection(value: bytes | None, reason: str, detail: str) -> None:
    (rejected,) = predictions(EACH, BESIDE).decode(batch([value])).rejected
    assert (str(rejected.reason), rejected.index) == (reason, None)
    assert detail in rejected.detail


def test_what_stands_beside_the_array_is_wrong_for_all_its_elements() -> None:
    found = predictions(EACH, BESIDE).decode(batch([of_rows([{"id": "a", "score": 0.1}] * 2, version=...)]))
    assert told(found.rejected) == [(100, 0, "missing"), (100, 1, "missing")]


def test_not_a_number_in_one_element_is_read_as_ever() -> None:
    raw = of_rows([{"id": "a", "score": 0.5, "features": {"hour": 1}}, {"id": "b", "score": 0.5}])
    found = predictions(EACH, BESIDE).decode(batch([raw.replace(b'"hour": 1', b'"hour": NaN')]))
    assert len(found) == 2
    assert found.faults == {"hour": 1}


def test_a_batch_is_taken_in_portions_and_nothing_between_them_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "PORTION_BYTES", 10)
    whole = batch([b"12345", b"12345", b"1", None, b"x" * 40, b"123"])
    parts = list(portions(whole))
    assert [list(part.values) for part in parts] == [[b"12345", b"12345"], [b"1", None], [b"x" * 40], [b"123"]]
    assert [part.next_offset for part in parts] == [102, 104, 105, 106]
    assert next(iter(portions(batch([b"1"])))).next_offset == 101
    assert [len(part) for part in portions(batch([]))] == [0]


@settings(max_examples=examples(100))
@given(
    st.lists(st.lists(st.one_of(st.builds(build.record, id=st.text(max_size=3), score=st.sampled_from([0.5, "x", None, 2])),
                                st.sampled_from([1, None, [], "a", {}])), max_size=5), max_size=5))  # fmt: skip
def test_elements_are_what_they_would_be_as_records(groups: list[list[Any]]) -> None:
    single = predictions({}).decode(batch([json.dumps(row).encode() for group in groups for row in group]))
    grouped = predictions({"each": "$.rows"}).decode(batch([json.dumps({"rows": group}).encode() for group in groups]))
    for name in ("ids", "at_ms", "score", "predicted", "version"):
        assert getattr(single, name).tolist() == getattr(grouped, name).tolist()
    assert [(r.reason, r.detail) for r in single.rejected] == [(r.reason, r.detail) for r in grouped.rejected]
    assert single.faults == grouped.faults
    places = [(100 + n, index) for n, group in enumerate(groups) for index in range(len(group))]
    own = [] if grouped.index is None else list(zip(grouped.offsets.tolist(), grouped.index.tolist(), strict=True))
    assert sorted([*own, *((r.offset, r.index or 0) for r in grouped.rejected)]) == places


# -- CloudEvents -------------------------------------------------------------------------------------------------------

CLOUD = {"envelope": "cloudevents"}
TIMED = {"at": {"from": "envelope:$.time", "unit": "iso"}}
GOOD = {"id": "a", "model": "delay", "version": "v1", "score": 0.25}
TIME = "2023-11-14T22:13:20Z"


def test_both_modes_give_the_same_row_in_one_topic() -> None:
    binary: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"t"),
        ("ce_time", TIME.encode()),
        ("content-type", b"x/json"),
    ]
    encoded = base64.b64encode(json.dumps(GOOD).encode()).decode()
    values = [
        event(GOOD, time=TIME),
        json.dumps(GOOD).encode(),
        event(GOOD, time=TIME),
        event(time=TIME, data_base64=encoded),
    ]
    found = predictions(CLOUD, TIMED).decode(batch(values, headers=[STRUCTURED, binary, None, STRUCTURED]))
    assert not found.rejected
    assert found.at_ms.tolist() == [AT_MS] * 4
    assert found.score.tolist() == [0.25] * 4
    assert found.ids.tolist() == [found.ids[0].tolist()] * 4


def test_numbers_among_attributes_are_texts_in_headers_and_may_be_numbers_in_json() -> None:
    headers: Headers = [("ce_specversion", b"1.0"), ("ce_at", str(AT_MS).encode())]
    decoder = predictions(CLOUD, {"at": "envelope:$.at"})
    found = decoder.decode(batch([json.dumps(GOOD).encode(), event(GOOD, at=AT_MS)], headers=[headers, STRUCTURED]))
    assert found.at_ms.tolist() == [AT_MS, AT_MS]


def test_events_of_other_types_are_skipped_and_counted() -> None:
    decoder = predictions({"envelope": {"format": "cloudevents", "types": ["scored"]}}, TIMED)
    values = [event(GOOD, type="scored", time=TIME), event({"x": 1}, type="other"), event({"x": 1}), b"{}"]
    headers: list[Headers | None] = [None, None, None, [("ce_specversion", b"1.0"), ("ce_type", b"audit")]]
    found = decoder.decode(batch(values, headers=headers))
    assert (len(found), dict(found.skipped), found.rejected) == (1, {"other_type": 3}, ())


@pytest.mark.parametrize(
    ("value", "headers", "reason", "detail"),
    [
        (json.dumps(GOOD).encode(), None, "malformed", "no CloudEvent"),
        (event(GOOD, specversion="0.3"), None, "type", "specversion"),
        (event(GOOD, specversion=1), None, "type", "specversion"),
        (event(None), None, "empty", "no data"),
        (event("text"), None, "malformed", "a text, where an object is needed"),
        (event(data_base64="***"), None, "encoding", "Base64"),
        (None, STRUCTURED, "empty", "no value"),
        (None, [("ce_specversion", b"1.0")], "empty", "no data"),
        (b"[]", [("content-type", b"application/cloudevents-batch+json")], "type", "is not read"),
        (b"{", STRUCTURED, "malformed", "not JSON"),
        (json.dumps(GOOD).encode(), [("ce_specversion", b"\xff")], "type", "specversion"),
    ],
)
def test_what_is_no_event_is_rejected_with_the_reason(
    value: bytes | None, headers: Headers | None, reason: str, detail: str
) -> None:
    (rejected,) = predictions(CLOUD, TIMED).decode(batch([value], headers=[headers])).rejected
    assert str(rejected.reason) == reason
    assert detail in rejected.detail


def test_events_may_hold_arrays() -> None:
    decoder = predictions({**CLOUD, **EACH}, {**BESIDE, **TIMED})
    data = {
        "request": {"model": "delay", "rows": [{"id": "a", "score": 0.1}, {"id": "b", "score": 0.2}]},
        "version": "v1",
    }
    found = decoder.decode(batch([event(data, time=TIME)], headers=[STRUCTURED]))
    assert (found.score.tolist(), found.at_ms.tolist()) == ([0.1, 0.2], [AT_MS, AT_MS])


# -- Debezium ----------------------------------------------------------------------------------------------------------

CHANGES = {"envelope": "debezium"}
ROW = {"id": "a", "at": AT_MS - 5_000, "label": 1}


def change(op: str, before: object, after: object, *, ms: int = AT_MS, schema: bool = False, **more: object) -> bytes:
    payload = {"op": op, "before": before, "after": after, "source": {"ts_ms": ms}, "ts_ms": ms + 9, **more}
    return json.dumps({"schema": {}, "payload": payload} if schema else payload).encode()


@pytest.mark.parametrize("schema", [False, True])
def test_inserts_snapshots_and_updates_are_labels_and_a_delete_withdraws_at_the_time_of_the_change(
    schema: bool,
) -> None:
    values = [
        change("c", None, ROW, schema=schema),
        change("r", None, {**ROW, "label": 0}, schema=schema),
        change("u", ROW, {**ROW, "label": 0}, schema=schema),
        change("d", ROW, None, schema=schema),
        None,
    ]
    found = labels(CHANGES).decode(batch(values))
    assert found.at_ms.tolist() == [AT_MS - 5_000] * 3 + [AT_MS]
    assert found.value[:3].tolist() == [1, 0, 0]
    assert found.value[3] != found.value[3]
    assert dict(found.skipped) == {"tombstone": 1}


def test_a_delete_is_read_from_the_primary_key_alone_and_its_time_is_the_best_there_is() -> None:
    times = [change("d", {"id": "a"}, None), change("d", {"id": "a"}, None, ms=0, ts_ms=AT_MS + 9)]
    times.append(change("d", {"id": "a"}, None, source=None, ts_ms=None))
    found = labels(CHANGES).decode(batch(times))
    assert found.at_ms.tolist() == [AT_MS, AT_MS + 9, BROKER_MS]


@pytest.mark.parametrize("unit", ["ms", "s", "us", "ns", "iso"])
def test_the_time_of_a_delete_does_not_depend_on_the_unit_of_the_column(unit: str) -> None:
    found = labels(CHANGES, {"at": {"from": "$.at", "unit": unit}}).decode(batch([change("d", {"id": "a"}, None)]))
    assert found.at_ms.tolist() == [AT_MS]


def test_deletes_may_be_ignored_and_events_about_no_row_are_skipped() -> None:
    decoder = labels({"envelope": {"format": "debezium", "deletes": "ignore"}})
    values = [
        change("d", ROW, None),
        change("t", None, None),
        change("m", None, None),
        b'{"payload": null, "schema": null}',
    ]
    found = decoder.decode(batch(values))
    assert (len(found), found.rejected) == (0, ())
    assert dict(found.skipped) == {"delete": 1, "no_row": 2, "tombstone": 1}


def test_a_deleted_prediction_is_withdrawn_whether_a_field_says_so_or_not() -> None:
    row = {**GOOD, "at": AT_MS, "gone": False}
    for fields in ({}, {"withdrawn": "$.gone"}):
        found = predictions(CHANGES, fields).decode(batch([change("c", None, row), change("d", row, None)]))
        assert found.withdrawn.tolist() == [False, True]


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (change("d", None, None), "missing", "REPLICA IDENTITY FULL"),
        (change("u", ROW, None), "missing", "after is absent"),
        (change("x", ROW, ROW), "type", "op:"),
        (b'{"id": "a", "at": 1, "label": 1}', "malformed", "no change event"),
        (b'{"payload": [], "schema": {}}', "malformed", "an array"),
        (b"", "empty", "no value"),
        (change("c", None, 5), "malformed", "a number, where an object is needed"),
        (change("d", {"at": 1}, None), "missing", "id is absent"),
    ],
)
def test_what_is_no_change_of_a_row_is_rejected(value: bytes, reason: str, detail: str) -> None:
    (rejected,) = labels(CHANGES).decode(batch([value])).rejected
    assert str(rejected.reason) == reason
    assert detail in rejected.detail


def test_microseconds_and_nanoseconds_are_rounded_to_the_nearest_millisecond() -> None:
    rows = [{**ROW, "at": AT_MS * 1_000 + us} for us in (0, 499, 501, 1_500)]
    values = [json.dumps(row).encode() for row in rows]
    assert labels({}, {"at": {"from": "$.at", "unit": "us"}}).decode(batch(values)).at_ms.tolist() == [
        AT_MS + ms for ms in (0, 0, 1, 2)
    ]
    value = json.dumps({**ROW, "at": AT_MS * 1_000_000}).encode()
    assert labels({}, {"at": {"from": "$.at", "unit": "ns"}}).decode(batch([value])).at_ms.tolist() == [AT_MS]
    (rejected,) = (
        labels({}, {"at": {"from": "$.at", "unit": "us"}}).decode(batch([b'{"id":"a","label":1,"at":1e30}'])).rejected
    )
    assert "microseconds" in rejected.detail


def test_keys_and_headers_of_the_record_are_those_of_its_rows() -> None:
    decoder = predictions({"each": "$.rows"}, {"model": "key", "version": "header:v"})
    whole: RecordBatch = batch(
        [json.dumps({"rows": [{"id": n, "at": AT_MS, "score": 0.5} for n in range(k)]}).encode() for k in (2, 0, 1)],
        keys=[b"delay"] * 3,
        headers=[[("v", b"1")], [("v", b"2")], [("v", b"3")]],
    )
    found = decoder.decode(whole)
    assert [decoder.versions.values[code] for code in found.version] == ["1", "1", "3"]


# -- several places ----------------------------------------------------------------------------------------------------

SEVERAL = {
    "score": {"any": ["$.score", "$.probability"]},
    "model": {"any": ["$.model", "header:model"]},
    "at": {"from": {"any": ["$.at", "$.when.at"]}, "unit": "ms"},
}
RENAMED_FEATURES = {
    "hour": {"from": {"any": ["$.features.hour", "$.features.h"]}, "type": "numeric"},
    "origin": {"from": {"any": ["$.features.origin", "$.from"]}, "type": "categorical"},
}


moved_features: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"hour": st.sampled_from([1, 2.5, "x", None, True, [1]]), "origin": st.sampled_from(["EWR", 5, None, {}])}
)
moved_rows = st.builds(
    build.record,
    score=st.sampled_from([0.5, "x", None, 2, True]),
    at=st.sampled_from([AT_MS, None, "t"]),
    features=moved_features,
)


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(moved_rows, st.booleans()), max_size=30))
def test_a_field_is_read_at_the_first_of_its_places_that_has_it(rows: list[tuple[dict[str, Any], bool]]) -> None:
    plain = predictions({})
    several = predictions({"features": RENAMED_FEATURES}, SEVERAL)
    values, headers = [], []
    for row, renamed in rows:
        if renamed:
            moved = {k: v for k, v in row.items() if k not in ("score", "at", "model")}
            features = {"h": row["features"]["hour"]}
            moved |= {"probability": row["score"], "when": {"at": row["at"]}, "from": row["features"]["origin"]}
            values.append(json.dumps({**moved, "features": features}).encode())
        else:
            values.append(json.dumps(row).encode())
        headers.append([("model", b"delay")] if renamed else [])
    one = plain.decode(batch([json.dumps(row).encode() for row, _ in rows]))
    two = several.decode(batch(values, headers=headers))
    for name in ("ids", "at_ms", "score", "predicted", "offsets"):
        assert getattr(one, name).tolist() == getattr(two, name).tolist()
    assert build.rows(plain, one) == build.rows(several, two)
    assert [r.offset for r in one.rejected] == [r.offset for r in two.rejected]
    assert one.faults == two.faults


def test_null_takes_a_label_back_at_whichever_place_it_stands() -> None:
    decoder = labels({}, {"label": {"any": ["$.label", "$.truth"]}})
    rows: list[dict[str, Any]] = [
        {"label": None, "truth": 1},
        {"truth": None},
        {"truth": 0},
        {"label": 1, "truth": 0},
        {},
    ]
    found = decoder.decode(batch([json.dumps({"id": "a", "at": AT_MS, **row}).encode() for row in rows]))
    assert [None if math.isnan(value) else value for value in found.value.tolist()] == [None, None, 0, 1]
    assert told(found.rejected) == [(104, None, "missing")]
