"""Alerts about the daemon itself, from what owners recorded in their commits.

A condition of a partition that begins fires, one that ends resolves. Times are the event time that the partition had
reached when its owner recorded the decision, so deciding again gives the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from monitor.alerts.cloudevents import operational_event
from monitor.alerts.event import LAST_MS, AlertEvent, Severity, Standing


@dataclass(frozen=True, slots=True)
class Condition:
    """Something an owner can record about its partition."""

    name: str
    severity: Severity
    begins: str
    ends: str


FLOOD: Final = Condition(
    "dead-letter-flood",
    "ticket",
    "so many records are rejected that dead letters are cut to pointers; look at driftline dlq list",
    "rejected records are few again",
)


class OperationalWatch:
    """What is going on in each partition, and the events that have not been told yet."""

    def __init__(self, namespace: str, labels: Mapping[str, str]) -> None:
        self._namespace, self._labels = namespace, labels
        self._began: dict[tuple[str, int], int] = {}
        self._untold: list[tuple[int, int, AlertEvent]] = []

    def note(self, condition: Condition, partition: int, sequence: int, at_ms: int, *, holds: bool) -> None:
        """What commit `sequence` of a partition recorded, at event time `at_ms`."""
        key = (condition.name, partition)
        if holds == (key in self._began):
            return
        at_ms = min(max(at_ms, 0), LAST_MS)
        fired_ms = self._began.setdefault(key, at_ms)
        if not holds:
            del self._began[key]
        event = operational_event(
            self._namespace,
            condition.name,
            f"partition/{partition}",
            Standing.FIRING if holds else Standing.RESOLVED,
            at_ms=at_ms,
            fired_ms=fired_ms,
            severity=condition.severity,
            summary=f"partition {partition}: {condition.begins if holds else condition.ends}",
            facts={"partition": partition},
            labels=self._labels,
        )
        self._untold.append((partition, sequence, event))

    def drain(self) -> list[AlertEvent]:
        """Events since the last call, by partition: the order in which partitions were read cannot be seen."""
        events = [event for _, _, event in sorted(self._untold, key=lambda item: item[:2])]
        self._untold.clear()
        return events
