"""A rebuild from the recorded floors gives the join that was committed, also where ids come again with other times."""

from __future__ import annotations

import random
from collections.abc import Generator
from pathlib import Path

import numpy as np
import orjson
import pytest
from msgspec import UNSET

from monitor.adapters.snapshots import SnapshotDirectory, SnapshotFile
from monitor.config import loads
from monitor.daemon.shared import make_shared
from monitor.daemon.snapshots import restored, write
from monitor.daemon.tail import Follower
from monitor.events import RecordBatch
from monitor.ingest.clocks import ClockState
from monitor.ledger.fold import Chain, FoldState
from monitor.ledger.records import Commit, decode, encode
from monitor.ledger.snapshots import decode_header
from monitor.partition import Flags, Partition, Shared
from monitor.plan import plan_of
from tests.examples import examples
from tests.ledger.snapshots import IDENTITY
from tests.simulation.world import CONFIG

START_S = 1_700_000_000
PLAIN = {"model": "m", "version": "1", "prediction": 1.0, "score": 0.5}
Streams = tuple[list[bytes], list[bytes]]


def shared(lateness_s: int) -> Shared:
    settings = loads(CONFIG.format(namespace="one", rows=1_000, lateness=lateness_s))
    return make_shared(settings, plan_of(settings))


def started(common: Shared) -> Partition:
    return Partition(common, 0, (0, ClockState()), (0, ClockState()))


def feed(engine: Partition, streams: Streams, upto: tuple[int, int]) -> None:
    for stream, (values, end) in enumerate(zip(streams, upto, strict=True)):
        start = engine.next_offsets[stream]
        if start < end:
            offsets = np.arange(start, end)
            part: list[bytes | None] = list(values[start:end])
            batch = RecordBatch("t", 0, offsets, np.full(end - start, 1 << 42, np.int64), part, end)
            (engine.feed_predictions, engine.feed_labels)[stream](batch)


def commit_of(engine: Partition, last: Commit | None) -> Commit:
    chain = Chain(epoch=1, owner="o", sequence=last.sequence if last else 0, previous=b"")
    found = decode(encode(engine.commit(chain, Flags())), "here")
    assert isinstance(found, Commit)
    return found


def rebuilt(common: Shared, streams: Streams, commit: Commit, rng: random.Random) -> Partition:
    starts = [(floor.offset, floor.clock.state()) for floor in (commit.prediction_floor, commit.label_floor)]
    engine = Partition(common, 0, starts[0], starts[1])
    engine.remember(commit)
    ends = commit.predictions[1], commit.labels[1]
    while engine.next_offsets != ends:
        step = rng.randint(1, 40)
        feed(engine, streams, tuple(min(end, at + step) for at, end in zip(engine.next_offsets, ends, strict=True)))  # type: ignore[arg-type]
    engine.resume(commit, ends)
    return engine


def arrivals(rng: random.Random, n: int) -> Streams:
    """Few ids, most of them seen again at other times; labels of them at any time."""
    predictions, labels, now = [], [], START_S
    pace, spread = rng.choice([3, 10, 25]), rng.choice([5, 60, 200])
    names = "abcdefgh"[: rng.randint(2, 8)]
    for _ in range(n):
        now += rng.randint(0, pace) + (rng.randint(100, 600) if rng.random() < 0.02 else 0)
        at = now + (rng.randint(-spread, spread) if rng.random() < 0.4 else 0)
        name = rng.choice(names) if rng.random() < 0.6 else f"p{rng.randint(0, n)}"
        record = {
            "id": name,
            "model": "m",
            "version": rng.choice("12"),
            "at": 1_000 * at,
            "score": 0.5,
            "prediction": 1.0,
        }
        if rng.random() < 0.07:
            record["withdrawn"] = True
        if rng.random() < 0.3:
            record["score"], record["features"] = 0.25, {"hue": rng.choice(["red", "blue"])}
        predictions.append(orjson.dumps(record))
        at = now + rng.randint(-spread, 150)
        labels.append(orjson.dumps({"id": rng.choice(names), "at": 1_000 * at, "label": rng.choice([0.0, 1.0, None])}))
    return predictions, labels


def commits(
    common: Shared, streams: Streams, rng: random.Random
) -> Generator[tuple[Partition, Commit], Partition | None, None]:
    """The engine after each of its commits. Who sends another one back goes on with that."""
    engine, last = started(common), None
    while engine.next_offsets != (len(streams[0]), len(streams[1])):
        a, b = engine.next_offsets
        feed(
            engine, streams, (min(len(streams[0]), a + rng.randint(0, 9)), min(len(streams[1]), b + rng.randint(0, 9)))
        )
        last = commit_of(engine, last)
        again = yield engine, last
        engine = again or engine


