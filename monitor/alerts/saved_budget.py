"""The budget of false alarms, saved and restored between two ticks: what is learned, what is bet, what fires.

Equal states give equal bytes. What a reference allows is saved as it was worked out, not worked out again: it came from
ticks that are gone, and decides alarms by its last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from monitor.alerts.budget import BudgetWatch, Open
from monitor.alerts.watching import Alarm, Cohorts, Learned, Series
from monitor.drift.budget import Area
from monitor.drift.edetector import Cause, State
from monitor.drift.nulls import Null
from monitor.events import Float64s, Int64s
from monitor.groups import model_of
from monitor.ingest.clocks import NEVER
from monitor.ledger.records import pack, unpack
from monitor.windows.view import Kind

Vectors = tuple[tuple[int, bytes], ...]
"""Packed vectors by number, in order."""


class SavedNull(msgspec.Struct, frozen=True, array_like=True):
    """`Null`: little-endian doubles, packed rows."""

    mean: bytes
    limit: bytes
    dispersion: bytes
    rows: bytes


class SavedReference(msgspec.Struct, frozen=True, array_like=True):
    """`Learned`."""

    cells: bytes
    nulls: tuple[tuple[int, tuple[SavedNull, ...]], ...]


class SavedEvidence(msgspec.Struct, frozen=True, array_like=True):
    """`State` of one lane: little-endian doubles, then packed columns."""

    evidence: bytes
    run: bytes
    since: bytes
    hits: bytes
    rows: bytes
    means: bytes
    limits: bytes


class SavedCohorts(msgspec.Struct, frozen=True, array_like=True):
    """`Cohorts`."""

    waiting: Vectors
    released: tuple[int, ...]
    tail: Vectors


class SavedSeries(msgspec.Struct, frozen=True):
    """`Series`: one version of a model, in the sense of it that came last."""

    model: str
    version: str
    beat: int | None
    counts: Vectors
    learned: tuple[tuple[int, int, bytes], ...]
    cohorts: SavedCohorts | None
    reference: SavedReference | None
    state: SavedEvidence | None
    blind: bool
    begins: tuple[tuple[int, int], ...] | msgspec.UnsetType = msgspec.UNSET  # left out where there are none
    from_ms: int | msgspec.UnsetType = msgspec.UNSET  # left out of what was always counted as one sense


class SavedCause(msgspec.Struct, frozen=True):
    """`Cause`, with its area, and when it began where that is not the beginning of its beat."""

    channel: str
    functional: str
    log_evidence: float
    share: float
    since: int
    mean: float
    rows: int
    reference: float
    limit: float
    dispersion: float
    listed: bool
    area: str
    begin_ms: int | msgspec.UnsetType = msgspec.UNSET


class SavedOpen(msgspec.Struct, frozen=True):
    """`Open`: an alert that fires."""

    model: str
    version: str
    log_evidence: float
    began_ms: int
    causes: tuple[SavedCause, ...]
    fired_ms: int
    last_ms: int
    alarms: int
    excess: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET  # left out where there is none


class SavedBudget(msgspec.Struct, frozen=True):
    """`BudgetWatch`, by kind of vector."""

    series: dict[str, tuple[SavedSeries, ...]]
    open: dict[str, tuple[SavedOpen, ...]]


_WHOLE = ("run", "since", "hits", "rows", "means", "limits")


def save_budget(watch: BudgetWatch) -> SavedBudget | msgspec.UnsetType:
    """The watch as it is; nothing where there is no budget."""
    if watch.budget is None:
        return msgspec.UNSET
    return SavedBudget(
        {str(kind): tuple(_save_series(*one) for one in sorted(watch._series[kind].items())) for kind in Kind},
        {
            str(kind): tuple(_save_open(*one, watch.budget.every_ms) for one in sorted(watch._open[kind].items()))
            for kind in Kind
        },
    )


def restore_budget(watch: BudgetWatch, saved: SavedBudget | msgspec.UnsetType) -> None:
    """Make a new watch what another was. Raises ValueError when it was not one of this plan and budget."""
    if isinstance(saved, msgspec.UnsetType) or watch.budget is None:
        if not isinstance(saved, msgspec.UnsetType) or watch.budget is not None:
            raise ValueError(
                "it has no budget of false alarms where the rules in force have one, or the other way round"
            )
        return
    for kind in Kind:
        for one in saved.series[str(kind)]:
            series = watch.begin(kind, (model_of(one.model), one.version), one.model)
            if series is None:
                raise ValueError(f"it watches model {one.model!r}, of which there is nothing to watch")
            _restore_series(series, one)
        every_ms = watch.budget.every_ms
        watch._open[kind] = {(one.model, one.version): _read_open(one, every_ms) for one in saved.open[str(kind)]}


def has_begins(saved: SavedBudget) -> bool:
    """Whether it says where in event time began what is bet on, or what fires."""
    series = (one.begins for own in saved.series.values() for one in own)
    causes = (cause.begin_ms for own in saved.open.values() for one in own for cause in one.causes)
    return any(begun is not msgspec.UNSET for begun in (*series, *causes))


# -- one version --------------------------------------------------------------------------------------------------


def _save_series(own: tuple[str, str], series: Series) -> SavedSeries:
    cohorts = series._cohorts
    return SavedSeries(
        series.sense,
        own[1],
        beat=series._beat,
        counts=_save_vectors(series._counts),
        learned=tuple((beat, season, pack(cells)) for beat, season, cells in series._learned),
        cohorts=None if cohorts is None else _save_cohorts(cohorts),
        reference=None if series._reference is None else _save_reference(series._reference),
        state=None if series._state is None else _save_state(series._state),
        blind=series._blind,
        begins=tuple(sorted(series._begins.items())) or msgspec.UNSET,
        from_ms=msgspec.UNSET if series.from_ms == NEVER else series.from_ms,
    )


def _restore_series(series: Series, saved: SavedSeries) -> None:
    if (series._cohorts is None) != (saved.cohorts is None) or (saved.reference is None) != (saved.state is None):
        raise ValueError(f"what it says of model {saved.model!r} does not go together")
    series._beat, series._blind = saved.beat, saved.blind
    series.from_ms = NEVER if isinstance(saved.from_ms, msgspec.UnsetType) else saved.from_ms
    series._counts = _read_vectors(saved.counts)
    series._learned = [(beat, season, unpack(cells)) for beat, season, cells in saved.learned]
    series._begins = {} if isinstance(saved.begins, msgspec.UnsetType) else dict(saved.begins)
    if series._cohorts is not None and saved.cohorts is not None:
        series._cohorts.waiting = _read_vectors(saved.cohorts.waiting)
        series._cohorts.released = set(saved.cohorts.released)
        series._cohorts.tail = _read_vectors(saved.cohorts.tail)
    if saved.reference is not None and saved.state is not None:
        fresh = series.go_by(_read_reference(saved.reference))
        state = _read_state(saved.state)
        if any(getattr(state, name).shape != fresh.run.shape for name in ("evidence", *_WHOLE)):
            raise ValueError(f"the detector of model {saved.model!r} has other cells than there are questions")
        series._state = state


def _save_vectors(vectors: Mapping[int, Int64s]) -> Vectors:
    return tuple((number, pack(cells)) for number, cells in sorted(vectors.items(), key=_number))


def _number(item: tuple[int, Int64s]) -> int:
    return item[0]


def _read_vectors(saved: Iterable[tuple[int, bytes]]) -> dict[int, Int64s]:
    return {number: unpack(cells) for number, cells in saved}


def _save_cohorts(cohorts: Cohorts) -> SavedCohorts:
    return SavedCohorts(_save_vectors(cohorts.waiting), tuple(sorted(cohorts.released)), _save_vectors(cohorts.tail))


def _save_reference(reference: Learned) -> SavedReference:
    nulls = tuple((place, tuple(_save_null(null) for null in own)) for place, own in reference.nulls)
    return SavedReference(pack(reference.cells), nulls)


def _save_null(null: Null) -> SavedNull:
    return SavedNull(_doubles(null.mean), _doubles(null.limit), _doubles(null.dispersion), pack(null.rows))


def _read_reference(saved: SavedReference) -> Learned:
    nulls = tuple((place, tuple(_read_null(null) for null in own)) for place, own in saved.nulls)
    return Learned(unpack(saved.cells), nulls)


def _read_null(saved: SavedNull) -> Null:
    mean, limit, dispersion = (_read_doubles(raw) for raw in (saved.mean, saved.limit, saved.dispersion))
    return Null(mean, limit, dispersion, unpack(saved.rows))


def _save_state(state: State) -> SavedEvidence:
    return SavedEvidence(_doubles(state.evidence), *(pack(getattr(state, name).ravel()) for name in _WHOLE))


def _read_state(saved: SavedEvidence) -> State:
    whole = (unpack(getattr(saved, name)).reshape(1, -1) for name in _WHOLE)
    return State(_read_doubles(saved.evidence).reshape(1, -1), *whole)


def _doubles(values: Float64s) -> bytes:
    return values.astype("<f8").tobytes()


def _read_doubles(raw: bytes) -> Float64s:
    return np.frombuffer(raw, "<f8").astype(np.float64)


# -- what fires ---------------------------------------------------------------------------------------------------


def _save_open(own: tuple[str, str], was: Open, every_ms: int) -> SavedOpen:
    alarm = was.alarm
    causes = tuple(
        SavedCause(
            **{name: getattr(cause, name) for name in _OF_CAUSES},
            area=str(area),
            begin_ms=msgspec.UNSET if begin_ms == cause.since * every_ms else begin_ms,
        )
        for cause, area, begin_ms in zip(alarm.causes, alarm.areas, alarm.begins, strict=True)
    )
    excess = was.excess or msgspec.UNSET
    return SavedOpen(*own, alarm.log_evidence, alarm.began_ms, causes, was.fired_ms, was.last_ms, was.alarms, excess)


_OF_CAUSES = tuple(name for name in SavedCause.__struct_fields__ if name not in ("area", "begin_ms"))


def _read_open(saved: SavedOpen, every_ms: int) -> Open:
    causes = tuple(Cause(**{name: getattr(cause, name) for name in _OF_CAUSES}) for cause in saved.causes)
    areas = tuple(Area(cause.area) for cause in saved.causes)
    begins = tuple(
        cause.since * every_ms if isinstance(cause.begin_ms, msgspec.UnsetType) else cause.begin_ms
        for cause in saved.causes
    )
    alarm = Alarm(saved.log_evidence, saved.began_ms, causes, areas, begins)
    excess = () if isinstance(saved.excess, msgspec.UnsetType) else saved.excess
    return Open(alarm, saved.fired_ms, saved.last_ms, saved.alarms, excess)
