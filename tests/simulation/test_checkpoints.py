"""Checkpoints change nothing: whatever is saved, how often, where processes die and what is trimmed below."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.operational import OperationalWatch
from monitor.config import Config, loads
from monitor.evaluator import Evaluator, TickOutput
from monitor.ledger.checkpoints import EDITION_FORMAT, Fold, encode_body
from monitor.ledger.evaluated import generation_of
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import Commit, EvalCommit, Generation, Record, decode
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicSpec
from monitor.saved import SavedEvaluation, gone_by, save
from monitor.windows.view import Kind
from tests.adapters.memory import MemoryLog
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.simulation import quality, test_budget
from tests.simulation.fragile import Fault, FragileWorld
from tests.simulation.histories import PARTITIONS, labels, predictions, split
from tests.simulation.saving import (
    a_run_with_checkpoints,
    assert_the_same,
    run_through,
    run_to_the_end,
    saving,
    take_a_turn,
    undisturbed,
    whole,
)
from tests.simulation.test_crashes import a_history, crashes, pace, paces, silences
from tests.simulation.world import alerts, topics, worker


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    """Each worker collects garbage once; what pytest holds is not its business."""
    gc.freeze()
    yield
    gc.unfreeze()


def evaluated(log: MemoryLog, own: Config, upto: int, chance: random.Random) -> bytes:
    """The body of a checkpoint after evaluation `upto`, decided anew from the first record, the partitions read in any
    interleaving within a step."""
    plan = plan_of(own)
    watch = OperationalWatch(own.namespace, own.labels, own.source_topics(), PARTITIONS)
    evaluator = Evaluator(plan, own.windows, RuleBook.of(own), watch, PARTITIONS)
    ledger: list[list[tuple[Verdict, FoldState, Record]]] = []
    for partition in range(PARTITIONS):
        state, steps = FoldState(), list[tuple[Verdict, FoldState, Record]]()
        for stored in log.records(f"{own.namespace}.ledger", partition):
            record = decode(stored.record.value or b"", "ledger")
            state, verdict = fold(state, record, stored.record.value or b"")
            steps.append((verdict, state, record))
        ledger.append(steps)
    evals, at, rules, rejected = FoldState(), [0] * PARTITIONS, "", 0
    generation: Generation | UnsetType = UNSET
    for stored in log.records(f"{own.namespace}.evals"):
        record = decode(stored.record.value or b"", "evals")
        evals, verdict = fold(evals, record, stored.record.value or b"")
        if verdict is not Verdict.ACCEPTED or not isinstance(record, EvalCommit):
            continue
        generation = generation_of(record) or generation
        if not rules:
            rules = record.rules
            evaluator.switch(RuleBook.of(own), BudgetWatch.of(own, plan))
        assert record.rules == rules
        left = [p for p, end in enumerate(record.ledger) for _ in range(at[p], end)]
        chance.shuffle(left)
        for partition in left:
            verdict, _, step = ledger[partition][at[partition]]
            at[partition] += 1
            rejected += verdict is not Verdict.ACCEPTED
            if verdict is Verdict.ACCEPTED and isinstance(step, Commit):
                evaluator.feed(partition, step)
        list(evaluator.close())
        assert evaluator.digest == record.digest
        if record.sequence == upto:
            break
    folds = tuple(Fold.of(ledger[partition][end - 1][1] if end else FoldState()) for partition, end in enumerate(at))
    editions, gone = evaluator.editions.save() or UNSET, gone_by(evaluator)
    return encode_body(SavedEvaluation(folds, rejected, rules, save(evaluator), generation, editions, gone))


# -- nothing shows -------------------------------------------------------------------------------------------------

cadences = st.integers(1, 12)
faults_ = st.lists(st.one_of(crashes, crashes, silences), min_size=1, max_size=4)


def check(
    p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int, every: int, trim: bool
) -> None:
    log = undisturbed(p, q)
    pace(log, rows)
    run_through(log, faults, saving("saved", every, trim=trim, rows=rows))
    assert_the_same(log)


any_run = given(predictions, labels, faults_, paces, cadences, st.booleans())


@settings(max_examples=examples(40))
@any_run
def test_any_restart_with_any_cadence_decides_the_same(
    p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int, every: int, trim: bool
) -> None:
    check(p, q, faults, rows, every, trim)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@settings(max_examples=3_000)
@any_run
def test_any_restart_with_any_cadence_decides_the_same_in_thousands_of_histories(
    p: list[Prediction], q: list[Label], faults: list[tuple[int, Fault]], rows: int, every: int, trim: bool
) -> None:
    check(p, q, faults, rows, every, trim)


@pytest.mark.parametrize("trim", [False, True])
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LATER])
def test_a_crash_at_any_append_of_a_history_with_alerts_decides_the_same(fault: Fault, trim: bool) -> None:
    log = undisturbed(*a_history(), rows=10)
    assert alerts(log, "calm"), "a history without alerts shows less"
    pace(log, 10)
    resumed = 0
    for at in range(1, 130, 16):
        namespace = f"saved{at}"
        run_through(log, [(at, fault), (13, Fault.CRASH_BEFORE)], saving(namespace, 2, trim=trim, rows=10))
        assert_the_same(log, namespace)
        resumed += bool(whole(log, namespace))
        if trim and whole(log, namespace):
            assert log.begin_offsets(f"{namespace}.evals") > [0]
    assert resumed > 6


@settings(max_examples=examples(25))
@given(predictions, labels, paces, st.randoms(use_true_random=False))
def test_what_is_saved_depends_on_the_accepted_records_alone(
    p: list[Prediction], q: list[Label], rows: int, chance: random.Random
) -> None:
    log = topics(split(p), split(q), FragileWorld())
    pace(log, rows)
    own = saving("saved", 1, rows=rows)
    run_through(log, [(chance.randint(1, 60), Fault.CRASH_AFTER)], own)
    for found in whole(log):
        evaluation = found.manifest.fold.evaluation
        assert evaluation is not None
        assert found.body() == evaluated(log, own, evaluation.sequence, chance)


def test_a_start_decides_again_only_what_follows_the_checkpoint(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "driftline.evaluator")
    outputs = []
    for checkpoints in (True, False):
        log = a_run_with_checkpoints()
        if not checkpoints:
            log.truncate("saved.checkpoints", PARTITIONS, 10_000)
        again = worker(log, saving("saved", 1_000, rows=4))
        seen: list[TickOutput] = []
        again._observe = seen.append
        caplog.clear()
        again.start()
        while again.judge is None:
            again._follow_judge_lease()
        assert ("goes on from checkpoint evals/" in caplog.text) is checkpoints
        outputs.append(seen)
        log.crashed(again)
    stands, *after = outputs[0]
    assert stands.windows, "who looks on is shown the windows as they stand"
    assert not stands.payloads, "and nothing of it is published again"
    assert len(after) < len(outputs[1]) / 2
    assert after == outputs[1][len(outputs[1]) - len(after) :]


# -- what else is remembered: the traffic of models, and what owners recorded -------------------------------------


@settings(max_examples=examples(30))
@given(quality.records, faults_, paces, cadences, st.booleans())
def test_volume_and_freshness_are_judged_as_without_checkpoints(
    rows: list[dict[str, object]], faults: list[tuple[int, Fault]], pace_: int, every: int, trim: bool
) -> None:
    log = FragileWorld()
    for name in ("labels", "predictions"):
        log.ensure(TopicSpec(name, PARTITIONS))
    for partition, own in enumerate(quality.split(rows)):
        for row in own:
            log.appender().append("predictions", partition, OutRecord(orjson.dumps(row)))
    worker(log, quality.config("calm", 9)).run()
    pace(log, pace_)
    state = f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}"
    text = quality.TEXT.replace("commit_interval: 1ms", state)
    saved = loads(text.format(namespace="saved", rows=pace_, quality=quality.QUALITY, idle="30d"))
    run_through(log, faults, saved)
    assert_the_same(log)


# -- a budget of false alarms: what it has learned, what it bets, what fires --------------------------------------


def budgeted(namespace: str, every: int, trim: bool = False, budget: str = test_budget.BUDGET) -> Config:
    state = f"commit_interval: 1ms, checkpoint_records: {every}, trim: {str(trim).lower()}"
    text = test_budget.CONFIG.replace("commit_interval: 1ms", state)
    return loads(text.format(namespace=namespace, rows=60, budget=budget))


def a_budgets_world() -> FragileWorld:
    """A log on which a model with a budget became worse, and the namespace `calm` has come to its end."""
    p, q = test_budget.history(test_budget.worse)
    log = topics(split(p), split(q), FragileWorld())
    worker(log, test_budget.config("calm")).run()
    pace(log, 60)
    return log


@pytest.mark.parametrize("trim", [False, True])
def test_a_budget_goes_on_from_a_checkpoint_as_if_nothing_had_happened(trim: bool) -> None:
    log = a_budgets_world()
    assert test_budget.told(log, "calm"), "a history without an alert shows less"
    crashes_ = [(at, Fault.CRASH_BEFORE) for at in (40, 120, 150, 120, 170)]
    run_through(log, crashes_, budgeted("saved", 6, trim))
    assert_the_same(log)
    assert len(whole(log)) == 2
    if trim:
        assert log.begin_offsets("saved.evals") > [0]


def test_a_start_does_not_learn_again_what_a_checkpoint_of_a_budget_holds(caplog: pytest.LogCaptureFixture) -> None:
    log = a_budgets_world()
    caplog.set_level(logging.INFO, "driftline.evaluator")
    process = worker(log, budgeted("saved", 6))
    process.start()
    while len(test_budget.told(log, "saved")) < 1 or not process.judge:
        take_a_turn(log, process)
    log.crashed(process)
    assert {one.manifest.format for one in whole(log)} == {EDITION_FORMAT}
    again = worker(log, budgeted("saved", 6))
    seen: list[TickOutput] = []
    again._observe = seen.append
    again.start()
    while again.judge is None:
        again._follow_judge_lease()
    assert "goes on from checkpoint evals/" in caplog.text
    assert again.judge.evaluator._budget.learning() == []
    assert len(seen) < again.judge.evaluator.engines[Kind.INPUT].closed / 4, "most was not decided again"
    again.close()


def test_another_budget_after_a_checkpoint_ends_what_fires_and_learns_anew() -> None:
    log, other = a_budgets_world(), test_budget.BUDGET.replace("false_pages: 1", "false_pages: 2")
    process = worker(log, budgeted("saved", 1))
    process.start()
    while len(test_budget.told(log, "saved")) < 1:
        take_a_turn(log, process)
    log.crashed(process)
    run_to_the_end(log, worker(log, budgeted("saved", 1, budget=other)))
    assert [(data["state"], data["reason"]) for data in test_budget.told(log, "saved")] == [
        ("firing", "evidence"),
        ("resolved", "rule_gone"),
    ]


@settings(max_examples=2)
@given(st.randoms(use_true_random=False))
def test_what_is_saved_of_a_budget_depends_on_the_accepted_records_alone(chance: random.Random) -> None:
    log = a_budgets_world()
    own = budgeted("saved", 6)
    run_through(log, [(chance.randint(100, 600), Fault.CRASH_AFTER)], own)
    for found in whole(log):
        evaluation = found.manifest.fold.evaluation
        assert evaluation is not None
        assert found.body() == evaluated(log, own, evaluation.sequence, chance)
