"""Where in a record a field comes from: the value, the key, a header, what it is wrapped in, or a constant.

Written as `$.a.b` (JSON path into the value), `key` (the whole key as text), `key:$.a.b` (JSON path into the key),
`header:NAME`, `outer:$.a.b` (beside the array of `each`), `envelope:$.a.b` (in the `envelope`), `{const: x}`, or
`{any: [x, y]}`: the first of several that is there, such as a field that was renamed. A path is
a chain of object keys, `$.a.b` or `$['a b'].c`; array positions, wildcards and filters are not supported: a field has one
place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    model_serializer,
    model_validator,
)

from monitor.config.base import Section, Written, misshapen, problem
from monitor.config.suggest import hint

LONGEST_PATH = 16
"""Steps of a path. Decoders refuse deeper nesting than this anyway."""

_STEP = re.compile(r"""\.([A-Za-z_$@][\w$@-]*)|\[(?:'([^']+)'|"([^"]+)")\]""", re.ASCII)
_ALLOWED = "$.a.b (in the value), key, key:$.a.b, header:NAME, outer:$.a.b, envelope:$.a.b, {const: x} or {any: [...]}"
AROUND = ("outer", "envelope")
"""Kinds of places in what a row is wrapped in."""


def parse_path(text: str) -> tuple[str, ...]:
    """The object keys of a JSON path `$.a['b c']`. Raises ValueError with a finished sentence."""
    if not text.startswith("$"):
        raise ValueError(f"{text[:80]!r} is not a path; a path starts with '$.', as in '$.payload.id'")
    steps: list[str] = []
    at = 1
    while at < len(text):
        if not (match := _STEP.match(text, at)):
            if re.match(r"\[\d+\]|\[\*\]|\.\.|\.\*", text[at:]):
                raise ValueError(
                    f"{text[:80]!r} uses an array position or a wildcard at {text[at : at + 10]!r}; "
                    "a field has one place: use a chain of object keys"
                )
            raise ValueError(
                f"{text[:80]!r} cannot be read at {text[at : at + 10]!r}; quote odd names as $['odd name']"
            )
        steps.append(match[1] or match[2] or match[3])
        at = match.end()
    if not steps:
        raise ValueError(f"{text!r} names the whole value; name a field in it, as in '$.id'")
    if len(steps) > LONGEST_PATH:
        raise ValueError(f"{text[:80]!r} has {len(steps)} steps; allowed: up to {LONGEST_PATH}")
    return tuple(steps)


def format_path(path: tuple[str, ...]) -> str:
    """The text of a path; `parse_path` reads it back."""
    return "$" + "".join(f".{step}" if _STEP.fullmatch(f".{step}") else _quoted(step) for step in path)


def _quoted(step: str) -> str:
    return f'["{step}"]' if "'" in step else f"['{step}']"


_PLACE = r"^(\$[.\[].+|key|(key|outer|envelope):\$[.\[].+|header:.+)$"
_SOURCE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": _PLACE},
        {
            "type": "object",
            "properties": {"const": {"type": ["string", "number", "boolean"]}},
            "required": ["const"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"any": {"type": "array", "items": {"type": "string", "pattern": _PLACE}, "minItems": 2}},
            "required": ["any"],
            "additionalProperties": False,
        },
    ],
    "examples": ["$.id", "key", "key:$.id", "header:model", {"const": "fraud"}, {"any": ["$.score", "$.probability"]}],
}


@dataclass(frozen=True, slots=True)
class Source:
    """One place in a record. `kind` says which of the other attributes counts.

    value: `path` into the JSON value. key: `path` into the JSON key, or () for the whole key as text.
    header: `name`; of a repeated header the last one counts. const: `const`. outer, envelope: `path` into what holds the
    array that the row is from, and into the envelope of its record. any: the first of `options` that is there.
    """

    kind: Literal["value", "key", "header", "const", "outer", "envelope", "any"]
    path: tuple[str, ...] = ()
    name: str = ""
    const: str = ""
    options: tuple[Source, ...] = ()

    @property
    def places(self) -> tuple[Source, ...]:
        """Every place that is looked at."""
        return self.options or (self,)

    @classmethod
    def parse(cls, text: str) -> Source:
        """A source from its text form. Raises ValueError with a finished sentence."""
        if text == "key":
            return cls("key")
        if text.startswith("key:"):
            return cls("key", path=parse_path(text[4:]))
        if text.startswith("outer:"):
            return cls("outer", path=parse_path(text[6:]))
        if text.startswith("envelope:"):
            return cls("envelope", path=parse_path(text[9:]))
        if text.startswith("header:"):
            if not text[7:]:
                raise ValueError("'header:' names no header; write header:NAME")
            return cls("header", name=text[7:])
        if text.startswith("$"):
            return cls("value", path=parse_path(text))
        meant = f"; did you mean '$.{text}'?" if re.fullmatch(r"[A-Za-z_][\w.-]*", text) else ""
        raise ValueError(f"{text[:80]!r} is not a place in a record; allowed: {_ALLOWED}{meant}")

    def text(self) -> str:
        """The text form; a constant as `{const: x}`, several places as `{any: [x, y]}`."""
        if self.kind == "any":
            return f"{{any: [{', '.join(option.text() for option in self.options)}]}}"
        if self.kind == "key":
            return f"key:{format_path(self.path)}" if self.path else "key"
        if self.kind in AROUND:
            return f"{self.kind}:{format_path(self.path)}"
        if self.kind == "header":
            return f"header:{self.name}"
        return f"{{const: {self.const}}}" if self.kind == "const" else format_path(self.path)


