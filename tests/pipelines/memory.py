"""In-memory twins of the ports, and a world in which every effect can go wrong.

`World.effect` stands before and after everything that touches the world. There a worker may die, or fall asleep: while it
sleeps the clock runs on past its lease and others do what they like, and then it goes on with what it was about to do, as a
zombie. All luck comes from one seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipelines.codec import digest_of
from pipelines.explanation import Explanation
from pipelines.firing import Firing, Kind
from pipelines.gate import Paired
from pipelines.local_models import LocalModels
from pipelines.missing import Missing
from pipelines.policy import Data, Policy
from pipelines.ports import Alive, Artifact, Dataset, Draft, Finding, Known, ModelFile, Moving, Scored, Serving
from pipelines.tables import write_rows

BORN_MS = 1_760_000_000_000


class Crash(BaseException):
    """The process is gone. No BaseException handler of the code under test may outlive it."""


@dataclass(frozen=True)
class Blob:
    digest: str
    size_bytes: int


class MemoryStore:
    """`pipelines.ports.Store` in dictionaries."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, int], bytes] = {}
        self.lengths: dict[str, int] = {}
        self.documents: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        assert number == 1 or (log, number - 1) in self.entries
        if (log, number) in self.entries:
            return False
        self.entries[log, number] = body
        self.lengths[log] = number
        return True

    def entry(self, log: str, number: int) -> bytes | None:
        return self.entries.get((log, number))

    def last(self, log: str) -> int:
        return self.lengths.get(log, 0)

    def logs(self, prefix: str = "") -> list[str]:
        return sorted(log for log in self.lengths if not prefix or log.startswith(prefix + "/"))

    def create_document(self, name: str, body: bytes) -> bool:
        if name in self.documents:
            return False
        self.documents[name] = body
        return True

    def document(self, name: str) -> bytes | None:
        return self.documents.get(name)

    def put_blob(self, chunks: Iterable[bytes], expected: str | None = None) -> Blob:
        body = b"".join(chunks)
        self.blobs[digest_of(body)] = body
        return Blob(digest_of(body), len(body))

    def blob_size(self, digest: str) -> int | None:
        return len(self.blobs[digest]) if digest in self.blobs else None

    def blob(self, digest: str) -> Iterator[bytes]:
        yield self.blobs[digest]


class Clock:
    def __init__(self) -> None:
        self.ms = BORN_MS

    def now_ms(self) -> int:
        return self.ms


def policy(**changes: object) -> Policy:
    """The least policy, with changes."""
    given = {"model": "fraud", "data": Data("label", ("x",))} | changes
    return Policy(**given)  # type: ignore[arg-type]


def alert(
    fingerprint: str = "a" * 32,
    episode: str = "e" * 32,
    kind: Kind = Kind.PERFORMANCE,
    model: str | None = "fraud",
    version: str | None = "1",
    fired_ms: int = BORN_MS,
    name: str = "low-recall",
) -> Firing:
    return Firing(fingerprint, episode, kind, model, version, "all", name, "recall", fired_ms, "it is low")


