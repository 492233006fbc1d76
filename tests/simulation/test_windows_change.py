"""Windows change at a pane: none lacks what came before it began, none is lost, and every worker and replay agrees since when."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import loads
from monitor.daemon.begun import documents
from monitor.daemon.counted import as_begun
from monitor.daemon.generations import history
from monitor.daemon.replay.compare import _without_config
from monitor.daemon.rules_in_force import evaluations
from monitor.errors import LedgerError
from monitor.ledger.evaluated import windows_from_ms
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import EvalCommit, EvalEdition, decode
from monitor.plan import plan_of
from monitor.windows.spans import spans_of
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.replay.proving import prove, run_again, sentences
from tests.simulation.fragile import Crash, Fault, FragileWorld
from tests.simulation.histories import START, labels, predictions, split
from tests.simulation.reloading import Files, run, start
from tests.simulation.saving import whole
from tests.simulation.test_crashes import crashes, pace, paces, silences
from tests.simulation.world import CONFIG, alerts, finals, topics, worker

PANE_MS = 50_000


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


def text(namespace: str, windows: str, *, judged: str = "50s", every: int = 10_000, trim: bool = False) -> str:
    """The deployment of the other simulations with these windows, its rules about one of them."""
    made = CONFIG.format(namespace=namespace, rows=9, lateness=60)
    for old, new in (
        ("windows: [50s]", f"windows: [{windows}]"),
        ("window: 50s", f"window: {judged}"),
        ("commit_interval: 1ms", f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}"),
    ):
        assert old in made
        made = made.replace(old, new)
    return made


ALL = "50s, 100s, 100s/50s, 150s"


def switches(log: FragileWorld, namespace: str) -> list[EvalEdition]:
    """The accepted evaluations that changed windows."""
    state, found = FoldState(), []
    for stored in log.records(f"{namespace}.evals"):
        record = decode(stored.record.value or b"", "evals")
        state, verdict = fold(state, record, stored.record.value or b"")
        if verdict is Verdict.ACCEPTED and changes(record):
            assert isinstance(record, EvalEdition)
            found.append(record)
    return found


def changes(record: object) -> bool:
    return isinstance(record, EvalCommit) and windows_from_ms(record) is not None


def from_ms(switch: EvalEdition) -> int:
    """Since when its windows hold."""
    found = windows_from_ms(switch)
    assert found is not None
    return found


def names_of(windows: str) -> set[str]:
    return set(windows.split(", "))


def told(log: FragileWorld, namespace: str) -> dict[bytes, dict[str, object]]:
    """Final windows by key, without the digest of the configuration."""
    found = {key: orjson.loads(value) for key, value in finals(log, namespace).items()}
    for value in found.values():
        del value["config"]
    return found


def said(log: FragileWorld, namespace: str) -> list[object]:
    """Alerts, without the digest of the configuration."""
    found = [orjson.loads(alert) for alert in alerts(log, namespace)]
    for alert in found:
        _without_config(alert)
    return sorted(found, key=orjson.dumps)


def expected(log: FragileWorld, namespace: str, sets: Sequence[str]) -> dict[bytes, dict[str, object]]:
    """What there must be: of every window that ever was, those that started while it was one."""
    since = [(-(1 << 62)), *(from_ms(one) for one in switches(log, namespace)), 1 << 62]
    assert len(since) == len(sets) + 1
    names = [names_of(own) for own in sets]

    def held(start_ms: int, name: str) -> bool:
        return any(since[i] <= start_ms < since[i + 1] and name in own for i, own in enumerate(names))

    everything = told(log, "calm")
    return {key: one for key, one in everything.items() if held(int(str(one["start_ms"])), str(one["window"]))}


def a_world(p: list[Prediction], q: list[Label]) -> FragileWorld:
    """A log on which a namespace with all windows from the beginning has come to its end."""
    log = topics(split(p), split(q), FragileWorld())
    worker(log, loads(text("calm", ALL))).run()
    return log


def in_order(n: int = 120) -> tuple[list[Prediction], list[Label]]:
    """A prediction every three seconds, one in four corrected late."""
    p = [
        Prediction(
            id=f"{i}", model="m", version="1", at=START + i * 3_000, score=0.9, prediction=1.0, segments={"hue": "red"}
        )
        for i in range(n)
    ]
    q = [Label(id=f"{i}", at=START + i * 3_000 + 40_000, label=float(i % 3 > 0)) for i in range(n)]
    return p, [*q, *(Label(id=f"{i}", at=START + i * 3_000 + 80_000, label=1.0) for i in range(0, n, 4))]


# -- what there is afterwards ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["50s, 100s", "50s, 150s, 100s/50s"])
def test_windows_that_are_added_begin_at_the_pane_and_equal_those_that_always_were(after: str) -> None:
    log = a_world(*in_order())
    pace(log, 6)
    run(log, [], Files(text("one", "50s")), [(9, text("one", after))])
    (switch,) = switches(log, "one")
    assert from_ms(switch) % PANE_MS == 0
    assert START < from_ms(switch) < START + 200_000, "it is in the middle of what came"
    found = told(log, "one")
    assert found == expected(log, "one", ["50s", after])
    begun = {one["window"] for one in found.values()}
    assert begun == names_of(after)
    assert said(log, "one") == said(log, "calm"), "alerts about windows that stay are not touched"
    assert sentences(prove(log, loads(text("one", after))).differences) == []
    assert [record.windows_from_ms for record in history(log, "one.configs")][1:] == [from_ms(switch)]


def test_windows_that_are_taken_out_go_on_until_they_are_final() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    before, after = text("one", "50s, 150s"), text("one", "100s", judged="100s")
    run(log, [], Files(before), [(9, after)])
    found = told(log, "one")
    assert found == expected(log, "one", ["50s, 150s", "100s"])
    since = from_ms(switches(log, "one")[0])
    across = [one for one in found.values() if int(str(one["start_ms"])) < since < int(str(one["end_ms"]))]
    assert across, "one that had begun spans the change, and counted to its end"
    events = [orjson.loads(stored.record.value or b"")["data"] for stored in log.records("one.alerts")]
    judged = {(data["rule"], data["evidence"]["window"]["name"]) for data in events if data.get("evidence")}
    assert judged == {("bad", "50s"), ("bad", "100s")}, "a rule goes on with the windows that are begun now"
    assert sentences(prove(log, loads(after)).differences) == []


def test_windows_may_come_back_and_a_restart_goes_on_with_those_that_hold() -> None:
    log = a_world(*in_order())
    pace(log, 4)
    one, two = text("one", "50s, 100s", every=3, trim=True), text("one", "50s, 150s", every=3, trim=True)
    crash = Fault.CRASH_BEFORE
    run(log, [(60, crash), (40, crash), (40, crash)], Files(one), [(9, two), (14, one), (19, two)])
    assert log.happened == [crash] * 3
    assert whole(log, "one")[0].manifest.format == 9, "it names an edition beside"
    assert log.begin_offsets("one.evals") > [0], "what said which windows hold since when is in the checkpoint alone"
    found = told(log, "one")
    assert {value["window"] for value in found.values()} == {"50s", "100s", "150s"}
    everything = told(log, "calm")
    assert all(everything[key] == value for key, value in found.items())
    assert {k for k, v in everything.items() if v["window"] == "50s"} <= found.keys()


def test_volume_is_not_judged_by_windows_that_were_not_begun() -> None:
    quality = "models: [{{name: m, quality: {{volume: {{at_least: 1, window: {}}}}}, segments: {{hue: [red, blue]}}}}]"
    log = a_world(*in_order())
    pace(log, 6)

    def with_quality(windows: str, judged: str) -> str:
        made = text("one", windows)
        old = "models: [{name: m, segments: {hue: [red, blue]}}]"
        assert old in made
        return made.replace(old, quality.format(judged))

    run(log, [], Files(with_quality("50s", "50s")), [(9, with_quality("50s, 100s/50s", "100s/50s"))])
    assert len(switches(log, "one")) == 1
    conditions = [
        orjson.loads(stored.record.value or b"")["data"].get("condition") for stored in log.records("one.alerts")
    ]
    assert "volume-low" not in conditions


# -- whatever happens around it --------------------------------------------------------------------------------------

sets = st.lists(st.sampled_from(["50s", "50s, 100s", "50s, 100s/50s", "50s, 150s, 100s", ALL]), min_size=2, max_size=3)
faults_ = st.lists(st.one_of(crashes, crashes, silences), max_size=4)
turns_ = st.lists(st.integers(2, 40), min_size=2, max_size=2).map(sorted)


def check(
    p: list[Prediction],
    q: list[Label],
    faults: list[tuple[int, Fault]],
    rows: int,
    held: list[str],
    turns: list[int],
    every: int,
) -> None:
    held = [own for i, own in enumerate(held) if not i or own != held[i - 1]]
    log = a_world(sorted(p, key=lambda one: one["at"]), sorted(q, key=lambda one: one["at"]))
    pace(log, rows)
    texts = [text("one", own, every=every) for own in held]
    run(log, faults, Files(texts[0]), list(zip(turns, texts[1:], strict=False)))
    assert told(log, "one") == expected(log, "one", sets_that_held(log))
    assert said(log, "one") == said(log, "calm")
    assert sentences(prove(log, loads(texts[-1])).differences) == []


def sets_that_held(log: FragileWorld) -> list[str]:
    """The windows of the configurations that held, the first one's first; those that only changed something else left out."""
    texts = documents(log, "one.configs")
    accepted = list(evaluations(log, "one.evals", log.end_offsets("one.evals")[0]))
    held = [*(one for one in accepted[:1] if not changes(one)), *switches(log, "one")]
    return [", ".join(window.name for window in loads(texts[one.rules.encode()].decode()).windows) for one in held]


