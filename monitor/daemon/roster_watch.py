"""Whether the models that the namespace counts are others than those that this worker counts."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from monitor.config import Config
from monitor.daemon.begun import kept
from monitor.daemon.counted import Counted, answers_otherwise, counted, newest
from monitor.daemon.genesis import begin
from monitor.daemon.timers import Every
from monitor.editions import FIRST, LASTING, number_of
from monitor.errors import LedgerError, ReferenceProfileError
from monitor.ledger import announcements
from monitor.ledger.records import Genesis
from monitor.ledger.roster import Roster
from monitor.plan import plan_of
from monitor.ports import Appender, Log

if TYPE_CHECKING:
    from monitor.daemon.worker import Worker

_log = logging.getLogger("driftline.config")

LOOK_EVERY_MS = 1_000
"""How often it is asked whether the topic of configurations has grown."""


class Rosters:
    """The topic of configurations, looked at where it has grown."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log, self._topic = log, topic
        self._every = Every(LOOK_EVERY_MS)
        self._end = -1
        self._config: Config | None = None
        self._begun = False
        self.edition = FIRST
        """The newest that is announced."""
        self.complaint = ""
        """Why this worker cannot count the models that the namespace counts; empty while it can."""

    def newer(self, worker: Worker, appender: Appender, now_ms: int) -> Counted | None:
        """What a worker is to count by from here on; None where that stays. The first time a namespace is begun that nobody
        has begun yet."""
        if not self._begun:
            # By another one, where it is begun otherwise: while this one started.
            genesis, found = begin(self._log, appender, worker.sources, worker.counted), None
            if genesis is not None and _begun_otherwise(genesis, worker):
                found = self._as_begun(worker.config)
            self._begun = True  # now, and not before the log has answered: who has not read it asks again
            if found is not None:
                return found
        judge = worker.judge
        announced = judge is not None and (judge.models.take_announced() or judge.editions.take_announced())
        if not (self._every.due(now_ms) or announced):
            return None
        config, by = worker.config, worker.counted
        end = self._log.end_offsets(self._topic)[0]
        if end == self._end and config is self._config:  # nothing that was in the way can have gone
            self._adopt(worker)
            return None
        there = kept(self._log, self._topic)
        roster, self.edition = newest(there, self._topic), announcements.newest(there, self._topic)
        self._adopt(worker)
        found, complaint = None, ""
        if roster is not None and roster.number > by.roster.number:
            found, complaint = self._counted(config, roster)
        self._end, self._config = (
            end,
            config,
        )  # now, and not before the log has answered: who has not read it asks again
        if complaint and complaint != self.complaint:
            _log.error(
                "the models of the namespace have changed, and this worker goes on with the ones before: %s", complaint
            )
        if found is not None and roster is not None:
            _log.info("the models of the namespace have changed: partitions go on with roster %d", roster.number)
        if found is not None or complaint:
            self.complaint = complaint
        return found

    def _as_begun(self, config: Config) -> Counted | None:
        """What a worker with this configuration counts in a namespace that another one has begun; None where it cannot, which is
        refused by name when a partition is opened."""
        try:
            return counted(self._log, config, plan_of(config))
        except (LedgerError, ReferenceProfileError) as error:
            self.complaint = str(error)
            _log.error("this worker cannot count what the namespace counts: %s", error)
            return None

    def _adopt(self, worker: Worker) -> None:
        """Have every partition count by the edition that is announced."""
        for task in worker.tasks.values():
            task.adopt(self.edition)

    def _counted(self, config: Config, roster: Roster) -> tuple[Counted | None, str]:
        """What a worker with this configuration counts by the roster; else why it cannot."""
        try:
            found = counted(self._log, config, plan_of(config))
            if found.roster.number < roster.number:
                raise LedgerError(
                    f"the configuration of this worker says otherwise what its models answer{_which(self._log, config)}",
                    "Give it the newest one.",
                )
        except (LedgerError, ReferenceProfileError) as error:
            return None, str(error)
        return found, ""


def _begun_otherwise(genesis: Genesis, worker: Worker) -> bool:
    """Whether a namespace that somebody began while a worker started is counted otherwise than the worker would have begun it."""
    by_file = number_of(genesis.edition) < LASTING
    return genesis.config != worker.plan.config_digest or by_file is not worker.counted.config.by_file


def goes_on(worker: Worker, newer: Counted) -> bool:
    """Whether a worker could go on with what it counts, in other places: a later roster whose senses are those that it counts
    says only where some begin and others end. Nothing has to be read again for that; each task says so in its next commit."""
    ours, theirs = worker.counted.roster, newer.roster
    if (
        theirs.number <= ours.number
        or theirs.senses != ours.senses
        or newer.plan.config_digest != worker.plan.config_digest
    ):
        return False
    worker.counted = replace(worker.counted, roster=theirs)
    worker.shared.roster = theirs
    worker.shared.coder.use(theirs)
    for task in worker.tasks.values():
        task.take_roster_over()
    if worker.judge is not None:
        worker.judge.models.use(worker.counted)
    return True


def _which(log: Log, config: Config) -> str:
    names = answers_otherwise(log, config)
    return f": {', '.join(map(repr, names))}" if names else ""
