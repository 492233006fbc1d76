"""Where serving scores both versions, two aliases say all along which two: the champion, and the one beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from monitor.cli.retrain_registry import RegistryModels
from pipelines.beside import UNPAIRED
from pipelines.book import Book
from pipelines.cli.common import waits
from pipelines.codec import canonical_bytes
from pipelines.journal import Reason
from pipelines.local_models import LocalModels
from pipelines.looks import moment
from pipelines.policy import DAY_MS, HOUR_MS, Data, Policy, Promotion, ScoredBy, Shadow, Trigger
from pipelines.ports import Alive, Artifact, Dataset, Draft, ModelFile, Models, Move, Moving
from pipelines.states import State
from pipelines.worker import LEASE_MS
from registry.aliases import Aliases, By
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from tests.pipelines import test_simulation
from tests.pipelines.memory import BORN_MS, Clock, Crash, FaultyFakes, fakes, policy
from tests.pipelines.test_worker import Story

SERVING = Shadow(ScoredBy.SERVING, least_ms=DAY_MS, most_ms=5 * DAY_MS)
POLICY = policy(
    promote=Promotion.AUTO, shadow=SERVING, data=Data("label", ("x",), score="s", id="id"),
    trigger=Trigger(cooldown_ms=0, versions="any"),
)  # fmt: skip
BESIDE = msgspec.structs.replace(POLICY, alias="challenger", shadow=UNSET)


def at(models: Models, asked: Policy = POLICY) -> tuple[int | None, int | None]:
    """(champion, challenger)."""
    found = [models.serving(each) for each in (asked, msgspec.structs.replace(asked, alias="challenger", shadow=UNSET))]
    champion, beside = (None if each is None else each.version for each in found)
    return champion, beside


def shadowed(**changes: Any) -> Story:
    story = Story(fakes(**changes), POLICY)
    story.fire()
    story.round()
    assert story.journal.view.state is State.SHADOWING
    assert at(story.ports.models) == (1, 2)
    return story


def promoted(**changes: Any) -> Story:
    story = shadowed(**changes)
    assert story.later(DAY_MS)[-1] == (State.PROBATION, Reason.PROMOTED)
    return story


def test_on_probation_the_version_that_was_replaced_is_beside_its_successor() -> None:
    story = promoted()
    assert at(story.ports.models) == (2, 1)
    assert story.journal.view.detail == "version 2 is champion; challenger points at version 1"


@pytest.mark.parametrize(
    ("shade", "after_ms", "end", "where"),
    [
        (0.1, DAY_MS, (State.SETTLED, Reason.NOT_WORSE), (2, 2)),
        (-0.2, HOUR_MS, (State.ROLLED_BACK, Reason.WORSE), (1, 1)),
        (None, 14 * DAY_MS, (State.TIMED_OUT, Reason.UNDECIDED), (2, 2)),
    ],
)
def test_after_a_probation_nobody_is_beside_the_version_that_serves(
    shade: float | None, after_ms: int, end: tuple[State, Reason], where: tuple[int, int]
) -> None:
    story = promoted()
    story.ports.shade = shade
    assert story.later(after_ms) == [end]
    assert at(story.ports.models) == where
    if where == (2, 2):
        assert "challenger points at version 2 as well: nobody is beside it" in story.journal.view.detail


def test_a_challenger_that_fails_in_the_shadow_is_beside_the_champion_no_longer() -> None:
    story = shadowed()
    story.ports.shade = -0.2
    assert story.later(HOUR_MS) == [(State.REJECTED, Reason.SHADOW_FAILED)]
    assert at(story.ports.models) == (1, 1)


def test_a_run_that_is_cancelled_in_the_shadow_leaves_nobody_beside_the_champion() -> None:
    story = shadowed()
    story.book.cancel(story.book.active()[0].run, "ada", "no more", story.ports.clock.ms)
    assert story.round() == [(State.CANCELLED, Reason.ASKED)]
    assert at(story.ports.models) == (1, 1)


def test_what_somebody_else_put_beside_the_champion_stays() -> None:
    story = promoted()
    story.ports.models.promote(BESIDE, "by hand", 2, 1, {}, "ada", story.ports.clock.ms)
    draft = Draft("fraud", "other", "sha256:", Artifact({}, {}, {}), {}, None, "sha256:")
    assert story.ports.models.register(draft, "ada", story.ports.clock.ms) == 3
    story.ports.models.promote(BESIDE, "by hand too", 3, 2, {}, "ada", story.ports.clock.ms)
    assert story.later(DAY_MS) == [(State.SETTLED, Reason.NOT_WORSE)]
    assert at(story.ports.models) == (2, 3)


def test_an_alias_that_cannot_be_moved_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    story, promote = shadowed(), LocalModels.promote

    def frozen(self: LocalModels, asked: Policy, *more: Any) -> Moving:
        return promote(self, asked, *more) if asked.alias == "champion" else Moving(Move.FROZEN, "challenger is frozen")

    monkeypatch.setattr(LocalModels, "promote", frozen)
    assert story.later(DAY_MS)[-1] == (State.PROBATION, Reason.PROMOTED)
    assert story.journal.view.detail == (
        "version 2 is champion; challenger could not be moved: challenger is frozen; "
        "serve version 1 beside the champion by hand"
    )


# -------------------------------------------------------------------------------------------- no pairs, though labels


def test_labels_without_a_single_pair_are_told_while_it_is_so() -> None:
    story = promoted()
    story.ports.shade = None
    assert story.later(HOUR_MS) == []
    said = waits(story.journal.view, story.ports.clock.ms, "w1")
    assert said == (
        "without a comparison: 3,000 predictions of version 2 have their label, and none of version 1 with the same id: "
        "does whoever serves score the version that challenger points at?"
    )
    length = len(story.journal.bodies)
    for _ in range(5):
        story.later(HOUR_MS)
    assert len(story.journal.bodies) == length, "it is entered once"
    story.ports.shade = 0.05
    story.ports.clock.ms += HOUR_MS
    story.round()
    assert story.facts[UNPAIRED] is None
    assert waits(story.journal.view, story.ports.clock.ms, "w1") is None


@pytest.mark.parametrize("live", [None, 0.1])
def test_a_probation_that_ends_without_pairs_says_whether_labels_came(live: float | None) -> None:
    story = promoted()
    story.ports.shade, story.ports.live = None, live
    assert story.later(14 * DAY_MS) == [(State.TIMED_OUT, Reason.UNDECIDED)]
    assert ("does whoever serves score" in story.journal.view.detail) is (live is not None)


def test_a_shadow_without_pairs_is_told_and_forgotten_at_the_promotion() -> None:
    story = shadowed(shade=None)
    story.later(HOUR_MS)
    assert "3,000 predictions of version 1 have their label, and none of version 2" in story.facts[UNPAIRED]
    story.ports.shade = 0.1
    assert story.later(2 * DAY_MS)[-1] == (State.PROBATION, Reason.PROMOTED)
    assert story.facts[UNPAIRED] is None


# ---------------------------------------------------------------------------------------------- pairs that come no more


def test_pairs_that_begin_and_then_stop_are_told_while_it_is_so() -> None:
    story = promoted()
    story.ports.shade, story.ports.lonely = -0.02, 500
    last_ms = story.journal.view.since_ms + 2499
    assert story.later(HOUR_MS) == []
    said = waits(story.journal.view, story.ports.clock.ms, "w1")
    assert said == (
        f"without a comparison: 500 predictions of version 2 since {moment(last_ms)} have their label, and none of version 1 "
        "with the same id, after 2,500 pairs before: does whoever serves still score the version that challenger points at?"
    )
    length = len(story.journal.bodies)
    for _ in range(3):
        story.later(HOUR_MS)
    assert len(story.journal.bodies) == length, "it is entered once"
    story.ports.lonely = 0
    story.later(HOUR_MS)
    assert story.facts[UNPAIRED] is None


@pytest.mark.parametrize(
    ("lonely", "after_ms", "is_told"),
    [
        (199, HOUR_MS, False),  # rows_min is 200
        (200, HOUR_MS, True),
        (20, 23 * HOUR_MS, False),
        (20, 25 * HOUR_MS, True),  # least is a day
        (2990, HOUR_MS, True),
        (2999, HOUR_MS, True),  # one of 3,000, but all that were before: it was the first
        (1, 3 * DAY_MS, False),  # chance
    ],
)
def test_pairs_are_missed_when_so_many_should_have_come_that_it_is_no_chance(
    lonely: int, after_ms: int, is_told: bool
) -> None:
    story = promoted()
    story.ports.shade, story.ports.lonely = -0.02, lonely
    story.later(after_ms)
    assert (waits(story.journal.view, story.ports.clock.ms, "w1") is not None) is is_told


def test_in_the_shadow_what_the_champion_predicted_before_it_began_is_nobodys_fault() -> None:
    story = shadowed(shade=None)
    story.ports.live = None  # of rows since then none has its label yet; older ones are not asked for
    story.later(HOUR_MS)
    assert story.facts.get(UNPAIRED) is None


def test_a_probation_whose_pairs_stopped_says_so_at_its_end() -> None:
    story = promoted()
    story.ports.shade, story.ports.lonely = -0.02, 2900
    assert story.later(14 * DAY_MS) == [(State.TIMED_OUT, Reason.UNDECIDED)]
    assert "after 100 pairs before: does whoever serves still score" in story.journal.view.detail


# ------------------------------------------------------------------------------------------------- crashes, registry


class Scoring(FaultyFakes):
    """Serving scores both; on probation its pairs say what the rows of a promoted version do."""

    def compared(
        self,
        policy: Policy,
        served: Collection[str],
        other: Collection[str],
        since_ms: int,
        until_ms: int,
        alive: Alive,
    ) -> Dataset | None:
        new, old = (min((int(name) for name in names if name.isdecimal()), default=0) for names in (served, other))
        name, better = (b"live", self.live) if new > old else (b"shade", self.shade)
        return None if better is None else self._at(name, policy, since_ms, 3000, until_ms, written=3)


class Serving(test_simulation.Story):
    """The story of crashes where serving scores both versions of every model."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.ports = Scoring(self.store, Clock())
        data = Data("label", ("x",), score="s", id="id")
        self.policies = [msgspec.structs.replace(each, data=data, shadow=SERVING) for each in self.policies]


