"""Groups of alerts, saved and restored between two ticks. Equal states give equal bytes."""

from __future__ import annotations

import msgspec

from monitor.alerts.grouped import Member
from monitor.alerts.grouping import Group, GroupBook, Joined
from monitor.windows.view import Kind


class SavedMember(msgspec.Struct, frozen=True):
    """`Joined` with its `Member`."""

    kind: str
    told_ms: int
    rank: int
    features: tuple[str, ...]
    episode: str
    rule: str
    model: str
    version: str
    segment: str
    severity: str
    feature: str | None
    fired_ms: int


class SavedGroup(msgspec.Struct, frozen=True):
    """`Group`, and which of its alerts fire (by episode, in order)."""

    id: str
    subject: str
    kind: str
    start_ms: int
    began_ms: int
    joined: tuple[SavedMember, ...]
    firing: tuple[str, ...]


class SavedGroups(msgspec.Struct, frozen=True):
    """`GroupBook`."""

    closed_ms: int
    groups: tuple[SavedGroup, ...]


def save_groups(book: GroupBook) -> SavedGroups | msgspec.UnsetType:
    """Every group that is held; nothing where there is none."""
    book.forget()
    if not book.groups:
        return msgspec.UNSET
    firing: dict[str, list[str]] = {}
    for episode, group in sorted(book.firing.items()):
        firing.setdefault(group, []).append(episode)
    groups = tuple(
        SavedGroup(
            group.id,
            group.subject,
            str(group.kind),
            group.start_ms,
            group.began_ms,
            tuple(_member(one) for one in sorted(group.joined, key=_order)),
            tuple(firing.get(group.id, ())),
        )
        for group in book.groups
    )
    return SavedGroups(book.closed_ms, groups)


def restore_groups(book: GroupBook, saved: SavedGroups | msgspec.UnsetType) -> None:
    """Make a new book what another was."""
    if isinstance(saved, msgspec.UnsetType):
        return
    book.closed_ms = saved.closed_ms
    for one in saved.groups:
        joined = [_read(member) for member in one.joined]
        book.groups.append(Group(one.id, one.subject, Kind(one.kind), one.start_ms, one.began_ms, joined))
        book.firing |= dict.fromkeys(one.firing, one.id)


_TOLD = Member.__struct_fields__


def _order(one: Joined) -> tuple[str, int, str]:
    return str(one.kind), one.told_ms, one.member.episode


def _member(one: Joined) -> SavedMember:
    told = {name: getattr(one.member, name) for name in _TOLD}
    return SavedMember(kind=str(one.kind), told_ms=one.told_ms, rank=one.rank, features=one.features, **told)


def _read(saved: SavedMember) -> Joined:
    told = {name: getattr(saved, name) for name in _TOLD}
    return Joined(Kind(saved.kind), saved.told_ms, saved.rank, saved.features, Member(**told))
