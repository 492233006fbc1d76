"""What was published against what is decided again: every record of `windows`, `alerts` and `alerts.state`.

A compacted topic no longer holds every revision, and an evaluator that was killed has not yet published its last step:
both are no differences. A record that nobody decided is one, and so is a decision whose record should be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.alerts import cloudevents
from monitor.config.types import Topics
from monitor.daemon.publishing import SEQUENCE_HEADER
from monitor.daemon.replay.differences import Difference, of_payloads
from monitor.evaluator import TickOutput
from monitor.events import Headers
from monitor.ports import Decided, Decisions, Log
from monitor.windows import payload

_CHUNK, _WAIT_MS = 2_000, 200


def records_of(outputs: Sequence[TickOutput], topics: Topics, sequence: int) -> list[Decided]:
    """Everything that these ticks of the evaluation `sequence` publish."""
    found: list[Decided] = []
    for output in outputs:
        for view, value in zip(output.windows, output.payloads, strict=True):
            key = payload.topic_key(view.key, view.kind)
            found.append(Decided(topics.windows, key, view.revision, view.tick_ms, value, sequence))
        found += [
            Decided(topics.windows, payload.topic_key(gone, output.kind), 0, 0, None, sequence)
            for gone in output.vanished
        ]
        found += [
            Decided(topic, event.id.encode(), 0, 0, record.value, sequence)
            for event in output.events
            for topic, record in cloudevents.records(event, topics.alerts, topics.alerts_state)
        ]
    return found


@dataclass(slots=True)
class Published:
    """How many records of a topic were compared, whether all that were ever appended are still there, what differs."""

    topic: str
    records: int = 0
    whole: bool = True
    difference: Difference | None = None


def compare(
    log: Log,
    topic: str,
    ends: Sequence[int],
    decisions: Decisions,
    below: int,
    choose: Callable[[Decided], Decided | None] = lambda record: record,
) -> Published:
    """Strike what was published in [begin, `ends`) off the decisions, and see what is left of those before `below`.

    `choose` gives a record the form in which it is compared, or None for one that is not. The difference told is the
    one of the earliest tick.
    """
    done = Published(topic)
    strange: Decided | None = None
    for found, whole in _records(log, topic, ends):
        batch = [record for record in map(choose, found) if record is not None]
        done.whole = done.whole and whole
        done.records += len(batch)
        for place in decisions.strike(batch):
            if strange is None or _rank(batch[place]) < _rank(strange):
                strange = batch[place]
    if strange is not None:
        ours = decisions.like(strange)
        done.difference = _difference(topic, strange, ours.value if ours else None, strange.value)
        return done
    left = decisions.unpublished(topic, below, newest_only=not done.whole)
    if left is not None and (done.whole or topic.endswith("windows")):
        done.difference = _difference(topic, left, left.value, None)
    return done


def _rank(record: Decided) -> tuple[int, int, bytes, int]:
    return record.tick_ms, record.order, record.key, record.revision


def _records(log: Log, topic: str, ends: Sequence[int]) -> Iterator[tuple[list[Decided], bool]]:
    """The records of a topic, and whether no offset was left out so far."""
    begins = log.begin_offsets(topic)
    for partition, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        reader = log.reader()
        try:
            reader.assign({(topic, partition): begin})
            position, count = begin, 0
            while position < end:
                for batch in reader.poll(_CHUNK, _WAIT_MS):
                    assert batch.keys is not None
                    assert batch.headers is not None
                    rows = zip(batch.offsets.tolist(), batch.keys, batch.values, batch.headers, strict=True)
                    found = [_decided(topic, k, v, h or ()) for offset, k, v, h in rows if offset < end]
                    count += len(found)
                    position = batch.next_offset
                    yield found, True
            if begin > 0 or count < end - begin:
                yield [], False
        finally:
            reader.close()


def _decided(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> Decided:
    sequence = _number(headers, SEQUENCE_HEADER)
    if topic.endswith("windows"):
        revision, tick_ms = (_number(headers, name) for name in (payload.REVISION_HEADER, payload.TICK_HEADER))
        return Decided(topic, key or b"", revision, tick_ms, value, sequence)
    try:
        told: Any = msgspec.json.decode(value or b"{}")
        name = str(told["id"]).encode()
    except (msgspec.DecodeError, KeyError, TypeError):
        name = key or b""
    return Decided(topic, name, 0, 0, value, sequence)


def _number(headers: Headers, name: str) -> int:
    return next((int(v) for k, v in headers if k == name and v is not None and v.isdigit()), 0)


def _difference(topic: str, record: Decided, ours: bytes | None, theirs: bytes | None) -> Difference:
    if topic.endswith("windows"):
        where: dict[str, Any] = {"window": record.key.decode(), "revision": record.revision, "tick": record.tick_ms}
        return of_payloads("window", where, ours, theirs)
    return of_payloads(
        "alert", {"topic": topic, "alert": record.key.decode(), **_of_alert(ours or theirs)}, ours, theirs
    )


def _of_alert(value: bytes | None) -> dict[str, Any]:
    try:
        told: Any = msgspec.json.decode(value or b"{}")
        return {"subject": told["subject"], "tick": told["data"]["tick_ms"]}
    except (msgspec.DecodeError, KeyError, TypeError):
        return {}
