"""The evaluator's shell: follow the ledger, close ticks, commit what was decided, publish it.

    ledger -> Evaluator -> evals (one append) -> windows, alerts

It decides first and publishes second: what an `evals` record speaks of is published after it, and the next record is
appended only when that is acknowledged. After a crash the decisions are made again from the ledger, in the steps that
`evals` recorded, checked against its digest, and the outputs of the last step are published again: same keys, same ids,
same bytes.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from copy import copy

from msgspec import UNSET, UnsetType

from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.operational import OperationalWatch
from monitor.daemon.ahead import ReadAhead
from monitor.daemon.begun import ANOTHER_MEANING, begun, keep, keep_document, what_differs
from monitor.daemon.counted import Counted
from monitor.daemon.editions_in_force import EditionInForce
from monitor.daemon.generations import Known, successor
from monitor.daemon.models_in_force import ModelsInForce
from monitor.daemon.owners import Owners
from monitor.daemon.publishing import publish
from monitor.daemon.resume import EvaluatorCheckpoints, others_since
from monitor.daemon.rules_in_force import RulesInForce, evaluations
from monitor.daemon.tail import Follower, Stored, Stride, follow_from_start, poll_followers, refuse_shorter
from monitor.daemon.writer import LedgerWriter, LostOwnership
from monitor.editions import owner_of
from monitor.errors import LedgerError, OffsetLost
from monitor.evaluator import Evaluator, TickOutput
from monitor.ledger.evaluated import roster_of, windows_from_ms
from monitor.ledger.fold import Verdict
from monitor.ledger.generations import GenerationRecord, encode
from monitor.ledger.records import FORMAT, Commit, EvalCommit, Gap, Generation, Unowned
from monitor.ports import Appender, Log, WallClock
from monitor.saved import restore, roster_in
from monitor.windows.canonical import FormatError

_logger = logging.getLogger("driftline.evaluator")


class Judge:
    """The one evaluator of a namespace."""

    def __init__(
        self,
        log: Log,
        clock: WallClock,
        appender: Appender,
        known: Known,
        by: Counted,
        partitions: int,
        observe: Callable[[TickOutput], None] | None = None,
    ) -> None:
        self._log, self._appender, self._plan, self._clock = log, appender, by.plan, clock
        self._known, self._by, config = known, by, known.config
        self._namespace, self._topics, self._sources = config.namespace, config.topics(), config.source_topics()
        self._observe = observe or (lambda _: None)
        self._partitions = partitions
        self.evaluator = self._new_evaluator()
        self.models, self.editions = self._new_models(), self._new_editions()
        self.followers = [follow_from_start(log, self._topics.ledger, p) for p in range(partitions)]
        self._owners = self._new_owners()
        self._unowned: Unowned | UnsetType = UNSET  # decisions that go into the next commit
        self._generation: Generation | None = None
        self._windows_from_ms: int | None = None
        self._learnt = False
        """Another configuration came, and what it means for what is in force is not decided."""
        self.rejected = 0
        self.settled = self._to_the_end = False  # whether a checkpoint was taken for the last step, and published
        self._unplaced = 0
        self._rules = RulesInForce(log, config, self._plan, self.evaluator)
        evals = follow_from_start(log, self._topics.evals, 0)
        self.writer = LedgerWriter(log, appender, evals, owner_of(secrets.token_hex(8), self._plan.edition))
        self.reader, self._stride = log.reader(keys=False, headers=False), Stride()
        names = (self._topics.ledger, self._topics.evals, self._topics.checkpoints)
        every, trims = config.state.checkpoint_records, config.state.trim
        self._checkpoints = EvaluatorCheckpoints(log, names, partitions, every, trims=trims)

    def _new_evaluator(self) -> Evaluator:
        config, n = self._known.config, self._partitions
        watch = OperationalWatch(self._namespace, config.labels, self._sources, n)
        budget = BudgetWatch.of(config, self._plan)
        return Evaluator(self._plan, config.windows, RuleBook.of(config, self._plan), watch, n, budget)

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Fence the others off, decide again what was decided since the newest checkpoint, publish the last step once
        more: before a checkpoint was written, what it had decided was published.

        Raises LostOwnership, or LedgerError when deciding again gives something else.
        """
        self._resume()
        start = copy(self.writer.follower)
        epoch = start.state.epoch
        self.models.look_ahead(self.writer.follower, self.editions.need)  # who cannot go on fences nobody off
        self.writer.fence()
        history = list(evaluations(self._log, self._topics.evals, self.writer.follower.next_offset, start))
        self.models.need(*map(roster_of, history))
        if self._to_the_end and not history and others_since(epoch + 1, self.writer.follower):
            raise LostOwnership(self._topics.evals, 0, Verdict.NOT_OWNER)  # the next look sees them
        last = self._decide_again(history, progress) if history else []
        if history:
            self._recognise(history[-1])
            publish(self._appender, self._topics, self.writer.chain, last)
        self._unplaced = sum(engine.unplaced for engine in self.evaluator.engines.values())
        self._owners = self._new_owners()  # what was heard of old says nothing about now
        if self._rules.generation is not None:
            self._remember_generation(self._rules.generation)  # whoever recorded it may have died before it did
        self.models.remember()
        self._go_on_with_own()
        self._checkpoint()
        self.reader.assign({(self._topics.ledger, p): f.next_offset for p, f in enumerate(self.followers)})

    def _decide_again(
        self, history: Sequence[EvalCommit], progress: Callable[[int, int], None] | None
    ) -> list[TickOutput]:
        """Every evaluation in its own step; returns what the last one decided."""
        topic = self._topics.ledger
        for partition, end in enumerate(history[-1].ledger):  # of all, the farthest
            refuse_shorter(self._log, topic, partition, end, history[-1].sequence)
        last: list[TickOutput] = []
        ahead = ReadAhead(self._log, topic, self.followers)
        try:
            for done, evaluation in enumerate(history):
                self.models.again(evaluation)
                switched = list(self._with_rules(evaluation.rules, windows_from_ms(evaluation)))
                self._rules.recorded(evaluation)
                for partition, end in enumerate(evaluation.ledger):
                    ahead.catch_up(partition, end, self._feeder(partition))
                self.editions.again(evaluation)
                if evaluation.unowned is not UNSET:
                    self.evaluator.owners(evaluation.unowned)
                last = [*switched, *self._decide()]
                if progress is not None:
                    progress(done + 1, len(history))
        finally:
            ahead.close()
        return last

    def _resume(self) -> None:
        """Go on from the newest checkpoint that can be used, or from the beginning. Raises LedgerError when records that
        were counted are gone, or when the configuration is another one."""
        for resumed in self._checkpoints.find():
            self.editions.need(resumed.evaluation)
            self._same_config(resumed.evaluation)
            self.models.need(roster_in(resumed.saved.evaluator))
            try:
                saved = resumed.saved
                restore(self.evaluator, saved.evaluator, *self._rules.book(saved.rules), saved.editions, saved.gone_by)
            except (FormatError, ValueError, KeyError, TypeError) as error:
                _logger.warning("%s cannot be used: it is of another version of Driftline (%s)", resumed.where, error)
                self._begin_anew()
                continue
            if self.evaluator.digest != resumed.evaluation.digest:
                _logger.warning("%s cannot be used: it is not what was decided there", resumed.where)
                self._begin_anew()
                continue
            self.writer.follower, self.followers = resumed.evals, resumed.followers
            generation = resumed.saved.generation
            in_force = resumed.saved.rules, None if generation is UNSET else generation
            self._rules = self._new_rules(*in_force)
            self.rejected = resumed.saved.rejected
            self.settled, self._to_the_end = resumed.evaluation.settled, not resumed.overtaken
            _logger.info("evaluator: goes on from %s", resumed.where)
            self._observe(self.evaluator.as_it_stands())
            break
        else:
            self._checkpoints.refuse_without_beginning()
            self.editions.begin(begun(self._log, self._topics))
        self._checkpoints.begun_at(self.followers)

    def _begin_anew(self) -> None:
        self.evaluator = self._new_evaluator()
        self.models, self.editions, self._rules = self._new_models(), self._new_editions(), self._new_rules()

    def _new_editions(self) -> EditionInForce:
        log, topic = self._log, self._topics.configs
        return EditionInForce(log, self._appender, topic, self._clock, self.evaluator, self._namespace)

    def _new_models(self) -> ModelsInForce:
        return ModelsInForce(self._log, self._appender, self._topics.configs, self._by, self.evaluator)

    def _new_rules(self, digest: str = "", generation: Generation | None = None) -> RulesInForce:
        return RulesInForce(self._log, self._known.config, self._plan, self.evaluator, digest, generation)

    def _checkpoint(self) -> None:
        """Save what is decided, when it is time to. Only where everything read is in the last commit."""
        evaluation = self.writer.follower.state.evaluation
        if evaluation is None or not self._checkpoints.due(self.followers):
            return
        if evaluation.ledger == tuple(follower.next_offset for follower in self.followers):
            evals, rejected = self.writer.follower, self.rejected
            self._checkpoints.write(evals, self.followers, self.evaluator, self._rules, rejected)

    def _same_config(self, evaluation: EvalCommit) -> None:
        if evaluation.config != self._plan.config_digest:
            differing = what_differs(self._log, self._known.config)
            raise LedgerError(
                f"namespace {self._namespace!r} was evaluated under configuration {evaluation.config[:19]}, this one is "
                f"{self._plan.config_digest[:19]}. What a row means was changed by: {differing}",
                ANOTHER_MEANING,
            )

    def _recognise(self, evaluation: EvalCommit) -> None:
        self._same_config(evaluation)
        if evaluation.digest != self.evaluator.digest:
            raise LedgerError(
                f"deciding again what namespace {self._namespace!r} had decided up to evaluation "
                f"{evaluation.sequence} gives something else",
                "The ledger lost records, or this is another version of Driftline. Choose another `namespace`, or go back "
                "to the version that wrote it.",
            )
        self.settled = evaluation.settled

    # -- living --------------------------------------------------------------------------------------------------

    def step(self) -> Sequence[TickOutput]:
        """Read what is new in the ledger, close ticks, commit, publish. Raises LostOwnership, OlderRoster or UnknownOutcome."""
        began_ms = self._clock.monotonic_ms()
        outputs = self._step()
        self._stride.took(self._clock.monotonic_ms() - began_ms)
        return outputs

    def _step(self) -> Sequence[TickOutput]:
        if self._learnt and not self.settled:
            self._go_on_with_own()
        if not self.settled and (self.models.begin() or self._may_go_over()):
            self._commit(finished=False)
        try:
            read = poll_followers(self.reader, self.followers, self._on_record, wait_ms=0, most=self._stride.most)
        except OffsetLost as lost:  # trimmed while this process slept: another evaluator has gone on
            raise LostOwnership(self._topics.evals, 0, Verdict.NOT_OWNER) from lost
        if self.settled:
            return ()
        outputs = list(self._decide()) if read or self._look_for_owners() else []
        if outputs:
            self._commit(finished=False)
            publish(self._appender, self._topics, self.writer.chain, outputs)
            self._checkpoint()
        if self.evaluator.ended:
            # A record of its own: who reads it knows that everything is published, and may leave.
            self._commit(finished=True)
            self.settled = True
        return outputs

    def _may_go_over(self) -> bool:
        return self.editions.look(self.followers, self._known.config.state.upgrade_after_ms)

    def _new_owners(self) -> Owners:
        return Owners(self._log, self._sources, len(self.followers), self._clock)

    def _look_for_owners(self) -> bool:
        """Whether it is decided anew which partitions have no owner; at the end of the ledger only, so that nobody is
        missed who is merely not read yet."""
        before = self.evaluator.unowned
        unowned = self._owners.unowned(before, self.followers)
        if unowned == before:
            return False
        self._unowned = Unowned(tuple(sorted(unowned)), self._clock.now_ms())
        self.evaluator.owners(self._unowned)
        return True

    def take_unplaced(self) -> int:
        """Windows that were final already when records came for them, since the last call; what was so before this
        evaluator opened was told by the one who decided it."""
        unplaced = sum(engine.unplaced for engine in self.evaluator.engines.values())
        new, self._unplaced = unplaced - self._unplaced, unplaced
        if new:
            _logger.warning(
                "evaluator: %d windows were final when records came for them, after a partition was idle or quiet; they "
                "stay as they are. A longer time.idle_after waits longer.",
                new,
            )
        return new

    def _commit(self, *, finished: bool) -> None:
        ticks = self.evaluator.next_ticks()
        chain = self.writer.chain
        evaluation = EvalCommit(
            format=FORMAT,
            epoch=chain.epoch,
            owner=chain.owner,
            sequence=chain.sequence + 1,
            previous=chain.previous,
            ledger=tuple(f.next_offset for f in self.followers),
            input_tick=ticks[0],
            performance_tick=ticks[1],
            published=self.evaluator.published,
            digest=self.evaluator.digest,
            config=self._plan.config_digest,
            rules=self._rules.digest,
            settled=finished,
            unowned=self._unowned,
        )
        new = self._generation
        evaluation = self.models.recording(evaluation, new, self._windows_from_ms)
        evaluation = self.editions.recording(evaluation)
        self.writer.append(evaluation)
        self._rules.recorded(evaluation)
        if new is not None:
            self._remember_generation(new)
        self.models.recorded()
        self.editions.recorded()
        self._unowned, self._generation, self._windows_from_ms = UNSET, None, None

    # -- rules -----------------------------------------------------------------------------------------------------

    def use(self, known: Known) -> None:
        """The worker's configuration changed: its rules hold from the next step on, unless a later one holds."""
        self._known, self._learnt = known, True
        self._rules.use(known.config)

    @property
    def generation(self) -> Generation | None:
        """Which configuration is in force; None where none was recorded."""
        return self._rules.generation

    @property
    def behind(self) -> bool:
        """Whether other rules than those of the worker's own configuration are in force."""
        return self._rules.digest not in ("", self._rules.own)

    @property
    def waiting(self) -> tuple[str, str]:
        """Which models wait for owners of partitions, and which edition; empty where none does."""
        return self.models.waiting, self.editions.waiting

    def _go_on_with_own(self) -> None:
        """Go on with the rules of the own configuration, and say so, unless what is in force was decided by somebody who
        knew his later. Where the rules stay, the generation goes into whatever is recorded next."""
        rules, begun = self._rules, self.writer.follower.state.evaluation is not None
        self._learnt = False
        if not begun and rules.digest:
            rules.begin_with_own()
        same = rules.digest in ("", rules.own)
        new = successor(self._known, rules.generation, same=same, begun=begun)
        if new is None and not same:
            _logger.warning(
                "evaluator: this worker's configuration is older than generation %d, which holds; it is followed until "
                "the files of this worker change",
                rules.generation.number if rules.generation else 0,
            )
            return
        self._generation = new
        keep_document(self._log, self._appender, self._known.config)
        others = new is not None and self.models.follow(self._known.config, new.number)
        from_ms = self._windows_from_ms = rules.pane_of_change()
        switched = list(self._with_rules(rules.own, from_ms))
        if switched or others:
            self._commit(finished=self.settled)
            publish(self._appender, self._topics, self.writer.chain, switched)

    def _with_rules(self, digest: str, from_ms: int | None) -> Iterator[TickOutput]:
        """Go on with the rules of another configuration, unless these are the ones in force, and with its windows from
        there on."""
        for output in self._rules.go_on_with(digest, from_ms):
            self._observe(output)
            yield output

    def _remember_generation(self, generation: Generation) -> None:
        """Keep which generation it is for people, where it is not kept already."""
        rules = self._rules
        since = rules.windows_from_ms, rules.roster
        record = GenerationRecord.of(generation, rules.digest, self._plan.config_digest, *since)
        keep(self._log, self._appender, self._topics.configs, record.key, encode(record))

    def _decide(self) -> Iterator[TickOutput]:
        for output in self.evaluator.close():
            self._observe(output)
            yield output

    def _on_record(self, follower: Follower, stored: Stored, verdict: Verdict) -> None:
        self._feeder(follower.partition)(stored, verdict)

    def _feeder(self, partition: int) -> Callable[[Stored, Verdict], None]:
        def feed(stored: Stored, verdict: Verdict) -> None:
            if verdict is not Verdict.ACCEPTED:
                self.rejected += 1
                return
            self._owners.heard(partition)
            if isinstance(stored.record, Commit):
                self.models.can_count(partition, stored.record)
            if isinstance(stored.record, (Commit, Gap)):
                self.evaluator.feed(partition, stored.record)

        return feed

    def close(self) -> None:
        """Stop reading. Nothing is lost: the next evaluator goes on from `evals`."""
        self.reader.close()