@dataclass
class Fakes:
    """Steps that do what a test tells them. The models are real, over the store."""

    store: MemoryStore
    clock: Clock
    fires: list[Firing] = field(default_factory=list)
    rows: int = 10_000
    findings: tuple[Finding, ...] = ()
    better: float = 0.1  # how much lower the challenger's loss is on the held-out rows
    live: float | None = 0.1  # the same on the rows after a promotion; None: no labels
    shade: float | None = 0.1  # the same on the rows in the shadow
    lonely: int = 0  # of 3,000 predictions, how many of the newest nobody else scored
    compared_with: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    sighted: bool | None = None  # whether predictions name a promoted version
    asked_for: Collection[str] = ()
    trained: int = 0
    watches: int = 0
    on_train: Callable[[Alive], None] = lambda alive: alive()
    on_clear: Callable[[Alive], None] = lambda alive: alive()

    @property
    def alerts(self) -> Fakes:
        return self

    @property
    def data(self) -> Fakes:
        return self

    @property
    def trainer(self) -> Fakes:
        return self

    @property
    def evaluator(self) -> Fakes:
        return self

    @property
    def models(self) -> LocalModels:
        return LocalModels(self.store)

    def firing(self) -> tuple[Firing, ...]:
        return tuple(self.fires)

    def mature(self, policy: Policy, now_ms: int) -> int:
        return self.rows

    def collect(self, policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        train, held = (self.store.put_blob([f"{part} {until_ms}".encode()]).digest for part in ("train", "test"))
        test = int(self.rows * policy.data.test_ratio)
        return Dataset(
            self.store.put_blob([(train + held).encode()]).digest, train, held, self.rows - test, test, until_ms
        )

    def validate(self, policy: Policy, dataset: Dataset) -> tuple[Finding, ...]:
        return self.findings

    def missing(self, policy: Policy, dataset: Dataset) -> tuple[Missing, ...]:
        return tuple(Missing(name, 0, 70, 0, 30) for name in policy.data.features)

    def watched(
        self, policy: Policy, names: Collection[str], since_ms: int, until_ms: int, alive: Alive
    ) -> Dataset | None:
        self.watches += 1
        if self.live is None:
            return None
        return Dataset(digest_of(b"live"), digest_of(b""), digest_of(b"live"), 0, 3000, until_ms)

    def compared(
        self,
        policy: Policy,
        served: Collection[str],
        other: Collection[str],
        since_ms: int,
        until_ms: int,
        alive: Alive,
    ) -> Dataset | None:
        if not other:  # all that was served
            return None if self.live is None else self._at(b"all", policy, since_ms, 3000, until_ms)
        self.watches += 1
        self.compared_with = (tuple(served), tuple(other))
        return None if self.shade is None else self._at(b"shade", policy, since_ms, 3000 - self.lonely, until_ms)

    def _at(
        self, name: bytes, policy: Policy, since_ms: int, count: int, until_ms: int, written: int | None = None
    ) -> Dataset:
        """`written`: how many of the rows are there to be read, for who looks very often."""
        times = range(since_ms, since_ms + (count if written is None else written))
        rows = self.store.put_blob([write_rows({policy.data.at: at_ms} for at_ms in times)])
        return Dataset(digest_of(name), digest_of(b""), rows.digest, 0, count, until_ms)

    def past(self, policy: Policy, from_ms: int, until_ms: int) -> Dataset:
        return self.collect(policy, until_ms, lambda: None)

    def seen(self, policy: Policy, names: Collection[str]) -> bool | None:
        self.asked_for = names
        return self.sighted

    def train(self, policy: Policy, run: str, attempt: int, dataset: Dataset, alive: Alive) -> Artifact:
        self.trained += 1
        self.on_train(alive)
        # Trained again it comes out differently: a run that is tried twice must still be one version.
        blob = self.store.put_blob([f"model {run} {attempt} {self.trained}".encode()])
        return Artifact({"model.json": ModelFile(blob.digest, blob.size_bytes)}, {}, {})

    def clear(self, policy: Policy, alive: Alive) -> None:
        self.on_clear(alive)

    @property
    def anchors(self) -> Fakes:
        return self

    def anchor(self, policy: Policy) -> Dataset:
        return Dataset(digest_of(b"anchor"), digest_of(b""), digest_of(b"anchor"), 0, 100, 0)

    def scored(
        self, policy: Policy, rows: str, model: Serving | None, alive: Alive, known: str | None = None
    ) -> Scored:
        source = policy.intake.source if policy.intake else None
        groups = {} if source is None else {source: np.tile(["a", "a", "b", "b"], 25)}
        return Scored(np.tile([0.0, 1.0], 50), None if model is None else np.tile([0.05, 0.95], 50), groups)

    def explained(
        self,
        policy: Policy,
        dataset: Dataset,
        paired: Paired,
        challenger: Artifact,
        champion: Serving | None,
        alive: Alive,
    ) -> Explanation:
        return Explanation(0, (), 0, (), dataset.test)

    def losses(
        self,
        policy: Policy,
        dataset: Dataset,
        challenger: Artifact,
        champion: Serving | None,
        alive: Alive,
        known: Known | None = None,
    ) -> Paired:
        alive()
        shifts = {digest_of(b"live"): self.live, digest_of(b"shade"): self.shade}
        shift = shifts.get(dataset.digest) or (0.0 if dataset.digest in shifts else self.better)
        assert shift is not None
        base = np.tile([0.3, 0.5], dataset.test_rows // 2)
        return Paired(base, np.clip(base - shift, 0, 1))


def fakes(**changes: object) -> Fakes:
    return Fakes(MemoryStore(), Clock(), **changes)  # type: ignore[arg-type]


class World:
    """Where effects go wrong. `others` is what may happen while somebody sleeps."""

    def __init__(self, seed: int, crash: float, sleep: float, depth_max: int = 3) -> None:
        self.luck = random.Random(seed)
        self.crash, self.sleep, self.depth_max = crash, sleep, depth_max
        self.depth = self.crashes = self.zombies = 0
        self.others: Callable[[], None] = lambda: None

    def effect(self, tired: int = 1) -> None:
        """`tired`: how many times likelier than elsewhere it is to fall asleep here."""
        roll = self.luck.random()
        if roll < self.crash:
            self.crashes += 1
            raise Crash
        if roll < self.crash + self.sleep * tired and self.depth < self.depth_max:
            self.depth += 1
            self.zombies += 1
            self.others()
            self.depth -= 1


class FaultyStore(MemoryStore):
    """Every write may be the last thing a process does, or be done long after it was meant to be."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        self.world.effect()
        done = super().create_entry(log, number, body)
        self.world.effect()
        return done

    def create_document(self, name: str, body: bytes) -> bool:
        self.world.effect()
        return super().create_document(name, body)


class FaultyFakes(Fakes):
    """Every step may be the last thing a process does, before it or after it."""

    @property
    def world(self) -> World:
        assert isinstance(self.store, FaultyStore)
        return self.store.world

    def train(self, policy: Policy, run: str, attempt: int, dataset: Dataset, alive: Alive) -> Artifact:
        self.world.effect()
        made = super().train(policy, run, attempt, dataset, alive)
        self.world.effect()
        return made

    @property
    def models(self) -> LocalModels:
        return FaultyModels(self.store, self.world)


class FaultyModels(LocalModels):
    def __init__(self, store: MemoryStore, world: World) -> None:
        super().__init__(store)
        self.world = world

    def register(self, draft: Draft, by: str, at_ms: int) -> int:
        self.world.effect()
        return super().register(draft, by, at_ms)

    def promote(
        self,
        policy: Policy,
        run: str,
        version: int,
        replaces: int | None,
        approvers: Mapping[str, str],
        by: str,
        at_ms: int,
    ) -> Moving:
        self.world.effect(tired=8)
        return super().promote(policy, run, version, replaces, approvers, by, at_ms)

    def rollback(self, policy: Policy, run: str, version: int, to: int, by: str, at_ms: int) -> Moving:
        self.world.effect(tired=8)
        return super().rollback(policy, run, version, to, by, at_ms)
