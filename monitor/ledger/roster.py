"""The roster: which models a namespace counts, and since when.

It begins as the models of the configuration that the namespace was begun with. A model that is added is *entered*, under the
number of the generation that added it, and waits: every owner takes the new roster over at an offset of its partition, says so
in its commits, and counts the model's records from there on. When all have, the evaluator records the first pane that
starts after all clocks, and after everything that any owner read without counting it: windows of the model begin there, and
none of them lacks a record. A model that is taken out begins no more windows from the next pane on; those that it began go on,
and when the last of them is over (`ends_ms`) its records are rejected like those of any other that is not listed.

Pure. The newest roster says everything about earlier ones: what an owner counted under an earlier number follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import msgspec

from monitor.errors import LedgerError, NewerVersion
from monitor.ingest.clocks import FOREVER, NEVER

FORMAT = 1
"""Of its copy in the topic of configurations."""
PREFIX = b"models/"
"""Of the keys of those copies."""


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """A model, from when it was entered until it is taken out. One that comes back is listed a second time."""

    name: str
    section: str
    """Digest of what its section says about rows, its reference included."""
    document: str
    """Digest of the configuration in which that section stands."""
    reference: str | None
    """Digest of its reference."""
    entered: int
    """Number of the roster it came with; 0 for those of the beginning."""
    from_ms: int | None
    """Its windows start at this event time or later; None while owners are waited for."""
    left: int | None = None
    """Number of the roster it was taken out with."""
    until_ms: int = FOREVER
    """Its windows start before this event time."""
    ends_ms: int = FOREVER
    """Its records count while they are before this event time: where the last of its windows ends."""

    def counts_until(self, number: int) -> int:
        """Up to which event time an owner that has roster `number` counts its records."""
        if number < self.entered:
            return NEVER
        return FOREVER if self.left is None or number < self.left else self.ends_ms

    @property
    def term(self) -> tuple[int, int, int]:
        """Where windows of it may start, from and until, and until when records count for them; nobody knows while it waits
        (FOREVER), and nowhere if it left then (NEVER)."""
        if self.from_ms is None:
            return (FOREVER, FOREVER, NEVER) if self.left is None else (NEVER, NEVER, NEVER)
        return self.from_ms, self.until_ms, self.ends_ms


class Roster(msgspec.Struct, frozen=True):
    """The models of a namespace. `number`: that of the generation that changed them last, 0 at the beginning."""

    number: int
    models: tuple[Listed, ...]

    @property
    def waits(self) -> bool:
        """Whether a model waits for owners that do not have this roster yet."""
        return any(one.from_ms is None and one.left is None for one in self.models)

    @property
    def listed(self) -> tuple[Listed, ...]:
        """Those that were not taken out."""
        return tuple(one for one in self.models if one.left is None)

    @property
    def order(self) -> tuple[int, bool]:
        """Of two copies the greater one is the newer."""
        return self.number, not self.waits

    def terms(self) -> Mapping[str, tuple[tuple[int, int, int], ...]] | None:
        """Where windows of each model may start; None where all that is counted counts."""
        if not self.number:
            return None
        found: dict[str, tuple[tuple[int, int, int], ...]] = {}
        for one in self.models:
            found[one.name] = (*found.get(one.name, ()), one.term)
        return found

    def followed_by(self, number: int, wanted: Iterable[Listed], at_ms: int, ends_ms: int) -> Self | None:
        """The roster with exactly these models; None where they are those of this one. Those that leave begin no window from
        `at_ms` on, the start of a pane, and count up to `ends_ms`, where the last window that starts before ends."""
        by_name = {one.name: one for one in wanted}
        stay = {one.name for one in self.listed}
        if by_name.keys() == stay:
            return None
        models = [
            one if one.left is not None or one.name in by_name else _gone(one, number, at_ms, ends_ms)
            for one in self.models
        ]
        come = [one for name, one in sorted(by_name.items()) if name not in stay]
        return type(self)(number, (*models, *(msgspec.structs.replace(one, entered=number) for one in come)))

    def begun(self, from_ms: int) -> Self:
        """The roster with everything that waited begun at the start of a pane."""
        models = tuple(
            msgspec.structs.replace(one, from_ms=from_ms) if one.from_ms is None and one.left is None else one
            for one in self.models
        )
        return type(self)(self.number, models)


def _gone(one: Listed, number: int, at_ms: int, ends_ms: int) -> Listed:
    if one.from_ms is None:  # it waited still: nothing of it was counted
        return msgspec.structs.replace(one, left=number, until_ms=NEVER, ends_ms=NEVER)
    return msgspec.structs.replace(
        one, left=number, until_ms=max(at_ms, one.from_ms), ends_ms=max(ends_ms, one.from_ms)
    )


class Adopted(msgspec.Struct, frozen=True, array_like=True):
    """An owner took a roster over: it counts by it from this offset of the predictions on."""

    offset: int
    number: int
    newest_ms: int
    """No record below the offset that was rejected for its model has a later event time."""


def since(adopted: Sequence[Adopted], offset: int) -> tuple[Adopted, ...]:
    """Those that say by what records from an offset on are counted."""
    last = max((place for place, one in enumerate(adopted) if one.offset <= offset), default=0)
    return tuple(adopted[last:])


class RosterRecord(msgspec.Struct, frozen=True):
    """The copy that the topic of configurations keeps, for owners and for people."""

    format: int
    roster: Roster


def key_of(roster: Roster) -> bytes:
    """Where the copy is kept: one place before everything has begun, and one after, so that none is ever overwritten."""
    return b"%s%08d/%s" % (PREFIX, roster.number, b"waits" if roster.waits else b"begun")


_decoder = msgspec.json.Decoder(RosterRecord)


def encode(roster: Roster) -> bytes:
    """Bytes of the copy of a roster."""
    return msgspec.json.encode(RosterRecord(FORMAT, roster))


def decode(raw: bytes, where: str) -> Roster:
    """The roster whose copy is in `raw`; `where` names it in errors.

    Raises LedgerError for bytes that are none, NewerVersion for a newer format than this code writes.
    """
    try:
        version = msgspec.convert(msgspec.json.decode(raw)["format"], int)
        if version > FORMAT:
            raise NewerVersion(f"{where} has format {version}, this version of Driftline reads up to {FORMAT}")
        return _decoder.decode(raw).roster
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LedgerError(f"{where} is not a roster: {error}", "Something else wrote to this topic.") from error
