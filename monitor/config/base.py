"""What every section of the config shares: frozen, closed to unknown keys, strict about types."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, Strict, StringConstraints
from pydantic_core import CoreSchema, PydanticCustomError


@dataclass(frozen=True, slots=True)
class Written:
    """What a field looks like in the file, as JSON Schema. A copy each time: pydantic writes defaults into it."""

    json_schema: dict[str, Any]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Asked by pydantic."""
        return deepcopy(self.json_schema)

    def __hash__(self) -> int:
        return id(self.json_schema)


class Section(BaseModel):
    """A part of the config: immutable, refuses keys it does not know, never turns text into numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def problem(sentence: str) -> PydanticCustomError:
    """A finished sentence as the error of the field that is being read."""
    return PydanticCustomError("form", "{form}", {"form": sentence})


def misshapen(allowed: str) -> PydanticCustomError:
    """A value of the wrong shape; whoever reports it says what was given."""
    return PydanticCustomError("form", "{form}", {"form": f"allowed: {allowed}", "shape": True})


def _text_of_scalar(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def exact_number(value: Any) -> Any:
    """The value, unless it is an integer that a float would round."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 53:
        raise problem(f"{value} is too large to be held exactly; allowed: up to {1 << 53} in size")
    return value


Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict()]
Number = Annotated[float, Strict(), BeforeValidator(exact_number)]
Ratio = Annotated[float, Strict(), Field(ge=0.0, le=1.0)]
"""A share from 0 to 1."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_WORD = Written({"type": ["string", "number", "boolean"], "maxLength": 500})
Word = Annotated[str, BeforeValidator(_text_of_scalar), StringConstraints(max_length=500), _WORD]
"""Text; a bare number or boolean of YAML is taken as its text (`version: 2`)."""
_TEXT = Written({"type": ["string", "number", "boolean"]})
Text = Annotated[str, BeforeValidator(_text_of_scalar), StringConstraints(max_length=1 << 16), _TEXT]
"""As Word, but long enough for a certificate."""
TOPIC_PATTERN = r"^[A-Za-z0-9._-]+$"
Topic = Annotated[str, StringConstraints(min_length=1, max_length=240, pattern=TOPIC_PATTERN)]
"""A Kafka topic name, short enough for `.dlq` to be appended."""
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Labels = dict[LabelName, Word]
"""Names and texts that go into alerts."""
