"""The label feeds as they are watched for slowness, saved and restored between two ticks. Equal states give equal bytes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from monitor.alerts.label_hold import Flow, LabelHold
from monitor.alerts.standstill import Standing, Stretch
from monitor.events import Int64s
from monitor.ledger.records import pack, unpack


class SavedFlow(msgspec.Struct, frozen=True):
    """`Flow`, and whose it is."""

    model: str
    cohorts: tuple[tuple[int, bytes], ...]
    older: bytes | None
    newer: bytes | None
    epoch: int
    slow_ms: int | None
    fired_ms: int | None
    slow: tuple[tuple[int, int, bool], ...]


class SavedHold(msgspec.Struct, frozen=True):
    """`LabelHold`: of its `Standstills` those that go on, by partition, and those that are over."""

    standing: tuple[tuple[int, int, int, int], ...]
    over: tuple[tuple[int, int, bool], ...]
    flows: tuple[SavedFlow, ...]
    read_ms: int


def save_hold(hold: LabelHold) -> SavedHold | msgspec.UnsetType:
    """The feeds as they are; nothing where they are not watched."""
    if hold.config is None:
        return msgspec.UNSET
    stands = hold.standstills
    return SavedHold(
        tuple((p, one.begin_ms, one.since_ms, one.at_ms) for p, one in sorted(stands.standing.items())),
        tuple((begin, end, overdue) for begin, end, overdue in stands.over),
        tuple(_save_flow(model, flow) for model, flow in sorted(hold.flows.items())),
        hold.read_ms,
    )


def restore_hold(hold: LabelHold, saved: SavedHold | msgspec.UnsetType) -> None:
    """Make a new watch what another was. Raises ValueError when it was not one of this configuration."""
    if isinstance(saved, msgspec.UnsetType) or hold.config is None:
        if not isinstance(saved, msgspec.UnsetType) or hold.config is not None:
            raise ValueError("it watches label feeds where the rules in force do not, or the other way round")
        return
    hold.standstills.standing = {partition: Standing(*times) for partition, *times in saved.standing}
    hold.standstills.over = _stretches(saved.over)
    hold.flows = {
        one.model: Flow(
            {start: unpack(cells) for start, cells in one.cohorts},
            _vector(one.older),
            _vector(one.newer),
            one.epoch,
            one.slow_ms,
            one.fired_ms,
            _stretches(one.slow),
        )
        for one in saved.flows
    }
    hold.read_ms = saved.read_ms


def _save_flow(model: str, flow: Flow) -> SavedFlow:
    return SavedFlow(
        model,
        tuple((start, pack(cells)) for start, cells in sorted(flow.cohorts.items())),
        None if flow.older is None else pack(flow.older),
        None if flow.newer is None else pack(flow.newer),
        flow.epoch,
        flow.slow_ms,
        flow.fired_ms,
        tuple((begin, end, overdue) for begin, end, overdue in flow.slow),
    )


def _stretches(saved: Iterable[tuple[int, int, bool]]) -> list[Stretch]:
    return [Stretch(*one) for one in saved]


def _vector(raw: bytes | None) -> Int64s | None:
    return None if raw is None else unpack(raw)
