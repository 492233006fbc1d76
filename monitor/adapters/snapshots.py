"""Snapshots of joins in a directory: DIR/NAMESPACE/PARTITION/SEQUENCE-DIGEST.snapshot, written whole or not at all.

8 bytes "DRIFTSNP", 8 bytes length of the header, the header, the columns one behind the other, 32 bytes digest of all that
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from monitor.ledger.snapshots import SnapshotError

_MAGIC = b"DRIFTSNP"
_DIGEST_BYTES = 32
_CHUNK = 1 << 20
KEPT = 2
"""Snapshots of a partition: the newest may turn out damaged."""


class SnapshotFile:
    """One that is whole. Satisfies `monitor.ports.KeptSnapshot`."""

    def __init__(self, path: Path, where: str | None = None) -> None:
        """Raises SnapshotError when it is not what was written. `where`: what it is called, when it is a copy."""
        self.where = str(path) if where is None else where
        try:
            with path.open("rb") as file:
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise SnapshotError(self.where, f"it cannot be read: {error}") from error
        whole = len(self._bytes) - _DIGEST_BYTES
        if whole < 16 or self._bytes[:8] != _MAGIC:
            raise SnapshotError(self.where, "it is no snapshot, or cut off")
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for start in range(0, whole, _CHUNK):
            digest.update(self._bytes[start : min(start + _CHUNK, whole)])
        if digest.digest() != self._bytes[whole:]:
            raise SnapshotError(self.where, "its digest is not that of its contents: it is damaged, or cut off")
        size = int.from_bytes(self._bytes[8:16], "little")
        self.header = self._bytes[16 : 16 + size]
        self._at = 16 + size

    def column(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The next column."""
        count = int(np.prod(shape, dtype=np.int64))
        found = np.frombuffer(self._bytes, np.dtype(dtype), count, self._at) if count else np.zeros(0, dtype)
        self._at += found.nbytes
        return found.reshape(shape)


class SnapshotDirectory:
    """Satisfies `monitor.ports.SnapshotStore`."""

    def __init__(self, directory: Path, namespace: str) -> None:
        self._folder = directory / namespace

    def problem(self) -> str | None:
        """Why none could be written there now, told before the first is due; None when one could."""
        probe = self._folder / f"{os.getpid()}.probe"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            return f"{self._folder}: {error.strerror or error}"
        return None

    def paths(self, partition: int) -> list[str]:
        """Those of a partition, the newest first."""
        found = (self._folder / str(partition)).glob("*.snapshot")
        return [str(path) for path in sorted(found, reverse=True)]

    def open(self, where: str) -> SnapshotFile:
        """Raises SnapshotError when it is damaged."""
        return SnapshotFile(Path(where))

    def write(self, partition: int, name: str, header: bytes, columns: Iterable[NDArray[Any]]) -> int:
        """Write one under a name that sorts behind those before it, and remove all but the newest; gives its size. Raises
        SnapshotError; nothing is left of it then."""
        folder = self._folder / str(partition)
        path = folder / f"{name}.snapshot"
        unfinished = folder / f"{name}.{os.getpid()}.unfinished"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                size = write_file(file, header, columns)
                os.fsync(file.fileno())
            unfinished.rename(path)
            for old in sorted(folder.glob("*.snapshot"))[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise SnapshotError(str(path), f"it cannot be written: {error.strerror or error}") from error
        return size

    def all(self) -> list[str]:
        """Every file of the namespace, unfinished ones too."""
        return [str(path) for path in sorted(self._folder.glob("*/*")) if path.is_file()]

    def clear(self) -> int:
        """Remove every file of the namespace; gives how many. A daemon that runs is not disturbed: it writes others. Raises
        SnapshotError."""
        found = self.all()
        for path in found:
            try:
                Path(path).unlink(missing_ok=True)
            except OSError as error:
                raise SnapshotError(path, f"it cannot be removed: {error.strerror or error}") from error
        return len(found)


def write_file(file: IO[bytes], header: bytes, columns: Iterable[NDArray[Any]]) -> int:
    """Write all of a snapshot; gives its size."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for piece in (_MAGIC, len(header).to_bytes(8, "little"), header):
        digest.update(piece)
        file.write(piece)
    for column in columns:
        if column.size:
            data = np.ascontiguousarray(column).data.cast("B")
            digest.update(data)
            file.write(data)
    file.write(digest.digest())
    file.flush()
    return file.tell()