@settings(max_examples=examples(60))
@given(predictions, labels, faults_, paces, sets, turns_, st.integers(1, 12))
def test_any_crash_around_any_change_leaves_the_windows_that_were_to_be(
    p: list[Prediction],
    q: list[Label],
    faults: list[tuple[int, Fault]],
    rows: int,
    held: list[str],
    turns: list[int],
    every: int,
) -> None:
    check(p, q, faults, rows, held, turns, every)


@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LANDED, Fault.LOST, Fault.LATER])
def test_a_fault_at_any_append_of_the_change_is_made_good(nth: int, fault: Fault) -> None:
    log = a_world(*in_order())
    pace(log, 6)
    files = Files(text("one", "50s"))
    process = start(log, files)
    for _ in range(9):
        log.clock.advance(5)
        process.turn()
    files.content = text("one", "50s, 100s")
    assert process.reloads is not None
    process.reloads.ask()
    log.arm([(nth, fault)])
    try:
        while not log.happened:
            log.clock.advance(5)
            process.turn()
    except Crash:
        pass
    log.crashed(process)
    assert log.happened == [fault]
    run(log, [], files, [])
    assert told(log, "one") == expected(log, "one", ["50s", "50s, 100s"])
    assert sentences(prove(log, files.read()).differences) == []


