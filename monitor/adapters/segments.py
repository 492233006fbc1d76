"""Segments of joins as files: columns one behind the other, written once, mapped for reading.

They are scratch. Each process has a folder of its own under the directory, with a lock that the system takes back when it ends,
however it ends; the next process that starts there removes the folders that nobody holds. Nothing of them is ever read by another
process: a join is rebuilt from the sources.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.errors import SpillRefused

_log = logging.getLogger("driftline.segments")

_PREFIX = "spill-"
_LOCK = "lock"
_ALIGN = 64


class SegmentFile:
    """One file of columns."""

    def __init__(self, path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
        self._path = path
        places: dict[str, int] = {}
        size = 0
        with path.open("xb") as file:
            for name, column in columns.items():
                places[name] = size = -(-size // _ALIGN) * _ALIGN
                file.seek(size)
                size += file.write(np.ascontiguousarray(column).data.cast("B")) if column.size else 0
            file.truncate(max(size, 1))
        self._size = size
        with path.open("rb") as file:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._columns: dict[str, NDArray[Any]] = {
            name: np.frombuffer(pages, column.dtype, column.size, places[name]).reshape(column.shape)
            for name, column in columns.items()
        }

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """By name, mapped from the file."""
        return self._columns

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self._size

    def drop(self) -> None:
        """Delete the file. Its pages go once no array looks at them."""
        self._columns = {}
        self._path.unlink(missing_ok=True)


class SegmentDirectory:
    """Segments of one process. Satisfies `monitor.ports.SegmentStore`."""

    def __init__(self, directory: Path) -> None:
        """Removes what crashed processes left in `directory`. Raises SpillRefused where nothing can be written."""
        self._directory = directory
        self._number = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _remove_left(directory)
            self._folder, self._lock = _own_folder(directory)
        except OSError as error:
            raise SpillRefused(str(directory), _why(error), at_start=True) from error

    def keep(self, columns: Mapping[str, NDArray[Any]]) -> SegmentFile:
        """Write columns into a file. Raises SpillRefused, and leaves no file, where the disk takes it not."""
        self._number += 1
        path = self._folder / f"{self._number:08d}.columns"
        try:
            return SegmentFile(path, columns)
        except OSError as error:
            with suppress(OSError):
                path.unlink()
            raise SpillRefused(str(self._directory), _why(error)) from error

    def close(self) -> None:
        """Remove everything of this process."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)


def unwritable(directory: Path) -> str | None:
    """Why nothing could be written there by this process. None when it could. What is tried is a file without a name, of which
    nothing is left: root may write where permissions forbid it, and not where a file system takes no files."""
    at = directory.absolute()
    while not os.path.lexists(at) and at != at.parent:
        at = at.parent
    if not at.is_dir():
        return f"{at} is no directory"
    try:
        with tempfile.TemporaryFile(dir=at):
            return None
    except PermissionError:
        return f"no permission to write to {at}"
    except OSError as error:
        if error.errno == errno.EROFS:
            return f"{at} is on a read-only file system"
        return f"{at} takes no files ({_why(error)})"


def _own_folder(directory: Path) -> tuple[Path, int]:
    """A folder that nobody else removes: locked first, then named as those that are."""
    making = directory / f"making-{secrets.token_hex(8)}"
    making.mkdir()
    lock = _locked(making)
    assert lock is not None
    return making.rename(directory / making.name.replace("making-", _PREFIX)), lock


def _locked(folder: Path) -> int | None:
    """A handle that holds the folder's lock; None when another process has it. Closing it, or ending, gives it back."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _remove_left(directory: Path) -> None:
    for folder in sorted(directory.glob(f"{_PREFIX}*")):
        try:
            lock = _locked(folder)
        except FileNotFoundError:  # its process is just removing it
            continue
        if lock is not None:
            _log.info("removing %s: the process that it was of is gone", folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
