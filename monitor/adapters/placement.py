"""Which hash put the keys of a topic where they are, told from a sample. Two topics can be joined partition by
partition only if it is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from monitor.adapters.partitioner import PARTITIONERS
from monitor.events import RecordBatch
from monitor.ingest.id_texts import IdTexts
from monitor.ports import Log

SAMPLE_RECORDS: Final = 200
"""Records looked at per partition: the newest ones."""
_WAIT_MS: Final = 500
_PATIENCE: Final = 10  # polls without a record before the sample is taken as it is


@dataclass(slots=True)
class Placement:
    """What a sample of a topic with `partitions` partitions shows."""

    topic: str
    partitions: int
    keyless: int = 0
    places: dict[bytes, int] = field(default_factory=dict)  # key -> the partition it was first seen in
    moved: int = 0  # records whose key was also seen in another partition
    ids: dict[bytes, int] = field(default_factory=dict)  # the same of ids, as far as they can be read

    @property
    def keyed(self) -> int:
        """Distinct keys in the sample."""
        return len(self.places)

    @property
    def partitioner(self) -> str | None:
        """The known hash that explains every key; None when none does, or there is nothing to explain."""
        return None if self.moved else self._explained(self.places)

    @property
    def id_partitioner(self) -> str | None:
        """The same of the ids."""
        return self._explained(self.ids)

    def _explained(self, places: Mapping[bytes, int]) -> str | None:
        if not places or self.partitions == 1:
            return None
        for name, place in PARTITIONERS.items():
            if all(place(key, self.partitions) == partition for key, partition in places.items()):
                return name
        return None

    def take(self, batch: RecordBatch, ids: IdTexts | None = None) -> None:
        """Look at one more batch; `ids` reads its ids."""
        if ids is not None:
            for _, text in ids.read(ids.open(batch)):
                self.ids.setdefault(text.encode("utf-8", "replace"), batch.partition)
        for key in batch.keys or ():
            if key is None:
                self.keyless += 1
            elif self.places.setdefault(key, batch.partition) != batch.partition:
                self.moved += 1


def sample(log: Log, topic: str, ids: IdTexts | None = None) -> Placement:
    """Look at the newest records of every partition of an existing topic; nothing is written or committed. `ids` reads their
    ids."""
    begins, ends = log.begin_offsets(topic), log.end_offsets(topic)
    placement = Placement(topic, len(ends))
    starts: dict[tuple[str, int], int] = {}
    missing: Mapping[int, int] = {number: end for number, end in enumerate(ends) if begins[number] < end}
    for number, end in missing.items():
        starts[topic, number] = max(begins[number], end - SAMPLE_RECORDS)
    reader = log.reader(keys=True, headers=ids is not None and ids.needs_headers)
    try:
        reader.assign(starts)
        empty = 0
        while missing and empty < _PATIENCE:
            batches = reader.poll(SAMPLE_RECORDS, _WAIT_MS)
            empty = 0 if batches else empty + 1
            for batch in batches:
                placement.take(batch, ids)
            reached = {batch.partition: batch.next_offset for batch in batches}
            missing = {number: end for number, end in missing.items() if reached.get(number, 0) < end}
    finally:
        reader.close()
    return placement


def disagreeing(left: Mapping[bytes, int], right: Mapping[bytes, int]) -> tuple[int, int]:
    """How many keys, or ids, both samples hold, and how many of them lie in different partitions."""
    shared = left.keys() & right.keys()
    return len(shared), sum(left[key] != right[key] for key in shared)
