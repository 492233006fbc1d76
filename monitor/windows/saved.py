"""The windows of one kind, saved and restored between two ticks: the part of a checkpoint that grows with the series.

Equal states give equal bytes: contributions that wait are added up, everything stands in the order of its key, and what
follows from the rest (when a window ends, when it is final) is not saved but worked out again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from monitor.events import Int64s
from monitor.groups import Group
from monitor.ledger.records import pack, unpack
from monitor.sketches.cells import CellLayout
from monitor.windows.engine import TickEngine
from monitor.windows.kept import SavedSums
from monitor.windows.outlook import LabelBook
from monitor.windows.pieces import Piece
from monitor.windows.saved_crossed import SavedCrossed, restore_crossed, save_crossed
from monitor.windows.shelf import Shelf
from monitor.windows.store import WindowStore
from monitor.windows.view import Estimate, SeriesKey, Undefined, WindowKey, WindowView
from monitor.windows.waiting import Slots

SeriesName = tuple[str, str, str]
Span = tuple[SeriesName, str, int, int]


class SavedPiece(msgspec.Struct, frozen=True, array_like=True):
    """What waits for one tick of one model, added up: a `Piece` with its groups as text, nothing that cancels."""

    model: str
    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]  # version, segments
    group: bytes
    pane_ms: bytes
    length: bytes
    cells: bytes
    amounts: bytes


class SavedStore(msgspec.Struct, frozen=True, array_like=True):
    """The live windows of a model, by key, with their revisions and cells."""

    model: str
    windows: tuple[Span, ...]
    revisions: bytes
    cells: bytes


class SavedView(msgspec.Struct, frozen=True, array_like=True):
    """A view that rules may still read. `names` is an index into the kind's name lists."""

    start_ms: int
    end_ms: int
    revision: int
    final: bool
    tick_ms: int
    seen: int
    labelled: int
    names: int
    metrics: tuple[tuple[float | None, float | None, float | None, int, float, str | None], ...]
    counts: tuple[int, ...]


class SavedShelf(msgspec.Struct, frozen=True, array_like=True):
    """The views of one series and window name, by start."""

    series: SeriesName
    window: str
    finals: tuple[int, ...]
    views: tuple[SavedView, ...]


SavedParts = tuple[tuple[str, str, tuple[tuple[int, bytes], ...]], ...]
"""Packed vectors by model and version, and by start."""
SavedHistory = tuple[tuple[str, str, bytes], ...]
"""Packed vectors by model and version."""


class SavedBook(msgspec.Struct, frozen=True):
    """`LabelBook`: vectors of each version, by cohort, of history and by block of it, how many came when, and the epoch."""

    cohorts: SavedParts
    older: SavedHistory
    newer: SavedHistory
    epoch: int
    density: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] | msgspec.UnsetType = msgspec.UNSET  # once left out
    blocks: SavedParts | msgspec.UnsetType = msgspec.UNSET  # once left out


class SavedEngine(msgspec.Struct, frozen=True):
    """`TickEngine` between two ticks."""

    next_tick: int | None
    unplaced: int
    closed: int
    final_before_ms: int
    waiting: tuple[tuple[int, tuple[SavedPiece, ...]], ...]
    stores: tuple[SavedStore, ...]
    names: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]  # of metrics, of counts
    shelves: tuple[SavedShelf, ...]
    versions: tuple[SeriesName, ...]
    book: SavedBook | msgspec.UnsetType = msgspec.UNSET  # left out where nothing is estimated
    newest_pane_ms: int | msgspec.UnsetType = msgspec.UNSET  # once left out
    to_mark: tuple[Span, ...] | msgspec.UnsetType = msgspec.UNSET  # left out where there is none
    crossed: tuple[SavedCrossed, ...] | msgspec.UnsetType = msgspec.UNSET  # left out where no segments are crossed
    finals: SavedSums | msgspec.UnsetType = msgspec.UNSET  # left out where nobody asks for sums


