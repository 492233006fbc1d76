"""Aliases: what the rule allows, what it refuses and how that is said, and that any race leaves one linear chain."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import codec
from registry.aliases import Aliases, Step
from registry.catalog import Catalog
from registry.digest import digest_of
from registry.directory import DirectoryStore
from registry.errors import BadName, Conflict, Damaged, Missing, MoveRefused, NotFound, RegistryError
from registry.fold import MovesState, Verdict, fold
from registry.moves import Approve, Promote, Rollback, decode_move, moves_log
from tests.examples import examples
from tests.registry.disk import Disk, SimulatedFiles, Stopped
from tests.registry.memory import MemoryStore
from tests.registry.stories import BORN_MS, add, by, three


def refused(call: object, verdict: Verdict, *words: str) -> None:
    assert callable(call)
    with pytest.raises(MoveRefused) as error:
        call()
    assert error.value.verdict == verdict
    assert all(word in str(error.value) for word in words), str(error.value)


def test_an_alias_points_where_it_was_last_moved() -> None:
    aliases = three(MemoryStore())
    aliases.promote("fraud", "champion", 1, by(at_ms=1))
    aliases.promote("fraud", "champion", 3, by(at_ms=2))
    aliases.promote("fraud", "challenger", 2, by(at_ms=3))
    assert str(aliases.resolve("fraud", "champion")) == "fraud@3"
    assert str(aliases.resolve("fraud", "challenger")) == "fraud@2"
    assert str(aliases.resolve("fraud", "1")) == "fraud@1"
    with pytest.raises(NotFound, match=r"alias fraud@shadow points at nothing; known aliases: challenger, champion"):
        aliases.resolve("fraud", "shadow")


def test_the_state_at_a_time_is_the_state_then() -> None:
    aliases = three(MemoryStore())
    for at_ms, version in ((10, 1), (20, 2), (30, 3)):
        aliases.promote("fraud", "champion", version, by(at_ms=at_ms))
    at = [aliases.state("fraud", BORN_MS + ms).alias("champion").version for ms in (9, 10, 19, 20, 30, 99)]
    assert at == [None, 1, 1, 2, 3, 3]


def test_a_promotion_counts_only_against_what_it_was_decided_against() -> None:
    aliases = three(MemoryStore())
    aliases.promote("fraud", "champion", 1, by(), replaces=None)
    aliases.promote("fraud", "champion", 2, by(), replaces=1)
    with pytest.raises(Conflict, match="it was to replace version 1, the alias points at version 2"):
        aliases.promote("fraud", "champion", 3, by(), replaces=1)
    assert aliases.state("fraud").alias("champion").version == 2


def test_a_rollback_is_a_new_entry_and_goes_back_step_by_step() -> None:
    aliases = three(MemoryStore())
    for version in (1, 2, 3):
        aliases.promote("fraud", "champion", version, by())
    assert aliases.rollback("fraud", "champion", by()).state.alias("champion").trail == (1, 2)
    assert aliases.rollback("fraud", "champion", by()).state.alias("champion").trail == (1,)
    with pytest.raises(NotFound, match="has pointed at no other version"):
        aliases.rollback("fraud", "champion", by())
    assert [step.move.sequence for step in aliases.history("fraud")] == [1, 2, 3, 4, 5]


def test_a_rollback_may_name_its_version_but_only_one_that_was_there() -> None:
    aliases = three(MemoryStore())
    for version in (1, 2):
        aliases.promote("fraud", "champion", version, by())
    refused(
        lambda: aliases.rollback("fraud", "champion", by(), to=3), Verdict.NEVER_HELD, "pointed at 1 before, not at 3"
    )
    assert aliases.rollback("fraud", "champion", by(), to=1).state.alias("champion").version == 1


def test_a_retired_version_is_never_pointed_at_again() -> None:
    aliases = three(MemoryStore())
    for version in (1, 2, 3):
        aliases.promote("fraud", "champion", version, by())
    refused(lambda: aliases.retire("fraud", 3, by()), Verdict.IN_USE, "champion points at it", "Promote or roll back")
    aliases.retire("fraud", 2, by(reason="leaks"))
    refused(lambda: aliases.promote("fraud", "other", 2, by()), Verdict.RETIRED, "version 2 was retired: 'leaks' (ada)")
    refused(lambda: aliases.rollback("fraud", "champion", by(), to=2), Verdict.RETIRED)
    assert aliases.rollback("fraud", "champion", by()).state.alias("champion").version == 1  # over the retired one


def test_a_frozen_alias_is_moved_by_people_only() -> None:
    aliases = three(MemoryStore())
    aliases.promote("fraud", "champion", 1, by())
    aliases.promote("fraud", "champion", 2, by())
    aliases.freeze("fraud", "champion", by("breaker", automatic=True))
    automatic = by("pipelines", automatic=True)
    refused(
        lambda: aliases.promote("fraud", "champion", 3, automatic), Verdict.FROZEN, "driftline registry unfreeze fraud"
    )
    refused(lambda: aliases.rollback("fraud", "champion", automatic), Verdict.FROZEN)
    refused(lambda: aliases.unfreeze("fraud", "champion", automatic), Verdict.NOT_A_PERSON, "for people to decide")
    aliases.promote("fraud", "other", 3, automatic)  # another alias is not frozen
    aliases.promote("fraud", "champion", 3, by())
    aliases.unfreeze("fraud", "champion", by())
    aliases.rollback("fraud", "champion", automatic)


def test_approvals_are_by_others_and_void_when_the_alias_moves() -> None:
    aliases = three(MemoryStore())
    aliases.promote("fraud", "champion", 1, by())
    aliases.protect("fraud", "champion", 1, by())
    refused(
        lambda: aliases.promote("fraud", "champion", 2, by("bob")), Verdict.NOT_APPROVED, "needs 1 approvals", "has 0"
    )
    refused(lambda: aliases.approve("fraud", "champion", 2, by(" ADA ")), Verdict.OWN_APPROVAL, "Somebody else")
    aliases.approve("fraud", "champion", 2, by("bob"))
    refused(lambda: aliases.approve("fraud", "champion", 2, by("Bob")), Verdict.NO_CHANGE)
    refused(lambda: aliases.promote("fraud", "champion", 2, by("bob")), Verdict.NOT_APPROVED)  # his own does not count
    refused(lambda: aliases.promote("fraud", "champion", 3, by("eve")), Verdict.NOT_APPROVED)  # another version
    aliases.promote("fraud", "champion", 2, by("eve"))
    aliases.rollback("fraud", "champion", by())  # needs none
    refused(lambda: aliases.promote("fraud", "champion", 2, by("eve")), Verdict.NOT_APPROVED)  # void since it moved


def test_the_mover_may_ask_for_more_approvals_than_the_alias() -> None:
    aliases = three(MemoryStore())
    automatic = by("pipelines", automatic=True)
    refused(lambda: aliases.promote("fraud", "champion", 1, automatic, required=1), Verdict.NOT_APPROVED)
    refused(lambda: aliases.approve("fraud", "champion", 1, automatic), Verdict.NOT_A_PERSON)
    aliases.approve("fraud", "champion", 1, by("bob"))
    aliases.promote("fraud", "champion", 1, automatic, required=1)


def test_what_is_so_already_is_said_and_not_written() -> None:
    aliases = three(MemoryStore())
    aliases.promote("fraud", "champion", 1, by())
    refused(lambda: aliases.promote("fraud", "champion", 1, by()), Verdict.NO_CHANGE, "it is so already")
    refused(lambda: aliases.unfreeze("fraud", "champion", by()), Verdict.NO_CHANGE)
    assert len(aliases.history("fraud")) == 1


def test_a_clock_that_is_behind_does_not_turn_history_round() -> None:
    aliases = three(MemoryStore())
    aliases.promote("fraud", "champion", 1, by(at_ms=100))
    assert aliases.promote("fraud", "champion", 2, by(at_ms=50)).move.at_ms == BORN_MS + 100


def test_nothing_of_a_model_that_does_not_exist_is_moved() -> None:
    store = MemoryStore()
    add(store, "fraud", 1)
    aliases = Aliases(Catalog(store))
    with pytest.raises(NotFound, match="Did you mean 'fraud'"):
        aliases.freeze("fruad", "champion", by())
    with pytest.raises(NotFound, match="fraud@2"):
        aliases.promote("fraud", "champion", 2, by())
    assert store.logs("models/fruad") == []


@pytest.mark.parametrize(
    ("alias", "actor", "reason"), [("3", "ada", "r"), ("a", " ", "r"), ("a", "ada", " "), ("a", "a\nb", "r")]
)
def test_names_and_reasons_are_held_to_their_grammar(alias: str, actor: str, reason: str) -> None:
    with pytest.raises(BadName):
        three(MemoryStore()).promote("fraud", alias, 1, by(actor, reason=reason))


# ---------------------------------------------------------------------------------------------------------- the chain


def test_a_log_that_is_no_chain_is_damaged() -> None:
    store = MemoryStore()
    aliases = three(store)
    for version in (1, 2, 3):
        aliases.promote("fraud", "champion", version, by())
    log = moves_log("fraud")
    body = store.entry(log, 2)
    assert body is not None
    forged = codec.encode(msgspec.structs.replace(decode_move(body, ""), actor="mallory"))
    del store.entries[log, 2]
    store.create_entry(log, 2, forged)  # sealed as it should be; only the chain can tell
    with pytest.raises(Damaged, match="entry 3 of 'models/fraud/moves' is damaged: it does not continue entry 2"):
        aliases.state("fraud")


def test_an_entry_that_was_removed_from_the_end_is_missed() -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    aliases.promote("fraud", "champion", 2, by())
    del store.entries[moves_log("fraud"), 2]
    with pytest.raises(Missing, match="entry 2 of 'models/fraud/moves' is missing: there is a receipt for it"):
        aliases.state("fraud")


def test_a_move_that_the_rule_does_not_allow_does_not_count_whoever_wrote_it() -> None:
    store = MemoryStore()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    aliases.protect("fraud", "champion", 2, by())
    before = aliases.state("fraud")
    forced = Promote(
        1, 3, before.chain, "mallory", False, "mine", None, before.at_ms, "champion", 2, "sha256:" + "0" * 64, 1, 0
    )
    store.create_entry(moves_log("fraud"), 3, codec.encode(forced))
    assert aliases.history("fraud")[-1].verdict is Verdict.NOT_APPROVED
    assert aliases.state("fraud").alias("champion") == before.alias("champion")
    aliases.freeze("fraud", "champion", by())  # and the log goes on


# ------------------------------------------------------------------------------------------- many writers, any order


class Contended(MemoryStore):
    """Between reading a log and creating its next entry, others may come first: `between` is called there."""

    between: object = None

    def create_entry(self, log: str, number: int, body: bytes) -> bool:
        between, self.between = self.between, None
        if callable(between):
            between()
        return super().create_entry(log, number, body)


def test_losing_a_race_that_does_not_concern_him_a_mover_tries_again() -> None:
    store = Contended()
    aliases = three(store)
    store.between = lambda: aliases.promote("fraud", "challenger", 2, by("bob"))
    assert aliases.promote("fraud", "champion", 1, by()).move.sequence == 2


def test_losing_the_alias_itself_a_mover_is_told() -> None:
    store = Contended()
    aliases = three(store)
    aliases.promote("fraud", "champion", 1, by())
    store.between = lambda: aliases.promote("fraud", "champion", 2, by("bob"))
    with pytest.raises(Conflict, match="was to replace version 1, the alias points at version 2"):
        aliases.promote("fraud", "champion", 3, by())
    assert aliases.state("fraud").alias("champion").version == 2


def linear(history: list[Step]) -> None:
    """Every entry continues the one before; every promotion that counts replaced what the one before put there."""
    previous: str | None = None
    standing: dict[str, int | None] = {}
    for number, step in enumerate(history, 1):
        assert (step.move.sequence, step.move.previous) == (number, previous)
        previous = digest_of(codec.encode(step.move))
        if step.verdict is Verdict.ACCEPTED and isinstance(step.move, Promote | Rollback):
            assert step.move.replaces == standing.get(step.move.alias)
            standing[step.move.alias] = step.move.version
    assert not [step for step in history if step.verdict is not Verdict.ACCEPTED]


ACTS = st.tuples(
    st.sampled_from(["promote", "rollback", "freeze", "unfreeze", "approve", "protect", "retire"]),
    st.sampled_from(["champion", "challenger"]),
    st.integers(1, 3),
    st.sampled_from(["ada", "bob", "eve"]),
    st.booleans(),
)


def act(aliases: Aliases, doing: tuple[str, str, int, str, bool]) -> None:
    """One act of a writer; what the rule refuses is fine."""
    verb, alias, version, actor, automatic = doing
    who = by(actor, automatic=automatic)
    try:
        match verb:
            case "promote" | "approve":
                getattr(aliases, verb)("fraud", alias, version, who)
            case "retire":
                aliases.retire("fraud", version, who)
            case "protect":
                aliases.protect("fraud", alias, version % 2, who)
            case _:
                getattr(aliases, verb)("fraud", alias, who)
    except (MoveRefused, NotFound):
        pass


@settings(max_examples=examples(300))
@given(st.lists(ACTS, min_size=1, max_size=12), st.lists(ACTS, max_size=12))
def test_the_chain_is_linear_whoever_comes_between(
    acts: list[tuple[str, str, int, str, bool]], others: list[tuple[str, str, int, str, bool]]
) -> None:
    store = Contended()
    aliases = three(store)
    ahead = iter(others)

    def come_between() -> None:
        for doing in ahead:
            act(aliases, doing)
            return

    for doing in acts:
        store.between = come_between
        act(aliases, doing)
    linear(aliases.history("fraud"))


def test_many_threads_leave_a_linear_chain(tmp_path: Path) -> None:
    three(DirectoryStore(tmp_path / "store"))

    def some(writer: int) -> int:
        aliases, luck, won = Aliases(Catalog(DirectoryStore(tmp_path / "store"))), random.Random(writer), 0
        for _ in range(15):
            try:
                aliases.promote(
                    "fraud", luck.choice(["champion", "challenger"]), luck.randrange(1, 4), by(f"w{writer}")
                )
                won += 1
            except MoveRefused:
                pass
        return won

    with ThreadPoolExecutor(6) as pool:
        won = sum(pool.map(some, range(6)))
    history = Aliases(Catalog(DirectoryStore(tmp_path / "store"))).history("fraud")
    linear(history)
    assert len(history) == won > 10


def steps_of_a_story(aliases: Aliases) -> Iterator[object]:
    yield aliases.promote("fraud", "champion", 1, by("ada", 1))
    yield aliases.approve("fraud", "champion", 2, by("bob", 2))
    yield aliases.promote("fraud", "champion", 2, by("ada", 3), required=1)
    yield aliases.freeze("fraud", "champion", by("ada", 4))
    yield aliases.rollback("fraud", "champion", by("ada", 5))


@pytest.mark.parametrize("after", [False, True], ids=["before", "within"])
@pytest.mark.parametrize("power", [False, True], ids=["kill", "power"])
def test_a_mover_may_end_at_any_step(after: bool, power: bool) -> None:
    stop_at, ended = 0, True
    while ended:
        stop_at, ended, told = stop_at + 1, False, 0
        disk = Disk()
        three(DirectoryStore("simulated", SimulatedFiles(disk)))
        try:
            for _ in steps_of_a_story(
                Aliases(Catalog(DirectoryStore("simulated", SimulatedFiles(disk, stop_at, after=after))))
            ):
                told += 1
        except Stopped:
            ended = True
            if power:
                disk.lose_power(random.Random(stop_at))
        aliases = Aliases(Catalog(DirectoryStore("simulated", SimulatedFiles(disk))))
        history = aliases.history("fraud")
        linear(history)
        assert told <= len(history) <= told + 1
        aliases.promote("fraud", "other", 3, by())
    assert stop_at > 30


def test_the_fold_ignores_records_of_another_history() -> None:
    move = Approve(
        1, 1, "sha256:" + "0" * 64, "bob", False, "r", None, 5, "champion", 1, "sha256:" + "1" * 64, None, "ada"
    )
    assert fold(MovesState(), move, b"") == (MovesState(), Verdict.BROKEN_CHAIN)
    late = msgspec.structs.replace(move, sequence=2, previous=None)
    assert fold(MovesState(), late, b"") == (MovesState(), Verdict.WRONG_NUMBER)
    early = msgspec.structs.replace(move, previous=None, at_ms=4)
    state = MovesState(at_ms=5)
    assert fold(state, early, b"")[1] is Verdict.TIME_WENT_BACK


def test_an_error_of_the_registry_keeps_its_parts() -> None:
    aliases = three(MemoryStore())
    with pytest.raises(RegistryError) as error:
        aliases.promote("fraud", "champion", 9, by())
    assert (error.value.what, error.value.remedy) == ("version fraud@9", "It has versions 1 to 3.")
