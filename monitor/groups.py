"""Groups: the finest series that is counted, (model, version, one value per segment dimension).

Codes are local to a process and only grow; what leaves the process is the group's text and its stable hash.
"""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.events import UInt64s


# A struct and not a dataclass: every tick looks up the windows of a few dozen, and a dataclass hashes anew each time.
class Group(msgspec.Struct, frozen=True, order=True, cache_hash=True, gc=False):
    """Model, version and (dimension, value) pairs in the order of the model's segments."""

    model: str
    version: str
    segments: tuple[tuple[str, str], ...] = ()

    def series(self) -> tuple[str, ...]:
        """The segments a row of this group belongs to: `all` and each `dimension=value`."""
        return ("all", *(f"{dimension}={value}" for dimension, value in self.segments))


_ROOM = 64


class Groups:
    """Interner of groups: dense codes, the code of (model, version) per group, a hash per group."""

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
            key = self._keys.setdefault((group.model, group.version), len(self._keys))
            text = "\x1f".join((group.model, group.version, *(f"{d}={v}" for d, v in group.segments)))
            digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
            self._key_codes[code], self._hashes[code] = key, digest
        return code
