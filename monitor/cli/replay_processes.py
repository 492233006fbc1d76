"""A replay by several processes: the one that was started evaluates and reads some partitions, others read the rest.

Those others (`monitor.cli.replay_help`) are told what to do by one line of JSON on their standard input, which stays open for
as long as they are wanted: one that finds it closed, because it is to stop or because nobody is there any more, stops. They
say how far they are, and in the end what they could not use, by lines of JSON on their standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from monitor.daemon.headway import PartitionHeadway
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.daemon.replay.sharing import Share

MUCH = 400_000
"""Records from which on other processes are started by themselves: they take as long to start as to read a tenth of it."""
_STOP_S = 30.0


@dataclass(frozen=True)
class Origin:
    """What a process of its own needs to know to open what this one has open: the configuration and where records come from
    (`kafka`, or the path of an embedded log or of a recording)."""

    files: tuple[Path, ...]
    overrides: tuple[str, ...]
    source: str
    path: Path | None = None
    processes: int | None = None
    """How many were asked for; None where nobody said."""

    def wanted(self, records: int, partitions: int) -> int:
        """How many processes run a replay of so many records."""
        if self.processes is not None:
            return min(self.processes, partitions)
        return 1 if records < MUCH else min(len(os.sched_getaffinity(0)), partitions)


def origin_of(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    recording: Path | None,
    processes: int | None,
) -> Origin:
    """From the options of a command."""
    source = "recording" if recording is not None else "embedded" if embedded is not None else "kafka"
    return Origin(files, overrides, source, recording or embedded, processes)


class Order(msgspec.Struct, frozen=True):
    """What one process is to do. `config`: the digest of the whole configuration, which must not have changed meanwhile."""

    files: tuple[str, ...]
    overrides: tuple[str, ...]
    config: str
    source: str
    path: str | None
    directory: str
    spans: dict[str, tuple[tuple[int, int], ...]]
    partitions: tuple[int, ...]


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a process is; in the end with the records that it read and those it could not use, by topic."""

    partitions: list[PartitionHeadway]
    consumed: dict[str, int] | None = None
    rejected: dict[str, dict[str, int]] | None = None


@dataclass
class _Helper:
    process: subprocess.Popen[bytes]
    partitions: tuple[int, ...]
    buffer: bytes = b""
    said: Said = field(default_factory=lambda: Said([]))

    def hear(self) -> None:
        """Take what it said since."""
        assert self.process.stdout is not None
        while part := _read(self.process.stdout.fileno()):
            *lines, self.buffer = (self.buffer + part).split(b"\n")
            if lines:
                self.said = msgspec.json.decode(lines[-1], type=Said)


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 65_536)
    except BlockingIOError:
        return b""


class Helpers:
    """The other processes of a replay, for as long as a context lasts."""

    def __init__(
        self,
        origin: Origin | None,
        config: str,
        directory: Path,
        spans: Mapping[str, Sequence[tuple[int, int]]],
        shares: Sequence[Share],
    ) -> None:
        """`shares`: of those others."""
        self._orders = [
            Order(
                tuple(map(str, origin.files)),
                origin.overrides,
                config,
                origin.source,
                None if origin.path is None else str(origin.path),
                str(directory),
                {name: tuple((start, end) for start, end in ranges) for name, ranges in spans.items()},
                tuple(sorted(share.partitions)),
            )
            for share in shares
            if origin is not None
        ]
        self._running: list[_Helper] = []

    def __enter__(self) -> Self:
        for order in self._orders:
            process = subprocess.Popen(
                [sys.executable, "-m", "monitor.cli.replay_help"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            os.set_blocking(process.stdout.fileno(), False)
            self._running.append(_Helper(process, order.partitions))
        return self

    def look(self) -> list[PartitionHeadway]:
        """How far they are. Raises MonitorError when one of them ended before its work did."""
        for helper in self._running:
            helper.hear()
            if helper.process.poll() is not None:
                helper.hear()
                if helper.said.consumed is None:
                    partitions = ", ".join(map(str, helper.partitions))
                    raise MonitorError(
                        f"the process that read partitions {partitions} ended with {helper.process.returncode} before its "
                        "end; what it said stands above. --processes 1 does without."
                    )
        return [own for helper in self._running for own in helper.said.partitions]

    def wait(self) -> None:
        """Until they are done, which they are soon when the replay is settled."""
        for helper in self._running:
            helper.process.wait()
        self.look()

    @property
    def consumed(self) -> int:
        """Records that they read, when they are done."""
        return sum(sum((helper.said.consumed or {}).values()) for helper in self._running)

    @property
    def rejected(self) -> list[Mapping[str, Mapping[str, int]]]:
        """What each of them could not use, when it is done."""
        return [helper.said.rejected or {} for helper in self._running]

    def __exit__(self, *_: object) -> None:
        for helper in self._running:  # all at once, and only then wait: each finishes what it has in hand
            assert helper.process.stdin is not None
            helper.process.stdin.close()
        for helper in self._running:
            try:
                helper.process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                helper.process.kill()
                helper.process.wait()
            assert helper.process.stdout is not None
            helper.process.stdout.close()
