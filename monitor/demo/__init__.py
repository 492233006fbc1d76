"""The demo's input: real flights as two streams, January as history and February live, with a scripted incident.

Pure: what is sent at which moment of the play is a function of the recorded streams, the incident, and of who serves. Source
and licence of the data are in flights/README.md.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

import orjson

from monitor.demo.incidents import DAY_MS, ConceptChange, Features, Incident, WrongUnits

FIRST_MS: Final = int(datetime(2013, 1, 1, tzinfo=UTC).timestamp()) * 1000
LIVE_MS: Final = int(datetime(2013, 2, 1, tzinfo=UTC).timestamp()) * 1000
"""Before it all is history: played at once, and what the first model learns from."""
LAST_MS: Final = LIVE_MS + 21 * DAY_MS
LABELS_AFTER_MS: Final = 2 * DAY_MS
"""The labels of the last flights come so long after them, at most."""
FORMULA: Final = "0"
"""Version of the predictions that were recorded with the flights."""

INCIDENTS: Final[Mapping[str, Incident]] = {
    "concept-change": ConceptChange("concept-change", LIVE_MS + 4 * DAY_MS, LAST_MS),
    "quality": WrongUnits("quality", LIVE_MS + 5 * DAY_MS, LIVE_MS + 8 * DAY_MS),
    "none": Incident("none", 0, 0),
}


Serve = Callable[[dict[str, Any]], dict[str, Any]]
"""Fills version, score and prediction into a record."""


@dataclass(frozen=True, slots=True)
class Due:
    """A record that is due: which stream, and when (event time)."""

    stream: str
    at_ms: int
    record: dict[str, Any]

    @property
    def key(self) -> bytes:
        """A flight's prediction and label meet in one partition."""
        found: str = self.record["id"]
        return found.encode()


class Script:
    """Both streams merged by event time. Values are made when they are sent: they depend on who serves then."""

    def __init__(
        self, predictions: Iterable[bytes], labels: Iterable[bytes], incident: Incident, until_ms: int = LAST_MS
    ) -> None:
        self._incident = incident
        self._departed: dict[str, tuple[int, Features]] = {}
        streams = (
            _due("predictions", predictions, until_ms),
            _due("labels", labels, until_ms + LABELS_AFTER_MS),
        )
        self._merged = heapq.merge(*streams, key=attrgetter("at_ms"))

    def __iter__(self) -> Iterator[Due]:
        return self._merged

    def value(self, due: Due, serve: Serve) -> bytes | None:
        """The bytes to send, in the order in which records are due; None for the label of a flight that never departs."""
        record = due.record
        if due.stream == "predictions":
            self._departed[record["id"]] = due.at_ms, record["features"]
            return orjson.dumps(self._incident.sent(serve(record)))
        flight = self._departed.pop(record["id"], None)
        truth = None if flight is None else self._incident.truth(record, *flight)
        return None if truth is None else orjson.dumps(truth)


def by_the_formula(record: dict[str, Any]) -> dict[str, Any]:
    """The recorded prediction, under a version of its own."""
    return {**record, "version": FORMULA}


def _due(stream: str, lines: Iterable[bytes], until_ms: int) -> Iterator[Due]:
    for line in lines:
        record = orjson.loads(line)
        if record["at"] >= until_ms:
            return
        yield Due(stream, record["at"], record)
