"""What an alert says of its group: the types of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Ms = int


class Role(StrEnum):
    """What an event is to its group."""

    OPENS = "opens"  # the group begins with it: one event of each group says so
    RAISES = "raises"  # it joins, and its severity is higher than that of all before it
    JOINS = "joins"  # it joins
    FOLLOWS = "follows"  # its alert joined before


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a group."""

    episode: Annotated[Hash, Meta(description="`data.episode` of the alert.")]
    rule: Annotated[str, Meta(description="Its rule, advisory or condition.")]
    model: str
    version: Annotated[str, Meta(description="Empty where it is about all versions.")]
    segment: Annotated[str, Meta(description="Empty where it is about the whole model.")]
    severity: Literal["info", "page", "ticket"]
    feature: Annotated[str | None, Meta(description="The feature that it is about; null where it is about none.")]
    fired_ms: Ms


class AlertGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts that most likely have one cause with this one, as far as they are known at the event's tick."""

    id: Annotated[
        Hash, Meta(description="Names the group: the episode that it began with. The same in all its events.")
    ]
    role: Annotated[Role, Meta(description="`opens` in one event of each group, `raises` where the severity rises.")]
    severity: Annotated[
        Literal["info", "page", "ticket"], Meta(description="The highest of its alerts, this one included.")
    ]
    began_ms: Annotated[Ms, Meta(description="Tick at which it began.")]
    size: Annotated[
        int,
        Meta(
            description="Alerts that joined so far; of those about inputs, and of those about labels, 50 "
            "at most are counted."
        ),
    ]
    members: Annotated[
        list[Member], Meta(description="The first ten: what is nearest to a cause before what follows from it.")
    ]
