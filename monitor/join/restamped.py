"""Keys that came again with another time, and what a rebuild of the join must know of them.

A key is remembered by the time of its row (`Join.add_predictions`). A repetition with a later time is no row; but a rebuild
that starts between the two records takes the repetition for the first, and so remembers the key for longer. Two things
prevent that:

- As long as the repetition would itself be held, the rebuild starts before the row (`Floors.hold`).
- Later it can do harm in one way only: a record of the key that was too late for the row, and so is another prediction,
  would be taken for a repetition of the repetition. Such a row is *remembered*: written beside the floor, and put into
  the empty join before anything is read again. It is gone by the commit that the rebuild ends at, as it was then.

An id that is sent again and again (a health check) would otherwise hold the floor for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.events import Bools, Int64s, UInt64s
from monitor.join.index import Rows
from monitor.join.inputs import PredictionBatch
from monitor.join.rows import place_of
from monitor.join.tables import PredictionRows

_FEW = 128


class Stand(NamedTuple):
    """What a key is remembered by. `unseen`: a withdrawal whose prediction has not been read, which will give its time."""

    at_ms: int
    unseen: bool = False


class Repeat(NamedTuple):
    """A record of a key that is held, with another time than the row's. `group`: a code of this process."""

    id: tuple[int, int]
    group: int
    row: Stand
    at_ms: int
    now: Stand


class Known(NamedTuple):
    """What a rebuild remembers a key by."""

    id: tuple[int, int]
    group: int
    stand: Stand


@dataclass(slots=True)
class Span:
    """A row that was repeated. `offset`: where it was read, or earlier; `stands`: what its key was remembered by, each from
    records at an offset on; `latest_ms`: the latest time of the repetitions; `followed`: a record came that a rebuild
    could take for one of them."""

    id: tuple[int, int]
    key: int
    group: int
    offset: int
    stands: list[tuple[int, Stand]]
    latest_ms: int
    followed: bool = False


class Restamped:
    """The spans of one partition."""

    __slots__ = ("_count", "_lateness_ms", "_next_prune", "_spans")

    def __init__(self, lateness_ms: int, spans: Iterable[Span] = ()) -> None:
        self._lateness_ms = lateness_ms
        self._next_prune = _FEW
        self._spans: dict[int, list[Span]] = {}
        self._count = 0  # of spans, not of ids: one that is sent for ever has a new one for each lateness
        for span in spans:
            self._add(span)

    def _add(self, span: Span) -> None:
        self._spans.setdefault(span.id[0], []).append(span)
        self._count += 1

    @property
    def spans(self) -> tuple[Span, ...]:
        """All of them, in an order that means nothing."""
        return tuple(span for spans in self._spans.values() for span in spans)

    def remember(self, known: Sequence[Known], keys: NDArray[np.int32]) -> None:
        """A rebuild began with these; `keys`: of groups."""
        for k in known:
            self._add(Span(k.id, int(keys[k.group]), k.group, -1, [(-1, k.stand)], k.stand.at_ms, followed=True))

    def note(self, repeats: Sequence[Repeat], held: Sequence[int], keys: NDArray[np.int32], offset: int) -> None:
        """Repetitions among records that were read from `offset` on; `held`: offsets that the rows were not read before;
        `keys`: of groups."""
        for repeat, row_offset in zip(repeats, held, strict=True):
            key = int(keys[repeat.group])
            for span in self._spans.get(repeat.id[0], ()):
                if (span.id, span.key, span.stands[-1][1]) == (repeat.id, key, repeat.row):
                    break
            else:
                span = Span(repeat.id, key, repeat.group, row_offset, [(-1, repeat.row)], repeat.row.at_ms)
                self._add(span)
            span.latest_ms = max(span.latest_ms, repeat.at_ms)
            if repeat.now != repeat.row:
                span.stands.append((offset, repeat.now))

    def follow(self, ids: UInt64s, at_ms: Int64s, before_ms: Int64s) -> None:
        """Records were read: notice those that are too late for a row and not for its repetitions. What is noticed for
        nothing does no harm, so which of them became rows is not asked."""
        spans = self._spans
        if not spans:
            return
        met = [i for i, first in enumerate(ids[:, 0].tolist()) if first in spans]
        for i in met:
            oldest = int(before_ms[i]) - self._lateness_ms
            if int(at_ms[i]) < oldest:
                continue
            for span in spans[int(ids[i, 0])]:
                if min(stand.at_ms for _, stand in span.stands) < oldest <= span.latest_ms:
                    span.followed = True

    def known(self, offset: int, before_ms: int, dropped_below_ms: int) -> list[Known]:
        """What a rebuild must know that starts at `offset`, with the clock at `before_ms`, and ends where rows older than
        `dropped_below_ms` are held no more. Younger ones are read again: the floor holds them."""
        oldest = before_ms - self._lateness_ms
        found = []
        for span in self.spans:
            if span.followed and span.offset < offset:
                stand = next((stand for since, stand in reversed(span.stands) if since < offset), span.stands[0][1])
                if oldest <= stand.at_ms < dropped_below_ms:
                    found.append(Known(span.id, span.group, stand))
        return sorted(found, key=lambda known: (known.stand, known.id, known.group))

    def prune(self, before_ms: int, clock_ms: int) -> None:
        """Forget, now and then, what no rebuild from a clock of `before_ms` on can need, with the clock now at `clock_ms`."""
        if self._count < self._next_prune:
            return
        for first, spans in list(self._spans.items()):
            left = [span for span in spans if self._needed(span, before_ms, clock_ms)]
            if left:
                self._spans[first] = left
            else:
                del self._spans[first]
        self._count = sum(map(len, self._spans.values()))
        self._next_prune = max(_FEW, 2 * self._count)

    def _needed(self, span: Span, before_ms: int, clock_ms: int) -> bool:
        if span.latest_ms >= clock_ms - self._lateness_ms:
            return True
        return span.followed and max(stand.at_ms for _, stand in span.stands) >= before_ms - self._lateness_ms


def repeats_of(table: PredictionRows, rows: Rows, at_ms: Int64s, which: Bools) -> list[Repeat]:
    """Records of those of these rows' keys, which stay remembered as they were."""
    rows, at_ms = rows[which], at_ms[which]
    ids, groups, times = table.ids[place_of(rows)].tolist(), table.group[rows].tolist(), table.at_ms(rows).tolist()
    columns = zip(ids, groups, times, at_ms.tolist(), strict=True)
    return [Repeat((a, b), group, Stand(row), at, Stand(row)) for (a, b), group, row, at in columns]


def batch_of(known: Sequence[Known], before_ms: int, width: int) -> PredictionBatch:
    """Predictions that make a join remember these keys, with the clock at `before_ms`; `width`: bytes of bins. Their contents
    mean nothing: they are dropped before anybody can ask."""
    n, nothing = len(known), np.zeros((len(known), width), np.uint8)
    return PredictionBatch(
        ids=np.array([k.id for k in known], np.uint64).reshape(n, 2),
        at_ms=np.array([k.stand.at_ms for k in known], np.int64),
        before_ms=np.full(n, before_ms, np.int64),
        group=np.array([k.group for k in known], np.uint32),
        score=np.full(n, np.nan),
        predicted=np.zeros(n, np.uint8),
        bins=nothing,
        withdrawn=np.array([k.stand.unseen for k in known], np.bool_),
    )
