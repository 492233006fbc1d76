"""What holds for every record: none is lost, none raises, and what becomes of it does not depend on its company."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.ingest import records, structs
from monitor.ingest.decode_predictions import PredictionDecoder
from tests.examples import examples
from tests.ingest.build import AT_MS, BROKER_MS, batch, labels, predictions, raw, rows

MAPPING: dict[str, Any] = {"prediction": "$.prediction", "withdrawn": "$.gone"}
FEATURES = {
    "hour": "numeric",
    "wind": "numeric",
    "origin": "categorical",
    "deep": {"from": "$.a.b.c", "type": "numeric"},
}


@pytest.fixture(autouse=True, scope="module")
def quick_to_learn() -> Iterator[None]:
    """Types are made anew every few records, and a batch has many chunks, so that all ways of reading are met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structs, "_ROWS_TO_LEARN", 4)
        patch.setattr(structs, "_CHUNKS_TO_FORGET", 9)
        patch.setattr(records, "CHUNK_ROWS", 16)
        yield


def make() -> PredictionDecoder:
    return predictions(MAPPING, FEATURES, values={"late": 1, "ontime": 0})


def outcome(decoder: PredictionDecoder, values: list[bytes | None]) -> tuple[Any, ...]:
    columns = decoder.decode(batch(values))
    assert len(columns) + len(columns.rejected) == len(values)
    assert columns.offsets.tolist() == sorted(columns.offsets.tolist())
    arrays: list[Any] = [*columns.numeric.values(), *columns.category.values(), columns.ids, columns.withdrawn]
    assert {len(array) for array in arrays} == {len(columns)}
    assert all(math.isfinite(x) or math.isnan(x) for column in columns.numeric.values() for x in column)
    found = {row[0]: row for row in rows(decoder, columns)}
    found |= {r.offset: (r.offset, str(r.reason), r.detail) for r in columns.rejected}
    return tuple(row for _, row in sorted(found.items())), columns.faults


@settings(max_examples=examples(200))
@given(st.lists(st.builds(raw, model=st.sampled_from(["delay", "other", "fraud"]), id=st.sampled_from(["a", "", None, 7.5]),
                          version=st.sampled_from(["v1", None, ""]), score=st.sampled_from([0.5, "abc", None, 7]),
                          at=st.sampled_from([AT_MS, AT_MS + 7, "soon", -4, None, BROKER_MS + 1]),
                          prediction=st.sampled_from([1, 0, "late", "never", None, [1]]),
                          gone=st.sampled_from([True, False, None, 3])), max_size=40))  # fmt: skip
def test_what_is_rejected_for_its_model_alone_is_what_counts_where_the_model_is_listed(values: list[bytes]) -> None:
    models = [{"name": "delay"}, {"name": "fraud"}, {"name": "other"}]
    few, all_ = (
        predictions(MAPPING, FEATURES, values={"late": 1, "ontime": 0}, models=own) for own in (models[:2], models)
    )
    less, more = few.decode(batch(values)), all_.decode(batch(values))
    others = [row for row in rows(all_, more) if row[4] == "other"]
    rejected = []
    if less.unlisted is not None:
        own = less.unlisted
        rejected = sorted(map(list, zip(own.offsets.tolist(), own.at_ms.tolist(), strict=True)))
    assert rejected == [[row[0], row[3]] for row in others]
    assert len(less) + len(others) == len(more)


def add(faults: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {name: faults.get(name, 0) + more.get(name, 0) for name in sorted({*faults, *more})}


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=4),
    st.just("x" * 250),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


