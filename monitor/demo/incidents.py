"""What can go wrong in the demo: upstream breaks the inputs, or the world changes. Pure; event time decides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

DAY_MS: Final = 86_400_000
KM_PER_MILE: Final = 1.609344

Features = Mapping[str, Any]
World = Callable[[Features, float], bool]
"""Whether a flight with these features is late, given a number within [0, 1) that is drawn for it."""


def mornings(features: Features, luck: float) -> bool:
    """Flights until three are late now and evening flights are not: the opposite of what any model learns in January."""
    return luck < (0.9 if features["hour"] < 15 else 0.05)


def carriers(features: Features, luck: float) -> bool:
    """The regional carriers, the worst in January, are the only ones on time."""
    return luck < (0.1 if features["carrier"] in ("EV", "MQ", "FL", "B6") else 0.7)


def everywhere(_: Features, luck: float) -> bool:
    """Two flights in three are late, whichever."""
    return luck < 2 / 3


def kennedy(features: Features, luck: float) -> bool:
    """Kennedy, the best airport in January, comes to a halt; the others are as good as never late."""
    return luck < (0.9 if features["origin"] == "JFK" else 0.05)


WORLDS: Final[Mapping[str, World]] = {f.__name__: f for f in (mornings, carriers, everywhere, kennedy)}


@dataclass(frozen=True, slots=True)
class Incident:
    """What happens in a stretch of event time [start, end). This one: nothing."""

    name: str
    start_ms: int
    end_ms: int

    def sent(self, record: dict[str, Any]) -> dict[str, Any]:
        """A prediction as serving sends it."""
        return record

    def truth(self, label: dict[str, Any], at_ms: int, features: Features) -> dict[str, Any] | None:
        """The label of a flight that was predicted at `at_ms`; None when it never comes."""
        return label

    def during(self, at_ms: int) -> bool:
        """Whether it goes on."""
        return self.start_ms <= at_ms < self.end_ms


@dataclass(frozen=True, slots=True)
class WrongUnits(Incident):
    """An upstream release breaks the data for all to see: distances in kilometres for miles, and no carrier. The scores come
    out upside down, so that the truth sees it too."""

    def sent(self, record: dict[str, Any]) -> dict[str, Any]:
        """See Incident."""
        if not self.during(record["at"]):
            return record
        features = {name: value for name, value in record["features"].items() if name != "carrier"}
        features["distance"] = round(features["distance"] * KM_PER_MILE, 1)
        score = round(1.0 - record["score"], 6)
        return {**record, "score": score, "prediction": int(score >= 0.25), "features": features}


@dataclass(frozen=True, slots=True)
class ConceptChange(Incident):
    """The same flights are late for other reasons. `size`: the share of flights that live in the new world."""

    world: World = mornings
    size: float = 1.0
    seed: int = 0

    def truth(self, label: dict[str, Any], at_ms: int, features: Features) -> dict[str, Any]:
        """See Incident. Drawn by the id, so that a second label of the same flight says the same."""
        if not self.during(at_ms):
            return label
        digest = hashlib.blake2b(f"{self.seed}:{label['id']}".encode(), digest_size=8).digest()
        moved, luck = (int.from_bytes(half, "little") / 2**32 for half in (digest[:4], digest[4:]))
        return label if moved >= self.size else {**label, "label": int(self.world(features, luck))}