def test_wherever_workers_die_the_two_aliases_agree_with_the_journal() -> None:
    ends: Counter[State] = Counter()
    probations = 0
    for seed in range(10):
        story = Serving(seed)
        story.run(crashes=25)
        story.world.crash = story.world.sleep = 0.0
        story.ports.live = None  # nothing ends while it is looked at
        story.ports.clock.ms += 2 * LEASE_MS
        story.worker().round()  # whoever comes next brings what was left half done to where the journal says it is
        book = Book(story.store)
        for admission in book.active():
            view, asked = book.journal(admission.run).view, admission.policy
            if view.state is State.PROBATION and view.facts["champion"] is not None:
                probations += 1
                assert at(story.ports.models, asked) == (view.facts["version"], view.facts["champion"])
        story.end()
        for asked in story.policies:
            champion, beside = at(story.ports.models, asked)
            assert beside in (None, champion)
            ends.update(book.journal(each.run).view.state for each in book.admissions(asked.model))
    assert min(ends[state] for state in (State.SETTLED, State.ROLLED_BACK, State.REJECTED)) > 2, ends
    assert probations


def test_the_registry_moves_the_alias_beside_to_two_versions_and_back_each_once(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    catalog = Catalog(store)
    models = RegistryModels(catalog, Aliases(catalog))
    report = store.put_blob([b"{}"]).digest
    rows = store.put_blob([canonical_bytes({"kind": "other"})]).digest
    for number in (1, 2):
        file = store.put_blob([b'{"n": %d}' % number])
        artifact = Artifact({"model.json": ModelFile(file.digest, file.size_bytes)}, {}, {})
        draft = Draft("fraud", f"run{number}", rows, artifact, {}, None, report)
        assert models.register(draft, "w1", BORN_MS) == number
    models.aliases.promote("fraud", "champion", 1, By("eve", "the first", BORN_MS))
    for _ in range(2):  # every step may be done again
        assert models.promote(BESIDE, "run2", 2, None, {}, "w1", BORN_MS).move in (Move.MOVED, Move.ALREADY)
    models.promote(POLICY, "run2", 2, 1, {}, "w1", BORN_MS)
    done = [models.promote(BESIDE, "run2", 1, 2, {}, "w1", BORN_MS).move for _ in range(2)]
    assert done == [Move.MOVED, Move.ALREADY]
    assert at(models) == (2, 1)
    done = [models.rollback(BESIDE, "run2", 1, 2, "w1", BORN_MS).move for _ in range(2)]
    assert done == [Move.MOVED, Move.ALREADY]
    assert at(models) == (2, 2)
    assert models.promote(POLICY, "run2", 2, 1, {}, "w1", BORN_MS).move is Move.ALREADY


def test_a_worker_that_dies_between_the_two_moves_leaves_a_step_that_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story, promote = shadowed(), LocalModels.promote

    def killed(self: LocalModels, asked: Policy, *more: Any) -> Moving:
        if asked.alias == "challenger":
            raise Crash
        return promote(self, asked, *more)

    with monkeypatch.context() as patch:
        patch.setattr(LocalModels, "promote", killed)
        with pytest.raises(Crash):
            story.later(DAY_MS)
    assert at(story.ports.models) == (2, 2)
    assert story.journal.view.state is State.PROMOTING
    story.ports.clock.ms += HOUR_MS
    assert story.round("w2") == [(State.PROBATION, Reason.PROMOTED)]
    assert at(story.ports.models) == (2, 1)
