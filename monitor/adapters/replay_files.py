"""What a replay leaves in a directory: `windows.jsonl`, `alerts.jsonl`, and `replay.json`, written last.

A line of `windows.jsonl` is the canonical value of a final window, in the order of start and key; of `alerts.jsonl` an
alert, each id once, in the order of tick and id; alerts about the daemon itself, which the replay's own pace may decide, are
left out. They are made of the replay's own log when it is settled, so a replay
that was killed and resumed leaves the same bytes as one that was not. Sorting is done on disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from monitor.alerts.traffic import BY_TICKS
from monitor.config.types import Topics
from monitor.errors import MonitorError
from monitor.ports import Log

FORMAT = 1
"""Version of replay.json and of the unfinished replay's spec. Higher ones are refused."""
WORK = ".replay"
RESULT = "replay.json"
LOCK = "writer.lock"
_CHUNK, _WAIT_MS = 5_000, 200


class ReplayDirectoryError(MonitorError):
    """A directory cannot take a replay, or not go on with one."""


class Spec(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a replay is of. Going on with another one would mix two. `asked`: the bounds as they were given, `from` and
    `until`; None where nobody gave any by text."""

    format: int
    cluster_id: str
    config: str  # digest of the whole configuration
    meaning: str  # digest of what gives numbers their meaning, references included
    topic_ids: dict[str, str]
    spans: dict[str, tuple[tuple[int, int], ...]]
    asked: dict[str, tuple[str, ...]] | None = None


def begin(directory: Path, spec: Spec) -> None:
    """Remember what is replayed. Raises ReplayDirectoryError where something is already."""
    if directory.exists() and any(directory.iterdir()):
        if (directory / WORK / LOCK).exists():
            os.close(_locked(directory))
        hint = "--resume goes on with it" if (directory / WORK).exists() else "Choose another directory"
        raise ReplayDirectoryError(f"{str(directory)!r} is not empty. {hint}; nothing is ever overwritten.")
    try:
        (directory / WORK).mkdir(parents=True)
    except OSError as error:
        raise ReplayDirectoryError(
            f"{str(directory)!r} cannot be made: {error.strerror}. Choose another directory."
        ) from error
    _write(directory / WORK / "spec.json", msgspec.json.encode(spec))


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Nobody else goes on with the unfinished replay in a directory. Raises ReplayDirectoryError where somebody does."""
    handle = _locked(directory)
    try:
        yield
    finally:
        os.close(handle)


def _locked(directory: Path) -> int:
    """A handle that holds the lock; closing it, or the end of the process, gives it back."""
    try:
        handle = os.open(directory / WORK / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise ReplayDirectoryError(
            f"{str(directory)!r} has just been finished by another process. Look at it, or choose another directory."
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ReplayDirectoryError(
            f"{str(directory)!r} is being written by another process. Wait for its end, or choose another directory."
        ) from None
    return handle


def resumed(directory: Path) -> Spec:
    """What an unfinished replay is of. Raises ReplayDirectoryError where there is none."""
    try:
        return _spec_in(directory / WORK / "spec.json")
    except FileNotFoundError:
        why = "the replay is finished" if (directory / RESULT).exists() else "no replay was begun here"
        raise ReplayDirectoryError(
            f"{str(directory)!r}: {why}. Leave --resume out and choose a new directory."
        ) from None


def finished(directory: Path) -> Spec:
    """What a finished replay, whose `replay.json` is there, is of. Raises ReplayDirectoryError."""
    return _spec_in(directory / RESULT)


def _spec_in(path: Path) -> Spec:
    try:
        told = msgspec.json.decode(path.read_bytes())
        if told["format"] > FORMAT:
            raise ReplayDirectoryError(
                f"{path}: its format is {told['format']}, this version of Driftline reads up to {FORMAT}. Use the version "
                "that wrote it."
            )
        return msgspec.convert(told, Spec)
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
        raise ReplayDirectoryError(f"{path} is damaged: {error}. Begin again in a new directory.") from error


def finish(directory: Path, own: Log, topics: Topics, spec: Spec) -> dict[str, Any]:
    """Write the files from the settled log `own`, and what they are of; gives the result as it is written."""
    files = {}
    for name, topic, read in (("windows", topics.windows, _window), ("alerts", topics.alerts, _alert)):
        count, digest = _sorted_lines(directory / f"{name}.jsonl", _values(own, topic), read)
        files[f"{name}.jsonl"] = {"lines": count, "sha256": digest}
    result = {**msgspec.to_builtins(spec), "files": files}
    _write(directory / RESULT, msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    return result


def clear(directory: Path) -> None:
    """Remove the replay's own log; the files stay."""
    shutil.rmtree(directory / WORK)


Row = tuple[int, str, bytes]


def _window(value: bytes) -> Row | None:
    told: Mapping[str, Any] = msgspec.json.decode(value)
    if not told["final"]:
        return None
    parts = ("model", "version", "segment", "window", "kind")
    return told["start_ms"], msgspec.json.encode([told[part] for part in parts]).decode(), value


def _alert(value: bytes) -> Row | None:
    told: Mapping[str, Any] = msgspec.json.decode(value)
    if told["data"]["category"] == "operational" and told["data"]["condition"] not in BY_TICKS:
        return None
    return told["data"]["tick_ms"], told["id"], value


def _values(own: Log, topic: str) -> Iterator[list[bytes]]:
    ends = own.end_offsets(topic)
    for partition, (start, end) in enumerate(zip(own.begin_offsets(topic), ends, strict=True)):
        reader = own.reader(keys=False, headers=False)
        try:
            reader.assign({(topic, partition): start})
            position = start
            while position < end:
                for batch in reader.poll(_CHUNK, _WAIT_MS):
                    position = batch.next_offset
                    yield [value for value in batch.values if value is not None]
        finally:
            reader.close()


def _sorted_lines(path: Path, batches: Iterator[Sequence[bytes]], read: Any) -> tuple[int, str]:
    db = sqlite3.connect("", isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("CREATE TABLE lines (at INTEGER, name TEXT, value BLOB, PRIMARY KEY (at, name)) WITHOUT ROWID")
        for values in batches:
            db.execute("BEGIN")
            db.executemany("INSERT OR IGNORE INTO lines VALUES (?, ?, ?)", filter(None, map(read, values)))
            db.execute("COMMIT")
        digest, count = hashlib.sha256(), 0
        unfinished = path.with_name(f"{path.name}.unfinished")
        with unfinished.open("wb") as out:
            for (value,) in db.execute("SELECT value FROM lines ORDER BY at, name"):
                out.write(value + b"\n")
                digest.update(value + b"\n")
                count += 1
            out.flush()
            os.fsync(out.fileno())
        unfinished.rename(path)
        return count, f"sha256:{digest.hexdigest()}"
    finally:
        db.close()


def _write(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    unfinished.rename(path)
