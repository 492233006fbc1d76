"""Every evaluation of a namespace once more: the ledger in the recorded steps through the production evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec import UNSET

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.operational import OperationalWatch
from monitor.config.types import Config
from monitor.daemon.begun import begun
from monitor.daemon.editions_in_force import begin_with, edition_of, follow
from monitor.daemon.replay.differences import Difference
from monitor.daemon.resume import Resumed
from monitor.daemon.rules_in_force import RulesInForce, evaluations
from monitor.daemon.tail import Follower, Stored, follow_from_start
from monitor.errors import LedgerError
from monitor.evaluator import Evaluator, TickOutput
from monitor.ledger.evaluated import roster_of, windows_from_ms
from monitor.ledger.fold import Verdict
from monitor.ledger.records import Commit, EvalCommit, Gap
from monitor.plan import Plan
from monitor.ports import Log
from monitor.saved import restore
from monitor.windows.canonical import FormatError


@dataclass(frozen=True, slots=True)
class Redecided:
    """One evaluation: as recorded, what was decided again, and in what the two differ."""

    evaluation: EvalCommit
    outputs: Sequence[TickOutput]
    difference: Difference | None


def redecide(
    log: Log,
    config: Config,
    plan: Plan,
    partitions: int,
    evals_end: int,
    begin: Resumed | None = None,
    observe: Callable[[TickOutput], None] = lambda _: None,
) -> Iterator[Redecided]:
    """Every evaluation that counts below offset `evals_end` of `evals`, in order, those after `begin` where it is given;
    nothing is appended anywhere. `observe` hears of each tick as it closes, while what it rests on can be asked.

    Digests are chained, so after the first evaluation that differs all differ: it is the last one given. Raises
    LedgerError for evaluations under another configuration, or under rules that were not kept.
    """
    topics = config.topics()
    watch = OperationalWatch(config.namespace, config.labels, config.source_topics(), partitions)
    budget = BudgetWatch.of(config, plan)
    evaluator = Evaluator(plan, config.windows, RuleBook.of(config, plan), watch, partitions, budget)
    rules = RulesInForce(log, config, plan, evaluator, begin.saved.rules if begin is not None else "")
    followers = [follow_from_start(log, topics.ledger, p) for p in range(partitions)]
    if begin is not None:
        _recognise(config, plan, begin.evaluation)
        edition_of(begin.evaluation, plan.edition, config.namespace)
        _restore(evaluator, rules, begin)
        followers = begin.followers
    else:
        begin_with(evaluator, begun(log, topics), config.namespace)
    for evaluation in evaluations(log, topics.evals, evals_end, begin.evals if begin is not None else None):
        _recognise(config, plan, evaluation)
        if (roster := roster_of(evaluation)) is not None:
            evaluator.list_models(roster)
        outputs = list(_told(rules.go_on_with(evaluation.rules, windows_from_ms(evaluation)), observe))
        for partition, end in enumerate(evaluation.ledger):
            followers[partition].catch_up(log, end, feeder(evaluator, partition))
        follow(evaluator, evaluation, config.namespace)
        if evaluation.unowned is not UNSET:
            evaluator.owners(evaluation.unowned)
        outputs += _told(evaluator.close(), observe)
        difference = _compare(evaluator, followers, evaluation)
        yield Redecided(evaluation, outputs, difference)
        if difference is not None:
            return


def _told(outputs: Iterable[TickOutput], observe: Callable[[TickOutput], None]) -> Iterator[TickOutput]:
    for output in outputs:
        observe(output)
        yield output


def _restore(evaluator: Evaluator, rules: RulesInForce, begin: Resumed) -> None:
    """Make the evaluator what it was at the checkpoint. Raises LedgerError for one that is not what was decided there."""
    try:
        restore(
            evaluator, begin.saved.evaluator, *rules.book(begin.saved.rules), begin.saved.editions, begin.saved.gone_by
        )
        why = "it is not what was decided there"
    except (FormatError, ValueError, KeyError, TypeError) as error:
        why = f"it is of another version of Driftline ({error})"
    if evaluator.digest != begin.evaluation.digest:
        raise LedgerError(f"{begin.where} cannot be used: {why}", "Verify with the version that wrote it.")


def _recognise(config: Config, plan: Plan, evaluation: EvalCommit) -> None:
    if evaluation.config != plan.config_digest:
        raise LedgerError(
            f"namespace {config.namespace!r} was evaluated under configuration {evaluation.config[:19]}, this one is "
            f"{plan.config_digest[:19]}: what a row means differs",
            "Give the configuration of the live run, or compare without its decisions (--without-decisions).",
        )


def feeder(evaluator: Evaluator, partition: int) -> Callable[[Stored, Verdict], None]:
    """What a follower of a ledger partition does for an evaluator: commits and gaps that count are fed."""

    def feed(stored: Stored, verdict: Verdict) -> None:
        if verdict is Verdict.ACCEPTED and isinstance(stored.record, (Commit, Gap)):
            evaluator.feed(partition, stored.record)

    return feed


def _compare(evaluator: Evaluator, followers: list[Follower], evaluation: EvalCommit) -> Difference | None:
    ticks = evaluator.next_ticks()
    pairs = (
        ("input_tick", ticks[0], evaluation.input_tick),
        ("performance_tick", ticks[1], evaluation.performance_tick),
        ("published", evaluator.published, evaluation.published),
        ("digest", evaluator.digest, evaluation.digest),
    )
    where = {"sequence": evaluation.sequence, "ledger": [f.next_offset for f in followers]}
    for name, ours, theirs in pairs:
        if ours != theirs:
            return Difference("evaluation", where, name, ours, theirs)
    return None
