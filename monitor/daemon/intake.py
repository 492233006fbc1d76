"""Reading the two source topics for every task a worker owns, so that neither runs far ahead of the other.

Order does not matter to what is counted; it matters to memory: rows wait for the stream that is behind. While both
streams have more to give, the one whose event time is ahead is left alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from monitor.config.types import Config
from monitor.errors import SchemasUnreachable
from monitor.events import RecordBatch
from monitor.ingest.clocks import NEVER
from monitor.ingest.rows import portions
from monitor.partition import Partition, Shared
from monitor.plan import Plan
from monitor.ports import Log, Reader

CHUNK = 1_000
"""Records asked for at once: they stay in the cache while they are decoded."""
ALIGN_SHARE = 8
"""A stream may be ahead by an eighth of the horizon before it has to wait."""


class Intake:
    """Two readers and where they are."""

    def __init__(
        self,
        log: Log,
        topics: tuple[str, ...],
        wants: tuple[tuple[bool, bool], ...],
        align_ms: int,
        opens: tuple[Callable[[RecordBatch], None] | None, ...] = (None, None),
    ) -> None:
        """`topics`: predictions and, unless there are none, labels; `wants`: whether each needs keys and headers; `opens`: where
        its records are opened, what gets ready for that. Of such a stream a turn takes a portion of a batch at most, and none
        while what it needs is not at hand."""
        self.topics = topics
        self._opens = opens
        self._kept: list[deque[RecordBatch]] = [deque() for _ in topics]
        self._align_ms = align_ms
        self._readers: list[Reader] = [log.reader(keys=k, headers=h) for k, h in wants]
        self._dry = [True] * len(topics)
        self.behind = False
        """Whether there was at least as much to read as was asked for, the last time."""
        self._paused: list[frozenset[int]] = [frozenset()] * len(topics)

    def assign(self, engines: Mapping[int, Partition]) -> None:
        """Read for exactly these partitions, each from where its engine is."""
        for stream, reader in enumerate(self._readers):
            name = self.topics[stream]
            reader.assign({(name, p): engine.next_offsets[stream] for p, engine in engines.items()})
            self._kept[stream].clear()  # it is read again from where the engines are
        self._dry = [True] * len(self.topics)
        self._paused = [held & engines.keys() for held in self._paused]  # as the readers do

    def pause(self, partitions: Iterable[int]) -> None:
        """Leave the predictions of these partitions alone: their join is full."""
        wanted = frozenset(partitions)
        if wanted != self._paused[0]:
            self._paused[0] = wanted
            self._readers[0].pause([(self.topics[0], p) for p in sorted(wanted)])

    def poll(self, engines: Mapping[int, Partition], wait_ms: int) -> list[tuple[int, RecordBatch]]:
        """What came, as (stream, batch). Waits only when both streams gave nothing last time."""
        found: list[tuple[int, RecordBatch]] = []
        held = self._ahead(engines)
        wait = wait_ms // len(self.topics) if all(self._dry) else 0
        self.behind = False
        for stream, reader in enumerate(self._readers):
            if stream == held:
                continue
            ready = self._opens[stream]
            batches = reader.poll(CHUNK, wait) if ready is None else self._portion(stream, reader, wait, ready)
            self._dry[stream] = not batches
            self.behind = self.behind or sum(map(len, batches)) >= CHUNK or bool(self._kept[stream])
            found.extend((stream, batch) for batch in batches)
        return found

    def _portion(
        self, stream: int, reader: Reader, wait_ms: int, ready: Callable[[RecordBatch], None]
    ) -> list[RecordBatch]:
        """What is taken of a stream whose records may hold several rows: a commit is made before more of it is."""
        kept = self._kept[stream]
        if not kept:
            kept.extend(portion for batch in reader.poll(CHUNK, wait_ms) for portion in portions(batch))
        paused = self._paused[stream]
        taken = next((at for at, batch in enumerate(kept) if batch.partition not in paused), None)
        if taken is None:
            return []
        batch = kept[taken]
        try:
            ready(batch)
        except SchemasUnreachable:  # said by whoever asked
            return []
        del kept[taken]
        return [batch]

    def _ahead(self, engines: Mapping[int, Partition]) -> int | None:
        """The stream that must wait: it is ahead, and the other one still has records to give."""
        if len(self.topics) < 2 or any(self._dry) or not engines:
            return None
        clocks = [max(e.clocks[stream].maximum_ms for e in engines.values()) for stream in (0, 1)]
        if NEVER in clocks or abs(clocks[0] - clocks[1]) <= self._align_ms:
            return None
        return 0 if clocks[0] > clocks[1] else 1

    def close(self) -> None:
        """Close both readers."""
        for reader in self._readers:
            reader.close()


def intake_of(log: Log, topics: tuple[str, ...], config: Config, plan: Plan, shared: Shared) -> Intake:
    """An intake that reads what the decoders, and the dead letters, need of each record."""
    wants = [(shared.predictions.needs_keys, shared.predictions.needs_headers)]
    if shared.labels is not None:
        wants.append((shared.labels.needs_keys, shared.labels.needs_headers))
    if config.dead_letters.enabled and config.dead_letters.payload:
        wants = [(True, True)] * len(wants)  # a letter holds the original key and headers
    decoders = (shared.predictions, shared.labels)
    opens = tuple(d.ready if d is not None and d.opens else None for d in decoders)
    return Intake(log, topics, tuple(wants), plan.join.bounds.horizon_ms // ALIGN_SHARE, opens)
