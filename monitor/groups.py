"""Groups: the finest series that is counted, (model, version, one value per segment dimension).

Codes are local to a process and only grow; what leaves the process is the group's text and its stable hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.events import UInt64s

_SENSE = "\x1e"
"""Between a model and the number of its sense. No name of a model holds a control character (`ingest.interner.is_name`)."""


def sense_of(model: str, number: int) -> str:
    """What the n-th meaning of a model is counted as, 0 for the first: it has the name of the model."""
    return f"{model}{_SENSE}{number}" if number else model


def model_of(sense: str) -> str:
    """The model that a sense is of."""
    return sense.partition(_SENSE)[0]


# A struct and not a dataclass: every tick looks up the windows of a few dozen, and a dataclass hashes anew each time.
class Group(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Model, version and (dimension, value) pairs in the order of the model's segments.

    `model` is a sense of one. A prediction that is counted for several senses has a group that names them all: its model,
    and the segments of each behind a pair that names the sense (`together`).
    """

    model: str
    version: str
    segments: tuple[tuple[str, str], ...] = ()

    def series(self) -> tuple[str, ...]:
        """The segments a row of this group belongs to: `all` and each `dimension=value`."""
        return ("all", *(f"{dimension}={value}" for dimension, value in self.segments))

    def parts(self) -> tuple[Group, ...]:
        """The group of each sense that it names, in their order; itself where it is of one."""
        if not self.segments or self.segments[0][0] != _SENSE:
            return (self,)
        found: list[tuple[str, list[tuple[str, str]]]] = []
        for name, value in self.segments:
            if name == _SENSE:
                found.append((value, []))
            else:
                found[-1][1].append((name, value))
        return tuple(Group(sense, self.version, tuple(segments)) for sense, segments in found)

    def order(self) -> tuple[tuple[object, ...], tuple[object, ...]]:
        """What orders contents of predictions before their bins, and after. Of several senses the first decides: whether a
        later one counts already may not be seen in the earlier."""
        first, *rest = self.parts()
        return (model_of(first.model), first.version, first.segments), tuple(rest)


def together(parts: Sequence[Group]) -> Group:
    """The group of a prediction that is counted in each of these, of different senses of one model."""
    if len(parts) == 1:
        return parts[0]
    segments = tuple(pair for part in parts for pair in ((_SENSE, part.model), *part.segments))
    return Group(model_of(parts[0].model), parts[0].version, segments)


_ROOM = 64


class Groups:
    """Interner of groups: dense codes, the code of (model, version) per group, whatever the sense, a hash per group."""

    __slots__ = ("_codes", "_hashes", "_key_codes", "_keys", "items")

    def __init__(self) -> None:
        self.items: list[Group] = []
        self._codes: dict[Group, int] = {}
        self._keys: dict[tuple[str, str], int] = {}
        # Twice as long whenever they are full: a model with a version for each record makes groups by the thousand.
        self._key_codes: NDArray[np.int32] = np.zeros(_ROOM, np.int32)
        self._hashes: UInt64s = np.zeros(_ROOM, np.uint64)

    @property
    def key_codes(self) -> NDArray[np.int32]:
        """The code of (model, version) by group."""
        return self._key_codes[: len(self.items)]

    @property
    def hashes(self) -> UInt64s:
        """The hash by group."""
        return self._hashes[: len(self.items)]

    def __len__(self) -> int:
        return len(self.items)

    def code(self, group: Group) -> int:
        """The code of a group, new ones appended."""
        code = self._codes.get(group)
        if code is None:
            code = self._codes[group] = len(self.items)
            if code == len(self._hashes):
                self._key_codes, self._hashes = np.resize(self._key_codes, 2 * code), np.resize(self._hashes, 2 * code)
            self.items.append(group)
            key = self._keys.setdefault((model_of(group.model), group.version), len(self._keys))
            text = "\x1f".join((group.model, group.version, *(f"{d}={v}" for d, v in group.segments)))
            digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
            self._key_codes[code], self._hashes[code] = key, digest
        return code
