"""Incidents for a watch that must be told from nothing: over flights that are dealt anew, so that nothing else changes.

What happened to a flight (features, score, truth) is dealt over the clock times of all flights by a seed: no snow, no season, no
trend is left, and whatever is told must come from the incident. Where and when it strikes follows from the seed, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from monitor.demo import LABELS_AFTER_MS, LAST_MS, LIVE_MS
from monitor.demo.incidents import DAY_MS, KM_PER_MILE, Features, Incident

_HOUR_MS: Final = 3_600_000
_CONTENT: Final = ("score", "prediction", "features")
ORIGINS: Final = ("LGA", "JFK")
"""Where truth may turn round. Not Newark (EWR): of its flights half are predicted wrongly as it is, so nothing would change."""


def dealt(predictions: Iterable[bytes], labels: Iterable[bytes], seed: int) -> tuple[list[bytes], list[bytes]]:
    """Both streams with what happened dealt anew over the clock times of all flights: features and score, whether there is a
    label, what it says and how long it took."""
    flights = [record for line in predictions if (record := orjson.loads(line))["at"] < LAST_MS]
    truth = {label["id"]: label for line in labels if (label := orjson.loads(line))["at"] < LAST_MS + LABELS_AFTER_MS}
    content = [({name: flight[name] for name in _CONTENT}, flight["at"], truth.get(flight["id"])) for flight in flights]
    order = sorted(range(len(flights)), key=lambda i: luck(f"{seed} {flights[i]['id']}"))
    known = []
    for flight, place in zip(flights, order, strict=True):
        happened, at_ms, label = content[place]
        flight.update(happened)
        if label is not None:
            known.append({**label, "id": flight["id"], "at": flight["at"] + label["at"] - at_ms})
    known.sort(key=lambda label: label["at"])
    return [orjson.dumps(flight) for flight in flights], [orjson.dumps(label) for label in known]


def luck(text: str) -> float:
    """A number within [0, 1) that a text has, as if drawn."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


@dataclass(frozen=True, slots=True)
class Kilometres(Incident):
    """An upstream release sends distances in kilometres for miles; nothing else changes."""

    def sent(self, record: dict[str, Any]) -> dict[str, Any]:
        """See Incident."""
        if not self.during(record["at"]):
            return record
        distance = round(record["features"]["distance"] * KM_PER_MILE, 1)
        return {**record, "features": {**record["features"], "distance": distance}}


@dataclass(frozen=True, slots=True)
class LabelsStop(Incident):
    """The feed of labels all but stops: of late flights one in twenty has its label still, of punctual ones none."""

    def truth(self, label: dict[str, Any], at_ms: int, features: Features) -> dict[str, Any] | None:
        """See Incident."""
        if not self.during(label["at"]) or (label["label"] and luck(label["id"]) < 0.05):
            return label
        return None


@dataclass(frozen=True, slots=True)
class OneAirport(Incident):
    """At one airport punctual flights are late now, and late ones punctual."""

    origin: str = ORIGINS[0]

    def truth(self, label: dict[str, Any], at_ms: int, features: Features) -> dict[str, Any] | None:
        """See Incident."""
        if not self.during(at_ms) or features["origin"] != self.origin:
            return label
        return {**label, "label": 1 - label["label"]}


@dataclass(frozen=True, slots=True)
class OtherCarriers(Incident):
    """A quarter of the flights is sold by United now. They are as late as ever, and predicted as well."""

    def sent(self, record: dict[str, Any]) -> dict[str, Any]:
        """See Incident."""
        if not self.during(record["at"]) or luck(record["id"]) < 0.75:
            return record
        return {**record, "features": {**record["features"], "carrier": "UA"}}


def _stretch(name: str, seed: int, days: int | None) -> tuple[int, int]:
    """When it strikes: an hour of the third to the eighth day of February, for so many days, or to the end."""
    start = LIVE_MS + int(48 + 144 * luck(f"{name} {seed}")) * _HOUR_MS
    return start, LAST_MS if days is None else start + days * DAY_MS


SCRIPTED: Final[Mapping[str, Callable[[int], Incident]]] = {
    "unit-bug": lambda seed: Kilometres("unit-bug", *_stretch("unit-bug", seed, 3)),
    "stalled-labels": lambda seed: LabelsStop("stalled-labels", *_stretch("stalled-labels", seed, 3)),
    "slice": lambda seed: OneAirport("slice", *_stretch("slice", seed, None), ORIGINS[seed % len(ORIGINS)]),
    "harmless": lambda seed: OtherCarriers("harmless", *_stretch("harmless", seed, None)),
    "none": lambda _: Incident("none", 0, 0),
}
"""By name, what a seed makes of it."""
