"""Reading topics for commands: everything that a topic holds now, the newest record of each key, or what comes next."""

from __future__ import annotations

import gzip
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from monitor.cli.common import open_embedded, open_log
from monitor.errors import LogError, MonitorError
from monitor.events import Headers, RecordBatch
from monitor.ingest.times import LAST_MS

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from monitor.config.types import Config
    from monitor.ports import Log

Where = tuple[str, int]

CHUNK = 5_000
_WAIT_MS = 200
_SILENCE_S = 10.0
"""A log that gives nothing for so long has nothing more: compaction may have taken the records before the end."""
_LINE_EVERY_S = 10.0
_BAR_AFTER_S = 0.5

_EPOCH, _SEQUENCE = "driftline-epoch", "driftline-sequence"


@dataclass(frozen=True, slots=True)
class Found:
    """One record with its place. `headers` is empty when the reader was told to leave them out."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def rank(self) -> tuple[int, int, int]:
        """Which of two records of a key is newer: the writer's epoch, then its sequence, then the offset."""
        return (_number(self.headers, _EPOCH), _number(self.headers, _SEQUENCE), self.offset)


@dataclass(slots=True)
class Scan:
    """Which part of which partitions to read: [start, end) each. `of` takes all that a topic holds now."""

    ranges: Mapping[Where, tuple[int, int]]
    done: dict[Where, int] = field(default_factory=dict)

    @classmethod
    def of(cls, log: Log, topic: str) -> Scan:
        """Everything, as of now. Raises LogError for a topic that does not exist."""
        bounds = zip(log.begin_offsets(topic), log.end_offsets(topic), strict=True)
        return cls({(topic, partition): span for partition, span in enumerate(bounds)})

    @property
    def total(self) -> int:
        """Offsets to read."""
        return sum(end - start for start, end in self.ranges.values())

    def batches(self, log: Log, *, keys: bool = True, headers: bool = True, most: int = CHUNK) -> Iterator[RecordBatch]:
        """Batches of the ranges, each cut at its end; partitions come interleaved."""
        self.done = {where: start for where, (start, _) in self.ranges.items()}
        open_ = {where: start for where, (start, end) in self.ranges.items() if start < end}
        if not open_:
            return
        reader = log.reader(keys=keys, headers=headers)
        try:
            reader.assign(open_)
            heard = time.monotonic()
            while open_:
                batches = reader.poll(most, _WAIT_MS)
                for batch in batches:
                    where = (batch.topic, batch.partition)
                    if where not in open_:
                        continue
                    end = self.ranges[where][1]
                    self.done[where] = min(batch.next_offset, end)
                    yield cut(batch, end)
                    if batch.next_offset >= end:
                        del open_[where]
                        reader.pause([w for w in self.ranges if w not in open_])
                if batches:
                    heard = time.monotonic()
                elif time.monotonic() - heard > _SILENCE_S:
                    for topic, _ in open_:
                        log.end_offsets(topic)  # raises when nobody answers any more
                    return
        finally:
            reader.close()


def cut(batch: RecordBatch, end: int) -> RecordBatch:
    """The records of a batch below offset `end`."""
    if batch.next_offset <= end:
        return batch
    n = int(np.searchsorted(batch.offsets, end))
    return RecordBatch(
        batch.topic,
        batch.partition,
        batch.offsets[:n],
        batch.timestamps_ms[:n],
        batch.values[:n],
        end,
        None if batch.keys is None else batch.keys[:n],
        None if batch.headers is None else batch.headers[:n],
    )


def records(batch: RecordBatch) -> Iterator[Found]:
    """The records of a batch one by one."""
    keys = batch.keys or [None] * len(batch)
    headers = batch.headers or [None] * len(batch)
    places = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), strict=True)
    for (offset, at_ms), key, value, header in zip(places, keys, batch.values, headers, strict=True):
        yield Found(batch.partition, offset, at_ms, key, value, header or ())


