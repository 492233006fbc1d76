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

from monitor.alerts import cloudevents
from monitor.alerts.book import RuleBook
from monitor.alerts.budget import BudgetWatch
from monitor.alerts.operational import OperationalWatch
from monitor.config import Config, loads
from monitor.config.canonical import digest_bytes
from monitor.daemon.tail import Follower, Stored, follow_from_start, poll_followers, read_range
from monitor.daemon.writer import LedgerWriter
from monitor.errors import LedgerError
from monitor.evaluator import Evaluator, TickOutput
from monitor.ledger.fold import Verdict
from monitor.ledger.records import FORMAT, Commit, EvalCommit
from monitor.plan import Plan
from monitor.ports import Appender, Log, OutRecord
from monitor.windows import payload

_logger = logging.getLogger("driftline.evaluator")

EPOCH_HEADER = "driftline-epoch"
SEQUENCE_HEADER = "driftline-sequence"


class Judge:
    """The one evaluator of a namespace."""

    def __init__(
        self,
        log: Log,
        appender: Appender,
        config: Config,
        plan: Plan,
        partitions: int,
        observe: Callable[[TickOutput], None] | None = None,
    ) -> None:
        self._log, self._appender, self._config, self._plan = log, appender, config, plan
        self._topics = config.topics()
        self._observe = observe or (lambda _: None)
        watch = OperationalWatch(config.namespace, config.labels, partitions)
        self.evaluator = Evaluator(
            plan, config.windows, RuleBook.of(config), watch, partitions, BudgetWatch.of(config, plan)
        )
        self.followers = [follow_from_start(log, self._topics.ledger, p) for p in range(partitions)]
        self.rejected = 0
        self.settled = False
        self._unplaced = 0
        self._digest = digest_bytes(config.document().encode())
        self._rules = ""  # digest of the configuration whose rules are in force
        evals = follow_from_start(log, self._topics.evals, 0)
        self.writer = LedgerWriter(log, appender, evals, secrets.token_hex(8))
        self._reader = log.reader(keys=False, headers=False)

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Fence the others off, decide again what was decided, publish the last step once more.

        Raises LostOwnership, or LedgerError when deciding again gives something else.
        """
        self.writer.fence()
        follower = self.writer.follower
        history = list(self._history(follower.next_offset))
        last: list[TickOutput] = []
        for done, evaluation in enumerate(history):
            switched = list(self._with_rules(evaluation.rules))
            for partition, end in enumerate(evaluation.ledger):
                self.followers[partition].catch_up(self._log, end, self._feeder(partition))
            last = [*switched, *self._decide()]
            if progress is not None:
                progress(done + 1, len(history))
        if history:
            self._recognise(history[-1])
            self._publish(last)
        self._remember_config()
        switched = list(self._with_rules(self._digest))
        if switched:
            self._commit(finished=self.settled)
            self._publish(switched)
        self._reader.assign({(self._topics.ledger, p): f.next_offset for p, f in enumerate(self.followers)})

    def _history(self, end: int) -> Iterator[EvalCommit]:
        check = follow_from_start(self._log, self._topics.evals, 0)
        for stored in read_range(self._log, self._topics.evals, 0, check.next_offset, end):
            if check.apply(stored) is Verdict.ACCEPTED and isinstance(stored.record, EvalCommit):
                yield stored.record

    def _recognise(self, evaluation: EvalCommit) -> None:
        if evaluation.config != self._plan.config_digest:
            raise LedgerError(
                f"namespace {self._config.namespace!r} was evaluated under configuration {evaluation.config[:19]}, this one is "
                f"{self._plan.config_digest[:19]}: what a row means (streams, time, models, windows or a reference) was "
                "changed",
                "Rules, labels and sinks may change freely; for anything else choose another `namespace`.",
            )
        if evaluation.digest != self.evaluator.digest:
            raise LedgerError(
                f"deciding again what namespace {self._config.namespace!r} had decided up to evaluation "
                f"{evaluation.sequence} gives something else",
                "The ledger lost records, or this is another version of Driftline. Choose another `namespace`, or go back "
                "to the version that wrote it.",
            )
        self.settled = evaluation.settled

    # -- living --------------------------------------------------------------------------------------------------

    def step(self) -> Sequence[TickOutput]:
        """Read what is new in the ledger, close ticks, commit, publish. Raises LostOwnership or UnknownOutcome."""
        read = poll_followers(self._reader, self.followers, self._on_record, wait_ms=0)
        if self.settled:
            return ()
        outputs = list(self._decide()) if read else []
        self._tell_of_unplaced()
        if outputs:
            self._commit(finished=False)
            self._publish(outputs)
        if self.evaluator.ended:
            # A record of its own: who reads it knows that everything is published, and may leave.
            self._commit(finished=True)
            self.settled = True
        return outputs

    def _tell_of_unplaced(self) -> None:
        unplaced = sum(engine.unplaced for engine in self.evaluator.engines.values())
        if unplaced > self._unplaced:
            _logger.warning(
                "evaluator: %d windows were final when records came for them, after a partition was idle or quiet; they "
                "stay as they are. A longer time.idle_after waits longer.",
                unplaced - self._unplaced,
            )
            self._unplaced = unplaced

    def _commit(self, *, finished: bool) -> None:
        ticks = self.evaluator.next_ticks()
        chain = self.writer.chain
        self.writer.append(
            EvalCommit(
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
                rules=self._rules,
                settled=finished,
            )
        )

    # -- rules -----------------------------------------------------------------------------------------------------

    def _with_rules(self, digest: str) -> Iterator[TickOutput]:
        """Go on with the rules of another configuration, unless these are the ones in force."""
        if not self._rules:
            self.evaluator.switch(*self._book(digest))  # nothing was decided yet
            self._rules = digest
        elif digest != self._rules:
            output = self.evaluator.switch(*self._book(digest))
            self._rules = digest
            self._observe(output)
            yield output

    def _book(self, digest: str) -> tuple[RuleBook, BudgetWatch]:
        if digest == self._digest:
            return RuleBook.of(self._config), BudgetWatch.of(self._config, self._plan)
        document = self._documents().get(digest.encode())
        if document is None:
            raise LedgerError(
                f"the configuration {digest} that namespace {self._config.namespace!r} was evaluated under is not in "
                f"topic {self._topics.configs!r}",
                "Choose another `namespace`.",
            )
        config = loads(document.decode(), require_references=False)
        return RuleBook.of(config), BudgetWatch.of(config, self._plan)

    def _documents(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        topic = self._topics.configs
        reader = self._log.reader(headers=False)
        try:
            position, end = self._log.begin_offsets(topic)[0], self._log.end_offsets(topic)[0]
            reader.assign({(topic, 0): position})
            while position < end:
                for batch in reader.poll(1_000, 200):
                    assert batch.keys is not None
                    pairs = zip(batch.keys, batch.values, strict=True)
                    found.update((key, value) for key, value in pairs if key is not None and value is not None)
                    position = batch.next_offset
        finally:
            reader.close()
        return found

    def _remember_config(self) -> None:
        """Keep the document of this configuration by its digest, so that what it decided can be decided again."""
        if self._digest.encode() not in self._documents():
            record = OutRecord(self._config.document().encode(), self._digest.encode())
            self._appender.append(self._topics.configs, 0, record)

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
            elif isinstance(stored.record, Commit):
                self.evaluator.feed(partition, stored.record)

        return feed

    def _publish(self, outputs: Sequence[TickOutput]) -> None:
        chain = self.writer.chain
        ours = [(EPOCH_HEADER, b"%d" % chain.epoch), (SEQUENCE_HEADER, b"%d" % chain.sequence)]
        for output in outputs:
            for view, value in zip(output.windows, output.payloads, strict=True):
                key = payload.topic_key(view.key, view.kind)
                record = OutRecord(value, key, [*payload.headers(view), *ours])
                self._appender.send(self._topics.windows, record)
            for gone in output.vanished:
                self._appender.send(self._topics.windows, OutRecord(None, payload.topic_key(gone, output.kind), ours))
            for event in output.events:
                for topic, record in cloudevents.records(event, self._topics.alerts, self._topics.alerts_state, ours):
                    self._appender.send(topic, record)
        self._appender.flush(10_000)

    def close(self) -> None:
        """Stop reading. Nothing is lost: the next evaluator goes on from `evals`."""
        self._reader.close()
