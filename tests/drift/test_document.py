"""Profiles read back from documents: the same ones, or a complaint that names the place."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.drift.document import loads
from monitor.drift.reference import Column, DataFile, FirstRows, Origin, TopicRange, build_reference
from monitor.errors import ReferenceProfileError
from monitor.events import INVALID
from tests.drift.profiles import small

GOLDEN = Path(__file__).parent / "golden" / "reference-v1.json"
GOLDEN_DIGEST = "sha256:6dbaadecf0f8f902db258bf6df957f4c22a0c2db35a803d41e61f8cfee887e97"

origins: st.SearchStrategy[Origin] = st.one_of(
    st.builds(FirstRows, st.text(max_size=5)),
    st.builds(DataFile, st.text(max_size=5), st.text(max_size=5)),
    st.builds(TopicRange, st.text(max_size=5), st.lists(st.just((0, 3, 9)), max_size=2).map(tuple)),
)
reference_rows = st.lists(
    st.tuples(
        st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1.0])),
        st.one_of(st.none(), st.text(max_size=3), st.just(INVALID), st.sampled_from("ab")),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60)
@given(reference_rows, origins, st.booleans())
def test_a_profile_survives_the_way_there_and_back(rows: list[Any], origin: Origin, provisional: bool) -> None:
    numbers, names, scores = zip(*rows, strict=True)
    columns: dict[str, Column] = {"x": np.array(numbers), "ä.b": list(names)}
    reference = build_reference("m", columns, np.array(scores), origin, provisional=provisional, labelled=1)
    again = loads(reference.dumps())
    assert again == reference
    assert again.digest == reference.digest
    assert again.dumps() == reference.dumps()


def test_a_document_of_format_version_1_is_still_read_and_written_the_same() -> None:
    text = GOLDEN.read_text()
    assert loads(text).digest == GOLDEN_DIGEST
    assert loads(text) == small()
    assert small().dumps() == text


def test_layout_and_order_of_the_document_do_not_matter() -> None:
    document = json.loads(GOLDEN.read_text())
    pretty = json.dumps(dict(reversed(document.items())), indent=2)
    assert loads(pretty.encode()).digest == GOLDEN_DIGEST


def test_a_newer_format_version_is_refused_with_advice() -> None:
    text = GOLDEN.read_text().replace('"version":1', '"version":3')
    with pytest.raises(ReferenceProfileError, match=r"has format version 3, this driftline reads up to 2. Upgrade"):
        loads(text)


def edited(change: Callable[[Any], object]) -> str:
    document = json.loads(GOLDEN.read_text())
    change(document)
    return json.dumps(document)


def put(*path: str | int, value: object) -> Callable[[Any], object]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", value="other"), r"\$.format: is 'other', not 'driftline.reference'"),
        (put("version", value=0), r"\$.version: 0 never existed"),
        (put("version", value="1"), r'\$.version: must be a whole number from 0, is "1"'),
        (put("rows", value=True), r"\$.rows: must be a whole number from 0, is true"),
        (put("rows", value=-3), r"\$.rows: must be a whole number from 0, is -3"),
        (put("rows", value=401), r"\$.features.\$score.counts: add up to 400, the reference has 401 rows"),
        (put("model", value=None), r"\$.model: must be text, is null"),
        (put("provisional", value=0), r"\$.provisional: must be true or false, is 0"),
        (put("surprise", value=0), r"\$.surprise: is not a field of this format version"),
        (lambda d: d.pop("labels"), r"\$.labels: is missing"),
        (put("labels", "positives", value=391), r"\$.labels: 391 positives of 390"),
        (put("origin", "kind", value="dream"), r"\$.origin.kind: is 'dream', must be 'topic', 'file' or 'first_rows'"),
        (put("origin", value=[]), r"\$.origin: must be an object, is \[\]"),
        (
            put("origin", value={"kind": "topic", "topic": "t", "ranges": [[0, 5, 4]]}),
            r"\$.origin.ranges\[0\]: must be \[partition, first offset, one past the last\]",
        ),
        (put("features", value=[]), r"\$.features: must be an object"),
        (put("features", "hour", "type", value="odd"), r"\$.features.hour.type: is 'odd'"),
        (
            put("features", "hour", "edges", 3, value="x"),
            r'\$.features.hour.edges\[3\]: must be a finite number, is "x"',
        ),
        (put("features", "hour", "edges", 3, value=10**400), r"\$.features.hour.edges\[3\]: must be a finite number"),
        (put("features", "hour", "edges", 3, value=math.nan), r"\$.features.hour.edges: must be finite"),
        (put("features", "hour", "edges", 3, value=-1), r"\$.features.hour.edges: must increase strictly"),
        (put("features", "hour", "counts", value=[1]), r"\$.features.hour.counts: has 1 numbers for \d+ bins"),
        (put("features", "origin", "categories", value="EWR"), r"\$.features.origin.categories: must be a list"),
        (put("features", "origin", "categories", 1, value="EWR"), r"\$.features.origin.categories: must be named once"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: Callable[[Any], object], message: str) -> None:
    with pytest.raises(ReferenceProfileError, match=message):
        loads(edited(change))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff\xfe\xff", b"\xc3("])
def test_what_is_not_json_is_not_a_profile(text: str | bytes) -> None:
    with pytest.raises(ReferenceProfileError, match="not a reference profile"):
        loads(text)


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_what_is_not_an_object_is_not_a_profile(text: str) -> None:
    with pytest.raises(ReferenceProfileError, match=r"\$: must be an object"):
        loads(text)
