"""What a record is wrapped in: an envelope that a standard defines, and an array whose elements are the rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_serializer, model_validator

from monitor.config.base import Name, Section, Written, misshapen, problem
from monitor.config.sources import Source, parse_path
from monitor.config.suggest import hint

Format = Literal["cloudevents", "debezium"]
_FORMATS = ("cloudevents", "debezium")


class Envelope(Section):
    """A standard envelope; `$.…` is then a place in what is in it, `envelope:$.…` one in the envelope itself."""

    format: Format = Field(
        description="cloudevents: 1.0, structured JSON or binary, told apart record by record. debezium: change events of "
        "its JSON converter, with or without their schema.",
        examples=["cloudevents"],
    )
    types: list[Name] | None = Field(
        None,
        description="CloudEvents: the types that are read; events of others are skipped and counted. Default: all.",
        examples=[["com.example.scored.v1"]],
    )
    deletes: Literal["withdraw", "ignore"] | None = Field(
        None,
        description="Debezium: a deleted row takes its label, or its prediction, back; ignore: it is skipped and counted. "
        "Default: withdraw.",
    )

    @model_validator(mode="before")
    @classmethod
    def _name_is_enough(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in _FORMATS:
                raise problem(f"{value!r} is not an envelope; allowed: {', '.join(_FORMATS)}{hint(value, _FORMATS)}")
            return {"format": value}
        return value

    @model_validator(mode="after")
    def _each_its_own(self) -> Envelope:
        for key, own in (("types", "cloudevents"), ("deletes", "debezium")):
            if getattr(self, key) is not None and self.format != own:
                raise problem(f"{key!r} is about format {own}, this envelope is {self.format}; leave it out")
        if self.types is not None and not self.types:
            raise problem("'types' is empty, so nothing would be read; name one, or leave it out for all")
        return self

    @model_serializer
    def _as_written(self) -> Any:
        more = {key: getattr(self, key) for key in ("types", "deletes") if getattr(self, key) is not None}
        return {"format": self.format, **more} if more else self.format

    @property
    def withdraws(self) -> bool:
        """Whether a deleted row takes something back."""
        return self.format == "debezium" and self.deletes != "ignore"


_ENVELOPE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": list(_FORMATS)},
        {
            "type": "object",
            "properties": {
                "format": {"enum": list(_FORMATS)},
                "types": {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1, "maxLength": 200},
                    "minItems": 1,
                },
                "deletes": {"enum": ["withdraw", "ignore"]},
            },
            "required": ["format"],
            "additionalProperties": False,
        },
    ],
    "examples": ["cloudevents", {"format": "debezium", "deletes": "ignore"}],
}

EnvelopeField = Annotated[Envelope, Written(_ENVELOPE_SCHEMA)]
"""A field of the config that is an envelope."""


def _read_array(value: Any) -> Source:
    if isinstance(value, Source):
        return value
    if not isinstance(value, str):
        raise misshapen("the path of an array, as in $.predictions")
    try:
        return Source("value", path=parse_path(value))
    except ValueError as e:
        raise problem(str(e)) from None


ArrayField = Annotated[
    Source,
    BeforeValidator(_read_array),
    PlainSerializer(Source.text),
    Written({"type": "string", "pattern": r"^\$[.\[].+$", "examples": ["$.predictions"]}),
]
"""A field of the config that is the path of an array in the value."""
