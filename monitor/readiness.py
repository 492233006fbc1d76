"""Whether a process counts as ready, by what its view says; and whether each partition of it gets on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from monitor.telemetry import TaskState
from monitor.view import PartitionStatus, View

STUCK_AFTER_MS = 300_000
"""A partition that has records to read and read none for longer is stuck. Catching up takes turns of seconds."""

Places = Mapping[tuple[int, str], tuple[int, int]]
"""(partition, stream) -> (offset, since when it is there)."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that readiness asks for, with a sentence for people."""

    name: str
    ok: bool
    detail: str


def readiness(view: View) -> tuple[Check, ...]:
    """What must hold before the process counts as ready. Owning no partition is ready when the group gave none; not when
    the log does not answer, who then lost what it had. Lag and a full partition are no reason to be taken out of service
    (nothing sends traffic here): they have alerts. Nor is a configuration that cannot be used: the one before it is."""
    opening = [p.partition for p in view.partitions if p.state in (TaskState.OPENING, TaskState.REBUILDING)]
    opening += [view.rebuild.partition] if view.rebuild else []
    owned = len(view.partitions)
    return (
        Check("config", True, "; ".join(filter(None, (f"in use: {view.config_digest}", view.configuration.sentence)))),
        Check("group", view.health.joined, "joined" if view.health.joined else "the group does not count this process"),
        Check("log", view.health.unanswered is None, view.health.unanswered or "answers"),
        Check(
            "partitions",
            not opening,
            f"{owned} owned, rebuilding {opening}" if opening else f"{owned} owned, all live",
        ),
        Check("progress", not view.health.stuck, "; ".join(view.health.stuck) or "every partition gets on"),
        Check("client", view.health.fatal is None, view.health.fatal or "no fatal error"),
    )


def standing(before: Places, partitions: Iterable[PartitionStatus], now_ms: int, *, answers: bool) -> Places:
    """Where each stream of the owned partitions stands, by the same clock as before.

    The time starts anew with every record, at the end of the log, while the end is not known, while the log does not
    answer (that is a check of its own), and for predictions of a full partition, which wait on purpose.
    """
    found: dict[tuple[int, str], tuple[int, int]] = {}
    for status in partitions:
        for stream, place in status.streams():
            waits = status.state is TaskState.FULL and stream == "predictions"
            position, since_ms = before.get((status.partition, stream), (place.position, now_ms))
            still = answers and bool(place.lag) and not waits and position == place.position
            found[status.partition, stream] = place.position, since_ms if still else now_ms
    return found


def stuck(found: Places, now_ms: int) -> tuple[str, ...]:
    """A sentence for each stream of a partition that does not get on, in order."""
    return tuple(
        f"{stream} of partition {partition} stand at offset {position} for {(now_ms - since_ms) // 1_000} s with more to read"
        for (partition, stream), (position, since_ms) in sorted(found.items())
        if now_ms - since_ms > STUCK_AFTER_MS
    )
