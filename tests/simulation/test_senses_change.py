"""What is watched of a model changes while a namespace runs: every window is whole and of one configuration, that of its start,
and every worker and replay agrees which."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import loads, recorded
from monitor.config.canonical import digest_bytes
from monitor.daemon.begun import documents, kept
from monitor.daemon.counted import counted, newest
from monitor.daemon.worker import Worker
from monitor.ledger.records import Commit
from monitor.ledger.roster import Roster
from monitor.plan import plan_of
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, sentences
from tests.simulation.fragile import Crash, Fault, FragileWorld
from tests.simulation.histories import START, labels, predictions, split
from tests.simulation.reloading import Files, run, start
from tests.simulation.saving import whole
from tests.simulation.test_crashes import crashes, pace, paces, silences
from tests.simulation.test_models_change import accepted, rosters, turn
from tests.simulation.world import CONFIG, finals, topics, worker

PANE_MS = 50_000
PLAIN = {"m": "features: [hue], segments: {hue: [red, blue]}"}
WATCHED = {"m": "features: [hue, size], segments: {hue: [red, blue]}"}
CUT = {"m": "features: [], segments: {hue: [green], kind: [a]}"}
MAPPED = {"features": "{hue: categorical, size: numeric}"}
MOVED = {"features": "{hue: categorical, size: {from: $.features.other, type: numeric}, kind: categorical}"}
DISTANT = {"more": "drift: {distances: [js]}"}
FORESEEN = {"more": "estimates: true"}
COSTLY = {"m": "features: [hue], segments: {hue: [red, blue]}, threshold: 0.3, costs: {fp: 1, fn: 5}"}


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


Said = dict[str, str]


def text(namespace: str, said: Said, *, windows: str = "50s, 150s", every: int = 10_000, trim: bool = False) -> str:
    """The deployment of the other simulations, with this of its models, features and what is measured."""
    made = CONFIG.format(namespace=namespace, rows=9, lateness=60)
    models = f"{{name: m, {said.get('m', PLAIN['m'])}}}, {{name: n, features: []}}"
    for old, new in (
        ("models: [{name: m, segments: {hue: [red, blue]}}]", f"models: [{models}]\n{said.get('more', '')}"),
        ("features: {hue: categorical}", f"features: {said.get('features', '{hue: categorical}')}"),
        ("windows: [50s]", f"windows: [{windows}]"),
        ("commit_interval: 1ms", f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}"),
    ):
        assert old in made
        made = made.replace(old, new)
    return made


def told(log: FragileWorld, namespace: str) -> dict[bytes, dict[str, object]]:
    """Final windows by key, without the digest of the configuration."""
    found = {key: orjson.loads(value) for key, value in finals(log, namespace).items()}
    for value in found.values():
        del value["config"]
    return found


def a_world(p: list[Prediction], q: list[Label], every: Sequence[Said]) -> FragileWorld:
    """A log on which for each of the configurations a namespace that had it from the beginning has come to its end."""
    log = topics(split(p), split(q), FragileWorld())
    for number, said in enumerate(every):
        worker(log, loads(text(f"calm{number}", said))).run()
    return log


def expected(log: FragileWorld, roster: Roster, every: Sequence[str]) -> dict[bytes, dict[str, object]]:
    """What there must be: of every model the windows that started under a sense, as if it always had been that one. `every`:
    the configurations, in the order of the calm namespaces."""
    documents = [digest_bytes(loads(one).document().encode()) for one in every]
    found: dict[bytes, dict[str, object]] = {}
    for one in roster.models:
        calm = told(log, f"calm{documents.index(one.document)}")
        if one.from_ms is not None:
            own = ((key, window) for key, window in calm.items() if window["model"] == one.name)
            found |= {k: w for k, w in own if one.from_ms <= int(str(w["start_ms"])) < one.until_ms}
    return found


def in_order(n: int = 160) -> tuple[list[Prediction], list[Label]]:
    """A prediction every three seconds, of each model in turn; one in four corrected late."""
    p = [
        Prediction(
            id=f"i{i}", model="mn"[i % 2], version="1", at=START + i * 3_000, score=(i % 10) / 10, prediction=float(i % 10 > 4),
            segments=cast("dict[str, str | None]", {
                "hue": ("red", "green", "blue", None)[i % 4], "size": i % 7, "other": i % 3, "kind": "ab"[i % 3 > 1],
            }),
        )
        for i in range(n)
    ]  # fmt: skip
    q = [Label(id=f"i{i}", at=START + i * 3_000 + 40_000, label=float(i % 3 > 0)) for i in range(n)]
    return p, [*q, *(Label(id=f"i{i}", at=START + i * 3_000 + 80_000, label=1.0) for i in range(0, n, 4))]


def check(log: FragileWorld, texts: Sequence[str], now: str) -> Roster:
    """What was told is what there must be, and a replay proves the run."""
    found = rosters(log, "one")
    own = loads(now)
    roster = found[-1] if found else counted(log, own, plan_of(own)).roster
    assert told(log, "one") == expected(log, roster, texts)
    assert sentences(prove(log, own).differences) == []
    return roster


# -- what there is afterwards ----------------------------------------------------------------------------------------

CHANGES = [
    ({}, WATCHED | MAPPED),
    (MAPPED, WATCHED | MAPPED),
    (WATCHED | MAPPED, {}),
    ({}, CUT | MOVED),
    (WATCHED | MAPPED, WATCHED | MOVED),
    ({}, DISTANT),
    ({}, FORESEEN),
    (FORESEEN, {}),
    ({}, COSTLY),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_what_changes_holds_from_a_pane_on_and_equals_what_always_was_so(before: Said, after: Said) -> None:
    log = a_world(*in_order(), [before, after])
    pace(log, 6)
    texts = [text("one", before), text("one", after)]
    run(log, [], Files(texts[0]), [(9, texts[1])])
    roster = check(log, texts, texts[1])
    old, new = (one for one in roster.models if one.name == "m")
    assert new.from_ms == old.until_ms
    assert new.from_ms is not None
    assert new.from_ms % PANE_MS == 0
    assert START < new.from_ms < START + 300_000, "it is in the middle of what came"
    windows = told(log, "one").values()
    starts = [int(str(one["start_ms"])) for one in windows if one["model"] == "m" and one["window"] == "150s"]
    assert min(starts) < new.from_ms <= max(starts)


def test_commits_say_which_sense_they_count_and_older_versions_refuse_them() -> None:
    log = a_world(*in_order(300), [{}, WATCHED | MAPPED])
    pace(log, 6)
    texts = [text("one", {}), text("one", WATCHED | MAPPED)]
    run(log, [], Files(texts[0]), [(9, texts[1])])
    announced, begun = rosters(log, "one")
    assert announced.waits
    assert not begun.waits
    assert begun.number == announced.number + 1, "owners count otherwise from there on"
    for partition in range(2):
        commits = [one for one in accepted(log, "one.ledger", partition) if isinstance(one, Commit)]
        assert {one.format for one in commits} == {8, 9}
        deltas = [(one.groups, one.inputs) for one in commits if one.inputs is not None]
        names = [{groups[code].model for code in delta.column("group").tolist()} for groups, delta in deltas]
        both = {"m", "m\x1e1"}
        assert any(both <= own for own in names), "meanwhile a prediction counts for both"
        last = [own for own in names if "m\x1e1" in own][-1]
        assert "m" not in last, "and when the windows of the one before are over, for the new one alone"
        outcomes = commits[-1].prediction_outcomes
        assert outcomes["rejected"] == outcomes["duplicate"] == 0


def test_windows_say_which_configuration_they_are_of() -> None:
    log = a_world(*in_order(), [{}, WATCHED | MAPPED])
    pace(log, 6)
    before, after = text("one", {}), text("one", WATCHED | MAPPED)
    run(log, [], Files(before), [(9, after)])
    _, roster = rosters(log, "one")
    new = roster.models[-1]
    kept = documents(log, "one.configs")
    for value in finals(log, "one").values():
        window = orjson.loads(value)
        if window["model"] == "m" and window["start_ms"] >= (new.from_ms or 0):
            assert recorded(kept[window["config"].encode()]).digest == loads(after).digest
            assert (window["kind"] != "input") or "missing:size" in window["metrics"]
        else:
            assert window["config"] == loads(before).digest
            assert "missing:size" not in window["metrics"]


def test_a_change_is_taken_back_before_it_holds_and_another_takes_its_place() -> None:
    every = [{}, WATCHED | MAPPED, CUT | MOVED]
    log = a_world(*in_order(), every)
    pace(log, 6)
    texts = [text("one", said) for said in every]
    both = [start(log, Files(texts[0])) for _ in range(2)]
    turn_all(log, both, 9)
    evaluator = next(each for each in both if each.judge is not None)
    other = next(each for each in both if each is not evaluator)
    own = evaluator.reloads
    assert own is not None
    for number, content in enumerate((texts[1], texts[0], texts[2]), 1):
        source(evaluator).content = content
        own.ask()
        while len(rosters(log, "one")) < number:  # the other one does not move: nothing that waits can begin
            turn_all(log, [evaluator], 1)
    assert rosters(log, "one")[-1].waits
    assert [(one.name, one.waits, one.left is None) for one in rosters(log, "one")[-1].models] == [
        ("m", False, True), ("n", False, True), ("m", False, False), ("m", True, True),
    ]  # fmt: skip
    while not all(each.done() for each in both):
        turn_all(log, both, 1)
        log.clock.advance(500)
    for each in (evaluator, other):
        each.close()
    roster = check(log, texts, texts[2])
    assert [one.from_ms is not None for one in roster.models] == [True, True, False, True]


def test_an_sense_comes_back_and_is_the_one_it_was() -> None:
    every = [{}, WATCHED | MAPPED]
    log = a_world(*in_order(300), every)
    pace(log, 6)
    texts = [text("one", said) for said in every]
    run(log, [], Files(texts[0]), [(9, texts[1]), (22, texts[0])])
    roster = check(log, texts, texts[0])
    assert [one.name for one in roster.models] == ["m", "n", "m", "m"]
    assert roster.senses == ("m", "n", "m\x1e1", "m")
    assert roster.models[-1].from_ms is not None


def test_a_restart_with_other_files_changes_what_is_watched_and_checkpoints_know_it() -> None:
    every = [{}, WATCHED | MAPPED, FORESEEN]
    log = a_world(*in_order(300), every)
    pace(log, 4)
    texts = [text("one", said, every=3, trim=True) for said in every]
    crash = Fault.CRASH_BEFORE
    run(log, [(60, crash), (40, crash), (60, crash)], Files(texts[0]), [(9, texts[1]), (30, texts[2])])
    assert log.happened == [crash] * 3
    assert whole(log, "one")[0].manifest.format == 10
    assert log.begin_offsets("one.evals") > [0], "which sense holds since when is in the checkpoint alone"
    last = newest(kept(log, "one.configs"), "one.configs")
    assert last is not None
    assert told(log, "one") == expected(log, last, texts)
    assert sentences(prove(log, loads(texts[2])).differences) == []


# -- whatever happens around it --------------------------------------------------------------------------------------

sets = st.lists(
    st.sampled_from(
        [{}, WATCHED | MAPPED, {"m": "features: [size], segments: {hue: [red, blue, green]}"} | MOVED, DISTANT]
    ),
    min_size=2,
    max_size=3,
)
faults_ = st.lists(st.one_of(crashes, crashes, silences), max_size=4)
turns_ = st.lists(st.integers(2, 40), min_size=2, max_size=2).map(sorted)


@settings(max_examples=examples(60))
@given(predictions, labels, faults_, paces, sets, turns_, st.integers(1, 12), st.integers(0, 60))
def test_any_crash_around_any_change_leaves_the_windows_that_were_to_be(
    p: list[Prediction],
    q: list[Label],
    faults: list[tuple[int, Fault]],
    rows: int,
    held: list[Said],
    turns: list[int],
    every: int,
    others: int,
) -> None:
    held = [own for i, own in enumerate(held) if not i or own != held[i - 1]]
    more, truth = in_order(others)
    log = a_world(sorted([*p, *more], key=lambda one: one["at"]), sorted([*q, *truth], key=lambda one: one["at"]), held)
    pace(log, rows)
    texts = [text("one", own, every=every) for own in held]
    run(log, faults, Files(texts[0]), list(zip(turns, texts[1:], strict=False)))
    check(log, texts, texts[-1])


@pytest.mark.parametrize("nth", range(1, 13))
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LANDED, Fault.LOST, Fault.LATER])
def test_a_fault_at_any_append_of_the_change_is_made_good(nth: int, fault: Fault) -> None:
    log = a_world(*in_order(), [{}, WATCHED | MAPPED])
    pace(log, 6)
    texts = [text("one", {}), text("one", WATCHED | MAPPED)]
    files = Files(texts[0])
    process = start(log, files)
    turn(log, process, 7)
    files.content = texts[1]
    assert process.reloads is not None
    process.reloads.ask()
    log.arm([(nth, fault)])
    try:
        while not log.happened:
            turn(log, process, 1)
    except Crash:
        pass
    log.crashed(process)
    assert log.happened == [fault]
    run(log, [], files, [])
    roster = check(log, texts, texts[1])
    assert [one.name for one in roster.models] == ["m", "n", "m"]


# -- who has other files ---------------------------------------------------------------------------------------------


def turn_all(log: FragileWorld, workers: Sequence[Worker], times: int) -> None:
    for _ in range(times):
        log.clock.advance(5)
        for each in workers:
            each.turn()


def source(worker: Worker) -> Files:
    assert worker.reloads is not None
    own = worker.reloads._source
    assert isinstance(own, Files)
    return own


@pytest.mark.parametrize("dies", [False, True])
def test_a_worker_with_the_older_files_counts_what_holds_and_takes_over(dies: bool) -> None:
    every = [{}, WATCHED | MAPPED]
    log = a_world(*in_order(), every)
    pace(log, 6)
    texts = [text("one", said) for said in every]
    both = [start(log, Files(texts[0])) for _ in range(2)]
    turn_all(log, both, 9)
    evaluator = next(each for each in both if each.judge is not None)
    other = next(each for each in both if each is not evaluator)
    source(evaluator).content = texts[1]
    assert evaluator.reloads is not None
    evaluator.reloads.ask()
    while len(rosters(log, "one")) < 2:
        turn_all(log, both, 1)
        log.clock.advance(500)
    if dies:
        log.crashed(evaluator)
        both = [other]
    while not all(each.done() for each in both):
        turn_all(log, both, 1)
        log.clock.advance(50)
    for each in both:
        each.close()
    assert len(rosters(log, "one")) == 2, "nothing was taken back"
    assert other.rosters.complaint == ""
    for now in texts:  # whoever proves it has either file
        check(log, texts, now)
