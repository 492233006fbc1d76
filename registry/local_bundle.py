"""The files of a model on this machine: a file, or everything in a directory. Mapped, not read; never through a link.

What is named on the command line may be a link to a file; within a directory nothing may.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from registry.errors import RegistryError
from registry.formats.finding import FILES_MAX, Finding, Refusal


class LocalBundle:
    """`registry.catalog.Bundle` over files and directories. Use as a context; the views end with it."""

    def __init__(self, paths: list[Path]) -> None:
        self._files: dict[str, memoryview] = {}
        self._findings: list[Finding] = []
        self._maps: list[mmap.mmap] = []
        for path in paths:
            self._take(path)

    @property
    def files(self) -> Mapping[str, memoryview]:
        """See Bundle."""
        return self._files

    @property
    def findings(self) -> tuple[Finding, ...]:
        """See Bundle."""
        return tuple(self._findings)

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(map(len, self._files.values()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for view in self._files.values():
            view.release()
        self._files.clear()
        for mapped in self._maps:
            with suppress(BufferError):  # an error on its way out still holds a slice; it is unmapped with that
                mapped.close()

    def _take(self, path: Path) -> None:
        try:
            if not path.is_dir():
                self._open(path.name, path.resolve(strict=True))
                return
            for name, found in _walk(path, ""):
                if len(self._files) + len(self._findings) > FILES_MAX:
                    self._findings.append(
                        Finding(".", Refusal.TOO_MANY_FILES, f"there are more than {FILES_MAX:,} files")
                    )
                    return
                self._open(name, found)
        except OSError as error:
            why = f"cannot be read: {error.strerror or error}"
            raise RegistryError(f"file {str(error.filename or path)!r}", why, "Look at its permissions.") from error

    def _open(self, name: str, path: Path) -> None:
        if path.is_symlink():
            self._findings.append(Finding(name, Refusal.SYMLINK, f"it leads to {str(path.readlink())!r}"))
            return
        # Not blocking: a named pipe must not stop us before we have seen what it is.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                self._findings.append(Finding(name, Refusal.SPECIAL_FILE, "it is neither a file nor a folder"))
            elif name in self._files:
                self._findings.append(Finding(name, Refusal.PATH, "two files have this name"))
            elif status.st_size == 0:
                self._files[name] = memoryview(b"")
            else:
                mapped = mmap.mmap(handle, status.st_size, access=mmap.ACCESS_READ)
                self._maps.append(mapped)
                self._files[name] = memoryview(mapped)
        finally:
            os.close(handle)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, f"{prefix}{path.name}/")
        else:
            yield prefix + path.name, path
