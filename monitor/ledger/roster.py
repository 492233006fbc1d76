"""The roster: which models a namespace counts, and since when.

It begins as the models of the configuration that the namespace was begun with. A model that is added is *entered*, under the
number of the generation that added it, and waits: every owner takes the new roster over at an offset of its partition, says so
in its commits, and counts the model's records from there on. When all have, the evaluator records the first pane that
starts after all clocks, and after everything that any owner read without counting it: windows of the model begin there, and
none of them lacks a record. A model that is taken out begins no more windows from the next pane on; those that it began go on,
and when the last of them is over (`ends_ms`) its records are rejected like those of any other that is not listed.

A model that means something else from now on is entered a second time, as another *sense*, and waits likewise; meanwhile the
one before goes on, and records count for both. At the pane where windows of the new one begin the old one begins no more. So a
window belongs to one sense, that of its start, and is counted by it as a whole.

Pure. The newest roster says everything about earlier ones: what an owner counted under an earlier number follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

import msgspec

from monitor.errors import LedgerError, NewerVersion
from monitor.groups import model_of, sense_of
from monitor.ingest.clocks import FOREVER, NEVER

FORMAT = 1
"""Of its copy in the topic of configurations."""
PREFIX = b"models/"
"""Of the keys of those copies."""


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """A sense of a model, from when it was entered until it is taken out. One that comes back is listed a second time."""

    name: str
    section: str
    """Digest of what its section, and what else was changed since the namespace began, say about its rows, its reference
    included. Entries of one model with the same digest are of one sense."""
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

    @property
    def waits(self) -> bool:
        """Whether it is not known yet where its windows begin."""
        return self.from_ms is None and self.left is None

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
    """The models of a namespace. `number`: 0 at the beginning, and greater with every change of what owners count: that of the
    generation that changed them, or more where a sense has followed another."""

    number: int
    models: tuple[Listed, ...]

    @property
    def waits(self) -> bool:
        """Whether a model waits for owners that do not have this roster yet."""
        return any(one.waits for one in self.models)

    @property
    def listed(self) -> tuple[Listed, ...]:
        """Those that were not taken out; of a model whose next sense waits, both."""
        return tuple(one for one in self.models if one.left is None)

    @property
    def senses(self) -> tuple[str, ...]:
        """What each entry is counted as, in their order: a function of those before it alone."""
        sections: dict[str, list[str]] = {}
        found = []
        for one in self.models:
            own = sections.setdefault(one.name, [])
            if one.section not in own:
                own.append(one.section)
            found.append(sense_of(one.name, own.index(one.section)))
        return tuple(found)

    @property
    def several(self) -> frozenset[str]:
        """The models that have, or had, more than one sense."""
        return self.several_at(self.number)

    def several_at(self, number: int) -> frozenset[str]:
        """The same as far as an owner knows that has roster `number`."""
        known = (sense for one, sense in zip(self.models, self.senses, strict=True) if one.entered <= number)
        return frozenset(model_of(sense) for sense in known if sense != model_of(sense))

    def counts_as(self, number: int) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """What an owner that has roster `number` counts predictions of each model as: senses in the order in which they came,
        and before which event time they count."""
        found: dict[str, dict[str, int]] = {}
        for one, sense in zip(self.models, self.senses, strict=True):
            own, until = found.setdefault(one.name, {}), one.counts_until(number)
            own[sense] = max(own.get(sense, NEVER), until)
        return {name: tuple(one for one in own.items() if one[1] != NEVER) for name, own in found.items()}

    @property
    def order(self) -> tuple[int, bool]:
        """Of two copies the greater one is the newer."""
        return self.number, not self.waits

    def terms(self) -> Mapping[str, tuple[tuple[int, int, int], ...]] | None:
        """Where windows of each sense may start; None where all that is counted counts."""
        if not self.number:
            return None
        found: dict[str, tuple[tuple[int, int, int], ...]] = {}
        for one, sense in zip(self.models, self.senses, strict=True):
            found[sense] = (*found.get(sense, ()), one.term)
        return found

    def followed_by(self, number: int, wanted: Iterable[Listed], at_ms: int, ends_ms: int) -> Self | None:
        """The roster with exactly these models; None where they are those of this one. Those that leave begin no window from
        `at_ms` on, the start of a pane, and count up to `ends_ms`, where the last window that starts before ends. One that
        becomes another sense goes on as it was until that one begins."""
        by_name = {one.name: one for one in wanted}
        there = {(one.name, one.section) for one in self.listed}
        stay = [
            one
            for one in self.listed
            if one.name in by_name and not (one.waits and one.section != by_name[one.name].section)
        ]
        come = [one for name, one in sorted(by_name.items()) if (name, one.section) not in there]
        if not come and len(stay) == len(self.listed):
            return None
        models = [
            one if one.left is not None or one in stay else _gone(one, number, at_ms, ends_ms) for one in self.models
        ]
        return type(self)(number, (*models, *(msgspec.structs.replace(one, entered=number) for one in come)))

    def in_hindsight(self) -> Self:
        """The roster of somebody who reads everything from the beginning and knows how it came: each sense counts from the
        first record on, as far as its windows ask for it."""
        models = (msgspec.structs.replace(one, entered=0, left=None if one.left is None else 0) for one in self.models)
        return type(self)(self.number, tuple(models))

    def begun(self, from_ms: int, ends_ms: int) -> Self:
        """The roster with everything that waited begun at the start of a pane. The senses before leave there, and count up to
        `ends_ms`, where the last window that starts before ends: owners count otherwise then, so it has a number of its own."""
        come = {one.name for one in self.models if one.waits}
        before = [one for one in self.listed if one.name in come and not one.waits]
        number = self.number + 1 if before else self.number
        models = tuple(
            msgspec.structs.replace(one, from_ms=from_ms)
            if one.waits
            else _gone(one, number, from_ms, ends_ms)
            if one in before
            else one
            for one in self.models
        )
        return type(self)(number, models)


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
