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


class Groups:
    """Interner of groups: dense codes, the code of (model, version) per group, a hash per group."""

    __slots__ = ("_codes", "_keys", "hashes", "items", "key_codes")

    def __init__(self) -> None:
        self.items: list[Group] = []
        self._codes: dict[Group, int] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self.key_codes: NDArray[np.int32] = np.zeros(0, np.int32)
        self.hashes: UInt64s = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self.items)

    def code(self, group: Group) -> int:
        """The code of a group, new ones appended."""
        code = self._codes.get(group)
        if code is None:
            code = self._codes[group] = len(self.items)
            self.items.append(group)
            key = self._keys.setdefault((group.model, group.version), len(self._keys))
            text = "\x1f".join((group.model, group.version, *(f"{d}={v}" for d, v in group.segments)))
            digest = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
            self.key_codes = np.append(self.key_codes, np.int32(key))
            self.hashes = np.append(self.hashes, np.uint64(digest))
        return code
