"""The few things that a store in a directory asks of a file system, and the real one.

A door with a twin: the tests put a simulated disk here that stops at any step and forgets what was not synced.
Paths are relative to the root of the store, with `/`.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from registry.store import CHUNK_BYTES


class FileKind(StrEnum):
    """What a path names, without following symbolic links."""

    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"  # a symbolic link, a socket, a device


@dataclass(frozen=True, slots=True)
class FileStatus:
    """What is known of a path without reading it."""

    kind: FileKind
    size_bytes: int
    modified_ms: int


class Files(Protocol):
    """A file system. Each call is one step that may be the last one of the process."""

    def make_folder(self, path: str) -> None:
        """Make one folder; that it exists is fine. Its parent exists, but for the root's."""

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Write a new file. Raises FileExistsError. Durable only after `sync`."""

    def sync(self, path: str) -> None:
        """Make the contents of a file durable."""

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable, those that went as well as those that came."""

    def link(self, source: str, target: str) -> None:
        """Give a file a second name, in one step. Raises FileExistsError, and FileNotFoundError for the source."""

    def move(self, source: str, target: str) -> None:
        """Rename a file, in one step, to a name that nobody uses. Raises FileNotFoundError."""

    def remove(self, path: str) -> None:
        """Remove a name; that it is gone already is fine."""

    def touch(self, path: str) -> None:
        """Set the time of change to now. Raises FileNotFoundError."""

    def read(self, path: str) -> Iterator[bytes]:
        """The contents in chunks. Raises FileNotFoundError at the first; never follows a symbolic link."""

    def status(self, path: str) -> FileStatus | None:
        """None when there is nothing of this name."""

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted; none when there is no such folder."""


class DiskFiles:
    """The file system of this machine, below one directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _at(self, path: str) -> str:
        return os.fspath(self.root / path) if path else os.fspath(self.root)

    def make_folder(self, path: str) -> None:
        """See Files; the root is made with its parents."""
        os.makedirs(self._at(path), exist_ok=True)

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """See Files."""
        handle = os.open(self._at(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(handle, "wb", buffering=0) as file:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:  # a raw write may take less than it was given
                    rest = rest[file.write(rest) :]

    def sync(self, path: str) -> None:
        """See Files. Another handle than the one that wrote: fsync is about the file, not the handle."""
        self._sync(path, os.O_RDONLY | os.O_CLOEXEC)

    def sync_folder(self, path: str) -> None:
        """See Files."""
        self._sync(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _sync(self, path: str, flags: int) -> None:
        handle = os.open(self._at(path), flags)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def link(self, source: str, target: str) -> None:
        """See Files."""
        os.link(self._at(source), self._at(target), follow_symlinks=False)

    def move(self, source: str, target: str) -> None:
        """See Files."""
        os.rename(self._at(source), self._at(target))

    def remove(self, path: str) -> None:
        """See Files."""
        Path(self._at(path)).unlink(missing_ok=True)

    def touch(self, path: str) -> None:
        """See Files."""
        os.utime(self._at(path), follow_symlinks=False)

    def read(self, path: str) -> Iterator[bytes]:
        """See Files."""
        handle = os.open(self._at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(handle, "rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def status(self, path: str) -> FileStatus | None:
        """See Files."""
        try:
            found = os.lstat(self._at(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        kind = FileKind.OTHER
        if modes.S_ISREG(found.st_mode):
            kind = FileKind.FILE
        elif modes.S_ISDIR(found.st_mode):
            kind = FileKind.FOLDER
        return FileStatus(kind, found.st_size, found.st_mtime_ns // 1_000_000)

    def names(self, path: str) -> list[str]:
        """See Files."""
        try:
            return sorted(os.listdir(self._at(path)))
        except FileNotFoundError:
            return []
