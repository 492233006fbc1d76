"""What a look at the log finds (`preflight`, `preflight_rights`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    ADVICE = "advice"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and what to do about it ("" for nothing)."""

    level: Level
    what: str
    value: str
    hint: str = ""

    @property
    def detail(self) -> str:
        """Value and hint as one text."""
        return f"{self.value}. {self.hint}" if self.hint else self.value
