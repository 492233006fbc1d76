"""A log of lists: what a test wrote down, delivered in the cuts that it draws. Reading only."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from monitor.events import RecordBatch
from monitor.ports import TopicInfo


@dataclass
class ListLog:
    """Topics as lists of partitions of JSON records, the first at offset `first`. Satisfies as much of `Log` as reading asks."""

    topics: Mapping[str, Sequence[Sequence[Any]]]
    rng: random.Random
    first: int = 0
    begins: dict[tuple[str, int], int] = field(default_factory=dict)
    made: int = 1

    def cluster_id(self) -> str:
        return "lists"

    def topic(self, name: str) -> TopicInfo | None:
        found = self.topics.get(name)
        return None if found is None else TopicInfo(name, f"{name}-{self.made}", len(found), {})

    def begin_offsets(self, topic: str) -> list[int]:
        return [self.begins.get((topic, p), self.first) for p in range(len(self.topics[topic]))]

    def end_offsets(self, topic: str) -> list[int]:
        return [self.first + len(records) for records in self.topics[topic]]

    def reader(self, *, keys: bool = True, headers: bool = True) -> ListReader:
        return ListReader(self)

    def close(self) -> None:
        pass


class ListReader:
    """At most a few records of each partition at a time."""

    def __init__(self, log: ListLog) -> None:
        self._log = log
        self._at: dict[tuple[str, int], int] = {}
        self._paused: set[tuple[str, int]] = set()

    def assign(self, positions: Mapping[tuple[str, int], int]) -> None:
        self._at = dict(positions)

    def pause(self, partitions: Sequence[tuple[str, int]]) -> None:
        self._paused = set(partitions)

    def close(self) -> None:
        pass

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        out = []
        for (topic, partition), at in self._at.items():
            records = self._log.topics[topic][partition]
            n = min(self._log.rng.randint(1, 6), self._log.first + len(records) - at)
            if n <= 0 or (topic, partition) in self._paused:
                continue
            place = at - self._log.first
            values = [r if isinstance(r, bytes) else orjson.dumps(r) for r in records[place : place + n]]
            offsets = np.arange(at, at + n, dtype=np.int64)
            out.append(RecordBatch(topic, partition, offsets, np.full(n, 1 << 42, np.int64), values, at + n))
            self._at[topic, partition] = at + n
        return out