def mostly(usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(usual, usual, usual, usual, st.just(...), odd)


features = st.fixed_dictionaries(
    {
        "hour": mostly(st.integers(0, 23)),
        "wind": mostly(st.floats(0, 99)),
        "origin": mostly(st.sampled_from(["EWR", "LGA", "JFK", "Ünï", "", 'a"b\\c'])),
    }
)
valid = st.fixed_dictionaries(
    {
        "id": mostly(st.text(min_size=1, max_size=5)),
        "model": mostly(st.sampled_from(["delay", "fraud", "delay", "other"])),
        "version": mostly(st.sampled_from(["v1", "v2"])),
        "at": mostly(st.integers(AT_MS, BROKER_MS + 9)),
        "score": mostly(st.floats(0, 1)),
        "prediction": mostly(st.sampled_from([0, 1, "late", "ontime"])),
        "gone": mostly(st.sampled_from([False, True, None])),
        "features": mostly(features),
        "a": mostly(st.fixed_dictionaries({"b": mostly(st.fixed_dictionaries({"c": mostly(st.floats(-1, 1))}))})),
        "more": odd,
    }
)


def without_gaps(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_gaps(item) for key, item in value.items() if item is not ...}
    return value


values_of_valid = st.builds(
    lambda value, ascii_, tight: json.dumps(
        without_gaps(value), ensure_ascii=ascii_, separators=(",", ":") if tight else None
    ).encode(errors="surrogatepass"),
    valid,
    st.booleans(),
    st.booleans(),
)


def mutate(value: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for anywhere, cut, insert in changes:
        place = anywhere % (len(value) + 1)
        value = value[:place] + insert + value[place + cut :]
    return value


tokens = st.sampled_from(
    [
        b"",
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b",",
        b":",
        b"\n",
        b" ",
        b"\\",
        b"1e999",
        b"NaN",
        b"-",
        b"\xff",
        b"\x00",
        b"null",
    ]
)
mutated = st.builds(
    mutate, values_of_valid, st.lists(st.tuples(st.integers(0, 400), st.integers(0, 9), tokens), max_size=3)
)
anything = st.one_of(values_of_valid, values_of_valid, mutated, st.binary(max_size=40), st.none())
many = settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(st.lists(anything, max_size=40), st.lists(st.integers(0, 40), max_size=4))
def test_no_record_is_lost_and_none_depends_on_its_batch(values: Any, cuts: Any) -> None:
    learned = make()
    whole = outcome(learned, values)
    again = outcome(learned, values)  # now with types made from what was seen
    assert again == whole
    faults: dict[str, int] = {}
    found = []
    fresh = make()
    edges = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    for start, stop in pairwise(edges):
        part, more = outcome(fresh, values[start:stop])
        found += [(row[0] + start, *row[1:]) for row in part]
        faults = add(faults, more)
    assert (tuple(found), faults) == whole


@many
@given(st.lists(values_of_valid.filter(lambda v: b"\xed" not in v and b"\\ud" not in v), max_size=12))
def test_valid_json_means_the_same_read_fast_and_carefully(values: Any) -> None:
    fast, careful = make(), make()
    careful._reader._fast = None
    assert outcome(fast, values) == outcome(careful, values)


@many
@given(st.lists(anything, max_size=30))
def test_labels_are_not_lost_either(values: Any) -> None:
    columns = labels({"label": "$.prediction"}).decode(batch(values))
    assert len(columns) + len(columns.rejected) == len(values)
    assert set(columns.offsets.tolist()) | {r.offset for r in columns.rejected} == set(range(100, 100 + len(values)))


halves = [
    b'{"x":"',
    b"}{",
    b'"}',
    b'{"id":"',
    b'","y":"',
    b"{",
    b"}",
    raw()[:-1],
    raw()[1:],
    b"\n",
    raw(),
    b"/*",
    b"*/",
]


@many
@given(st.lists(st.lists(st.sampled_from(halves), max_size=4).map(b"".join), max_size=12))
def test_no_record_can_swallow_or_split_its_neighbours(values: Any) -> None:
    alone = [outcome(make(), [value])[0][0][1:] for value in values]
    together = [row[1:] for row in outcome(make(), values)[0]]
    assert together == alone


@pytest.mark.parametrize("text", ["\ud800", "\udc00x", "\ud800\ud800", "😀"])
def test_lone_surrogates_spoil_only_the_field_they_are_in(text: Any) -> None:
    escaped = json.dumps(text).encode()
    decoder = make()
    (row,), faults = outcome(decoder, [raw(prediction=1)[:-1] + b', "elsewhere": ' + escaped + b"}"])
    assert row[4] == "delay"
    assert faults == {}