def read_all(log: Log, topic: str, what: str) -> Iterator[Found]:
    """Every record that a topic holds now, with progress on standard error when it takes long."""
    scan = Scan.of(log, topic)
    with ScanProgress(scan, what) as progress:
        for batch in scan.batches(log):
            yield from records(batch)
            progress.show()


def newest_of_each_key(found: Iterable[Found]) -> dict[bytes, Found]:
    """The newest record of each key, by writer's epoch and sequence, then offset; keys whose newest value is null are
    gone. A compacted topic may still hold older ones, and an old writer may have come late."""
    newest: dict[bytes, Found] = {}
    for one in found:
        if one.key is not None and (one.key not in newest or one.rank >= newest[one.key].rank):
            newest[one.key] = one
    return {key: one for key, one in newest.items() if one.value is not None}


def lines_of(file: Path) -> Iterator[bytes]:
    """The lines of a file, plain or .gz, without the empty ones. Raises MonitorError when it cannot be read."""
    try:
        with file.open("rb") as raw:
            for line in gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else raw:
                if text := line.rstrip(b"\r\n"):
                    yield text
    except (OSError, EOFError, zlib.error) as error:
        raise MonitorError(
            f"{str(file)!r} cannot be read: {error}. Give a file of JSON lines, plain or gzip."
        ) from error


def batches_of(file: Path, key_of: Callable[[bytes], bytes | None]) -> Iterator[RecordBatch]:
    """The lines of a file as a topic of one partition would give them. The broker's time, which a file has not, is the
    last there is, so that no record is dated after it; there are no headers."""
    lines, start = lines_of(file), 0
    while values := list(islice(lines, CHUNK)):
        n = len(values)
        offsets, times = np.arange(start, start + n), np.full(n, LAST_MS, np.int64)
        start += n
        yield RecordBatch(file.name, 0, offsets, times, values, start, [key_of(v) for v in values], [()] * n)


def _number(headers: Headers, name: str) -> int:
    for key, value in headers:
        if key == name and value is not None:
            try:
                return int(value)
            except ValueError:
                return -1
    return -1


def open_existing(config: Config, embedded: Path | None, *, read_only: bool = True) -> Log:
    """The log of a command that makes none: an embedded one must be there already, and is only read unless the command
    says otherwise."""
    if embedded is not None:
        return open_embedded_existing(embedded, read_only=read_only)
    return open_log(config)


def open_embedded_existing(directory: Path, *, read_only: bool = True) -> Log:
    """The embedded log in a directory. Raises LogError where there is none, instead of making one."""
    if not (directory / "log.db").exists():
        raise LogError(
            f"there is no embedded log in {str(directory)!r}. Give the directory that "
            "`driftline produce --embedded` was given."
        )
    return open_embedded(directory, read_only=read_only)


def need_topic(log: Log, topic: str, hint: str) -> None:
    """Raise a sentence when there is no such topic."""
    if log.topic(topic) is None:
        raise MonitorError(f"there is no topic {topic!r}. {hint}")


class ScanProgress:
    """A bar with an ETA on a terminal, a line every ten seconds elsewhere; nothing for what is quick."""

    def __init__(self, scan: Scan, what: str) -> None:
        self._scan, self._what = scan, what
        self._began = time.monotonic()
        self._people = sys.stderr.isatty()
        self._due = self._began + (_BAR_AFTER_S if self._people else _LINE_EVERY_S)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self) -> None:
        """Refresh when it is due."""
        now = time.monotonic()
        if now < self._due:
            return
        total = self._scan.total
        done = sum(self._scan.done[where] - start for where, (start, _) in self._scan.ranges.items())
        if self._people:
            self._due = now + 0.2
            self._draw(done, total)
            return
        self._due = now + _LINE_EVERY_S
        rate = done / (now - self._began)
        eta = f"{(total - done) / rate:.0f} s" if rate else "unknown"
        print(f"driftline: {self._what}: {done:,} of {total:,} records, {rate:,.0f}/s, ETA {eta}", file=sys.stderr)

    def _draw(self, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            parts = (
                TextColumn(self._what),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*parts, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=total)
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total)
