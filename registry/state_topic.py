"""Keeping the `models` topic at what the store says.

The store is the truth and the topic a copy of it that wakes servers up. Publishing is therefore not an event of a move but a
comparison: read what the topic holds, *then* what the store holds, and write what differs. It can be done by anybody, at any
time, as often as one likes; a publication that was lost is made up for by the next one.

Readers of a compacted topic keep the record of a key with the highest rank (epoch, then sequence), whichever came last, so a
process that slept with an old state in its hands does no harm. Compaction however keeps the last one: a record that came
behind ours is reason enough to write ours again.

What is ahead of the store is not overwritten silently: it may be forged, or the store may have lost its end (`fsck --state`
would say so). A person decides, and overrules it with a higher epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.publication import ModelState, StateRecord, current_states, state_record

TOPIC: Final = "models"
"""Behind the namespace and a dot."""


class StateTail(Protocol):
    """Reads a topic from its beginning and on, for one thread."""

    def poll(self, timeout_ms: int) -> list[StateRecord]:
        """What came next, in order; waits at most so long for the first. Empty while nothing comes, or nobody answers."""

    def close(self) -> None:
        """Free what the client holds; calling it twice is fine."""


class StateTopic(Protocol):
    """Where states are published. Kafka in `registry.kafka_topic`; whoever has another log brings its own."""

    @property
    def name(self) -> str:
        """For people."""

    def read(self) -> list[StateRecord]:
        """Everything it holds now, in order; nothing when there is no such topic. Raises TopicError."""

    def publish(self, records: Sequence[StateRecord]) -> None:
        """Append records, durably, and make the topic (compacted) unless there is one. Raises TopicError; the caller
        publishes again."""

    def tail(self) -> StateTail:
        """A reader of its own."""


class Standing(StrEnum):
    """How the topic stands to the store, for one alias."""

    CURRENT = "current"
    MISSING = "missing"  # the topic has no record, or a null
    BEHIND = "behind"  # it has an older one
    COVERED = "covered"  # it has ours, and behind it another one, which compaction would keep
    DIFFERS = "differs"  # the same move, other bytes: written by another version of the code, or forged
    AHEAD = "ahead"  # it has one that the store does not know


@dataclass(frozen=True, slots=True)
class Published:
    """One alias: how the topic stood, and what was written to it. `record` is None when nothing was."""

    state: ModelState
    standing: Standing
    record: StateRecord | None

    @property
    def agrees(self) -> bool:
        """Whether the topic says now what the store says."""
        return self.standing is Standing.CURRENT or self.record is not None


def compared(state: ModelState, held: Sequence[StateRecord]) -> tuple[Standing, int]:
    """How the records that a topic holds for the key of a state, in order, stand to that state; and the highest epoch."""
    if not held or not held[-1].value:
        return Standing.MISSING, max((record.rank[0] for record in held), default=0)
    newest = max(held, key=lambda record: record.rank)
    epoch, sequence = max(newest.rank[0], 0), newest.rank[1]
    ours = state_record(state, epoch)
    if sequence > state.sequence:
        return Standing.AHEAD, epoch
    if sequence < state.sequence:
        return Standing.BEHIND, epoch
    last = next(record for record in reversed(held) if record.rank == newest.rank)
    if last.value != ours.value:
        return Standing.DIFFERS, epoch
    return (Standing.CURRENT if held[-1].rank == newest.rank else Standing.COVERED), epoch


def publish(
    aliases: Aliases,
    catalog: Catalog,
    topic: StateTopic,
    models: Iterable[str] | None = None,
    *,
    overrule: bool = False,
) -> list[Published]:
    """Compare, and write what differs; of all models unless some are named. With `overrule` also where the topic is ahead."""
    held: dict[bytes, list[StateRecord]] = {}
    for found in topic.read():  # before the store: whoever published before us has moved before
        held.setdefault(found.key, []).append(found)
    done = []
    for state in current_states(aliases, catalog, models):
        standing, epoch = compared(state, held.get(state.key.encode(), ()))
        record: StateRecord | None = None
        if standing is Standing.AHEAD and overrule:
            record = state_record(state, epoch + 1)
        elif standing not in {Standing.CURRENT, Standing.AHEAD}:
            record = state_record(state, max(epoch, 0))
        done.append(Published(state, standing, record))
    if records := [each.record for each in done if each.record is not None]:
        topic.publish(records)
    return done
