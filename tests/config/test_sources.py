"""Places in a record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Source, loads
from monitor.config.sources import format_path, parse_path
from tests.config.examples import FULL, MINIMAL, only_problem

steps = st.text(st.characters(blacklist_characters="'\"", blacklist_categories=["Cs"]), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("$.id", Source("value", ("id",))),
        ("$.a.b-c.$d", Source("value", ("a", "b-c", "$d"))),
        ("$['a b'].c", Source("value", ("a b", "c"))),
        ('$["it\'s"]', Source("value", ("it's",))),
        ("key", Source("key")),
        ("key:$.a.b", Source("key", ("a", "b"))),
        ("header:X-Model", Source("header", name="X-Model")),
    ],
)
def test_a_place_is_read_from_its_text(text: str, source: Source) -> None:
    assert Source.parse(text) == source
    assert Source.parse(source.text()) == source


@given(st.lists(steps, min_size=1, max_size=8))
def test_a_formatted_path_reads_back(path: list[str]) -> None:
    assert parse_path(format_path(tuple(path))) == tuple(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "id",
            (
                "'id' is not a place in a record; allowed: $.a.b (in the value), key, key:$.a.b, header:NAME, "
                "outer:$.a.b, envelope:$.a.b, {const: x} or {any: [...]}; did you mean '$.id'?"
            ),
        ),
        ("$", "'$' names the whole value; name a field in it, as in '$.id'"),
        ("$.items[0].id", "'$.items[0].id' uses an array position or a wildcard at '[0].id'"),
        ("$..id", "uses an array position or a wildcard"),
        ("$.a b", "cannot be read at ' b'; quote odd names as $['odd name']"),
        ("header:", "'header:' names no header; write header:NAME"),
        ("key:id", "'id' is not a path; a path starts with '$.'"),
        ("$" + ".a" * 17, "has 17 steps; allowed: up to 16"),
    ],
)
def test_what_is_no_place_is_refused_with_its_reason(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Source.parse(text)
    assert sentence in str(caught.value)


def test_every_form_of_a_place_reaches_the_config() -> None:
    fields = loads(FULL).streams.predictions.fields
    assert fields.id == Source("key", ("uid",))
    assert fields.model == Source("header", name="model")
    assert fields.version == Source("const", const="v2")
    assert (fields.at.source, fields.at.unit) == (Source("value", ("ts",)), "s")
    assert fields.withdrawn == Source("value", ("cancelled",))


@pytest.mark.parametrize(("const", "text"), [("2", "2"), ("true", "true"), ("'02'", "02"), ("1.5", "1.5")])
def test_a_constant_is_text_whatever_its_type(const: str, text: str) -> None:
    config = loads(MINIMAL.replace("version: $.version", f"version: {{const: {const}}}"))
    assert config.streams.predictions.fields.version == Source("const", const=text)


def test_a_plain_time_is_in_milliseconds() -> None:
    assert loads(MINIMAL).streams.predictions.fields.at.unit == "ms"


def test_a_feature_without_a_place_is_under_features() -> None:
    features = loads(FULL).streams.predictions.features
    assert features["hour"].source == Source("value", ("features", "hour"))
    assert features["origin"].source == Source("value", ("meta", "from where"))
    assert features["origin"].type == "categorical"


def test_a_unit_that_is_none_gets_a_hint() -> None:
    text = MINIMAL.replace("at: $.at", "at: {from: $.at, unit: seconds}")
    assert only_problem(text).endswith(
        "streams.predictions.fields.at.unit: 'seconds' is not one of ms, s, us, ns, iso; did you mean 's'?"
    )


def test_a_place_of_the_wrong_shape_says_what_was_given() -> None:
    sentence = only_problem(MINIMAL.replace("id: $.id", "id: [$.id]"))
    assert "fields.id: a list was given; allowed: $.a.b (in the value), key" in sentence
