"""A simulated disk: it stops at any step, and after a loss of power it remembers only what was synced, plus any part of
the rest. It satisfies `registry.files.Files`."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from registry.files import FileKind, FileStatus


class Stopped(BaseException):  # not an Exception: no handler of the program may swallow a kill
    """The process ended here."""


@dataclass
class Inode:
    """A file: what is in the cache, and what of it is on the disk."""

    cached: bytes = b""
    synced: bytes = b""
    modified_ms: int = 0


@dataclass
class Folder:
    """Names in the cache and names on the disk."""

    cached: dict[str, Inode | Folder] = field(default_factory=dict)
    synced: dict[str, Inode | Folder] = field(default_factory=dict)


class Disk:
    """What outlives processes. `now_ms` is its clock."""

    def __init__(self) -> None:
        self.root = Folder()
        self.exists = False
        self.now_ms = 1_700_000_000_000

    def lose_power(self, luck: random.Random) -> None:
        """Forget what was not synced, except for any part of it: each name, each tail of a file may have got there."""
        self._forget(self.root, luck, set())

    def _forget(self, folder: Folder, luck: random.Random, seen: set[int]) -> None:
        for name in sorted(folder.cached.keys() | folder.synced.keys()):
            now, then = folder.cached.get(name), folder.synced.get(name)
            kept = now if now is then or luck.random() < 0.5 else then
            if kept is None:
                folder.synced.pop(name, None)
            else:
                folder.synced[name] = kept
        folder.cached = dict(folder.synced)
        for child in folder.cached.values():
            if isinstance(child, Folder):
                self._forget(child, luck, seen)
            elif id(child) not in seen:
                seen.add(id(child))
                self._tear(child, luck)

    @staticmethod
    def _tear(file: Inode, luck: random.Random) -> None:
        if file.cached != file.synced:
            length = luck.randrange(len(file.cached) + 1)
            torn = file.cached[:length]
            if luck.random() < 0.3:  # the length is there, the bytes are not
                torn = torn + b"\0" * (len(file.cached) - length)
            file.cached = file.synced = torn


class SimulatedFiles:
    """One process's view of a disk. It stops before, or in the middle of, step number `stop_at`."""

    def __init__(self, disk: Disk, stop_at: int | None = None, *, after: bool = False) -> None:
        self.disk, self.stop_at, self.after, self.steps = disk, stop_at, after, 0

    def _step(self) -> bool:
        """Count a step. Raises Stopped when it is the last one and does not happen; True when it happens and then stops."""
        self.steps += 1
        if self.stop_at is not None and self.steps > self.stop_at:
            raise Stopped
        if self.steps == self.stop_at:
            if not self.after:
                raise Stopped
            return True
        return False

    def _folder(self, path: str) -> Folder:
        found = self.disk.root
        if not self.disk.exists:
            raise FileNotFoundError(path)
        for part in filter(None, path.split("/")):
            child = found.cached.get(part)
            if child is None:
                raise FileNotFoundError(path)
            if not isinstance(child, Folder):
                raise NotADirectoryError(path)
            found = child
        return found

    def _parent(self, path: str) -> tuple[Folder, str]:
        folder, _, name = path.rpartition("/")
        return self._folder(folder), name

    def _file(self, path: str) -> Inode:
        folder, name = self._parent(path)
        found = folder.cached.get(name)
        if found is None:
            raise FileNotFoundError(path)
        assert isinstance(found, Inode)
        return found

    def make_folder(self, path: str) -> None:
        stops = self._step()
        self.disk.exists = True
        if path:
            folder, name = self._parent(path)
            folder.cached.setdefault(name, Folder())
        if stops:
            raise Stopped

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        folder, name = self._parent(path)
        stops = self._step()
        if name in folder.cached:
            raise FileExistsError(path)
        made = folder.cached[name] = Inode(modified_ms=self.disk.now_ms)
        if stops:
            raise Stopped
        for chunk in chunks:
            stops = self._step()
            made.cached += bytes(chunk)[: len(chunk) // 2 if stops else len(chunk)]
            if stops:
                raise Stopped

    def sync(self, path: str) -> None:
        stops = self._step()
        file = self._file(path)
        file.synced = file.cached
        if stops:
            raise Stopped

    def sync_folder(self, path: str) -> None:
        stops = self._step()
        folder = self._folder(path)
        folder.synced = dict(folder.cached)
        if stops:
            raise Stopped

    def link(self, source: str, target: str) -> None:
        stops = self._step()
        file = self._file(source)
        folder, name = self._parent(target)
        if name in folder.cached:
            raise FileExistsError(target)
        folder.cached[name] = file
        if stops:
            raise Stopped

    def move(self, source: str, target: str) -> None:
        stops = self._step()
        file = self._file(source)
        folder, name = self._parent(target)
        assert name not in folder.cached
        folder.cached[name] = file
        before, old = self._parent(source)
        del before.cached[old]
        if stops:
            raise Stopped

    def remove(self, path: str) -> None:
        stops = self._step()
        folder, name = self._parent(path)
        folder.cached.pop(name, None)
        if stops:
            raise Stopped

    def touch(self, path: str) -> None:
        stops = self._step()
        self._file(path).modified_ms = self.disk.now_ms
        if stops:
            raise Stopped

    def read(self, path: str) -> Iterator[bytes]:
        yield self._file(path).cached

    def status(self, path: str) -> FileStatus | None:
        try:
            folder, name = self._parent(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = folder.cached.get(name)
        if isinstance(found, Folder):
            return FileStatus(FileKind.FOLDER, 0, 0)
        return None if found is None else FileStatus(FileKind.FILE, len(found.cached), found.modified_ms)

    def names(self, path: str) -> list[str]:
        try:
            return sorted(self._folder(path).cached)
        except FileNotFoundError:
            return []
