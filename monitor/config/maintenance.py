"""Times in which nobody is to be disturbed about a model: what is done to it then is known."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field, model_validator

from monitor.config.base import Name, Section, Word, problem


def instant_ms(text: str) -> int:
    """`2026-11-26T10:00Z`, or with another offset, as milliseconds since 1970. Raises ValueError with a finished sentence."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise problem(f"{text[:40]!r} is no time; allowed: ISO 8601 with its offset, such as 2026-11-26T10:00Z")
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


class Maintenance(Section):
    """One stretch of event time, of one model or of all."""

    model: Name | None = Field(None, description="Default: every model.", examples=["fraud"])
    begins: Word = Field(alias="from", description="Event time, with its offset.", examples=["2026-11-26T10:00Z"])
    ends: Word = Field(
        alias="until", description="Event time, with its offset; excluded.", examples=["2026-11-26T12:00Z"]
    )

    @model_validator(mode="after")
    def _is_a_stretch(self) -> Maintenance:
        if instant_ms(self.begins) >= instant_ms(self.ends):
            raise problem(f"until ({self.ends}) is not after from ({self.begins})")
        return self

    def touches(self, model: str, start_ms: int, end_ms: int) -> bool:
        """Whether anything from `start_ms` to `end_ms` of a model lies in it."""
        if self.model not in (None, model):
            return False
        return instant_ms(self.begins) < end_ms and start_ms < instant_ms(self.ends)
