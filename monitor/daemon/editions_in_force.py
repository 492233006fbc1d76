"""Which edition a namespace goes by: as `evals` recorded it, and when it goes over to the next (`monitor.editions`).

    all owners know it -> announced -> every owner counts by it -> windows of it begin, at the first pane after all that

Until it is announced, every record is one that earlier versions read and go on after: workers of both may share the partitions
and hand the evaluator to each other, and one may go back to the earlier version. It is announced when all partitions have been
with workers that know it, and changed hands no more, for `state.upgrade_after`. From the first commit that is counted by it
an earlier version refuses the partition, and from the first evaluation the evaluator's lease, by name and with advice.

The pane where it begins is a recorded decision; whoever decides again takes the recorded one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from msgspec import UNSET

from monitor.daemon.begun import keep, kept
from monitor.daemon.tail import Follower
from monitor.editions import Edition, known_to, number_of, refuse_newer
from monitor.errors import LedgerError
from monitor.evaluator import Evaluator
from monitor.ledger import announcements
from monitor.ledger.announcements import Announcement
from monitor.ledger.evaluated import by_edition, edition_named
from monitor.ledger.fold import FoldState
from monitor.ledger.records import EvalCommit, EvalEdition, Genesis
from monitor.ports import Appender, Log, WallClock

_log = logging.getLogger("driftline.evaluator")


class EditionInForce:
    """The edition of an evaluator."""

    def __init__(
        self, log: Log, appender: Appender, topic: str, clock: WallClock, evaluator: Evaluator, namespace: str
    ) -> None:
        """`topic`: of configurations, where editions are announced."""
        self._log, self._appender, self._topic, self._clock = log, appender, topic, clock
        self._evaluator, self._namespace = evaluator, namespace
        self._announced: int | None = None
        self._is_news = False
        self._owners: tuple[int, ...] = ()
        self._since_ms = clock.monotonic_ms()
        self._from_ms: int | None = None

    # -- as it was recorded --------------------------------------------------------------------------------------

    def need(self, *evaluations: EvalCommit) -> None:
        """Raise NewerVersion where one of these was decided by an edition that this process does not know."""
        known = self._evaluator.editions.known
        for one in evaluations:
            edition_of(one, known, self._namespace)

    def begin(self, genesis: Genesis | None) -> None:
        """Nothing was decided: go by what the namespace was begun with."""
        begin_with(self._evaluator, genesis, self._namespace)

    def again(self, evaluation: EvalCommit) -> None:
        """Take what an evaluation recorded, when what it was given is fed."""
        follow(self._evaluator, evaluation, self._namespace)

    # -- going over ----------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> str:
        """Which edition is announced and does not hold yet; empty where none is."""
        announced = self._announced or 0
        if announced <= self._evaluator.editions.number:
            return ""
        return f"edition {announced} waits until every partition counts by it"

    def look(self, followers: Sequence[Follower], after_ms: int) -> bool:
        """Announce an edition that all owners have known for `after_ms`. Whether one begins now, at the pane that is recorded
        next: then everything that was read is to be recorded with it."""
        editions = self._evaluator.editions
        if editions.known == editions.number:
            return False
        if self._announced is None:
            self._announced = announcements.newest(kept(self._log, self._topic), self._topic)
        states = [follower.state for follower in followers]
        if self._announced <= editions.number:
            self._announce(states, after_ms)
        elif self._announced <= editions.known and all(_counts_by(state, self._announced) for state in states):
            self._from_ms = self._evaluator.next_pane_ms
            self._evaluator.go_over(self._announced, self._from_ms)
            _log.info("edition %d: windows that start at %d ms or later are of it", self._announced, self._from_ms)
            return True
        return False

    def _announce(self, states: Sequence[FoldState], after_ms: int) -> None:
        owners, now = tuple(state.epoch for state in states), self._clock.monotonic_ms()
        if owners != self._owners:
            self._owners, self._since_ms = owners, now
        editions = self._evaluator.editions
        number = min([editions.known, *(known_to(state.owner) for state in states)])
        edition = Edition.of(number)
        if number <= editions.number or edition is UNSET or now - self._since_ms < after_ms:
            return
        record = Announcement(announcements.FORMAT, edition, self._clock.now_ms())
        keep(self._log, self._appender, self._topic, record.key, announcements.encode(record))
        self._announced, self._is_news = number, True
        _log.info(
            "edition %d is announced: all owners of partitions know it. Versions before %s cannot go on with namespace %r from "
            "here on",
            number,
            edition.release,
            self._namespace,
        )

    def take_announced(self) -> bool:
        """Whether one was announced since it was last asked."""
        news, self._is_news = self._is_news, False
        return news

    def recording(self, evaluation: EvalCommit) -> EvalCommit:
        """The evaluation with the edition that it was decided by, and where that begins if it does now."""
        edition = Edition.of(self._evaluator.editions.number)
        return evaluation if edition is UNSET else by_edition(evaluation, edition, self._from_ms)

    def recorded(self) -> None:
        """What was to be recorded is."""
        self._from_ms = None


def edition_of(evaluation: EvalCommit, known: int, namespace: str) -> int:
    """The number of the edition that an evaluation was decided by. Raises NewerVersion for one after `known`."""
    return refuse_newer(edition_named(evaluation), known, f"namespace {namespace!r}, evaluation {evaluation.sequence},")


def begin_with(evaluator: Evaluator, genesis: Genesis | None, namespace: str) -> None:
    """Make an evaluator that was fed nothing go by what a namespace was begun with. Raises NewerVersion where it is not known."""
    if genesis is not None:
        evaluator.begin_with_edition(
            refuse_newer(genesis.edition, evaluator.editions.known, f"namespace {namespace!r}")
        )


def _counts_by(state: FoldState, number: int) -> bool:
    """Whether the owner of a partition counts by an edition: its last commit says so, or it takes nothing more."""
    last = state.commit or state.genesis
    return state.ended or (last is not None and number_of(last.edition) >= number)


def follow(evaluator: Evaluator, evaluation: EvalCommit, namespace: str) -> None:
    """Make an evaluator go by the edition that an evaluation was decided by, when what it was given is fed and before ticks are
    closed. Raises NewerVersion where it is not known, LedgerError where it does not follow from the ones before."""
    editions = evaluator.editions
    number = edition_of(evaluation, editions.known, namespace)
    if number == editions.number:
        return
    if not isinstance(evaluation, EvalEdition) or evaluation.edition_from_ms is UNSET or number < editions.number:
        raise LedgerError(
            f"evaluation {evaluation.sequence} was decided by edition {number}, those before it by {editions.number}, and it "
            "does not say where that begins",
            "Something else wrote to this topic.",
        )
    evaluator.go_over(number, evaluation.edition_from_ms)
