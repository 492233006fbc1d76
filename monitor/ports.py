"""What the daemon asks of the outside, as Protocols. Kafka and the embedded log satisfy the same contract suite.

A log is topics of partitions of records with growing offsets. Nothing here knows which log it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from numpy.typing import NDArray

from monitor.events import Headers, RecordBatch


@dataclass(frozen=True, slots=True)
class OutRecord:
    """A record to be appended. `timestamp_ms` None means the log's own time."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp_ms: int | None = None


LARGE_BYTES: Final = 8 << 20
"""What a commit may come to, of which the last rows that were fed brought more counts than it was to have."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic Driftline wants: `compacted` keeps the latest record of a key; otherwise records never expire by time
    unless `retention_ms` says so. `trimmed`: of a compacted one, that its records are deleted by hand too. `large`: that its
    records may have up to `LARGE_BYTES`."""

    name: str
    partitions: int
    compacted: bool = False
    retention_ms: int | None = None
    trimmed: bool = False
    large: bool = False


def cleanup_policy(spec: TopicSpec) -> str:
    """What Kafka calls it."""
    if spec.compacted:
        return "compact,delete" if spec.trimmed else "compact"
    return "delete"


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What the log says about a topic. `topic_id` changes when a topic is deleted and made again."""

    name: str
    topic_id: str
    partitions: int
    config: Mapping[str, str]


class Reader(Protocol):
    """Reads assigned partitions from stated offsets. Never joins a group, never commits, never resets an offset by itself."""

    def assign(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Read exactly these (topic, partition) from these offsets on; partitions already assigned at the position
        they have are not disturbed."""

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        """At most `max_records`, waiting at most `timeout_ms` for the first. At most one batch per partition.

        A batch may be empty: its `next_offset` then says how far the log's own markers reach. Raises OffsetLost when a
        position has left the log (assign anew, other partitions are read on), and any other LogError on a failure of the
        client, after which a new reader is made.
        """

    def pause(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Replace the set of partitions that poll leaves alone (their prefetched records are kept or refetched)."""

    def close(self) -> None:
        """Free what the client holds; calling it twice is fine."""


class Appender(Protocol):
    """Appends durably. One per owner; dropped, never repaired, after UnknownOutcome."""

    def append(self, topic: str, partition: int, record: OutRecord) -> int:
        """Append one record and wait for the acknowledgement; returns its offset. Raises UnknownOutcome."""

    def send(self, topic: str, record: OutRecord, partition: int | None = None) -> None:
        """Queue a record without waiting (by key when `partition` is None); `flush` waits."""

    def flush(self, timeout_ms: int) -> None:
        """Wait until everything sent is acknowledged. Raises UnknownOutcome if something was not."""

    def close(self) -> None:
        """Free what the client holds; calling it twice is fine."""


@runtime_checkable
class Fences(Protocol):
    """A log whose records may still come when the process that sent them is gone."""

    def fenced_appender(self, name: str) -> Appender:
        """An appender that shuts out every earlier one of its name: what that one sent is there by then, or never will be.
        Others see what is sent when `flush` has come back."""


class Leases(Protocol):
    """Which partitions of a lease topic this process may own. Exclusivity is advisory: the ledger's fence decides."""

    @property
    def joined(self) -> bool:
        """Whether the group counts this member, as far as it was told: holding nothing is then the group's decision. False
        before the first answer, and once the member was put out. Asks nobody."""

    def poll(self, timeout_ms: int) -> frozenset[int]:
        """The partitions held now. Must be called every few seconds to keep them."""

    def report(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit consumer offsets for lag tools. Best effort, errors are swallowed by contract."""

    def close(self) -> None:
        """Give everything back at once."""


class Log(Protocol):
    """A cluster, or its embedded twin."""

    def cluster_id(self) -> str:
        """The cluster's own id; another cluster has another one."""

    def topic(self, name: str) -> TopicInfo | None:
        """None when there is no such topic."""

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        """Create the topic unless it exists; an existing one is returned as it is."""

    def begin_offsets(self, topic: str) -> list[int]:
        """First offset held, per partition."""

    def end_offsets(self, topic: str) -> list[int]:
        """One past the last readable offset, per partition, freshly asked."""

    def offsets_at(self, topic: str, at_ms: int) -> list[int]:
        """Offset of the first record that the log dates at or after a time, per partition; the end where there is none."""

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete a partition's records below an offset, for every reader and for good; nothing happens where none is
        below. Raises LogError, also for a topic that is compacted and not `trimmed`."""

    def reader(self, *, keys: bool = True, headers: bool = True) -> Reader:
        """A reader of its own, to be used by one thread at a time."""

    def appender(self) -> Appender:
        """An appender of its own."""

    def leases(self, topic: str, group: str) -> Leases:
        """Join `group` on the lease topic."""

    def close(self) -> None:
        """Free what the client holds; calling it twice is fine."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema as its registry keeps it: AVRO, JSON or PROTOBUF, its text, and those of the schemas that it names, in the order
    in which they name each other."""

    kind: str
    text: str
    references: tuple[str, ...] = ()


class Schemas(Protocol):
    """What a schema registry knows (`monitor.adapters.schema_registry`)."""

    def schema(self, number: int | str) -> Schema | None:
        """The schema of an id, or of a GUID; None where the registry does not know it. Raises SchemasUnreachable."""


class KeptColumns(Protocol):
    """Columns that were put aside, as they were."""

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """By name, not to be written to."""

    @property
    def nbytes(self) -> int:
        """What they take where they are."""

    def drop(self) -> None:
        """They are not needed any more, nor are arrays taken from them."""


class SegmentStore(Protocol):
    """Room for columns beside memory, for as long as the process lives (`monitor.adapters.segments`)."""

    def keep(self, columns: Mapping[str, NDArray[Any]]) -> KeptColumns:
        """Put columns of equal length aside. Raises SpillRefused where there is no room; nothing is kept then."""

    def close(self) -> None:
        """Drop everything that was kept."""


class KeptSnapshot(Protocol):
    """A snapshot whose bytes are what was written."""

    where: str
    header: bytes

    def column(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """The next column; they come in the order in which they were written."""


class SnapshotStore(Protocol):
    """Snapshots of the joins of a namespace (`monitor.adapters.snapshots`)."""

    def paths(self, partition: int) -> list[str]:
        """Where those of a partition are, the newest first."""

    def open(self, where: str) -> KeptSnapshot:
        """Raises SnapshotError when it is damaged."""

    def write(self, partition: int, name: str, header: bytes, columns: Iterable[NDArray[Any]]) -> int:
        """Write one whole under a name that sorts behind those before it, forget all but the newest few; gives its size.
        Raises SnapshotError; nothing is left of it then."""


class WallClock(Protocol):
    """The only clocks of the shell. The core never sees one."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""

    def monotonic_ms(self) -> int:
        """Milliseconds since some fixed point; never goes back."""

    def sleep_ms(self, ms: int) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class Decided:
    """A record that a decision publishes. `revision` and `tick_ms` are 0 for alerts, whose keys are their ids."""

    topic: str
    key: bytes
    revision: int
    tick_ms: int
    value: bytes | None
    order: int
    """Where in the course of decisions it stands: the sequence of its evaluation, or its tick. Not compared."""


class Decisions(Protocol):
    """A table on disk of what was decided (`monitor.adapters.comparison`)."""

    def add(self, records: Sequence[Decided]) -> None:
        """Remember these."""

    def strike(self, records: Sequence[Decided]) -> list[int]:
        """Mark those that were decided just so as published; gives the places of the others. `order` does not count."""

    def like(self, record: Decided) -> Decided | None:
        """What was decided under the same topic, key and revision."""

    def unpublished(self, topic: str, below: int, *, newest_only: bool) -> Decided | None:
        """The first that was not marked and stands before `below`; with `newest_only` it must be the last of its key, and
        have a value: compaction takes everything else."""
