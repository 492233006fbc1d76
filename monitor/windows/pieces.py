"""What waits for its tick, added up for many ticks at once: a call of NumPy costs as much as adding up what a tick brings.

Commits of several partitions bring cells of the same windows for the same tick. They are added up before they reach a
window: added in one commit and taken back in another must look like never added, or the cuts between commits could be seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from monitor.events import Bools, Int64s
from monitor.groups import Group
from monitor.ledger.records import Delta
from monitor.sketches import sparse

CELLS_AT_ONCE = 1 << 17
"""Cells that are added up in one go: what is done once a go is spread over many ticks, and the columns stay small."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one commit adds to the windows of one model in one tick, as S slots.

    Slot s is (groups[group[s]], pane_ms[s]); its cells are the next `length[s]` of `cells`, with `amounts` beside them,
    ascending. `whole`: all that the tick brings the model, added up: no slot is there twice, no amount is 0, no slot empty.
    """

    groups: Sequence[Group]
    group: Int64s
    pane_ms: Int64s
    length: Int64s
    cells: Int64s
    amounts: Int64s
    whole: bool = field(default=False, kw_only=True)

    def only(self, slots: Bools) -> Piece:
        """These slots of it."""
        inner = np.repeat(slots, self.length)
        own = self.group[slots], self.pane_ms[slots], self.length[slots]
        return Piece(self.groups, *own, self.cells[inner], self.amounts[inner], whole=self.whole)

    def below(self, width: int) -> Piece:
        """Its first so many cells; not of a whole one, whose slots all have some."""
        inside = self.cells < width
        slot = np.repeat(np.arange(len(self.length)), self.length)[inside]
        length = np.bincount(slot, minlength=len(self.length)).astype(np.int64)
        return Piece(self.groups, self.group, self.pane_ms, length, self.cells[inside], self.amounts[inside])


def pieces_of(
    groups: Sequence[Group], delta: Delta, pane_ms: int, open_tick: int | None
) -> Iterator[tuple[int, str, Piece]]:
    """What a commit brings, by tick and model: decided ticks are never rewritten, so what is late for one goes to `open_tick`,
    the first that is open (None before one closed). `pane_ms`: size of a pane."""
    tick, group, pane = delta.column("tick"), delta.column("group"), delta.column("pane") * pane_ms
    length, cells, amounts = delta.column("length"), delta.column("cell"), delta.column("amount")
    if open_tick is not None:
        tick = np.maximum(tick, open_tick)
    models = [g.model for g in groups]
    names = list(dict.fromkeys(models))
    model = np.array([names.index(name) for name in models], np.int64)[group]
    order = np.lexsort((tick, model))
    tick, model, group, pane = tick[order], model[order], group[order], pane[order]
    first, length = (np.cumsum(length) - length)[order], length[order]
    after = np.cumsum(length)
    place = np.repeat(first - (after - length), length) + np.arange(int(length.sum()))
    cells, amounts = cells[place], amounts[place]
    cuts = [*np.flatnonzero((np.diff(tick, prepend=-1) != 0) | (np.diff(model, prepend=-1) != 0)).tolist(), len(tick)]
    for start, stop in pairwise(cuts):
        part, inner = slice(start, stop), slice(int(after[start] - length[start]), int(after[stop - 1]))
        piece = Piece(groups, group[part], pane[part], length[part], cells[inner], amounts[inner])
        yield int(tick[start]), names[int(model[start])], piece


def add_up_waiting(waiting: dict[int, list[tuple[str, Piece]]], below: int, width_of: Callable[[str], int]) -> None:
    """Make whole what waits for the next ticks before `below` (tick -> model and piece), for so many of them as are best
    done at once; `width_of`: cells of a model's vector."""
    ticks: dict[str, dict[int, list[Piece]]] = defaultdict(lambda: defaultdict(list))
    cells = 0
    for tick in sorted(tick for tick in waiting if tick < below):
        if cells > CELLS_AT_ONCE:
            break
        for model, piece in waiting[tick]:
            ticks[model][tick].append(piece)
            cells += len(piece.cells)
        waiting[tick] = []
    for model, own in ticks.items():
        for tick, piece in zip(own, added_up(list(own.values()), width_of(model)), strict=True):
            waiting[tick].append((model, piece))


def added_up(ticks: Sequence[Sequence[Piece]], width: int) -> list[Piece]:
    """The pieces of each tick, of one model whose vectors have `width` cells, as one whole piece a tick."""
    groups: dict[Group, int] = {}
    pieces = [piece for own in ticks for piece in own]
    codes = [groups.setdefault(piece.groups[own], len(groups)) for piece in pieces for own in piece.group.tolist()]
    group = np.array(codes, np.int64)
    pane, panes = _numbered(np.concatenate([piece.pane_ms for piece in pieces]))
    of_tick = np.repeat(np.arange(len(ticks)), [sum(len(piece.group) for piece in own) for own in ticks])
    # Each of the three is below the number of slots of a go: two million of them at once would have to be all different.
    slot, slots = _numbered((of_tick * len(groups) + group) * len(panes) + pane)
    keys = np.repeat(slot * width, np.concatenate([piece.length for piece in pieces]))
    keys += np.concatenate([piece.cells for piece in pieces])
    amounts = np.concatenate([piece.amounts for piece in pieces])
    found, sums = sparse.add_up(keys, amounts, len(slots) * width)
    length = np.diff(np.searchsorted(found, np.arange(len(slots) + 1) * width))
    kept = np.flatnonzero(length)
    slots, length, cells = slots[kept], length[kept], found % width
    cuts = np.searchsorted(slots, np.arange(len(ticks) + 1) * (len(groups) * len(panes)))
    ends = np.concatenate([[0], np.cumsum(length)])[cuts].tolist()
    owner, when, names = slots // len(panes) % len(groups), panes[slots % len(panes)], list(groups)
    whole: list[Piece] = []
    for i, (start, stop) in enumerate(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        part, inner = slice(start, stop), slice(ends[i], ends[i + 1])
        whole.append(Piece(names, owner[part], when[part], length[part], cells[inner], sums[inner], whole=True))
    return whole


def _numbered(values: Int64s) -> tuple[Int64s, Int64s]:
    """The place of each value among the distinct ones, and those, ascending."""
    distinct, places = np.unique(values, return_inverse=True)
    return places.reshape(-1), distinct
