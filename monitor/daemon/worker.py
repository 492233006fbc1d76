"""The worker: one process's share of the work, in one loop.

    leases -> open and drop tasks -> read -> feed -> commit -> evaluate -> tell

Everything happens in this loop, one thing at a time: no locks, and a crash at any point leaves only what the logs hold.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from monitor.config.types import Config
from monitor.daemon.balance import refuse_imbalance
from monitor.daemon.capacity import Capacity
from monitor.daemon.contact import Contact
from monitor.daemon.counted import Counted, OlderRoster, alone
from monitor.daemon.dead_letter_office import DeadLetterOffice, Post
from monitor.daemon.ends import refuse_to_go_on, settled_everywhere, tell_of_later_records
from monitor.daemon.feeds import Feeds
from monitor.daemon.flags import flags_to_commit
from monitor.daemon.generations import Known
from monitor.daemon.intake import Intake, intake_of
from monitor.daemon.judge import Judge
from monitor.daemon.opening import JudgeLeases, opened
from monitor.daemon.recovery import Recovery
from monitor.daemon.reload import Reloads
from monitor.daemon.roster_watch import LOOK_EVERY_MS, Rosters, goes_on
from monitor.daemon.shared import make_shared
from monitor.daemon.silence import Silence
from monitor.daemon.sources import Sources, SourceWatch, source_topics
from monitor.daemon.statistics import Statistics
from monitor.daemon.task import Task, tell_of_opening
from monitor.daemon.timers import Every, Timers
from monitor.daemon.topics import ensure_topics
from monitor.daemon.writer import LostOwnership
from monitor.errors import LogError, LogUnreachable, UnknownOutcome
from monitor.evaluator import TickOutput
from monitor.plan import Plan
from monitor.ports import Appender, Leases, Log, SegmentStore, SnapshotStore, WallClock

_log = logging.getLogger("driftline.worker")

REOPEN_AFTER_MS = 200
IDLE_WAIT_MS = 20


@dataclass(slots=True)
class WorkerOptions:
    """How long to run: `until_end` of both topics as they are now, all settled; who `helps` stops once what it holds is read."""

    until_end: bool = False
    helps: bool = False


class _Stopped(Exception):
    """Somebody asked to stop in the middle of an opening or an evaluation: what it did not commit is done again."""


class Worker:
    """One process of a namespace. `stop` may be called from a signal handler: it only sets a flag."""

    def __init__(
        self,
        log: Log,
        config: Config,
        plan: Plan,
        clock: WallClock,
        post: Post,
        options: WorkerOptions,
        observe: Callable[[TickOutput], None] | None = None,
        tell: Callable[[Worker], None] | None = None,
        segments: SegmentStore | None = None,
        snapshots: SnapshotStore | None = None,
        reloads: Reloads | None = None,
        counted: Counted | None = None,
    ) -> None:
        """`observe` sees every closed tick of the evaluator, `tell` is called once a loop (it decides how often to act);
        `counted`: what rows are counted by where that is not `config` and `plan`."""
        self.log, self.config, self.clock = log, config, clock
        self.post, self.options, self.reloads = post, options, reloads
        self.known = Known(config, clock.now_ms())
        self._observe, self._tell = observe, tell or (lambda _: None)
        self.topics, self.tasks = config.topics(), dict[int, Task]()
        self.judge: Judge | None = None
        self._stores = segments, snapshots
        self._count_by(counted or alone(config, plan))
        self.sources: Sources
        self.statistics = Statistics()
        self.commits = self.lost = 0
        self.finished = False  # with `until_end`: everything is settled
        self.heartbeat_ms = clock.monotonic_ms()
        self.dead_letters: DeadLetterOffice
        self.recovery = Recovery(clock)
        self._intake: Intake
        self.stopping = False
        self._timers = Timers(Every(config.state.commit_interval_ms))
        self._reopen_at, self._judge_at = dict[int, int](), 0
        self.finish: list[list[int]] = []  # with `until_end`: where the sources end, by stream and partition

    def _count_by(self, by: Counted) -> None:
        self.counted, self.plan = by, by.plan
        self.shared = make_shared(by.config, by.plan, *self._stores, by.roster)
        self.capacity = Capacity(by.plan.join.max_rows, self.shared.memory)

    def stop(self) -> None:
        """Ask the loop to finish what is in hand and return."""
        self.stopping = True

    def end_when_read(self) -> None:
        """From now on, run to the ends as they are at this moment, settle everything and stop."""
        self.finish = [self.log.end_offsets(name) for name in self.sources.names]
        self.options.until_end = True

    # -- running -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until stopped, or until everything is settled. Raises LedgerError, OffsetLost or LogError."""
        gc.disable()  # the columns hold no cycles; a collection per chunk would cost a third of the throughput
        self.start()
        gc.collect()
        gc.freeze()  # modules and types stay: looking at them again in every collection takes 40 ms
        try:
            with suppress(_Stopped):
                while not self.stopping and not self._step():
                    pass
            try:
                self._commit_all(force=True)
            except UnknownOutcome as error:
                _log.warning("whoever opens next will see: %s", error)
        finally:
            self.close()
            gc.unfreeze()
            gc.enable()

    def _step(self) -> bool:
        """Whether this is done; else one turn. When the log gives no answer all is dropped, and opened when it does."""
        try:
            self.finished = self.done()
            if self.finished:
                return True
            self.turn()
        except LogUnreachable as error:
            self._unanswered(error)
            self._intake.close()
            self._intake = intake_of(self.log, self.sources.names, self.config, self.plan, self.shared)
            self.clock.sleep_ms(REOPEN_AFTER_MS)
        except LogError:
            self._watch.look(self.clock.monotonic_ms(), at_once=True)  # it knows the better reason, if it was a topic
            raise
        return False

    def start(self) -> None:
        """Look the topics up, make the internal ones, join the groups."""
        self.sources = source_topics(self.log, self.config)
        self._watch = SourceWatch(self.log, self.config.namespace, self.sources, self.clock.monotonic_ms())
        ensure_topics(self.log, self.topics, self.sources.predictions.partitions, self._watch)
        self.contact = Contact(self.log, self.sources.names)
        self._appender: Appender = self.log.appender()
        partitions = self.sources.predictions.partitions
        self.dead_letters = DeadLetterOffice(self.post, self.config, self.log, self._appender, partitions)
        self._intake = intake_of(self.log, self.sources.names, self.config, self.plan, self.shared)
        self.silence = Silence(self.log, self.sources.names, self.config.time.idle_after_ms)
        self.feeds = Feeds(self.log, self.sources.names, self.config)
        self._task_leases: Leases = self.log.leases(self.topics.tasks, f"{self.config.namespace}.tasks")
        self._judge_leases = JudgeLeases(self.log, self.topics.evals, f"{self.config.namespace}.evaluator")
        self.finish = [self.log.end_offsets(name) for name in self.sources.names]
        self.rosters = Rosters(self.log, self.topics.configs)
        _log.info("waiting for partitions; those of a process that was killed are free when its session times out")

    @property
    def joined(self) -> bool:
        """Whether the group counts this worker: owning nothing is then what the group decided."""
        return self._task_leases.joined

    def turn(self) -> None:
        """Once around: leases, reading, commits, evaluation. An append without an answer ends it: whatever would be asked
        next waits as long again, and the probes would hear of an outage minutes late."""
        try:
            self._turn()
        except UnknownOutcome as error:
            self._unanswered(error)

    def _unanswered(self, error: LogError) -> None:
        self.contact.failed(error, self.clock.monotonic_ms())
        self._tell(self)
        self._fresh_appender()

    def _turn(self) -> None:
        now = self.heartbeat_ms = self.clock.monotonic_ms()
        self._follow_roster(now)
        if self._timers.lease.due(now):
            self._follow_leases(now)
        self._watch.look(now)
        if self.reloads is not None and (known := self.reloads.look(self.known, now, self.counted)) is not None:
            self._go_on_with(known)
        fed, fed_rows = set[int](), 0
        engines = {p: task.engine for p, task in self.tasks.items() if not task.ended}
        for stream, batch in self._intake.poll(engines, IDLE_WAIT_MS):
            if batch.partition not in engines:
                continue
            task = self.tasks[batch.partition]
            if not len(batch):  # only markers of the log itself
                task.engine.skip_to(stream, batch.next_offset)
                continue
            fed.add(batch.partition)
            fed_rows += len(batch)
            self.silence.heard(batch.partition, stream, now)
            self.feeds.heard(batch.partition, stream, now)
            feed = task.engine.feed_labels if stream else task.engine.feed_predictions
            rejected = feed(batch)
            found = task.engine.take_fed()
            self.statistics.take(batch, rejected, found)
            self.dead_letters.take(batch, rejected, found.usable)
        if fed or self.capacity.full:
            self._intake.pause(self.capacity.waiting(engines, fed_rows, now))
        if self._intake.behind:
            self.recovery.took(fed_rows, self.clock.monotonic_ms() - now)
        self._commit_all(fed)
        if self.judge is not None and self._timers.evaluate.due(now):
            self._evaluate()
        if self._timers.collect.due(now):
            gc.collect()
        self._tell(self)

    def _go_on_with(self, known: Known) -> None:
        self.known, self.config = known, known.config
        self.feeds.use(known.config)
        if self.judge is not None:
            self.judge.use(known)

    def _follow_roster(self, now: int) -> None:
        """Where the models are others now, begin anew with them, as after a restart, unless what is counted stays."""
        if (newer := self.rosters.newer(self, self._appender, now)) is None or goes_on(self, newer):
            return
        self._drop_everything()
        self._intake.close()
        self._count_by(newer)
        self._intake = intake_of(self.log, self.sources.names, self.config, self.plan, self.shared)

    # -- leases --------------------------------------------------------------------------------------------------

    def _follow_leases(self, now: int) -> None:
        held = self._task_leases.poll(0)
        gone = [p for p in self.tasks if p not in held]
        for partition in gone:
            _log.info("partition %d: released", partition)
            self._drop(partition)
        opened = False
        for partition in sorted(held - self.tasks.keys()):
            if self._reopen_at.get(partition, 0) <= now and not self.stopping:
                opened = self._open(partition) or opened
        if gone or opened:
            self._intake.assign(engines := {p: task.engine for p, task in self.tasks.items() if not task.ended})
            self._intake.pause(self.capacity.waiting(engines, 0, now))  # what was full is full before anything is read
        self._follow_judge_lease()

    def _follow_judge_lease(self) -> None:
        held = self._judge_leases.held(able=self.judge is not None or not self.rosters.complaint)
        if held and self.judge is None and self._judge_at <= self.clock.monotonic_ms() and not self.stopping:
            own = self._appender, self.known, self.counted, len(self.finish[0])
            self.judge = opened(Judge(self.log, self.clock, *own, self._on_tick), lambda *_: self._keep_leases())
            self._judge_at = self.clock.monotonic_ms() + REOPEN_AFTER_MS
        elif not held and self.judge is not None:
            _log.info("evaluator: released")
            self.judge.close()
            self.judge = None

    def _open(self, partition: int) -> bool:
        task = Task(self.log, self._appender, self.config, self.shared, self.sources, partition)
        try:
            task.open(self.recovery.watch(partition, self._keep_leases))
        except (LostOwnership, OlderRoster) as error:
            unable = isinstance(error, OlderRoster) and self.rosters.complaint != ""  # which was said
            _log.log(logging.DEBUG if unable else logging.WARNING, "partition %d: %s", partition, error)
            self.lost += isinstance(error, LostOwnership)
            self._reopen_at[partition] = self.clock.monotonic_ms() + (LOOK_EVERY_MS if unable else REOPEN_AFTER_MS)
            return False
        finally:
            self.recovery.ended()
        if task.ended and not self.options.until_end:
            refuse_to_go_on(self.config.namespace, partition)
        tell_of_later_records(task.writer.follower, self.finish, self.config.namespace)
        self.tasks[partition] = task
        now, wall = self.clock.monotonic_ms(), self.clock.now_ms()
        self.silence.open(partition, now)
        self.capacity.take_over(partition, full=task.flags.full)
        self.dead_letters.take_over(partition, task.flags)
        heard = [now - max(0, wall - (at_ms or wall)) for at_ms in task.committed_ms]
        self.feeds.open(partition, heard[0], heard[1], task.flags)
        tell_of_opening(task)
        return True

    def _keep_leases(self) -> None:
        """What takes long must not cost the leases that are held, nor outlast a wish to stop."""
        if self.stopping:
            raise _Stopped
        now = self.heartbeat_ms = self.clock.monotonic_ms()
        if self._timers.lease.due(now):
            self._task_leases.poll(0)
            self._judge_leases.keep()
        self._tell(self)

    def _drop(self, partition: int) -> None:
        task = self.tasks.pop(partition, None)
        if task is not None:
            task.close()
        self.feeds.forget(partition)
        self.dead_letters.forget(partition)

    def _fresh_appender(self) -> None:
        """After an unknown outcome the producer is dropped, and with it every task and evaluator that appended by it."""
        with suppress(LogError):  # what was queued and not acknowledged is sent again by who opens next
            self._appender.close()
        self._appender = self.log.appender()
        self.dead_letters.use(self._appender)
        self._drop_everything()
        self._intake.assign({})

    def _drop_everything(self) -> None:
        for partition in list(self.tasks):
            self._drop(partition)
        if self.judge is not None:
            self.judge.close()
            self.judge = None

    # -- commits -------------------------------------------------------------------------------------------------

    def _commit_all(self, fed: Iterable[int] = (), *, force: bool = False) -> None:
        """Commit what is due: when the interval is over everything, before that those that were fed much."""
        now = self.clock.monotonic_ms()
        due = self._timers.commit.due(now, put_off=self._intake.behind) or force
        if due:
            live = {} if self.stopping else {p: t.engine for p, t in self.tasks.items() if not t.ended}
            self.feeds.look({p: engine.next_offsets for p, engine in live.items()}, now)
        try:
            for partition in list(self.tasks) if due else fed:
                task = self.tasks.get(partition)
                if task is not None and not task.ended:
                    self._commit_one(task, due, now)
        except LostOwnership as error:
            _log.warning("%s", error)
            self.lost += 1
            self._drop(error.partition)
            self._reopen_at[error.partition] = now + REOPEN_AFTER_MS
            self._intake.assign({p: task.engine for p, task in self.tasks.items() if not task.ended})

    def _commit_one(self, task: Task, due: bool, now: int) -> None:
        large = task.large(self.config.state.max_batch_rows)
        flags = flags_to_commit(self, task, now, due=due, large=large) if due or large else None
        if flags is None:
            return
        self.dead_letters.flush()
        began = self.clock.monotonic_ms()
        task.commit(flags)
        self.statistics.committed(self.clock.monotonic_ms() - began)
        self.commits += 1
        refuse_imbalance(task.partition, task.engine.conservation())

    # -- evaluation and the end ----------------------------------------------------------------------------------

    def _evaluate(self) -> None:
        assert self.judge is not None
        try:
            self.judge.step()
            self.statistics.unplaced += self.judge.take_unplaced()
        except (LostOwnership, OlderRoster) as error:
            _log.warning("evaluator: %s", error)
            self.judge.close()
            self.judge = None

    def _on_tick(self, output: TickOutput) -> None:
        """A tick closed. Who catches up closes thousands in one turn: meanwhile the leases are kept, and it is told."""
        if self._observe is not None:
            self._observe(output)
        self._keep_leases()

    def done(self) -> bool:
        """With `until_end`: everything is settled, by us or by another worker."""
        if self.options.helps or not self.options.until_end:
            return self.options.helps and bool(self.tasks) and all(task.ended for task in self.tasks.values())
        if self.judge is not None:
            return self.judge.settled
        now = self.clock.monotonic_ms()
        if not all(task.ended for task in self.tasks.values()) or not self._timers.settled.due(now):
            return False
        return settled_everywhere(self.log, self.config, self.finish, look=not self.tasks)

    def close(self) -> None:
        """Give the leases back and close every client."""
        if self.judge is not None:
            self.judge.close()
        self._intake.close()
        self._task_leases.close()
        self._judge_leases.close()
        self._appender.close()
