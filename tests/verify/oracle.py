"""What must hold of a finished simulation: asked of the whole logs, and of nothing that the engine believes.

The windows and the outcomes are those of the plain join (`tests.oracle.join`) over the raw records as the checker decodes them;
the alerts and every revision are those of the twin that nothing happened to; the ledger is walked by the checker's rule and by
ours; every record that cannot be used has its dead letter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import orjson

from monitor.ledger.audit import Audit
from monitor.ledger.records import decode
from tests.adapters.memory import Stored
from tests.checker import audit
from tests.checker.recount import Fields, labels_of, predictions_of
from tests.checker.sources import Raw
from tests.oracle import join
from tests.simulation.world import alerts, counts, finals, revisions
from tests.verify.models import Admitted
from tests.verify.scenario import SIM_PARAMS, WATCHED_PARAMS
from tests.verify.simulation import CALM, HURT, SOURCES, SimulatedWorld, Simulation

FIELDS = Fields(models=frozenset({"m"}))
WALL_CONDITIONS = frozenset({"partition-unowned"})
"""Conditions that the clock of the wall decides: no twin has to agree on them."""


def raws(stored: Sequence[Stored], partition: int) -> list[Raw]:
    """Records of the memory log as the checker reads them."""
    return [
        Raw(
            partition,
            s.offset,
            s.timestamp_ms,
            s.record.key,
            s.record.value,
            {k: v or b"" for k, v in s.record.headers},
        )
        for s in stored
    ]


def complaints(simulation: Simulation) -> list[str]:
    """Everything that does not hold, as sentences."""
    log, partitions = simulation.log, range(simulation.scenario.partitions)
    sources = {name: [raws(log.whole(name, p), p) for p in partitions] for name in SOURCES}
    walks = [audit.walk(p, (s.record.value for s in log.whole(f"{HURT}.ledger", p))) for p in partitions]
    admitted = Admitted(log, walks, simulation.scenario) if simulation.scenario.changes else None
    predictions = [
        predictions_of(raw, FIELDS) if admitted is None else admitted.predictions_of(raw)
        for raw in sources["predictions"]
    ]
    labels = [labels_of(raw, FIELDS) for raw in sources["labels"]]
    expected: dict[join.WindowOf, Mapping[str, int]] = {}
    for params, more in ((SIM_PARAMS, False), (WATCHED_PARAMS, True)):
        whole = join.final_windows(predictions, labels, params).items()
        expected |= {
            key: own
            for key, own in whole
            if any(own.values()) and (not more if admitted is None else admitted.begins(key[0], key[3], more))
        }
    found = _windows(expected, counts(log, HURT))
    if admitted is None:
        found += _beside_the_twin(log)
    for walk in walks:
        found += [f"partition {walk.partition}: {sentence}" for sentence in _ledger(log, walk, sources)]
    found += _outcomes(walks, join.outcomes(predictions, labels, SIM_PARAMS))
    return found + _dead_letters(log, {"predictions": predictions, "labels": labels})


def _beside_the_twin(log: SimulatedWorld) -> list[str]:
    found = []
    if finals(log, HURT) != finals(log, CALM):
        found.append("the final windows are not, byte for byte, those of the undisturbed run")
    if revisions(log, HURT) != revisions(log, CALM):
        found.append("other revisions of windows were published than by the undisturbed run")
    if _alerts(log, HURT) != _alerts(log, CALM):
        found.append("the alerts are not those of the undisturbed run")
    return found


def _windows(
    expected: Mapping[join.WindowOf, Mapping[str, int]], published: Mapping[join.WindowOf, Mapping[str, int]]
) -> list[str]:
    return [
        f"window {key}: published {published.get(key)}, the recount says {expected.get(key)}"
        for key in sorted({*expected, *published})
        if expected.get(key) != published.get(key)
    ]


def _alerts(log: SimulatedWorld, namespace: str) -> list[bytes]:
    return [
        event for event in alerts(log, namespace) if orjson.loads(event)["data"].get("condition") not in WALL_CONDITIONS
    ]


def _ledger(log: SimulatedWorld, walk: audit.Walk, sources: Mapping[str, Sequence[Sequence[Raw]]]) -> list[str]:
    found = [*audit.violations(walk)]
    found += audit.against_sources(walk, {name: logs[walk.partition] for name, logs in sources.items()})
    if any(logs[walk.partition] for logs in sources.values()) and not walk.ended:
        found.append("the end of input is not recorded")
    ours = Audit(walk.partition)
    for stored in log.whole(f"{HURT}.ledger", walk.partition):
        raw = stored.record.value or b""
        ours.feed(stored.offset, decode(raw, "ledger"), raw)
    return [*found, *ours.violations]


VALID, NOT_VALID = ("applied", "superseded", "withdrawal"), ("outside", "orphaned")
"""What a label is called among these asks which predictions of its id were held when it was last looked at: one that was
settled and dropped does not answer any more. Whether it was valid for one of them does not ask that."""


def _outcomes(walks: Sequence[audit.Walk], expected: tuple[Counter[str], Counter[str]]) -> list[str]:
    """Predictions have the outcomes that the oracle gives them, in total over the partitions; labels too, as far as that is
    a function of the logs."""
    predictions, labels = (total(walks, stream) for stream in SOURCES)
    found = []
    if predictions != +expected[0]:
        found.append(f"outcomes of predictions: counted {dict(predictions)}, the recount says {dict(+expected[0])}")
    if by_validity(labels) != by_validity(expected[1]):
        found.append(f"outcomes of labels: counted {dict(labels)}, the recount says {dict(+expected[1])}")
    return found


def by_validity(labels: Counter[str]) -> Counter[str]:
    """Outcomes of labels, those of each kind under one name."""
    found: Counter[str] = Counter()
    for name, count in labels.items():
        found["valid" if name in VALID else "not valid" if name in NOT_VALID else name] += count
    return +found


def total(walks: Sequence[audit.Walk], stream: str) -> Counter[str]:
    """Records of a stream by outcome, as the last commits count them."""
    found: Counter[str] = Counter()
    for walk in walks:
        if walk.commits:
            found.update(walk.commits[-1][f"{stream.removesuffix('s')}_outcomes"])
    return +found


def _dead_letters(log: SimulatedWorld, decoded: Mapping[str, Sequence[Sequence[Mapping[str, object]]]]) -> list[str]:
    found = []
    for name, logs in decoded.items():
        rejected = {(p, at) for p, records in enumerate(logs) for at, r in enumerate(records) if r.get("rejected")}
        topic = f"{name}.dlq"
        held = log.records(topic) if topic in log._topics else []
        headers = [dict(stored.record.headers) for stored in held]
        letters = {
            (int(h["driftline.error.partition"] or b""), int(h["driftline.error.offset"] or b""))
            for h in headers
            if h.get("driftline.error.namespace") == HURT.encode()
        }
        if not rejected <= letters:
            found.append(f"{name}: {len(rejected - letters)} bad records have no dead letter")
    return found
