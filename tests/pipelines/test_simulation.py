"""Thousands of crashes, doubled alerts, zombies past their lease, all under one seed: nothing happens twice."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import msgspec
import pytest
from msgspec import UNSET

from pipelines.book import Book
from pipelines.errors import Refused
from pipelines.gate import GateSpec
from pipelines.local_models import LocalModels, LocalMove
from pipelines.orchestrator import Orchestrator
from pipelines.policy import DAY_MS, Brakes, Promotion, Shadow, Trigger
from pipelines.ports import Draft, Move, Moving
from pipelines.states import State, terminal
from pipelines.worker import LEASE_MS
from tests.pipelines.memory import Clock, Crash, FaultyFakes, FaultyStore, World, alert, policy

MODELS = ("fraud", "churn")


class Story:
    """A few models, three workers, alerts that come and go, people who approve; and then the counting."""

    def __init__(self, seed: int, crash: float = 0.08, sleep: float = 0.04) -> None:
        self.world = World(seed, 0.0, 0.0)
        self.store = FaultyStore(self.world)
        self.ports = FaultyFakes(self.store, Clock())
        self.policies = [
            policy(
                model=model,
                promote=Promotion.AUTO if model == "fraud" else Promotion.APPROVE,
                trigger=Trigger(versions="any", cooldown_ms=0, budget_runs=1000),
                gate=GateSpec(alpha=0.05),
                run_ms=1000 * DAY_MS,
                approval_ms=1000 * DAY_MS,
                tries_max=1000,
                brakes=Brakes(rollbacks_in_row=0, rollbacks_in_window=0),
                shadow=Shadow(least_ms=DAY_MS, most_ms=9 * DAY_MS) if model == "churn" else UNSET,
            )
            for model in MODELS
        ]
        self.born = 0
        self.incidents = 0
        self.world.crash, self.world.sleep = crash, sleep
        self.world.others = self.meanwhile

    def worker(self) -> Orchestrator:
        """A process that was started now: its name was never used before."""
        self.born += 1
        return Orchestrator(self.ports, self.policies, f"worker-{self.born}")

    def incident(self) -> None:
        luck = self.world.luck
        self.incidents += 1
        model = luck.choice(MODELS)
        fires = [each for each in self.ports.fires if each.model != model]
        new = alert(f"{luck.randrange(3):032x}", f"{self.incidents:032x}", model=model, fired_ms=self.ports.clock.ms)
        self.ports.fires = [*fires, new, new]  # each is delivered twice
        # Some gates say no, some promoted versions turn out worse.
        self.ports.better = luck.choice([0.1, 0.1, 0.1, 0.0])
        self.ports.live = luck.choice([0.1, -0.2, -0.2, None])
        self.ports.shade = luck.choice([0.1, 0.1, -0.2, None])

    def people(self) -> None:
        book = Book(self.store)
        for admission in book.active():
            if book.journal(admission.run).view.state is State.AWAITING_APPROVAL:
                try:
                    book.approve(admission, "eve", "looks right", self.ports.clock.ms)
                except Refused:
                    continue

    def act(self) -> None:
        try:
            if self.world.luck.random() < 0.2:
                self.people()
            self.worker().round()
        except Crash:
            pass

    def meanwhile(self) -> None:
        """Somebody sleeps past his lease; others go on."""
        self.ports.clock.ms += 2 * LEASE_MS
        for _ in range(self.world.luck.randrange(1, 6)):
            self.ports.clock.ms += self.world.luck.choice([1_000, LEASE_MS, DAY_MS])
            self.act()

    def run(self, crashes: int) -> None:
        while self.world.crashes < crashes:
            if self.world.luck.random() < 0.3:
                self.incident()
            self.ports.clock.ms += self.world.luck.choice([1_000, LEASE_MS + 1, DAY_MS])
            self.act()

    def end(self) -> None:
        """Nothing goes wrong any more; everything that was begun comes to its end."""
        self.world.crash = self.world.sleep = 0.0
        self.ports.live = self.world.luck.choice([0.1, -0.2])
        for _ in range(20):
            self.ports.clock.ms += DAY_MS
            self.act()
            self.people()

    def check(self) -> Counter[State]:
        book, models = Book(self.store), LocalModels(self.store)
        ends: Counter[State] = Counter()
        for model in MODELS:
            admissions = book.admissions(model)
            assert max(Counter(a.run for a in admissions).values(), default=1) == 1
            incidents = [(c.fingerprint, c.episode) for a in admissions for c in a.causes]
            assert max(Counter(incidents).values(), default=1) == 1, "one run per incident"
            views = {a.run: book.journal(a.run).view for a in admissions}
            for before, after in pairwise(admissions):
                assert views[before.run].since_ms <= after.at_ms, "one active run per model"
            assert all(terminal(view.state) for view in views.values())
            versions, moves = models.versions(model), models.moves(model)
            assert max(Counter(v.draft.run for v in versions).values(), default=1) == 1, "one version per run"
            assert max(Counter((m.run, m.back) for m in moves).values(), default=1) == 1, "one promotion per run"
            at = None
            for move in moves:  # the chain is linear
                assert move.replaces == at
                at = move.version
            self.check_against_journals(views, versions, moves)
            ends.update(view.state for view in views.values())
        return ends

    def check_against_journals(self, views, versions, moves) -> None:  # type: ignore[no-untyped-def]
        """What was done is what the journals say, to the unit."""
        registered = {run for run, view in views.items() if "version" in view.facts}
        assert {v.draft.run for v in versions} == registered
        for version in versions:
            facts = views[version.draft.run].facts
            assert facts["version"] == version.number
            assert msgspec.to_builtins(version.draft.artifact) == facts["artifact"], "not a zombie's model"
        promoted = {run for run, view in views.items() if State.PROBATION in dict(view.entered)}
        assert {m.run for m in moves if not m.back} == promoted
        assert {m.run for m in moves if m.back} == {r for r, v in views.items() if v.state is State.ROLLED_BACK}


def tell(stories: range, crashes: int) -> None:
    ends: Counter[State] = Counter()
    zombies = 0
    for seed in stories:
        story = Story(seed)
        story.run(crashes)
        story.end()
        ends += story.check()
        zombies += story.world.zombies
    assert zombies > 5 * len(stories)
    assert min(ends[state] for state in (State.SETTLED, State.ROLLED_BACK, State.REJECTED)) > len(stories) // 8


def test_a_thousand_crashes_and_nothing_happens_twice() -> None:
    tell(range(40), crashes=25)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_crashes_and_nothing_happens_twice() -> None:
    tell(range(1000, 1400), crashes=25)


def test_the_counting_notices_a_registry_that_forgets_who_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: a `register` that is not idempotent gives a run two versions, and `check` says so."""
    register = LocalModels.register

    def forgetful(self: LocalModels, draft: Draft, by: str, at_ms: int) -> int:
        return register(self, msgspec.structs.replace(draft, run=f"{draft.run}-{at_ms}"), by, at_ms)

    monkeypatch.setattr(LocalModels, "register", forgetful)
    story = Story(1)
    story.run(crashes=50)
    story.end()
    with pytest.raises(AssertionError):
        story.check()


def test_the_counting_notices_an_alias_that_forgets_who_moved_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary for zombies: one that slept through its own rollback promotes again, since the alias stands where it
    believes it to. Compare-and-swap alone does not see that."""

    def forgetful(self: LocalModels, model: str, move: LocalMove) -> Moving:
        other = msgspec.structs.replace(move, run=f"{move.run}-{move.at_ms}-{len(self.moves(model))}")
        done = remembering(self, model, other)
        return done if done.move is not Move.CONFLICT else remembering(self, model, move)

    remembering = LocalModels._move
    monkeypatch.setattr(LocalModels, "_move", forgetful)
    noticed = False
    for seed in range(150):  # a rare thing: the first story that has it is enough
        story = Story(seed)
        story.run(crashes=25)
        story.end()
        named = Counter((move.run.partition("-")[0], move.back) for name in MODELS for move in moves_of(story, name))
        if noticed := max(named.values(), default=1) > 1:
            break
    assert noticed, "no zombie ever came back after its rollback: the story proves nothing about them"


def moves_of(story: Story, model: str) -> list[LocalMove]:
    return LocalModels(story.store).moves(model)
