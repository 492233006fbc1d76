"""YAML with the types of JSON and the place of every value.

Built from PyYAML's events, so nothing of YAML 1.1's guessing remains: `no`, `on`, `1:30`, `0123`, `2024-01-01` are
text; only `true`, `false`, `null` (or nothing, or `~`) and JSON numbers are not. Anchors, aliases and `<<` merges work;
tags, several documents and keys given twice are refused. Depth, size and the number of values (aliases counted as
often as they are used) are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

LARGEST_CHARS = 1 << 20
"""Longest text read. A config of a thousand models is a tenth of this."""
DEEPEST = 32
"""Deepest nesting. The config itself needs nine."""
MOST_VALUES = 100_000
"""Most values of one text, after aliases."""

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z", re.ASCII)
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?\Z", re.ASCII)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Position:
    """Where something was written. `line` and `column` count from 1; 0 means that `origin` has no lines
    (an environment variable, an override)."""

    origin: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}:{self.column}" if self.line else self.origin


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value. `plain`: written without quotes, so that its type follows from its text."""

    value: str | int | float | bool | None
    text: str
    plain: bool
    at: Position


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    at: Position


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys (always text) with their values and their own places, in order."""

    entries: dict[str, tuple[Position, Node]]
    at: Position


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that cannot be read, and where."""

    at: Position
    sentence: str


@dataclass(slots=True)
class Parsed:
    """The tree (None for an empty text or one that cannot be read) and what was wrong."""

    tree: Node | None = None
    mistakes: list[Mistake] = field(default_factory=list)


def typed(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar: JSON's types, everything else is text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def parse(text: str, origin: str) -> Parsed:
    """Read one document. Never raises: what is wrong is in `mistakes`, with its place."""
    parsed = Parsed()
    if len(text) > LARGEST_CHARS:
        sentence = f"the text has {len(text)} characters; allowed: up to {LARGEST_CHARS}"
        parsed.mistakes.append(Mistake(Position(origin, 1, 1), sentence))
        return parsed
    builder = _Builder(origin, parsed.mistakes)
    try:
        parsed.tree = builder.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except _Stop as e:
        parsed.mistakes.append(e.mistake)
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        at = Position(origin, mark.line + 1, mark.column + 1) if mark else Position(origin, 1, 1)
        line = text.splitlines()[at.line - 1] if at.line <= len(text.splitlines()) else ""
        parsed.mistakes.append(Mistake(at, _syntax(e, line)))
    except yaml.reader.ReaderError as e:
        before = text[: int(e.position)]
        at = Position(origin, before.count("\n") + 1, len(before) - before.rfind("\n"))
        parsed.mistakes.append(Mistake(at, f"the character {chr(int(e.character))!r} is not allowed in YAML"))
    return parsed


def plain(node: Node) -> Any:
    """The tree as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(item) for key, (_, item) in node.entries.items()}


def retyped(scalar: Scalar, text: str) -> Scalar:
    """The scalar with another text, typed by the same rule: quoted stays text."""
    return replace(scalar, text=text, value=typed(text) if scalar.plain else text)


def _syntax(error: yaml.MarkedYAMLError, line: str) -> str:
    """PyYAML's message as a sentence, with the usual cause on that line."""
    said = str(error.problem or error.context or "unexpected text")
    hint = ""
    if "'\\t'" in said:
        hint = "; indent with spaces, not tabs"
    elif "chomping or indentation" in said:
        hint = '; a comparison must be quoted: op: ">="'
    elif "mapping values are not allowed" in said:
        hint = "; text that contains ': ' must be quoted"
    elif "expected <block end>" in said or "could not find expected ':'" in said:
        hint = "; look at the indentation of this line and the one above, and for a missing ':' or '-'"
    elif "expected ',' or" in said and "${" in line:
        hint = "; between brackets ${...} must be quoted, or stand on a line of its own: key: ${...}"
    elif "expected ',' or" in said:
        hint = "; a list or mapping in brackets is not closed, or lacks a comma"
    elif "cannot start any token" in said:
        hint = "; text that starts with one of @ ` % > | must be quoted"
    return f"this is not YAML: {said}{hint}"


class _Stop(Exception):
    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.sentence)
        self.mistake = mistake


