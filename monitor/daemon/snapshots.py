"""Snapshots of a partition's join: written beside a commit, found at an opening, believed as far as the ledger bears them out.

What comes of one is checked like any rebuild, against the last commit. Whatever is wrong with it is said, and the next one or
the sources are taken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.daemon.checkpoints import place_of, stands
from monitor.daemon.tail import Follower
from monitor.errors import LogError, MonitorError
from monitor.events import Int64s
from monitor.groups import Group
from monitor.join.restamped import Restamped, Span, Stand
from monitor.join.revise import History
from monitor.join.saving import JoinColumns, put_back
from monitor.join.timeline import PredictionFact, content_of
from monitor.ledger.floors import Floors, Mark
from monitor.ledger.records import Clock, Commit, GroupName
from monitor.ledger.snapshots import (
    FORMAT,
    ColumnOf,
    SavedFact,
    SavedHistory,
    SavedMark,
    SavedSpan,
    Snapshot,
    SnapshotError,
    decode_header,
    encode_header,
)
from monitor.partition import Partition, Shared
from monitor.ports import KeptSnapshot, Log, SnapshotStore

_log = logging.getLogger("driftline.snapshots")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a snapshot must be of."""

    namespace: str
    cluster_id: str
    partition: int
    config: str


def write(store: SnapshotStore, identity: Identity, engine: Partition, follower: Follower) -> None:
    """Save a join right after its commit. Nothing depends on it: what goes wrong is logged."""
    commit = follower.state.commit
    assert commit is not None
    spans = engine.restamped.spans
    columns = JoinColumns(engine.join, [span.group for span in spans])
    made = {name: column() for name, column in columns.all().items()}
    items = engine.shared.groups.items
    snapshot = Snapshot(
        format=FORMAT,
        namespace=identity.namespace,
        cluster_id=identity.cluster_id,
        partition=identity.partition,
        config=identity.config,
        place=place_of(follower),
        sequence=commit.sequence,
        next_offsets=engine.next_offsets,
        clocks=(Clock.of(engine.clocks[0]), Clock.of(engine.clocks[1])),
        marks=(_marks(engine.floors[0]), _marks(engine.floors[1])),
        groups=tuple(
            GroupName(g.model, g.version, g.segments) for g in (items[code] for code in columns.groups.tolist())
        ),
        histories=_histories(engine, columns),
        columns=tuple(ColumnOf(name, column.dtype.str, column.shape) for name, column in made.items()),
        restamped=_spans(spans, columns),
    )
    name = f"{commit.sequence:015d}-{follower.state.chain.hex()[:8]}"
    try:
        size = store.write(identity.partition, name, encode_header(snapshot), made.values())
    except SnapshotError as error:
        _log.warning("%s", error)
        return
    _log.info("partition %d: snapshot of %d predictions and %d labels, %d bytes", identity.partition, *columns.n, size)


def usable(
    store: SnapshotStore, log: Log, ledger: str, identity: Identity, shared: Shared, commit: Commit
) -> Iterator[tuple[Partition, str]]:
    """Partitions as their snapshots say, the newest first, where that saves reading up to `commit`; of the others it is said
    why not. Who takes one and does not keep it closes it."""
    for where in store.paths(identity.partition):
        try:
            kept = store.open(where)
            snapshot = decode_header(kept.header, where)
            _refuse_another(log, ledger, identity, snapshot, commit, where)
            yield restored(shared, snapshot, kept), where
        except (SnapshotError, LogError) as error:
            _log.warning("%s", error)


def _refuse_another(log: Log, ledger: str, identity: Identity, snapshot: Snapshot, commit: Commit, where: str) -> None:
    of = Identity(snapshot.namespace, snapshot.cluster_id, snapshot.partition, snapshot.config)
    if of != identity:
        raise SnapshotError(where, f"it is of {of}, not of {identity}")
    try:
        on_ledger = stands(log, ledger, identity.partition, snapshot.place, where)
    except MonitorError as error:
        raise SnapshotError(where, str(error)) from error
    if not on_ledger:
        raise SnapshotError(where, f"the commit that it follows was trimmed from {ledger}[{identity.partition}]")
    floors = commit.prediction_floor.offset, commit.label_floor.offset
    ends = commit.predictions[1], commit.labels[1]
    for floor, offset, end in zip(floors, snapshot.next_offsets, ends, strict=True):
        if not floor <= offset <= end:
            raise SnapshotError(where, f"it goes to offset {offset}, and [{floor}, {end}) of a source is needed")


