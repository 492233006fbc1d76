"""YAML with the types of JSON, and with places."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.yaml_positions import DEEPEST, LARGEST_CHARS, MOST_VALUES, Mapping, Scalar, parse, plain
from monitor.config.yaml_text import block, flow

words = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(10**18), 10**18), st.floats(-1e9, 1e9), words)
data = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=20,
)


def read(text: str) -> Any:
    parsed = parse(text, "f")
    assert parsed.mistakes == []
    return None if parsed.tree is None else plain(parsed.tree)


def mistakes(text: str) -> list[str]:
    return [f"{mistake.at}: {mistake.sentence}" for mistake in parse(text, "f").mistakes]


@pytest.mark.parametrize(
    "word", ["no", "on", "yes", "off", "1:30", "0123", "0x1f", "1_000", "2024-01-01", ".5", "True", "NaN"]
)
def test_words_that_other_readers_guess_about_stay_text(word: str) -> None:
    assert read(f"a: {word}") == {"a": word}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("-7", -7),
        ("0.5", 0.5),
        ("1e3", 1000.0),
    ],
)
def test_the_types_of_json_are_the_only_others(text: str, value: object) -> None:
    assert read(f"a: {text}") == {"a": value}
    assert type(read(f"a: {text}")["a"]) is type(value)


def test_quoted_values_are_always_text() -> None:
    assert read("a: '1'\nb: \"true\"") == {"a": "1", "b": "true"}


def test_every_value_and_key_knows_its_place() -> None:
    tree = parse("a: 1\nb:\n  - x\n  - c: y\n", "f").tree
    assert isinstance(tree, Mapping)
    at, a = tree.entries["a"]
    assert (str(at), str(a.at)) == ("f:1:1", "f:1:4")
    inner = tree.entries["b"][1].items[1]  # type: ignore[union-attr]
    assert isinstance(inner, Mapping)
    assert [str(part) for part in (inner.entries["c"][0], inner.entries["c"][1].at)] == ["f:4:5", "f:4:8"]


def test_keys_given_twice_are_refused_everywhere_at_once() -> None:
    assert mistakes("a: 1\nb: {x: 1, x: 2}\na: 3\n") == [
        "f:2:11: the key 'x' is given twice, first on line 2; keep one of them",
        "f:3:1: the key 'a' is given twice, first on line 1; keep one of them",
    ]


def test_keys_are_text_however_they_look() -> None:
    assert read("0: a\ntrue: b\n") == {"0": "a", "true": "b"}


def test_anchors_and_merges_work_and_own_keys_win() -> None:
    assert read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nlist: [*b]\n") == {
        "base": {"x": 1, "y": 2},
        "use": {"x": 1, "y": 3},
        "list": [{"x": 1, "y": 2}],
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "a: !!python/object:os.system x",
            "f:1:4: the tag 'tag:yaml.org,2002:python/object:os.system' has no meaning here",
        ),
        ("a: *x", "f:1:4: the alias *x has no anchor &x before it"),
        ("a: &x [*x]", "f:1:8: the alias *x has no anchor &x before it"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document starts here"),
        (
            "a:\n\t- b",
            "f:2:1: this is not YAML: found character '\\t' that cannot start any token; indent with spaces, not tabs",
        ),
        ("op: >=", 'a comparison must be quoted: op: ">="'),
        (
            "a: b: c",
            "f:1:5: this is not YAML: mapping values are not allowed here; text that contains ': ' must be quoted",
        ),
        ("a: [1, 2", "a list or mapping in brackets is not closed, or lacks a comma"),
        ("a: %x", "text that starts with one of @ ` % > | must be quoted"),
        ("[1]: 2", "f:1:1: a key must be text, not a list or a mapping"),
        ("a: 1\nb: \x07", "f:2:4: the character '\\x07' is not allowed in YAML"),
        ('a: "\\ud800x"', "f:1:4: half of a surrogate pair is not text"),
        ("<<: 3", "f:1:1: '<<' takes a mapping or a list of mappings"),
        ("a: b\n c: d", "f:2:3"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(text: str, sentence: str) -> None:
    found = mistakes(text)
    assert len(found) == 1
    assert sentence in found[0]


def test_depth_is_bounded() -> None:
    assert f"nested deeper than {DEEPEST} levels" in mistakes("[" * 100_000)[0]


def test_a_bomb_of_aliases_is_bounded_by_what_it_would_become() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert f"more than {MOST_VALUES} values" in mistakes("\n".join(lines))[0]


def test_length_is_bounded() -> None:
    assert mistakes("#" * (LARGEST_CHARS + 1)) == [
        f"f:1:1: the text has {LARGEST_CHARS + 1} characters; allowed: up to {LARGEST_CHARS}"
    ]


def test_an_empty_text_is_no_document() -> None:
    assert parse("", "f").tree is None
    assert parse("# only a comment\n", "f").tree is None


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    parsed = parse(text, "f")
    assert parsed.tree is not None or parsed.mistakes or read(text) is None


@given(data)
def test_json_is_read_as_json(value: Any) -> None:
    text = json.dumps({"a": value})
    assert read(text) == json.loads(text)


@given(st.dictionaries(words, data, max_size=5))
def test_what_is_written_reads_back(value: dict[str, Any]) -> None:
    assert read(flow(value)) == value
    assert (read(block(value)) or {}) == value


@given(words)
def test_written_text_stays_text_for_readers_of_yaml_1_1_as_well(word: str) -> None:
    tree = parse(f"a: {flow(word)}", "f").tree
    assert isinstance(tree, Mapping)
    scalar = tree.entries["a"][1]
    assert isinstance(scalar, Scalar)
    assert scalar.value == word
