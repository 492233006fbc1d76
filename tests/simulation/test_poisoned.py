"""A model whose records are poison, beside one whose records are sound, in the same topics: what is said of the sound one, tick
by tick, is the same byte for byte as if the other were not there. So nothing of it is delayed, lost or distorted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from monitor.config import Config, loads
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog
from tests.simulation.world import CONFIG, finals, revisions, worker

START_MS = 1_700_000_000_000
PREDICTIONS = 260
EVERY_MS = 1_500
POISON_EACH = 3
"""Records of the poisoned model for each of the sound one."""
Record = dict[str, Any]


def config() -> Config:
    text = CONFIG.format(namespace="one", rows=100, lateness=60)
    text = text.replace("models: [{name: m,", "models: [{name: bad, segments: {hue: [red, blue]}}, {name: good,")
    return loads(text)


def sound(i: int, rng: random.Random) -> tuple[Record, Record]:
    """A prediction of the sound model, and its label."""
    at = START_MS + EVERY_MS * i
    score = round(rng.random(), 3)
    record = {
        "id": f"good-{i}",
        "model": "good",
        "version": "1",
        "at": at,
        "score": score,
        "prediction": int(score > 0.5),
    }
    label = {
        "id": f"good-{i}",
        "at": at + rng.randint(0, 60_000),
        "label": int(rng.random() < (score if i < 130 else 0.5)),
    }
    return record | {"features": {"hue": rng.choice(["red", "blue", "green"])}}, label


def like(i: int, j: int) -> Record:
    """A prediction of the poisoned model with nothing wrong yet."""
    record = {"id": f"bad-{i}-{j}", "model": "bad", "version": "1", "at": START_MS + EVERY_MS * i}
    return record | {"score": 0.5, "prediction": 1, "features": {"hue": "red"}}


def garbage(i: int, j: int, _: random.Random) -> bytes:
    """No JSON, no object, too deep, too long."""
    kinds = (b"{", b"[1, 2]", b"\xff\xfe\x00", b'{"id":' + b"[" * 5_000, b'{"id": "' + b"x" * (1 << 20) + b'"}')
    return kinds[(i + j) % (5 if i % 40 == 0 else 4)]


def absurd(i: int, j: int, rng: random.Random) -> bytes:
    """Values that are no scores, no categories, no classes."""
    wrong: list[Record] = [
        {"score": 1e308},
        {"score": -1.0},
        {"score": "high"},
        {"prediction": 7},
        {"features": {"hue": {"a": [1]}}},
        {"features": {"hue": "x" * 100_000}},
        {"version": ["1"]},
        {"id": None},
        {"withdrawn": "maybe"},
    ]
    return orjson.dumps(like(i, j) | rng.choice(wrong))


def values(i: int, j: int, _: random.Random) -> bytes:
    """A segment dimension with another value in every record."""
    return orjson.dumps(like(i, j) | {"features": {"hue": f"hue {i} {j}"}})


def versions(i: int, j: int, _: random.Random) -> bytes:
    """A version of its own for every record."""
    return orjson.dumps(like(i, j) | {"version": f"build {i} {j}"})


def ahead(i: int, j: int, rng: random.Random) -> bytes:
    """A clock that is an hour, a year or eight thousand years fast."""
    return orjson.dumps(
        like(i, j) | {"at": START_MS + EVERY_MS * i + rng.choice([3_600_000, 31_536_000_000, 250_000_000_000_000])}
    )


def behind(i: int, j: int, rng: random.Random) -> bytes:
    """A clock that stands still, or counts seconds."""
    return orjson.dumps(like(i, j) | {"at": rng.choice([0, -1, START_MS // 1_000, START_MS - 86_400_000])})


def again(i: int, _: int, rng: random.Random) -> bytes:
    """The same ids over and over, with other contents."""
    return orjson.dumps(like(i, 0) | {"id": f"bad-{i % 3}", "score": round(rng.random(), 3)})


Poison = Callable[[int, int, random.Random], bytes]
POISONS: tuple[Poison, ...] = (garbage, absurd, values, versions, ahead, behind, again)


def records(poison: Poison | None) -> Iterator[tuple[int, str, bytes]]:
    """(when, topic, value) of both models, in order of time."""
    rng, foul = random.Random(3), random.Random(4)
    found: list[tuple[int, int, str, bytes]] = []
    for i in range(PREDICTIONS):
        prediction, label = sound(i, rng)
        found.append((prediction["at"], 0, "predictions", orjson.dumps(prediction)))
        found.append((label["at"], 0, "labels", orjson.dumps(label)))
        for j in range(POISON_EACH if poison is not None else 0):
            assert poison is not None
            found.append((prediction["at"], 1, "predictions", poison(i, j, foul)))
            if poison in (garbage, absurd):
                found.append(
                    (prediction["at"], 1, "labels", b"{" if j else orjson.dumps({"id": f"bad-{i}-{j}", "label": []}))
                )
    found.sort(key=lambda one: one[:3])
    return ((at, topic, value) for at, _, topic, value in found)


def run(poison: Poison | None) -> MemoryLog:
    """All of it through the daemon, to the end."""
    log = MemoryLog(ManualClock(START_MS + 10_000_000))
    for topic in ("predictions", "labels"):
        log.ensure(TopicSpec(topic, 1))
    appender = log.appender()
    for at, topic, value in records(poison):
        appender.append(topic, 0, OutRecord(value, b"key", (), at))
    worker(log, config()).run()
    return log


def of_good(values: Iterator[bytes] | set[bytes]) -> set[bytes]:
    return {value for value in values if orjson.loads(value)["model"] == "good"}


def told_of_good(log: MemoryLog) -> list[tuple[str, Any]]:
    """Alerts about the sound model: state, tick and value, in order."""
    events = [orjson.loads(stored.record.value or b"{}") for stored in log.records("one.alerts")]
    return [(e["type"], e["data"]) for e in events if e["data"].get("model") == "good"]


@pytest.fixture(scope="module")
def alone() -> MemoryLog:
    return run(None)


@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.__name__)
def test_the_sound_model_is_told_of_as_if_it_were_alone(alone: MemoryLog, poison: Poison) -> None:
    log = run(poison)
    expected = of_good(revisions(alone, "one"))
    assert len(expected) > 150
    assert of_good(revisions(log, "one")) == expected
    assert of_good(iter(finals(log, "one").values())) == of_good(iter(finals(alone, "one").values()))
    alerts = told_of_good(alone)
    assert alerts
    assert told_of_good(log) == alerts


def test_what_is_poison_is_counted_and_not_dropped_silently() -> None:
    log = run(garbage)
    letters = log.records("predictions.dlq")
    assert letters, "records that cannot be read are put aside"
    events = [orjson.loads(stored.record.value or b"{}")["data"] for stored in log.records("one.alerts")]
    assert "dead-letter-flood" in {data.get("condition") for data in events}