def restored(shared: Shared, snapshot: Snapshot, kept: KeptSnapshot) -> Partition:
    """A partition as a snapshot says. Raises SnapshotError when its columns are not those that this version knows."""
    starts = list(zip(snapshot.next_offsets, (clock.state() for clock in snapshot.clocks), strict=True))
    engine = Partition(shared, snapshot.partition, starts[0], starts[1])
    try:
        columns = {column.name: kept.column(column.dtype, column.shape) for column in snapshot.columns}
        codes = np.array([shared.groups.code(Group(g.model, g.version, g.segments)) for g in snapshot.groups], np.int64)
        remembered = np.array([history.row for history in snapshot.histories], np.int64)
        rows = put_back(engine.join, columns, codes, remembered)
        for history in snapshot.histories:
            facts = [_fact(shared, codes, fact) for fact in history.facts]
            past = History(facts, history.withdrawn_tick)
            engine.join.revise.remember(rows[history.row], past, cancelled=history.cancelled)
        engine.floors = [
            Floors(Mark(mark.offset, mark.clock.state(), mark.newest_ms, mark.until_ms) for mark in marks)
            for marks in snapshot.marks
        ]
        engine.restamped = Restamped(
            shared.plan.join.lateness_ms, [_span(shared, codes, s) for s in snapshot.restamped]
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        engine.close()
        raise SnapshotError(kept.where, f"its columns do not fit this version ({error!r})") from error
    return engine


def _marks(floors: Floors) -> tuple[SavedMark, ...]:
    return tuple(SavedMark(mark.offset, Clock.of(mark.clock), mark.newest_ms, mark.until_ms) for mark in floors.marks)


def _spans(spans: Sequence[Span], columns: JoinColumns) -> tuple[SavedSpan, ...]:
    code = {group: at for at, group in enumerate(columns.groups.tolist())}
    saved = [
        SavedSpan(
            s.id, code[s.group], s.offset, tuple((since, *stand) for since, stand in s.stands), s.latest_ms, s.followed
        )
        for s in spans
    ]
    return tuple(sorted(saved, key=lambda span: (span.id, span.stands, span.group)))


def _span(shared: Shared, codes: Int64s, saved: SavedSpan) -> Span:
    group = int(codes[saved.group])
    stands = [(since, Stand(at_ms, unseen)) for since, at_ms, unseen in saved.stands]
    key = int(shared.groups.key_codes[group])
    return Span(saved.id, key, group, saved.offset, stands, saved.latest_ms, saved.followed)


def _histories(engine: Partition, columns: JoinColumns) -> tuple[SavedHistory, ...]:
    place = {row: at for at, row in enumerate(columns.rows.tolist())} if engine.join.revise.histories() else {}
    cancelled = engine.join.revise.cancelled
    code = {group: at for at, group in enumerate(columns.groups.tolist())}
    saved = [
        SavedHistory(
            place[row],
            row in cancelled,
            history.withdrawn_tick,
            tuple(SavedFact(f.at_ms, f.known, f.score, f.predicted, code[f.group], f.bins) for f in history.facts),
        )
        for row, history in engine.join.revise.histories()
    ]
    return tuple(sorted(saved, key=lambda history: history.row))


def _fact(shared: Shared, codes: Int64s, fact: SavedFact) -> PredictionFact:
    group = int(codes[fact.group])
    content = content_of(fact.score, fact.predicted, shared.groups.items[group], fact.bins)
    return PredictionFact(fact.at_ms, fact.known, fact.score, fact.predicted, group, fact.bins, content)