@pytest.mark.parametrize("seed", range(examples(120)))
def test_a_rebuild_gives_what_was_committed(seed: int, tmp_path: Path) -> None:
    """Also one that goes on from a snapshot; and a life that goes on from either."""
    rng = random.Random(seed)
    common, store = shared(rng.choice([20, 60, 200])), SnapshotDirectory(tmp_path, "one")
    streams = arrivals(rng, 120)
    run = commits(common, streams, rng)
    engine, commit = next(run)
    try:
        while True:
            chance = rng.random()
            if chance < 0.1:
                state = FoldState(epoch=1, sequence=commit.sequence, chain=bytes(16), commit=commit)
                write(store, IDENTITY, engine, Follower("one.ledger", 0, 78, state, 77))
            again = None
            if chance < 0.3:
                again = rebuilt(common, streams, commit, rng)
            elif chance < 0.4 and store.paths(0):
                again = from_snapshot(common, streams, commit, store)
            if again is None:
                engine, commit = next(run)
                continue
            assert again.join.held == engine.join.held
            engine, commit = run.send(again if rng.random() < 0.5 else None)
    except StopIteration:
        pass


def from_snapshot(common: Shared, streams: Streams, commit: Commit, store: SnapshotDirectory) -> Partition:
    kept = SnapshotFile(Path(store.paths(0)[0]))
    engine = restored(common, decode_header(kept.header, kept.where), kept)
    ends = commit.predictions[1], commit.labels[1]
    feed(engine, streams, ends)
    engine.resume(commit, ends)
    return engine


def test_an_id_that_is_sent_for_ever_does_not_hold_the_floor() -> None:
    """A health check: the same id every five seconds, which counts once per lateness."""
    common = shared(60)
    checks = [
        orjson.dumps({**PLAIN, "id": "check" if i % 2 else f"p{i}", "at": 1_000 * (START_S + 5 * i)})
        for i in range(2_000)
    ]
    labels = [orjson.dumps({"id": f"y{i}", "at": 1_000 * (START_S + 5 * i), "label": 1.0}) for i in range(2_000)]
    engine, last = started(common), None
    for upto in range(10, 2_001, 10):
        feed(engine, (checks, labels), (upto, upto))
        last = commit_of(engine, last)
        assert last.predictions[1] - last.prediction_floor.offset <= max(50, 200 - upto), "what the horizon needs"
        rebuilt(common, (checks, labels), last, random.Random(upto))
    assert last is not None
    assert last.remembered is not UNSET
    assert len(last.remembered.column("at")) == 1
    assert len(engine.restamped.spans) <= 128, "what no rebuild can need is forgotten"


def test_where_ids_are_used_over_and_over_the_floor_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """More keys than a commit has room for: a rebuild begins earlier, and is right."""
    monkeypatch.setattr("monitor.partition.KNOWN_MAX", 3)
    common, rng = shared(60), random.Random(7)
    records = [{**PLAIN, "id": f"u{rng.randint(0, 9)}", "at": 1_000 * (START_S + 2 * i)} for i in range(600)]
    streams = (
        [orjson.dumps(record) for record in records],
        [orjson.dumps({"id": f"y{i}", "at": r["at"], "label": 1.0}) for i, r in enumerate(records)],
    )
    engine, last = started(common), None
    for upto in range(20, 601, 20):
        feed(engine, streams, (upto, upto))
        last = commit_of(engine, last)
        assert last.remembered is UNSET or len(last.remembered.column("at")) <= 3
        rebuilt(common, streams, last, rng)
    assert last is not None
    assert last.predictions[1] - last.prediction_floor.offset > 200, "with room for them it would be 120"


def test_a_withdrawal_before_the_floor_takes_the_time_of_the_prediction_that_is_read_again() -> None:
    """Its prediction came much later than it, and gave the key its time; so one more record, too late for the withdrawal
    alone, was a repetition. A rebuild that begins between them must see it so."""
    common = shared(20)

    def record(name: str, at_s: int, **more: bool) -> bytes:
        return orjson.dumps({**PLAIN, "id": name, "at": 1_000 * (START_S + at_s), **more})

    first = [record(f"a{s}", s) for s in range(60, 111, 10)]
    first.insert(4, record("c", 100, withdrawn=True))
    second = [record("c", 180), record("b", 190), record("c", 250)]
    third = [record(f"d{s}", s) for s in range(260, 371, 10)]
    labels = [orjson.dumps({"id": f"y{s}", "at": 1_000 * (START_S + s), "label": 1.0}) for s in range(60, 371, 10)]
    streams = first + second + third, labels
    engine, last = started(common), None
    for upto in (len(first), len(first) + len(second), len(streams[0])):
        feed(engine, streams, (upto, len(labels) if upto == len(streams[0]) else 0))
        last = commit_of(engine, last)
    assert last is not None
    assert last.prediction_floor.offset == len(first), "it begins between them"
    assert last.remembered is not UNSET
    assert last.remembered.column("unseen").tolist() == [1]
    assert rebuilt(common, streams, last, random.Random(0)).join.held == engine.join.held
