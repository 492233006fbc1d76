from __future__ import annotations

import json
import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.events import INVALID, MISSING, WRONG_BITS
from monitor.ingest.careful import DEEPEST, too_deep
from monitor.ingest.ids import hash_text
from tests.ingest.build import AT_MS, BROKER_MS, batch, only_rejection, predictions, raw, record, rows


def test_a_good_record_becomes_a_row() -> None:
    decoder = predictions()
    columns = decoder.decode(batch([raw()]))
    assert rows(decoder, columns) == [
        (100, BROKER_MS, hash_text("a-1"), AT_MS, "delay", "v1", 0.75, 1.0, False, 7.0, "EWR")
    ]
    assert columns.rejected == ()
    assert columns.faults == {}


def test_a_batch_without_records_has_columns_without_rows() -> None:
    columns = predictions().decode(batch([]))
    assert len(columns) == 0
    assert columns.ids.shape == (0, 2)
    assert columns.numeric["hour"].dtype == np.float64
    assert columns.category["origin"].dtype == np.int32


@pytest.mark.parametrize(
    ("value", "reason", "sentence"),
    [
        (None, "empty", "no value"),
        (b"", "empty", "no value"),
        (b"  ", "malformed", "not JSON: Expecting value at character 2"),
        (b"{", "malformed", "not JSON"),
        (b"[]", "malformed", "an array, where an object is needed"),
        (b'"text"', "malformed", "a text, where an object is needed"),
        (b"null", "malformed", "null, where an object is needed"),
        (b"\xef\xbb\xbf" + raw(), "malformed", "not JSON"),
        (raw() + raw(), "malformed", "not JSON: Extra data"),
        (raw()[:-1] + b',"x":"a\nb"}', "malformed", "control character"),
        (raw(id="\x00") + b"\xff", "encoding", "not UTF-8 at byte"),
        (raw()[:-1] + b',"id":"\xff"}', "encoding", "not UTF-8 at byte"),
        (raw()[:-1] + b',"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "nesting", f"deeper than {DEEPEST} levels"),
        (b"[" * 100_000, "nesting", f"deeper than {DEEPEST} levels"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nesting", f"deeper than {DEEPEST} levels"),
        (b'{"x":"' + b"x" * (1 << 20) + b'"}', "oversized", "1048584 bytes; allowed: 1048576"),
        (b"[" * (10 << 20), "oversized", "allowed: 1048576"),
        (raw(id=...), "missing", "id is absent or null"),
        (raw(id=None), "missing", "id is absent or null"),
        (raw(id=""), "missing", "id is an empty text"),
        (raw(model=...), "missing", "model is absent or null"),
        (raw(version=None), "missing", "version is absent or null"),
        (raw(at=...), "missing", "at is absent or null"),
        (raw(score=None), "missing", "score is absent or null"),
        (raw(id=1.5), "type", "id: a number, where a text or an integer is needed"),
        (raw(id=True), "type", "id: a boolean"),
        (raw(id=["a"]), "type", "id: an array"),
        (raw(id=1 << 64), "type", "id: an integer of more than 64 bits"),
        (raw(id=int("9" * 4000)), "type", "id: an integer of more than 64 bits"),
        (raw(id="\ud800"), "encoding", "id: a text that is not valid Unicode"),
        (raw(model={}), "type", "model: an object, where a text is needed"),
        (raw(model=True), "type", "model: a boolean"),
        (raw(version="v\n1"), "type", "version: not a name"),
        (raw(version=1.5), "type", "version: a number, where a text is needed"),
        (raw(version="v" * 201), "type", "version: not a name"),
        (raw(at="1700000000000"), "type", "at: a text, where a number is needed"),
        (raw(at=True), "type", "at: a boolean"),
        (raw(at=-1), "time", "outside the years 1970 to 9999 when read as milliseconds"),
        (raw(at=1e300), "time", "outside the years 1970 to 9999"),
        (raw(at=math.nan), "time", "outside the years 1970 to 9999"),
        (raw(at=BROKER_MS + 1), "future", "at: 1 ms after the broker's time of the record; allowed: 0 (time.skew)"),
        (raw(score="0.5"), "type", "score: a text, where a number is needed"),
        (raw(score=True), "type", "score: a boolean, where a number is needed"),
        (raw(score=1.0000001), "number", "score: outside 0 to 1"),
        (raw(score=-0.1), "number", "score: outside 0 to 1"),
        (raw(score=math.nan), "number", "score: not finite"),
        (raw(score=math.inf), "number", "score: not finite"),
        (raw(score=0).replace(b'"score": 0', b'"score": 1e999'), "number", "score: not finite"),
        (raw(model="other"), "unknown_model", "not one of `models`"),
        (raw(model=7), "unknown_model", "not one of `models`"),
    ],
)
def test_a_bad_record_is_rejected_with_its_reason(value: Any, reason: Any, sentence: Any) -> None:
    decoder = predictions()
    found, detail = only_rejection(decoder.decode(batch([value])))
    assert (found, sentence in detail) == (reason, True), detail
    # The same among good ones, when the decoder knows the stream, and in its place.
    good = [raw(id=str(i)) for i in range(300)]
    decoder.decode(batch(good))
    columns = decoder.decode(batch([*good[:7], value, *good[7:]]))
    assert len(columns) == 300
    (rejected,) = columns.rejected
    assert (rejected.offset, rejected.reason, rejected.detail) == (107, reason, detail)
    assert 107 not in columns.offsets


def test_no_detail_repeats_what_the_record_holds() -> None:
    secret = "s3cr3t"
    for changes in (
        {"id": {secret: 1}},
        {"model": secret + "\n"},
        {"version": [secret]},
        {"at": secret},
        {"score": secret},
        {"model": secret},
    ):
        _, detail = only_rejection(predictions().decode(batch([raw(**changes)])))
        assert secret not in detail
        assert len(detail) <= 200


def test_nesting_is_measured_outside_of_texts_only() -> None:
    assert not too_deep(json.dumps({"x": "[" * 9000}).encode())
    assert not too_deep(json.dumps({"x": '\\"[' * 3000}).encode())
    assert not too_deep(json.dumps([[], {}] * 2000).encode())
    levels = b"[" * DEEPEST + b'"' + b"x" * 2000 + b'"' + b"]" * DEEPEST
    assert not too_deep(levels)
    assert too_deep(b"[" + levels + b"]")


def test_a_record_of_the_deepest_nesting_is_read_whatever_the_stack() -> None:
    value = raw()[:-1] + b',"x":' + b"[" * (DEEPEST - 1) + b"1" + b"]" * (DEEPEST - 1) + b"}"
    columns = predictions().decode(batch([value]))
    assert len(columns) == 1
    assert sys.getrecursionlimit() >= 1000


def test_a_bad_feature_costs_neither_the_record_nor_its_neighbours() -> None:
    decoder = predictions()
    shapes: list[tuple[object, float, object, object, dict[str, int]]] = [
        (7, 7.0, "EWR", "EWR", {}),
        (7.5, 7.5, None, MISSING, {}),
        (None, math.nan, ..., MISSING, {}),
        (..., math.nan, 3, "3", {}),
        (True, 1.0, 3.0, "3", {}),
        (False, 0.0, 2.5, "2.5", {}),
        ("7", math.nan, True, "true", {"hour": 1}),
        ([7], math.nan, "x" * 128, "x" * 128, {"hour": 1}),
        ({}, math.nan, "x" * 129, INVALID, {"hour": 1, "origin": 1}),
        (math.nan, math.nan, {}, INVALID, {"hour": 1, "origin": 1}),
        (-math.inf, math.nan, [], INVALID, {"hour": 1, "origin": 1}),
        (10**400, math.nan, "\ud800", INVALID, {"hour": 1, "origin": 1}),
        (1, 1.0, 1 << 64, INVALID, {"origin": 1}),
    ]
    for _ in range(2):  # unlearned, and learned
        for hour, number, origin, category, faults in shapes:
            features = {k: v for k, v in {"hour": hour, "origin": origin}.items() if v is not ...}
            columns = decoder.decode(batch([raw(), raw(features=features), raw()]))
            assert [row[-2] for row in rows(decoder, columns)] == [7.0, None if math.isnan(number) else number, 7.0]
            assert [row[-1] for row in rows(decoder, columns)] == ["EWR", category, "EWR"]
            assert columns.faults == faults
            assert columns.rejected == ()
        decoder.decode(batch([raw(id=i) for i in range(600)]))


def test_an_integer_beyond_floats_precision_is_the_nearest_float() -> None:
    columns = predictions().decode(batch([raw(features={"hour": 9007199254740993})]))
    assert columns.numeric["hour"].tolist() == [9007199254740992.0]


@pytest.mark.parametrize("features", [None, 3, "x", [], {}, ...])
def test_features_that_are_no_object_are_missing_or_faults(features: Any) -> None:
    decoder = predictions()
    columns = decoder.decode(batch([raw(features=features), raw()]))
    assert rows(decoder, columns)[0][-2] is None
    assert len(columns) == 2
    bad = features in (3, "x", [])
    assert columns.faults == ({"hour": 1, "origin": 1} if bad else {})


def test_faults_of_rejected_records_are_not_counted() -> None:
    columns = predictions().decode(batch([raw(features={"hour": "x"}, score=2), raw(features={"hour": "x"})]))
    assert columns.faults == {"hour": 1}


def test_an_integer_and_its_text_are_one_id_and_one_version() -> None:
    decoder = predictions()
    columns = decoder.decode(batch([raw(id=5, version=3), raw(id="5", version="3"), raw(id=-(1 << 63))]))
    assert columns.ids[0].tolist() == columns.ids[1].tolist() == list(hash_text("5"))
    assert columns.ids[2].tolist() == list(hash_text(str(-(1 << 63))))
    assert columns.version[0] == columns.version[1]


def test_of_a_repeated_key_the_last_counts() -> None:
    columns = predictions().decode(batch([raw()[:-1] + b', "score": 0.5, "features": {"hour": 9}}']))
    assert columns.score.tolist() == [0.5]
    assert columns.numeric["hour"].tolist() == [9.0]
    assert columns.category["origin"].tolist() == [MISSING]


def test_each_model_has_its_own_threshold_and_a_score_at_it_is_positive() -> None:
    decoder = predictions()
    columns = decoder.decode(
        batch([raw(model=m, score=s) for m in ("delay", "fraud") for s in (0.2499, 0.25, 0.89, 0.9)])
    )
    assert columns.predicted.tolist() == [0, 1, 1, 1, 0, 0, 0, 1]


def test_a_template_takes_models_that_are_not_listed() -> None:
    decoder = predictions(template={"threshold": 0.5})
    columns = decoder.decode(batch([raw(model=m, score=0.4) for m in ("new", "delay", "other", "new")]))
    assert [decoder.models.values[code] for code in columns.model] == ["new", "delay", "other", "new"]
    assert columns.predicted.tolist() == [0, 1, 0, 0]


def test_the_class_wins_over_the_score_and_words_are_mapped() -> None:
    decoder = predictions(
        {"prediction": "$.prediction"}, values={"late": 1, "ontime": 0}, models=[{"name": "delay", "threshold": 0.25}]
    )
    columns = decoder.decode(
        batch([raw(prediction=word, score=0.1) for word in ("late", "ontime", 1, 0.0, True, False)])
    )
    assert columns.predicted.tolist() == [1, 0, 1, 0, 1, 0]
    assert columns.score.tolist() == [0.1] * 6
    for word, reason in (
        ("never", "label_value"),
        (2, "label_value"),
        ({}, "type"),
        (None, "missing"),
        (..., "missing"),
    ):
        assert only_rejection(decoder.decode(batch([raw(prediction=word)])))[0] == reason


def test_the_positive_class_need_not_be_one() -> None:
    decoder = predictions(
        {"prediction": "$.prediction", "score": None},
        values={"a": 1, "b": 2},
        models=[{"name": "delay", "positive": 2}],
    )
    columns = decoder.decode(batch([raw(prediction=p) for p in ("a", "b", 2)]))
    assert columns.predicted.tolist() == [0, 1, 1]
    assert np.isnan(columns.score).all()


def test_a_withdrawn_prediction_needs_neither_score_nor_class() -> None:
    decoder = predictions({"withdrawn": "$.cancelled", "prediction": "$.prediction"})
    good = {"prediction": 1}
    values = [
        raw(cancelled=True, score=...),
        raw(cancelled=True, score=None, prediction=None),
        raw(cancelled=False, **good),
        raw(cancelled=None, **good),
        raw(**good),
        raw(cancelled=False),
        raw(cancelled="true", **good),
        raw(cancelled=True, score=7),
        raw(cancelled=True, id=...),
    ]
    columns = decoder.decode(batch(values))
    assert columns.withdrawn.tolist() == [True, True, False, False, False]
    assert np.isnan(columns.predicted).tolist() == [True, True, False, False, False]
    assert [(r.offset - 100, str(r.reason)) for r in columns.rejected] == [
        (5, "missing"),
        (6, "type"),
        (7, "number"),
        (8, "missing"),
    ]


def test_times_in_seconds_and_as_text_are_milliseconds() -> None:
    seconds = predictions({"at": {"from": "$.at", "unit": "s"}})
    assert seconds.decode(batch([raw(at=1_700_000_000), raw(at=1_699_999_999.9996)])).at_ms.tolist() == [AT_MS] * 2
    iso = predictions({"at": {"from": "$.at", "unit": "iso"}})
    texts = ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20.000+01:00", "2023-11-14 22:13:20.0004Z"]
    assert iso.decode(batch([raw(at=text) for text in texts])).at_ms.tolist() == [AT_MS] * 3
    assert iso.decode(batch([raw(at=texts[0])] * 400)).at_ms.tolist() == [AT_MS] * 400
    for at, reason in (("2023-11-14", "time"), (5, "type"), (None, "missing")):
        columns = iso.decode(batch([raw(at=texts[0]), raw(at=at)]))
        assert [(r.offset, str(r.reason)) for r in columns.rejected] == [(101, reason)]


def test_skew_is_how_far_a_record_may_be_ahead_of_the_broker() -> None:
    decoder = predictions(skew_ms=10)
    columns = decoder.decode(batch([raw(at=BROKER_MS + ahead) for ahead in (0, 10, 11)]))
    assert columns.at_ms.tolist() == [BROKER_MS, BROKER_MS + 10]
    assert [r.offset for r in columns.rejected] == [102]


def test_fields_come_from_key_header_and_constant_too() -> None:
    decoder = predictions(
        {
            "id": "key:$.order.id",
            "model": {"const": "delay"},
            "version": "header:version",
            "at": {"from": "header:at", "unit": "s"},
            "score": "header:score",
            "withdrawn": "header:gone",
        },
        {"hour": {"from": "header:hour", "type": "numeric"}, "who": {"from": "key:$.who", "type": "categorical"}},
    )
    assert decoder.needs_keys
    assert decoder.needs_headers
    headers = [
        ("version", b"v0"),
        ("at", b"1.7e9"),
        ("score", b"0.5"),
        ("version", b"v9"),
        ("hour", b"x"),
        ("gone", b"true"),
    ]
    columns = decoder.decode(
        batch(
            [b"{}"] * 4,
            keys=[b'{"order":{"id":7},"who":"me"}', b"[]", None, b'{"order":{"id":"8"}}'],
            headers=[headers, headers, headers, [*headers, ("score", b"\xff")]],
        )
    )
    assert rows(decoder, columns) == [
        (100, BROKER_MS, hash_text("7"), AT_MS, "delay", "v9", 0.5, 1.0, True, None, "me")
    ]
    assert columns.faults == {"hour": 1}
    assert [(r.offset, str(r.reason)) for r in columns.rejected] == [(101, "type"), (102, "missing"), (103, "type")]


def test_the_whole_key_may_be_the_id() -> None:
    decoder = predictions({"id": "key"})
    columns = decoder.decode(batch([raw()] * 4, keys=["Grüße".encode(), None, b"\xff", b""]))
    assert columns.ids.tolist() == [list(hash_text("Grüße"))]
    assert [str(r.reason) for r in columns.rejected] == ["missing", "type", "missing"]


def test_one_place_may_be_read_as_two_things() -> None:
    decoder = predictions(
        {}, {"score": {"from": "$.score", "type": "numeric"}, "model": {"from": "$.model", "type": "categorical"}}
    )
    columns = decoder.decode(batch([raw(score=0.5), raw(score=True), raw(score="x")]))
    assert columns.numeric["score"].tolist() == [0.5]
    assert columns.category["model"].tolist() == [0]
    assert [str(r.reason) for r in columns.rejected] == ["type", "type"]


def test_a_path_may_lead_through_the_end_of_another() -> None:
    decoder = predictions({"version": "$.model.version", "model": "$.model"})
    columns = decoder.decode(batch([raw(), raw(model={"version": "v2"})]))
    assert [str(r.reason) for r in columns.rejected] == ["type", "type"]
    named = predictions({}, {"f": {"from": "$.features.origin.code", "type": "numeric"}, "origin": "categorical"})
    columns = named.decode(batch([raw(), raw(features={"origin": {"code": 4}})]))
    assert columns.faults == {"f": 1, "origin": 1}
    assert np.isnan(columns.numeric["f"][0])
    assert columns.numeric["f"][1] == 4.0


def test_texts_are_learned_and_new_ones_still_found() -> None:
    decoder = predictions(models=[{"name": "delay", "segments": {"origin": ["JFK"]}}])
    for round_ in range(6):
        values = [
            raw(id=i, version=f"v{round_}", features={"hour": i, "origin": f"o{i % (3 + 90 * round_)}"})
            for i in range(600)
        ]
        columns = decoder.decode(batch(values))
        assert [decoder.versions.values[code] for code in columns.version] == [f"v{round_}"] * 600
        assert [decoder.categories["origin"].values[code] for code in columns.category["origin"]] == [
            f"o{i % (3 + 90 * round_)}" for i in range(600)
        ]
        assert columns.numeric["hour"].tolist() == list(range(600))


def test_field_order_within_a_record_means_nothing() -> None:
    decoder = predictions()
    for order in (1, -1):
        value = json.dumps(dict(list(record().items())[::order])).encode()
        assert rows(decoder, decoder.decode(batch([value] * 2)))[0][3:] == (
            AT_MS, "delay", "v1", 0.75, 1.0, False, 7.0, "EWR",
        )  # fmt: skip


@given(
    st.lists(
        st.sampled_from([7, 7.5, True, None, ..., "7", "far", {"a": 1}, [1], 10**400, math.inf, -math.inf, math.nan]),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 2),
)
def test_a_number_of_the_wrong_type_is_told_from_one_that_is_not_there(hours: list[Any], warm: int) -> None:
    """Whichever reader a record takes, and whatever was learned before it."""
    decoder = predictions()
    for _ in range(warm):
        decoder.decode(batch([raw(features={"hour": hour, "origin": "EWR"}) for hour in ["x", 1.5, None, 3] * 80]))
    features = [{"origin": "EWR"} if hour is ... else {"hour": hour, "origin": "EWR"} for hour in hours]
    columns = decoder.decode(batch([raw(features=each) for each in features]))
    hour = columns.numeric["hour"]
    wrong = [not (isinstance(h, (int, float)) and abs(h) < 10**300) and h is not None and h is not ... for h in hours]
    assert (hour.view(np.uint64) == WRONG_BITS).tolist() == wrong
    assert np.isnan(hour).tolist() == [bad or h in (None, ...) for h, bad in zip(hours, wrong, strict=True)]
    assert columns.faults.get("hour", 0) == sum(wrong)
