"""What is watched of a model changes while a namespace goes over to another edition: every window is of the one sense and of the
one edition that held where it starts, whichever came first."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.adapters import dead_letters
from monitor.config import loads
from monitor.config.canonical import digest_bytes
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.editions import FIRST, NEWEST, number_of
from monitor.ingest.clocks import NEVER
from monitor.ledger.evaluated import edition_named, roster_of
from monitor.ledger.records import Commit, EvalEdition
from monitor.ledger.roster import Roster
from monitor.plan import plan_of
from tests.examples import examples
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import Fault, FragileWorld
from tests.simulation.histories import split
from tests.simulation.reloading import Files, run
from tests.simulation.test_crashes import crashes, pace, silences
from tests.simulation.test_editions import begins, evaluations, finish, turn
from tests.simulation.test_models_change import accepted, rosters
from tests.simulation.test_senses_change import CUT, FORESEEN, MAPPED, MOVED, PANE_MS, WATCHED, Said, in_order, told
from tests.simulation.test_senses_change import text as of_senses
from tests.simulation.world import topics

Windows = dict[bytes, dict[str, object]]


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


def text(namespace: str, said: Said, after: str = "10ms", every: int = 10_000) -> str:
    """The deployment, which goes over so soon."""
    made = of_senses(namespace, said, every=every)
    return made.replace("commit_interval: 1ms", f"commit_interval: 1ms, upgrade_after: {after}")


def of_release(log: FragileWorld, content: str, edition: int, *, until_end: bool = True) -> Worker:
    """A worker of the release that knew editions up to this one, and nothing of changes."""
    own, options = loads(content), WorkerOptions(until_end=until_end)
    made = Worker(log, own, plan_of(own).of_edition(edition), log.clock, dead_letters, options)
    made.start()
    return made


CHANGES = [({}, WATCHED | MAPPED), (WATCHED | MAPPED, CUT | MOVED), (MAPPED, FORESEEN | MAPPED), (FORESEEN, {})]
each_change = pytest.mark.parametrize("change", range(len(CHANGES)))


def a_world(change: int) -> FragileWorld:
    """A log on which a namespace has come to its end for each of the configurations in each edition, which nothing changed."""
    return copy.deepcopy(_calm(change))


@cache
def _calm(change: int) -> FragileWorld:
    every, (p, q) = CHANGES[change], in_order(200)
    log = topics(split(p), split(q), FragileWorld())
    for number, said in enumerate(every):
        for edition in (FIRST, NEWEST):
            finish(log, [of_release(log, text(f"calm{number}-{edition}", said), edition)])
    return log


def begun_by_the_earlier(log: FragileWorld, content: str, turns: int) -> None:
    """The namespace, begun by a release of the first edition, which has left it."""
    earlier = of_release(log, content, FIRST, until_end=False)
    turn(log, [earlier], turns)
    earlier.close()


def expected(log: FragileWorld, roster: Roster, texts: Sequence[str], edition_from_ms: int) -> Windows:
    """Of each model the windows that started under a sense, as if it always had been that one, in the edition of their start."""
    documents = [digest_bytes(loads(one).document().encode()) for one in texts]
    found: Windows = {}
    for one in roster.models:
        number = documents.index(one.document)
        for edition in (FIRST, NEWEST):
            first, end = (NEVER, edition_from_ms) if edition == FIRST else (edition_from_ms, one.until_ms)
            for key, window in told(log, f"calm{number}-{edition}").items():
                start = int(str(window["start_ms"]))
                inside = one.from_ms is not None and max(one.from_ms, first) <= start < min(one.until_ms, end)
                if window["model"] == one.name and inside:
                    found[key] = window
    return found


def check(log: FragileWorld, texts: Sequence[str]) -> tuple[int, int]:
    """That everything is as it was to be and a replay proves it; since when the edition holds, and since when the last sense."""
    (edition_from_ms,), roster = begins(log), rosters(log, "one")[-1]
    assert told(log, "one") == expected(log, roster, texts, edition_from_ms)
    assert sentences(prove(log, loads(texts[-1])).differences) == []
    sense_from_ms = roster.models[-1].from_ms
    assert sense_from_ms is not None
    assert sense_from_ms % PANE_MS == edition_from_ms % PANE_MS == 0
    return edition_from_ms, sense_from_ms


@each_change
@pytest.mark.parametrize(("soon", "reload"), [("10ms", 2), ("10ms", 12), ("60ms", 2)])
def test_a_window_is_of_the_sense_and_of_the_edition_that_held_where_it_starts(
    change: int, soon: str, reload: int
) -> None:
    log = a_world(change)
    pace(log, 6)
    texts = [text("one", said, soon) for said in CHANGES[change]]
    begun_by_the_earlier(log, texts[0], 4)
    run(log, [], Files(texts[0]), [(reload, texts[1])])
    edition_from_ms, sense_from_ms = check(log, texts)
    starts = {int(str(one["start_ms"])) for one in told(log, "one").values() if one["model"] == "m"}
    assert min(starts) < min(edition_from_ms, sense_from_ms), "there are windows from before both"
    assert max(starts) >= max(edition_from_ms, sense_from_ms), "and from after both"
    if reload == 12:
        assert edition_from_ms < sense_from_ms
    if soon == "60ms":
        assert sense_from_ms < edition_from_ms


def test_records_say_the_edition_and_the_roster_and_have_the_format_that_knows_both() -> None:
    log = a_world(0)
    pace(log, 6)
    texts = [text("one", said) for said in CHANGES[0]]
    begun_by_the_earlier(log, texts[0], 4)
    run(log, [], Files(texts[0]), [(12, texts[1])])
    check(log, texts)
    commits = [one for part in range(2) for one in accepted(log, "one.ledger", part) if isinstance(one, Commit)]
    both = [one for one in commits if number_of(one.edition) == NEWEST and {g.model for g in one.groups} >= {"m\x1e1"}]
    assert both
    assert {one.format for one in both} == {9}
    changed = [one for one in evaluations(log) if roster_of(one) is not None and isinstance(one, EvalEdition)]
    assert [one.format for one in changed] == [9, 9], "the list, and where windows of the new sense begin"
    assert {number_of(edition_named(one)) for one in changed} == {NEWEST}


faults_ = st.lists(st.one_of(crashes, crashes, silences), max_size=3)


@settings(max_examples=examples(25))
@given(
    faults_,
    st.integers(0, len(CHANGES) - 1),
    st.sampled_from(["10ms", "60ms", "100ms"]),
    st.integers(1, 30),
    st.integers(1, 6),
    st.integers(1, 12),
)
def test_any_crash_around_both_leaves_the_windows_that_were_to_be(
    faults: list[tuple[int, Fault]], change: int, soon: str, reload: int, turns: int, every: int
) -> None:
    log = a_world(change)
    pace(log, 6)
    texts = [text("one", own, soon, every) for own in CHANGES[change]]
    begun_by_the_earlier(log, texts[0], turns)
    run(log, faults, Files(texts[0]), [(reload, texts[1])])
    began, found = begins(log), rosters(log, "one")
    if began and found and not found[-1].waits:
        check(log, texts)
    else:  # it came to its end before
        assert sentences(prove(log, loads(texts[-1])).differences) == []
