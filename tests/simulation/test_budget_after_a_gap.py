"""Records that an operator goes on without are no evidence: what is left of their windows raises no alarm of the budget."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.event import BudgetAlert
from monitor.alerts.operational import OperationalWatch
from monitor.config import Config
from monitor.evaluator import Evaluator
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import PARTIAL_FORMAT, Commit, Gap, decode
from monitor.plan import plan_of
from tests.simulation.test_budget import BEAT_MS, CHANGE_MS, config, world
from tests.simulation.world import worker

END_MS = CHANGE_MS + 10 * BEAT_MS


def what_is_left(rng: random.Random, prediction: dict[str, Any], label: dict[str, Any]) -> dict[str, Any]:
    """For ten beats half of the labels say the other thing: as if those that were lost had all been the good ones."""
    bad = prediction["at"] < END_MS and rng.random() < 0.5
    return {**label, "label": 1 - label["label"]} if bad else label


@cache
def commits() -> tuple[Commit, ...]:
    """What the owner of the partition appended."""
    log = world(what_is_left)
    worker(log, config(rows=40)).run()
    state, found = FoldState(), []
    for stored in log.records("one.ledger"):
        value = stored.record.value or b""
        state, verdict = fold(state, one := decode(value, "ledger"), value)
        if verdict is Verdict.ACCEPTED and isinstance(one, Commit):
            found.append(one)
    return tuple(found)


def evaluator(own: Config) -> Evaluator:
    watch, plan = OperationalWatch(own.namespace, own.labels, own.source_topics(), 1), plan_of(own)
    return Evaluator(plan, own.windows, RuleBook.of(own), watch, 1, BudgetWatch.of(own, plan))


def told(gap_at_ms: int | None, until_ms: int = END_MS) -> list[str]:
    """What the budget tells, where a gap of so far is recorded when predictions have come up to a moment."""
    own, found = evaluator(config()), []
    for commit in commits():
        own.feed(0, commit)
        if gap_at_ms is not None and commit.prediction_clock.maximum_ms >= gap_at_ms:
            own.feed(0, Gap(PARTIAL_FORMAT, "labels", (0, 0), "ada", "retention", b"", until_ms))
            gap_at_ms = None
        for output in own.close():
            found += [event.data.rule for event in output.events if isinstance(event.data, BudgetAlert)]
    return found


def test_what_lost_records_is_no_evidence_of_a_worse_model() -> None:
    assert told(None)[0] == "budget-performance", "the pairs that are left are as they are"
    assert told(CHANGE_MS + BEAT_MS) == []


def test_a_gap_of_other_times_hides_nothing() -> None:
    assert told(CHANGE_MS - 20 * BEAT_MS, CHANGE_MS - 18 * BEAT_MS) == told(None)