def save(engine: TickEngine) -> SavedEngine:
    """The engine as it is. Nothing of it may be in hand: a tick that is being closed is no state."""
    assert not engine._in_hand, "a checkpoint is made between two ticks"
    names: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
    shelves = []
    for (series, window), shelf in sorted(engine._shelves.items()):
        views = tuple(_save_view(view, names) for _, view in sorted(shelf.views.items()))
        shelves.append(SavedShelf(_name(series), window, tuple(sorted(shelf.finals)), views))
    # A tick whose contributions took each other back is saved too: it is going to be closed, which is recorded.
    waiting: dict[int, list[SavedPiece]] = {tick: [] for tick in sorted(engine._in_wait)}
    for model, waits in sorted(engine._waiting.items(), key=_first):
        slots = waits.rest()
        ticks = [] if slots is None else np.unique(slots.tick).tolist()
        for tick, piece in zip(
            ticks, slots.pieces(ticks, waits.names, engine._plan.pane_ms) if slots else (), strict=True
        ):
            waiting[tick].append(_save_piece(model, piece))
    versions = sorted(series for known in engine._versions.values() for series in known)
    return SavedEngine(
        next_tick=engine.next_tick,
        unplaced=engine.unplaced,
        closed=engine.closed,
        final_before_ms=engine._final_before_ms,
        waiting=tuple((tick, tuple(pieces)) for tick, pieces in waiting.items()),
        stores=tuple(
            _save_store(model, store) for model, (_, store) in sorted(engine._stores.items(), key=_first) if len(store)
        ),
        names=tuple(names),
        shelves=tuple(shelves),
        versions=tuple(_name(series) for series in versions),
        book=msgspec.UNSET if engine.book is None else _save_book(engine.book),
        newest_pane_ms=engine.newest_pane_ms,
        to_mark=tuple(map(_span, sorted(engine.to_mark))) or msgspec.UNSET,
        crossed=save_crossed(engine.crossed) or msgspec.UNSET,
        finals=engine._finals.save() or msgspec.UNSET,
    )


def restore(engine: TickEngine, saved: SavedEngine) -> None:
    """Make a new engine what another was. Raises ValueError when it was not one of this plan."""
    engine.next_tick, engine.unplaced, engine.closed = saved.next_tick, saved.unplaced, saved.closed
    engine._final_before_ms = saved.final_before_ms
    came_later = bool(engine._plan.senses) and isinstance(
        saved.book, msgspec.UnsetType
    )  # nothing came yet that asks for it
    if (engine.book is None) != isinstance(saved.book, msgspec.UnsetType) and not came_later:
        raise ValueError(
            "it has a book of how labels come where the configuration asks for none, or the other way round"
        )
    if engine.book is not None and not isinstance(saved.book, msgspec.UnsetType):
        _restore_book(engine.book, saved.book)
    for tick, pieces in saved.waiting:
        engine._schedule(tick)
        engine._in_wait.add(tick)
        for piece in pieces:
            _restore_piece(engine, tick, piece)
    for stored in saved.stores:
        _restore_store(engine, stored)
    for series in saved.versions:
        key = SeriesKey(*series)
        engine._versions[key.model, key.segment].add(key)
    for shelf in saved.shelves:
        key = SeriesKey(*shelf.series)
        views = {view.start_ms: _read_view(engine, key, shelf.window, view, saved) for view in shelf.views}
        finals = list(shelf.finals)
        heapq.heapify(finals)
        engine._shelves[key, shelf.window] = Shelf(views, finals)
    engine.newest_pane_ms = _newest_pane_ms(saved)
    if not isinstance(saved.crossed, msgspec.UnsetType):
        restore_crossed(engine.crossed, saved.crossed)
    if not isinstance(saved.finals, msgspec.UnsetType):
        engine._finals.restore(saved.finals)
    if not isinstance(saved.to_mark, msgspec.UnsetType):
        engine.mark(map(_key, saved.to_mark))


