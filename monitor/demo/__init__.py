"""The demo's input: real flights as two streams, played fast, with a scripted incident.

Pure: what is sent at which moment of the play is a function of the recorded streams, the speed and the incident. Source
and licence of the data are in flights/README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

DAY_MS = 86_400_000
FIRST_MS = int(datetime(2013, 1, 1, tzinfo=UTC).timestamp()) * 1000
LAST_MS = int(datetime(2013, 2, 1, tzinfo=UTC).timestamp()) * 1000
LAST_LABEL_MS = LAST_MS + 2 * DAY_MS
"""The labels of the last flights come after the end of January."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A stretch of event time [start, end) in which an upstream release breaks the model's input. `broken`: the features
    that serving gets instead."""

    name: str
    start_ms: int
    end_ms: int
    broken: Callable[[dict[str, Any]], dict[str, Any]]

    def touch(self, record: dict[str, Any]) -> dict[str, Any]:
        """What serving would have sent during the incident: with broken features, and scores that come out upside down."""
        if not self.start_ms <= record["at"] < self.end_ms:
            return record
        score = round(1.0 - record["score"], 6)
        features = self.broken(record["features"])
        return {**record, "score": score, "prediction": int(score >= 0.25), "features": features}


def _no_hour(features: dict[str, Any]) -> dict[str, Any]:
    """The hour arrives as 0, which is an hour like any other: only its distribution is strange."""
    return {**features, "hour": 0.0}


def _wrong_units(features: dict[str, Any]) -> dict[str, Any]:
    """Kilometres where miles were meant, and no carrier at all."""
    kept = {name: value for name, value in features.items() if name != "carrier"}
    return {**kept, "distance": round(features["distance"] * KM_PER_MILE, 1)}


KM_PER_MILE = 1.609344
_BEGINS_MS, _ENDS_MS = FIRST_MS + 9 * DAY_MS, FIRST_MS + 12 * DAY_MS
INCIDENTS: dict[str, Incident | None] = {
    "bad-release": Incident("bad-release", _BEGINS_MS, _ENDS_MS, _no_hour),
    "quality": Incident("quality", _BEGINS_MS, _ENDS_MS, _wrong_units),
    "none": None,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A record to be sent: which stream, when (event time), its key and value."""

    stream: str
    at_ms: int
    key: bytes
    value: bytes


def script(predictions: Iterator[bytes], labels: Iterator[bytes], incident: Incident | None) -> Iterator[Sent]:
    """Both streams merged by event time, January only, the incident applied."""
    left = _records("predictions", predictions, incident)
    right = _records("labels", labels, None)
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a.at_ms <= b.at_ms):
            assert a is not None
            yield a
            a = next(left, None)
        else:
            yield b
            b = next(right, None)


def _records(stream: str, lines: Iterator[bytes], incident: Incident | None) -> Iterator[Sent]:
    end_ms = LAST_MS if stream == "predictions" else LAST_LABEL_MS
    for line in lines:
        record = orjson.loads(line)
        if record["at"] >= end_ms:
            return
        value = line if incident is None else orjson.dumps(incident.touch(record))
        yield Sent(stream, record["at"], record["id"].encode(), value)
