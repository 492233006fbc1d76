"""Which predictions count where a model comes and goes, and as what where more or less is watched of it, worked out anew from the
whole logs.

Owners say in their commits from which offset on they count by which roster, the evaluator which roster lists what; what
follows from it for each record is worked out here without the engine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from monitor.config.canonical import digest_bytes
from tests.checker import audit
from tests.checker.recount import Fields, predictions_of
from tests.checker.sources import Raw
from tests.oracle.join import Prediction
from tests.verify.scenario import SECOND, Scenario
from tests.verify.simulation import HURT, SimulatedWorld

BOTH = Fields(models=frozenset({"m", SECOND}))
NAME, DOCUMENT, ENTERED, FROM, LEFT, UNTIL, ENDS = 0, 2, 4, 5, 6, 7, 8
FOREVER = 1 << 62
"""Places of what a roster says of a model."""


class Admitted:
    """What the owners and the evaluator of the disturbed namespace recorded."""

    def __init__(self, log: SimulatedWorld, walks: Sequence[audit.Walk], scenario: Scenario) -> None:
        every = [
            (scenario.config(HURT, disturbed=True, second=second, more=more), second, more)
            for second in (False, True)
            for more in (False, True)
        ]
        self._more = {digest_bytes(one.document().encode()) for one, _, more in every if more}
        self._listed = _roster(log)
        if not self._listed:  # they never changed
            first = {_genesis(log, walk.partition) for walk in walks} - {None}
            begun = [(one, second) for one, second, _ in every if one.digest in first] or [every[0][:2]]
            document = digest_bytes(begun[0][0].document().encode())
            names = ("m", SECOND) if begun[0][1] else ("m",)
            self._listed = [(name, "", document, None, 0, -FOREVER, None, FOREVER, FOREVER) for name in names]
        self._adopted: list[dict[int, int]] = []
        for walk in walks:
            said = {offset: number for commit in walk.commits for offset, number, _ in commit.get("rosters", ())}
            self._adopted.append(said)

    def predictions_of(self, raws: Sequence[Raw]) -> list[Prediction]:
        """One partition's predictions; those of the second model that its owner did not count are rejected."""
        rejected: Prediction = {"id": "", "model": "", "version": "", "at": 0, "rejected": True}
        found = predictions_of(raws, BOTH)
        return [
            one if one["model"] != SECOND or self._counts(raw, one["at"]) else rejected
            for raw, one in zip(raws, found, strict=True)
        ]

    def _counts(self, raw: Raw, at_ms: int) -> bool:
        adopted = sorted(self._adopted[raw.partition].items())
        place = bisect_right([offset for offset, _ in adopted], raw.offset)
        number = adopted[place - 1][1] if place else 0
        return any(
            number >= one[ENTERED] and (one[LEFT] is None or number < one[LEFT] or at_ms < one[ENDS])
            for one in self._listed
            if one[NAME] == SECOND
        )

    def begins(self, model: str, start_ms: int, more: bool) -> bool:
        """Whether there is a window of a model that starts then, of which `more` is watched."""
        own = [one for one in self._listed if one[NAME] == model and (one[DOCUMENT] in self._more) == more]
        return any(one[FROM] is not None and one[FROM] <= start_ms < one[UNTIL] for one in own)


def _genesis(log: SimulatedWorld, partition: int) -> object:
    """The digest that a partition began with; None where it has not begun."""
    first = log.whole(f"{HURT}.ledger", partition)[:1]
    return msgspec.msgpack.decode(first[0].record.value or b"")["config"] if first else None


def _roster(log: SimulatedWorld) -> list[tuple]:  # type: ignore[type-arg]
    """The models that the last accepted evaluation that says something of them lists; none where none does."""
    epoch, found = 0, []
    owner, sequence = "", 0
    for stored in log.whole(f"{HURT}.evals", 0):
        record: Mapping[str, object] = msgspec.msgpack.decode(stored.record.value or b"")
        if record["kind"] == "fence" and record["epoch"] > epoch:  # type: ignore[operator]
            epoch, owner = record["epoch"], record["owner"]  # type: ignore[assignment]
        elif record.get("owner") == owner and record.get("epoch") == epoch and record.get("sequence") == sequence + 1:
            sequence += 1
            if "roster" in record:
                found = record["roster"]["models"]  # type: ignore[index]
    return found