def _newest_pane_ms(saved: SavedEngine) -> int:
    """Start of the newest pane that anything was added to; where that was not saved, a moment after it: nothing was added
    to a pane behind every live window and everything that waits, but for windows that have long been final."""
    if not isinstance(saved.newest_pane_ms, msgspec.UnsetType):
        return saved.newest_pane_ms
    ends = [end for store in saved.stores for _, _, _, end in store.windows]
    panes = [int(unpack(piece.pane_ms).max()) for _, pieces in saved.waiting for piece in pieces]
    return max([*ends, *panes, saved.final_before_ms])


def _first(item: tuple[str, object]) -> str:
    return item[0]


def _name(series: SeriesKey) -> SeriesName:
    return series.model, series.version, series.segment


# -- how labels come ------------------------------------------------------------------------------------------------


def _save_book(book: LabelBook) -> SavedBook:
    return SavedBook(
        _save_parts(book._cohorts),
        _save_history(book._older),
        _save_history(book._newer),
        book._epoch,
        tuple((model, tuple(sorted(held.items()))) for model, held in sorted(book._density.items())),
        _save_parts(book._blocks),
    )


def _save_parts(parts: Mapping[tuple[str, str], Mapping[int, Int64s]]) -> SavedParts:
    return tuple(
        (*own, tuple((start, pack(held[start])) for start in sorted(held))) for own, held in sorted(parts.items())
    )


def _save_history(history: Mapping[tuple[str, str], Int64s]) -> SavedHistory:
    return tuple((*own, pack(history[own])) for own in sorted(history))


def _restore_book(book: LabelBook, saved: SavedBook) -> None:
    book._epoch = saved.epoch
    if not isinstance(saved.density, msgspec.UnsetType):
        book._density = {model: dict(held) for model, held in saved.density}
    for model, version, cohorts in saved.cohorts:
        book._cohorts[model, version] = {start: _vector(cells, book.shape.size) for start, cells in cohorts}
    for model, version, blocks in () if isinstance(saved.blocks, msgspec.UnsetType) else saved.blocks:
        book._blocks[model, version] = {start: _vector(cells, book.grid.size) for start, cells in blocks}
    book._older, book._newer = (
        {(model, version): _vector(cells, book.shape.size) for model, version, cells in history}
        for history in (saved.older, saved.newer)
    )
    book.leave_out_lost()  # who saved it may have known nothing of that


def _vector(cells: bytes, size: int) -> Int64s:
    found = unpack(cells)
    if len(found) != size:
        raise ValueError(f"a cohort has {len(found)} cells, here it has {size}")
    return found


# -- contributions that wait --------------------------------------------------------------------------------------


def _save_piece(model: str, piece: Piece) -> SavedPiece:
    """All that waits for one tick of one model, by slot."""
    ends = np.cumsum(piece.length).tolist()
    starts = [0, *ends[:-1]]
    slots = sorted(
        (piece.groups[group], pane, slice(start, end))
        for group, pane, start, end in zip(piece.group.tolist(), piece.pane_ms.tolist(), starts, ends, strict=True)
    )
    groups = sorted({group for group, _, _ in slots})
    place = {group: i for i, group in enumerate(groups)}
    return SavedPiece(
        model,
        tuple((group.version, group.segments) for group in groups),
        pack([place[group] for group, _, _ in slots]),
        pack([pane for _, pane, _ in slots]),
        pack([own.stop - own.start for _, _, own in slots]),
        pack(np.concatenate([piece.cells[own] for _, _, own in slots])),
        pack(np.concatenate([piece.amounts[own] for _, _, own in slots])),
    )


def _restore_piece(engine: TickEngine, tick: int, saved: SavedPiece) -> None:
    waits = engine._waits(saved.model)
    numbers = np.array([waits.number(Group(saved.model, *name)) for name in saved.groups], np.int64)
    pane = unpack(saved.pane_ms) // engine._plan.pane_ms
    columns = (unpack(saved.length), unpack(saved.cells), unpack(saved.amounts))
    waits.add(Slots(np.full(len(pane), tick), numbers[unpack(saved.group)], pane, *columns))


# -- live windows -------------------------------------------------------------------------------------------------


def _span(key: WindowKey) -> Span:
    return _name(key.series), key.window, key.start_ms, key.end_ms


