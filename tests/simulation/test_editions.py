"""An upgrade changes what is decided: earlier and later releases share a namespace until all know it, and then it goes over at a
pane that every worker, restart and replay agrees on."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Sequence
from functools import cache

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UnsetType

from monitor.adapters.comparison import DiskDecisions
from monitor.cli.exits import BAD_CONFIG, code_of
from monitor.daemon.counted import alone
from monitor.daemon.replay.verify import verify
from monitor.daemon.worker import Worker
from monitor.editions import FIRST, known_to, number_of
from monitor.errors import LedgerError, NewerVersion
from monitor.ingest.clocks import NEVER
from monitor.ledger.records import Commit, EvalCommit, EvalEdition
from monitor.saved import read_evaluation
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.simulation.editions import LATER, THIS, next_plan, process_of, settings_of
from tests.simulation.fragile import TURNS_MAX, Crash, Fault, FragileWorld
from tests.simulation.histories import PARTITIONS, labels, predictions, split
from tests.simulation.saving import whole
from tests.simulation.test_crashes import crashes, pace, paces, silences
from tests.simulation.test_models_change import accepted, in_order
from tests.simulation.world import alerts, finals, topics

PANE_MS = 50_000


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


@cache
def _calm(n: int) -> FragileWorld:
    return a_world(*in_order(n, "m"))


def calm(n: int = 120) -> FragileWorld:
    """Such a log of so many predictions in order."""
    return copy.deepcopy(_calm(n))


def a_world(p: list[Prediction], q: list[Label]) -> FragileWorld:
    """A log on which the namespaces `first` and `second` came to their ends, each by a release of its own."""
    log = topics(split(p), split(q), FragileWorld())
    for namespace, edition in (("first", THIS), ("second", LATER)):
        finish(log, [process_of(log, settings_of(namespace), edition)])
    return log


def turn(log: FragileWorld, processes: Sequence[Worker], times: int = 1) -> None:
    for _ in range(times):
        for process in processes:
            log.clock.advance(20)
            process.turn()


def finish(log: FragileWorld, processes: Sequence[Worker]) -> None:
    for _ in range(TURNS_MAX):
        if all(process.done() for process in processes):
            break
        turn(log, processes)
    else:
        raise AssertionError("it never came to an end")
    for process in processes:
        process.close()


def evaluations(log: FragileWorld, namespace: str = "one") -> list[EvalCommit]:
    return [one for one in accepted(log, f"{namespace}.evals") if isinstance(one, EvalCommit)]


def begins(log: FragileWorld, namespace: str = "one") -> list[int]:
    """Where windows of another edition begin, as evaluations recorded it, and where these are trimmed checkpoints."""
    named = [one for one in evaluations(log, namespace) if isinstance(one, EvalEdition)]
    saved = [read_evaluation(one.body()).editions for one in whole(log, namespace)]
    terms = {term for one in saved if isinstance(one, tuple) for term in one}
    found = {one.edition_from_ms for one in named if isinstance(one.edition_from_ms, int)}
    return sorted(found | {from_ms for _, from_ms in terms if from_ms != NEVER})


def expected(log: FragileWorld, from_ms: int | None) -> dict[bytes, bytes]:
    """Windows that start before are those of the first release, and the others those of the second, byte for byte."""
    first, second = finals(log, "first"), finals(log, "second")
    assert first.keys() == second.keys()
    return {
        key: value if from_ms is None or orjson.loads(value)["start_ms"] < from_ms else second[key]
        for key, value in first.items()
    }


def differences(log: FragileWorld, config_name: str = "one") -> list[str]:
    """What a replay of the recorded run finds, by the later release."""
    own, decisions = settings_of(config_name), DiskDecisions()
    try:
        found = verify(log, own, alone(own, next_plan(own)), decisions)
    finally:
        decisions.close()
    assert found.evaluations or found.begin is not None
    return [one.sentence() for one in found.differences]


def alike(events: Sequence[bytes]) -> list[bytes]:
    """Alerts without what the later edition counts beside."""
    told = [orjson.loads(event) for event in events]
    for one in told:
        ((one["data"].get("evidence") or {}).get("counts") or {}).pop("sure", None)
    return sorted(map(orjson.dumps, told))


def check(log: FragileWorld) -> int | None:
    """That every window is as it was to be, and a replay agrees; where the later edition began."""
    began = begins(log)
    assert len(began) <= 1
    from_ms = began[0] if began else None
    assert finals(log, "one") == expected(log, from_ms)
    assert alike(alerts(log, "one")) == alike(alerts(log, "first"))
    assert differences(log) == []
    return from_ms


# -- going over ------------------------------------------------------------------------------------------------------


def test_a_namespace_goes_over_at_a_pane_and_every_window_is_of_one_release_from_beginning_to_end() -> None:
    log = calm()
    pace(log, 6)
    begun_by_the_earlier(log, 12)
    finish(log, [process_of(log, settings_of("one"), LATER)])
    from_ms = check(log)
    assert from_ms is not None
    assert from_ms % PANE_MS == 0
    told = {key: orjson.loads(value) for key, value in finals(log, "one").items()}
    carry = {one["start_ms"] for one in told.values() if "sureness" in one["metrics"]}
    lack = {one["start_ms"] for one in told.values() if one["kind"] == "performance"} - carry
    assert min(carry) == from_ms > max(lack), "there are windows of both"


def test_a_namespace_that_is_begun_by_the_later_release_is_of_its_edition_from_the_first_record() -> None:
    log = calm()
    named = [one["edition"] for one in raw(log, "second.ledger") if one["kind"] in ("genesis", "commit")]
    assert named == [[LATER, "unreleased"]] * len(named)
    assert all(isinstance(one, EvalEdition) for one in evaluations(log, "second"))
    assert begins(log, "second") == []
    assert differences(log, "second") == []


def raw(log: FragileWorld, topic: str) -> list[dict[str, object]]:
    partitions = range(1 if topic.endswith("evals") else PARTITIONS)
    return [msgspec.msgpack.decode(s.record.value or b"") for p in partitions for s in log.records(topic, p)]


def named(record: dict[str, object]) -> int:
    """The edition that a record names."""
    edition = record.get("edition", [FIRST])
    assert isinstance(edition, list)
    return int(edition[0])


# -- releases share it -----------------------------------------------------------------------------------------------


def begun_by_the_earlier(log: FragileWorld, turns: int = 8, **settings_: object) -> None:
    """A namespace that the earlier release has begun and left."""
    process = process_of(log, settings_of("one", **settings_), THIS, until_end=False)  # type: ignore[arg-type]
    turn(log, [process], turns)
    process.close()


def test_while_an_earlier_release_owns_a_partition_nothing_is_written_that_it_does_not_read() -> None:
    log = calm()
    pace(log, 3)
    own = settings_of("one", after="400ms")
    begun_by_the_earlier(log)
    later = process_of(log, own, LATER)
    turn(log, [later])
    earlier = process_of(log, own, THIS)
    turn(log, [later, earlier], 5)
    assert later.judge is not None
    assert earlier.tasks
    assert later.tasks
    assert any(known_to(str(one["owner"])) == LATER for one in raw(log, "one.ledger") if one["kind"] == "fence")
    finish(log, [later, earlier])
    written = [*raw(log, "one.ledger"), *raw(log, "one.evals")]
    assert {named(one) for one in written if one["kind"] != "fence"} == {THIS}
    assert check(log) is None


def test_it_waits_until_every_owner_counts_by_it_however_late_one_hears_of_it() -> None:
    log = calm(240)
    pace(log, 2)
    begun_by_the_earlier(log)
    processes = [process_of(log, settings_of("one", after="200ms"), LATER) for _ in range(2)]
    for _ in range(50):
        turn(log, processes)
        editions = {p: number_of(last.edition) for p in range(PARTITIONS) if (last := last_commit(log, p)) is not None}
        if set(editions.values()) == {THIS, LATER}:
            break
    else:
        raise AssertionError("both took it over at once")
    assert all(len(process.tasks) == 1 for process in processes)
    judge = next(process.judge for process in processes if process.judge is not None)
    assert judge.editions.waiting == f"edition {LATER} waits until every partition counts by it"
    assert begins(log) == []
    finish(log, processes)
    assert check(log) is not None


def last_commit(log: FragileWorld, partition: int) -> Commit | None:
    return next((one for one in reversed(accepted(log, "one.ledger", partition)) if isinstance(one, Commit)), None)


@pytest.mark.parametrize("more", [1, 3, 10])
def test_who_opens_after_it_began_goes_over_at_the_same_pane(more: int) -> None:
    log = calm(240)
    pace(log, 6)
    begun_by_the_earlier(log)
    process = process_of(log, settings_of("one"), LATER)
    for _ in range(TURNS_MAX):
        turn(log, [process])
        if begins(log):
            break
    turn(log, [process], more)
    log.crashed(process)
    finish(log, [process_of(log, settings_of("one"), LATER)])
    assert check(log) is not None


def test_the_evaluator_goes_back_and_forth_between_releases_until_it_is_announced() -> None:
    log = calm()
    pace(log, 4)
    own = settings_of("one", every=3, after="1d")
    for edition in (THIS, LATER) * 4:
        process = process_of(log, own, edition, until_end=False)
        turn(log, [process], 5)
        assert process.judge is not None
        process.close()
    finish(log, [process_of(log, own, THIS)])
    editions = [read_evaluation(one.body()).editions for one in whole(log, "one")]
    assert all(isinstance(terms, UnsetType) or terms[-1][0] == THIS for terms in editions), (
        "which the earlier one reads"
    )
    assert check(log) is None


def test_after_it_went_over_the_earlier_release_is_refused_and_leaves_nothing_behind() -> None:
    log = calm()
    pace(log, 6)
    own = settings_of("one", every=3, trim=True)
    begun_by_the_earlier(log, every=3, trim=True)
    later = process_of(log, own, LATER, until_end=False)
    for _ in range(TURNS_MAX):
        turn(log, [later])
        if begins(log):
            break
    turn(log, [later], 3)
    later.close()
    before = {name: log.end_offsets(name) for name in ("one.ledger", "one.evals", "one.checkpoints", "one.configs")}
    again = process_of(log, own, THIS, until_end=False)
    with pytest.raises(
        NewerVersion, match=rf"edition {LATER}, this version of Driftline knows up to {THIS}\. Run Driftline unreleased"
    ):
        turn(log, [again], 3)
    assert before == {name: log.end_offsets(name) for name in before}, "it fenced nobody off"
    again.close()
    finish(log, [process_of(log, own, LATER)])
    check(log)


def test_the_refusal_ends_the_process_as_a_configuration_does_that_cannot_be_used() -> None:
    assert code_of(NewerVersion("it is later", "9.9.0")) == BAD_CONFIG
    assert "Run Driftline 9.9.0 or a newer one" in str(NewerVersion("it is later", "9.9.0"))


def test_an_evaluator_of_the_earlier_release_refuses_commits_of_the_later_edition() -> None:
    log = calm()
    pace(log, 6)
    own = settings_of("one")
    earlier = process_of(log, own, THIS, until_end=False)
    turn(log, [earlier], 8)
    assert earlier.judge is not None
    commit = next(one for one in accepted(log, "second.ledger") if isinstance(one, Commit))
    with pytest.raises(NewerVersion, match=f"partition 0 of the ledger of namespace 'one' goes by edition {LATER}"):
        earlier.judge.evaluator.feed(0, commit)
    earlier.close()


def test_an_edition_that_does_not_say_where_it_begins_is_refused() -> None:
    log = calm()
    own = settings_of("first")
    process = process_of(log, own, LATER)
    turn(log, [process], 2)
    assert process.judge is not None
    (strange,) = evaluations(log, "second")[-1:]
    with pytest.raises(LedgerError, match="does not say where that begins"):
        process.judge.editions.again(strange)


# -- whatever happens around it --------------------------------------------------------------------------------------

faults_ = st.lists(st.one_of(crashes, crashes, silences), max_size=4)


@settings(max_examples=examples(60))
@given(predictions, labels, faults_, paces, st.integers(2, 30), st.integers(1, 12), st.integers(0, 60))
def test_any_crash_around_the_upgrade_leaves_the_windows_that_were_to_be(
    p: list[Prediction],
    q: list[Label],
    faults: list[tuple[int, Fault]],
    rows: int,
    turns: int,
    every: int,
    others: int,
) -> None:
    more, truth = in_order(others, "m")
    log = a_world(
        sorted([*p, *more], key=lambda one: one["at"]), sorted([*valid(p, q), *truth], key=lambda one: one["at"])
    )
    pace(log, rows)
    own = settings_of("one", every=every, after="20ms")
    earlier = process_of(log, own, THIS, until_end=False)
    turn(log, [earlier], turns)
    log.crashed(earlier)
    through(log, faults, lambda: process_of(log, own, LATER))
    check(log)


def valid(p: list[Prediction], q: list[Label]) -> list[Label]:
    """Labels that lie within the bounds of all predictions of their id: what becomes of others is not told here."""
    return [
        label
        for label in q
        if all(-10_000 <= label["at"] - one["at"] <= 100_000 for one in p if one["id"] == label["id"])
    ]


def through(log: FragileWorld, faults: Sequence[tuple[int, Fault]], make) -> None:  # type: ignore[no-untyped-def]
    """Run to the end, with a new process after each crash."""
    log.arm(faults)
    for _ in range(len(faults) + 1):
        process = None
        try:
            process = make()
            finish(log, [process])
            break
        except Crash:
            if process is not None:
                log.crashed(process)
            else:
                log.clock.advance(log.session_ms + 1)
    log.land()


@pytest.mark.parametrize("nth", range(1, 9))
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LANDED, Fault.LOST, Fault.LATER])
def test_a_fault_at_any_append_of_the_upgrade_is_made_good(nth: int, fault: Fault) -> None:
    log = calm(240)
    pace(log, 6)
    own = settings_of("one", every=4, trim=True)
    begun_by_the_earlier(log, every=4, trim=True)
    through(log, [(nth, fault)], lambda: process_of(log, own, LATER))
    assert log.happened == [fault]
    assert check(log) is not None
    commits = [one for one in accepted(log, "one.ledger") if isinstance(one, Commit)]
    assert [number_of(one.edition) for one in commits] == sorted(number_of(one.edition) for one in commits)