class _Builder:
    """Events to nodes. Recursion is bounded by DEEPEST, not by the text."""

    def __init__(self, origin: str, mistakes: list[Mistake]) -> None:
        self._origin = origin
        self._mistakes = mistakes
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._values = 0

    def document(self, events: Iterator[yaml.Event]) -> Node | None:
        tree: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._stop(event, "a second document starts here; write one document, without '---'")
            elif isinstance(event, yaml.NodeEvent):
                tree = self._node(event, events, 1)
        if isinstance(tree, Scalar) and tree.plain and tree.text == "":
            return None
        return tree

    def _at(self, event: yaml.Event) -> Position:
        mark = event.start_mark
        return Position(self._origin, mark.line + 1, mark.column + 1) if mark else Position(self._origin, 1, 1)

    def _stop(self, event: yaml.Event, sentence: str) -> _Stop:
        return _Stop(Mistake(self._at(event), sentence))

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise self._stop(event, f"more than {MOST_VALUES} values, counting every use of an alias")

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        if depth > DEEPEST:
            raise self._stop(event, f"nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._stop(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
            node, values = self._anchors[event.anchor]
            self._count(event, values)
            return node
        if (tag := getattr(event, "tag", None)) is not None:
            self._mistakes.append(Mistake(self._at(event), f"the tag {tag!r} has no meaning here; leave it out"))
        before = self._values
        self._count(event, 1)
        node = self._content(event, events, depth)
        if (anchor := getattr(event, "anchor", None)) is not None:
            self._anchors[anchor] = (node, self._values - before)
        return node

    def _content(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            is_plain = event.style is None
            text = self._whole(event)
            return Scalar(typed(text) if is_plain else text, text, is_plain, self._at(event))
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                items.append(self._node(inner, events, depth + 1))
            return Sequence(tuple(items), self._at(event))
        return self._mapping(event, events, depth)

    def _whole(self, event: yaml.ScalarEvent) -> str:
        """The text with pairs of surrogates, as JSON escapes them, joined; half a pair is no text at all."""
        text = str(event.value)
        if not any("\ud800" <= character <= "\udfff" for character in text):
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._mistakes.append(Mistake(self._at(event), "half of a surrogate pair is not text"))
            return ""

    def _mapping(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Mapping:
        entries: dict[str, tuple[Position, Node]] = {}
        merged: dict[str, tuple[Position, Node]] = {}
        while not isinstance(inner := next(events), yaml.MappingEndEvent):
            key, at = self._node(inner, events, depth + 1), self._at(inner)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(key, Scalar):
                self._mistakes.append(Mistake(at, "a key must be text, not a list or a mapping"))
            elif key.plain and key.text == "<<":
                merged = {**self._merge(value, at), **merged}
            elif key.text in entries:
                first = entries[key.text][0]
                sentence = f"the key {key.text!r} is given twice, first on line {first.line}; keep one of them"
                self._mistakes.append(Mistake(at, sentence))
            else:
                entries[key.text] = (at, value)
        return Mapping({**merged, **entries}, self._at(event))

    def _merge(self, value: Node, at: Position) -> dict[str, tuple[Position, Node]]:
        parts = value.items if isinstance(value, Sequence) else (value,)
        merged: dict[str, tuple[Position, Node]] = {}
        for part in parts:
            if not isinstance(part, Mapping):
                self._mistakes.append(Mistake(at, "'<<' takes a mapping or a list of mappings, as in '<<: *anchor'"))
                break
            merged = {**part.entries, **merged}
        return merged