# -- who has other files ---------------------------------------------------------------------------------------------


def test_a_worker_with_the_older_windows_follows_those_that_hold() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    old, new = Files(text("one", "50s")), Files(text("one", "50s"))
    first, second = start(log, new), start(log, old)
    workers = [first, second]
    for _ in range(9):
        log.clock.advance(5)
        for each in workers:
            each.turn()
    evaluator = next(each for each in workers if each.judge is not None)
    other = next(each for each in workers if each is not evaluator)
    own = new if evaluator is first else old
    own.content = text("one", "50s, 100s")
    assert evaluator.reloads is not None
    evaluator.reloads.ask()
    while not switches(log, "one"):
        log.clock.advance(5)
        evaluator.turn()
    (switch,) = switches(log, "one")
    log.crashed(evaluator)
    while not other.done():
        log.clock.advance(50)
        other.turn()
    other.close()
    assert [one.windows_from_ms for one in switches(log, "one")] == [switch.windows_from_ms], "nothing was taken back"
    assert told(log, "one") == expected(log, "one", ["50s", "50s, 100s"])
    for content in (text("one", "50s"), text("one", "50s, 100s")):
        assert sentences(prove(log, loads(content)).differences) == []


def test_windows_of_other_panes_are_refused_at_a_start_too() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    process = start(log, Files(text("one", "100s", judged="100s")))
    for _ in range(9):
        log.clock.advance(5)
        process.turn()
    log.crashed(process)
    with pytest.raises(LedgerError, match="another `namespace`: it counts again whatever both topics hold"):
        start(log, Files(text("one", "100s, 50s"))).run()
    coarser = Files(text("one", "200s", judged="200s"))
    assert as_begun(log, coarser.read(), plan_of(coarser.read())).pane_ms == 100_000, (
        "the panes stay those of the beginning"
    )


def test_a_run_without_decisions_says_that_it_has_one_set_of_windows() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    run(log, [], Files(text("one", "50s")), [(9, text("one", "50s, 100s"))])
    with pytest.raises(LedgerError, match="were changed while it ran"):
        run_again(log, loads(text("one", "50s, 100s")))


def test_spans_of_the_tests_are_whole_panes() -> None:
    for window in loads(text("x", ALL)).windows:
        assert all(start % PANE_MS == end % PANE_MS == 0 for start, end in spans_of(window, START))