def _read_source(value: Any) -> Source:
    if isinstance(value, Source):
        return value
    if isinstance(value, str):
        try:
            return Source.parse(value)
        except ValueError as e:
            raise problem(str(e)) from None
    if isinstance(value, dict) and set(value) == {"const"} and isinstance(value["const"], (str, int, float)):
        const = value["const"]
        return Source("const", const=str(const).lower() if isinstance(const, bool) else str(const))
    if isinstance(value, dict) and set(value) == {"any"}:
        return _read_any(value["any"])
    raise misshapen(_ALLOWED)


def _read_any(value: Any) -> Source:
    if not isinstance(value, list) or len(value) < 2:
        raise misshapen("a list of two or more places, as in {any: [$.score, $.probability]}")
    options = tuple(_read_source(option) for option in value)
    if any(option.kind in ("any", "const") for option in options):
        raise problem("'any' chooses between places; a constant is always there, and a choice within a choice is none")
    if len(set(options)) < len(options):
        raise problem("'any' names a place twice; once is enough")
    return Source("any", options=options)


def _write_source(source: Source) -> Any:
    if source.kind == "any":
        return {"any": [_write_source(option) for option in source.options]}
    return {"const": source.const} if source.kind == "const" else source.text()


SourceField = Annotated[Source, BeforeValidator(_read_source), PlainSerializer(_write_source), Written(_SOURCE_SCHEMA)]
"""A field of the config that is a Source."""

TimeUnit = Literal["ms", "s", "us", "ns", "iso"]


class TimeField(Section):
    """Where an event time comes from, and its unit: milli-, micro- or nanoseconds or seconds since 1970 (`s` may have a
    fraction), or ISO 8601 text. A plain source means milliseconds."""

    source: SourceField = Field(alias="from", description="Where the time is found.", examples=["$.at"])
    unit: TimeUnit = Field("ms", description="ms, s, us or ns since 1970, or iso for ISO 8601 text.")

    @model_validator(mode="before")
    @classmethod
    def _plain_is_ms(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, str) else value

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"from": _write_source(self.source), "unit": self.unit}


FeatureType = Literal["numeric", "categorical"]


class FeatureSource(Section):
    """Where a watched input comes from, and whether it is a number or one of a set of words."""

    source: SourceField = Field(alias="from", description="Where the value is found.", examples=["$.features.hour"])
    type: FeatureType = Field(description="A number, or one of a set of words.", examples=["numeric"])

    @model_validator(mode="before")
    @classmethod
    def _known_type(cls, value: Any) -> Any:
        if isinstance(value, str):
            allowed = "allowed: numeric, categorical or {from: $.place, type: numeric}"
            meant = f"; did you mean {{from: {value}, type: numeric}}?" if value.startswith("$") else ""
            meant = meant or hint(value, ("numeric", "categorical"))
            raise problem(f"{value!r} is not a type of feature; {allowed}{meant}")
        return value

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {"from": _write_source(self.source), "type": self.type}


_TIME_SCHEMA: dict[str, Any] = {
    "anyOf": [
        *_SOURCE_SCHEMA["anyOf"][:1],
        {
            "type": "object",
            "properties": {"from": _SOURCE_SCHEMA, "unit": {"enum": ["ms", "s", "us", "ns", "iso"]}},
            "required": ["from"],
            "additionalProperties": False,
        },
    ],
    "examples": ["$.at", {"from": "$.ts", "unit": "s"}, {"from": "$.event_time", "unit": "iso"}],
}
_FEATURE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": ["numeric", "categorical"]},
        {
            "type": "object",
            "properties": {"from": _SOURCE_SCHEMA, "type": {"enum": ["numeric", "categorical"]}},
            "required": ["type"],
            "additionalProperties": False,
        },
    ],
    "examples": ["numeric", {"from": "$.payload.origin", "type": "categorical"}],
}

TimeSource = Annotated[TimeField, Written(_TIME_SCHEMA)]
"""A field of the config that is an event time."""
FeatureField = Annotated[FeatureSource, Written(_FEATURE_SCHEMA)]
"""A field of the config that is a watched input."""
