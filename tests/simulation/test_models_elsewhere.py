"""Models come and go while workers have different files, and what may not is refused by name."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from monitor.config import Config, load, loads
from monitor.daemon import roster_watch
from monitor.daemon.begun import kept
from monitor.daemon.counted import Counted, counted
from monitor.daemon.models_in_force import ModelsInForce
from monitor.daemon.worker import Worker
from monitor.errors import LedgerError, LogUnreachable
from monitor.evaluator import Evaluator
from monitor.ingest.clocks import NEVER
from monitor.ledger.roster import Adopted, Listed, Roster
from monitor.plan import Plan
from monitor.ports import Log
from tests.drift.profiles import small
from tests.replay.proving import run_again
from tests.simulation.fragile import FragileWorld
from tests.simulation.histories import START, split
from tests.simulation.reloading import Files, run, start
from tests.simulation.test_crashes import pace
from tests.simulation.test_models_change import (
    ALL,
    BOTH,
    M,
    O,
    a_world,
    check,
    in_order,
    rosters,
    text,
    turn,
)
from tests.simulation.world import topics


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


def two_workers() -> tuple[FragileWorld, tuple[Worker, Files], tuple[Worker, Files]]:
    """A partition each, and one model: the one that evaluates and the other one, with their files."""
    log = a_world(*in_order(200))
    pace(log, 3)
    both = [(start(log, files), files) for files in (Files(text("one", M)), Files(text("one", M)))]
    for _ in range(8):
        for process, _ in both:
            turn(log, process, 1)
    assert all(process.tasks for process, _ in both)
    evaluator, other = both if both[0][0].judge is not None else both[::-1]
    return log, evaluator, other


def test_workers_with_the_older_files_count_it_as_well_and_until_all_do_it_waits() -> None:
    log, (evaluator, own), (other, _) = two_workers()
    own.content = text("one", BOTH)
    assert evaluator.reloads is not None
    evaluator.reloads.ask()
    turn(log, evaluator, 12)
    (announced,) = rosters(log, "one")
    assert announced.waits, "the other one was not asked yet"
    while len(rosters(log, "one")) < 2:
        log.clock.advance(200)
        turn(log, evaluator, 1)
        turn(log, other, 1)
    assert other.counted.roster.number == announced.number
    assert [model.name for model in other.config.models] == ["m"], "its own files are as they were"
    log.crashed(evaluator)
    while not other.done():
        log.clock.advance(50)
        other.turn()
    other.close()
    for content in (text("one", M), text("one", BOTH)):
        check(log, content)


def test_an_evaluator_that_meets_rows_of_models_that_it_has_not_read_of_is_closed_and_opens_again() -> None:
    """It announced them and slept within its turn, before it took them over itself; the owner of the other partition did not."""
    log, (evaluator, own), (other, _) = two_workers()
    own.content = text("one", BOTH)
    assert evaluator.reloads is not None
    evaluator.reloads.ask()
    while not rosters(log, "one"):
        turn(log, evaluator, 1)
    (announced,) = rosters(log, "one")
    assert evaluator.counted.roster.number < announced.number
    while not any(task.engine.admission.number == announced.number for task in other.tasks.values()):
        log.clock.advance(200)
        turn(log, other, 1)
    turn(log, other, 2)
    judges = [evaluator.judge]
    evaluator._evaluate()
    assert judges != [None] == [evaluator.judge]
    while not (evaluator.done() and other.done()):
        log.clock.advance(50)
        evaluator.turn()
        other.turn()
    evaluator.close()
    other.close()
    check(log, text("one", BOTH))


def test_a_worker_that_cannot_count_the_newest_models_leaves_evaluation_to_others_and_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, (evaluator, own), (other, slipped) = two_workers()
    own.content = text("one", BOTH)
    assert evaluator.reloads is not None
    evaluator.reloads.ask()
    turn(log, evaluator, 3)
    slipped.content = text("one", f"{M}, {{name: n, positive: 0}}")
    assert other.reloads is not None
    other.reloads.ask()
    turn(log, other, 9)
    log.crashed(evaluator)
    before, read = log.end_offsets("one.evals"), list[str]()

    def counted_reads(own: Log, topic: str) -> dict[bytes, bytes]:
        read.append(topic)
        return kept(own, topic)

    monkeypatch.setattr(roster_watch, "kept", counted_reads)
    caplog.clear()
    for _ in range(400):
        log.clock.advance(50)
        other.turn()
    assert log.end_offsets("one.evals") == before, "it fenced nobody off"
    assert other._judge_leases.leases is None, "one that can evaluate gets it"
    assert "otherwise what its models answer: 'n'" in other.rosters.complaint
    said = [one.message for one in caplog.records if "models of the namespace have changed" in one.message]
    assert len(said) == 1
    assert sum("counts by roster" in one.message for one in caplog.records) < 20
    assert len(read) <= 2, "nor does it read the topic of configurations all the time"
    slipped.content = text("one", BOTH)
    other.reloads.ask()
    while not other.done():
        log.clock.advance(50)
        other.turn()
    other.close()
    check(log, text("one", BOTH))


def test_a_model_may_not_come_back_as_another_one() -> None:
    log = a_world(*in_order(200))
    pace(log, 6)
    files = Files(text("one", BOTH))
    process = start(log, files)
    turn(log, process, 7)
    for content in (text("one", M), text("one", f"{M}, {{name: n, positive: 0}}")):
        files.content = content
        assert process.reloads is not None
        process.reloads.ask()
        turn(log, process, 3)
    (complaint,) = process.reloads.complaints if process.reloads is not None else ()
    assert complaint.startswith(
        "models.n: this namespace counted the model with another `task` or `positive` before it was"
    )
    log.crashed(process)
    with pytest.raises(LedgerError, match="another `namespace`"):
        run(log, [], files, [])


def test_a_model_whose_classes_no_label_has_is_refused_by_name() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    files = Files(text("one", M))
    process = start(log, files)
    turn(log, process, 7)
    files.content = text("one", f"{M}, {{name: n, positive: 7}}")
    assert process.reloads is not None
    process.reloads.ask()
    turn(log, process, 1)
    (complaint,) = process.reloads.complaints
    assert complaint.startswith("models.n (added")
    assert "gives rows another meaning, which a namespace keeps" in complaint
    log.crashed(process)
    with pytest.raises(LedgerError, match=r"What a row means was changed by: models\.n \(added"):
        run(log, [], files, [])


def test_a_worker_that_learns_late_who_began_the_namespace_asks_again_when_the_log_did_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = a_world(*in_order())
    pace(log, 6)
    one, other = start(log, Files(text("one", BOTH))), start(log, Files(text("one", f"{M}, {O}")))
    turn(log, one, 1)
    assert log.records("one.ledger"), "it is begun, with models that the other one does not list"
    answers = [LogUnreachable("the log did not answer (injected)")]

    def asked(own: Log, config: Config, plan: Plan) -> Counted:
        if answers:
            raise answers.pop()
        return counted(own, config, plan)

    monkeypatch.setattr(roster_watch, "counted", asked)
    assert not other._step()
    assert not answers
    assert not other._step()
    assert other.plan.config_digest == one.plan.config_digest
    assert [each.name for each in other.counted.roster.models] == ["m", "n"]


def test_a_reference_that_lacks_what_is_to_be_watched_is_refused_by_name(tmp_path: Path) -> None:
    log = a_world(*in_order())
    pace(log, 6)
    (tmp_path / "m.json").write_text(small().dumps())
    path = tmp_path / "d.yaml"

    class OnDisk(Files):
        def read(self) -> Config:
            path.write_text(self.content)
            return load([path])

    files = OnDisk(text("one", M))
    process = start(log, files)
    turn(log, process, 7)
    files.content = text("one", f"{M}, {{name: n, reference: m.json}}")
    assert process.reloads is not None
    process.reloads.ask()
    turn(log, process, 3)
    (complaint,) = process.reloads.complaints
    assert complaint.startswith("the reference of model 'n' has no feature 'hue'; it has $score, hour"), complaint
    assert process.reloads.outcomes == {"invalid": 1}
    assert rosters(log, "one") == []
    files.content = text("one", M)
    process.reloads.ask()
    turn(log, process, 3)
    assert process.reloads.complaints == ()


def test_a_run_without_decisions_says_that_it_has_one_list_of_models() -> None:
    log = a_world(*in_order())
    pace(log, 6)
    run(log, [], Files(text("one", M)), [(7, text("one", BOTH))])
    with pytest.raises(LedgerError, match="were changed while it ran"):
        run_again(log, loads(text("one", BOTH)))


def test_its_windows_begin_after_what_was_rejected_for_it_however_far_that_lies_ahead() -> None:
    p, q = in_order(160)
    first = [one for one in p if one["model"] == "n" and START + 250_000 <= one["at"] < START + 300_000]
    rest = [one for one in p if one["model"] == "m" or one["at"] >= START + 300_000]
    log = topics(split([*first, *rest]), split(q), FragileWorld())
    before, after = (text("one", models).replace("lateness: 60s", "lateness: 600s") for models in (M, BOTH))
    pace(log, 6)
    run(log, [], Files(before), [(7, after)])
    (n,) = [one for one in rosters(log, "one")[-1].models if one.name == "n"]
    assert n.from_ms == START + 300_000, "the clocks alone would have let it begin long before"
    check(log, after, text("calm", ALL).replace("lateness: 60s", "lateness: 600s"))


@pytest.mark.parametrize(("section", "from_ms"), [("another", 400_000), ("one", 200_000)])
def test_a_model_that_comes_back_in_another_sense_begins_after_what_was_counted_of_it(
    section: str, from_ms: int
) -> None:
    """As what it meant before, by an owner who had not read that it was taken out; what was counted in the same sense counts."""
    gone = Listed("n", "one", "d", None, 1, None, left=2, until_ms=NEVER, ends_ms=NEVER)
    roster = Roster(3, (gone, Listed("n", section, "d", None, 3, None)))
    plan = SimpleNamespace(pane_ms=50_000, join=SimpleNamespace(tick_ms=10_000))
    evaluator = SimpleNamespace(
        roster=roster, adopted=[Adopted(0, 3, NEVER)], next_ticks=lambda: (20, 20), clocks=[], next_pane_ms=400_000
    )
    by = SimpleNamespace(in_hindsight=False, roster=roster, plan=plan)
    nothing: Any = None
    models = ModelsInForce(nothing, nothing, "configs", cast("Counted", by), cast("Evaluator", evaluator))
    assert models._may_begin_ms() == from_ms