def _key(span: Span) -> WindowKey:
    series, window, start, end = span
    return WindowKey(SeriesKey(*series), window, start, end)


def _save_store(model: str, store: WindowStore) -> SavedStore:
    keys = store.live()
    rows = [store.row(key) for key in keys]
    return SavedStore(model, tuple(map(_span, keys)), pack(store.revisions[rows]), pack(store.read(rows).ravel()))


def _restore_store(engine: TickEngine, saved: SavedStore) -> None:
    store = engine._store(saved.model)[1]
    keys = [_key(span) for span in saved.windows]
    cells, revisions = _widened(unpack(saved.cells), len(keys), store.layout), unpack(saved.revisions).tolist()
    if len(cells) != len(keys) * store.layout.size or len(revisions) != len(keys):
        raise ValueError(
            f"the windows of model {saved.model!r} have {len(cells)} cells, {store.layout.size} are one row"
        )
    _put(store, keys, cells.reshape(len(keys), store.layout.size), revisions)
    _remember(engine, keys)


def _widened(cells: Int64s, rows: int, layout: CellLayout) -> Int64s:
    """The cells of rows that were saved when the vector ended with an earlier slice: nothing was counted in the later
    ones."""
    width = len(cells) // max(rows, 1)
    if len(cells) != width * rows or width not in {layout.slice(name).stop for name in layout.names}:
        return cells
    return np.pad(cells.reshape(rows, width), ((0, 0), (0, layout.size - width))).ravel()


def _put(store: WindowStore, keys: Sequence[WindowKey], cells: Int64s, revisions: Iterable[int]) -> None:
    rows = np.array([store.put(key) for key in keys], np.int64)
    store.write(rows, cells)
    store.revisions[rows] = list(revisions)


def _remember(engine: TickEngine, keys: Sequence[WindowKey]) -> None:
    """When each window is final, and when it is over if it is not yet: as was noted when it began."""
    tick_ms, settling_ms = engine._ticking.tick_ms, engine._ticking.settling_ms
    for key in keys:
        engine._remind(engine._due, key.end_ms + settling_ms, key)
        if engine.next_tick is None or key.end_ms > engine.next_tick * tick_ms:
            engine._remind(engine._over, key.end_ms, key)


# -- views --------------------------------------------------------------------------------------------------------


def _save_view(view: WindowView, names: dict[tuple[tuple[str, ...], tuple[str, ...]], int]) -> SavedView:
    index = names.setdefault((tuple(view.metrics), tuple(view.counts)), len(names))
    return SavedView(
        view.key.start_ms,
        view.key.end_ms,
        view.revision,
        view.final,
        view.tick_ms,
        view.seen,
        view.labelled,
        index,
        tuple(
            (e.value, e.lower, e.upper, e.rows, e.bound, None if e.undefined is None else str(e.undefined))
            for e in view.metrics.values()
        ),
        tuple(view.counts.values()),
    )


def _read_view(engine: TickEngine, series: SeriesKey, window: str, saved: SavedView, of: SavedEngine) -> WindowView:
    """What no longer changes of a view is as it was; one that is to be marked is marked before anything reads it."""
    metrics, counts = of.names[saved.names]
    plan = engine._store(engine._windows.sense_at(series.model, saved.start_ms))[0]
    return WindowView(
        WindowKey(series, window, saved.start_ms, saved.end_ms),
        engine.kind,
        saved.revision,
        saved.final,
        saved.tick_ms,
        saved.seen,
        saved.labelled,
        {name: _estimate(*fields) for name, fields in zip(metrics, saved.metrics, strict=True)},
        dict(zip(counts, saved.counts, strict=True)),
        engine._plan.config_of(plan),
        plan.reference_digest,
        partial=engine._losses.touch(engine.kind, saved.start_ms, saved.end_ms),
    )


def _estimate(
    value: float | None, lower: float | None, upper: float | None, rows: int, bound: float, undefined: str | None
) -> Estimate:
    return Estimate(value, lower, upper, rows, bound, None if undefined is None else Undefined(undefined))
