"""Which models an evaluator counts windows of: as `evals` recorded it, as its own configuration would have it.

    own configuration -> announced (owners take it over) -> begun, at the first pane after all of them

Both steps are decisions of the evaluator, recorded with the roster that holds from there on; whoever decides again takes
the recorded one. Owners read a copy of it from the topic of configurations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import UNSET

from monitor.config import Config
from monitor.daemon import counted
from monitor.daemon.begun import keep_document, keep_references
from monitor.daemon.counted import Counted, OlderRoster
from monitor.daemon.tail import Follower, Stored
from monitor.evaluator import Evaluator
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.ledger.evaluated import models_of, roster_of, switch_of
from monitor.ledger.fold import Verdict
from monitor.ledger.records import Commit, EvalCommit, Generation
from monitor.ledger.roster import Roster
from monitor.ports import Appender, Log

_log = logging.getLogger("driftline.evaluator")


class ModelsInForce:
    """The roster of an evaluator."""

    def __init__(self, log: Log, appender: Appender, topic: str, by: Counted, evaluator: Evaluator) -> None:
        """`topic`: of configurations, where a copy is kept; `by`: what this process can count."""
        self._log, self._appender, self._topic = log, appender, topic
        self._by, self._evaluator, self._announced = by, evaluator, False
        self._to_record: Roster | None = None
        if by.in_hindsight:
            evaluator.list_models(by.roster)

    def use(self, by: Counted) -> None:
        """Go on with what its process counts by now, of the same senses."""
        self._by = by

    @property
    def roster(self) -> Roster:
        """What holds."""
        return self._by.roster if self._evaluator.roster is None else self._evaluator.roster

    @property
    def waiting(self) -> str:
        """Which models wait, and for which partitions; empty where none does."""
        roster, adopted = self.roster, self._evaluator.adopted
        waits = [one for one in roster.models if one.waits]
        behind = [partition for partition, one in enumerate(adopted) if one.number < roster.number]
        return (
            f"models {counted.named(waits)} wait for partitions {behind}, whose owners do not count them yet"
            if waits
            else ""
        )

    def again(self, evaluation: EvalCommit) -> None:
        """Take what an evaluation recorded, before what it was given is fed."""
        if (roster := roster_of(evaluation)) is not None:
            self._evaluator.list_models(roster)

    def need(self, *rosters: Roster | None) -> None:
        """Raise OlderRoster when this process cannot count one of these: its copy is kept then, and may be read."""
        for roster in rosters:
            if roster is not None and roster.number > self._by.roster.number:
                counted.remember(self._log, self._appender, self._topic, roster)
                raise OlderRoster("the evaluator", roster.number, self._by.roster.number)

    def can_count(self, partition: int, commit: Commit) -> None:
        """Raise OlderRoster for rows that were counted by models which this process does not know yet: their owner has read a
        roster that was announced while this process slept, or by it, just now. One that says only where models begin and end is
        no obstacle to who announced it."""
        held, ours = self.roster, self._by.roster
        theirs = 0 if commit.rosters is UNSET else commit.rosters[-1].number
        if theirs > ours.number and not (theirs <= held.number and held.senses == ours.senses):
            raise OlderRoster(f"partition {partition}", theirs, ours.number)

    def look_ahead(self, evals: Follower, need: Callable[[EvalCommit], None]) -> None:
        """Fold `evals` to its end. Raises OlderRoster as `need` does; `need` looks at every evaluation."""
        named: list[Roster | None] = []

        def look(stored: Stored, verdict: Verdict) -> None:
            if verdict is Verdict.ACCEPTED and isinstance(stored.record, EvalCommit):
                need(stored.record)
                named.append(roster_of(stored.record))

        evals.catch_up(self._log, self._log.end_offsets(evals.topic)[evals.partition], look)
        self.need(*named)

    def follow(self, config: Config, number: int) -> bool:
        """Whether a configuration that comes into force, as generation `number`, has other models or senses of them: then they
        are announced."""
        held, evaluator = self.roster, self._evaluator
        if self._by.in_hindsight:
            return False
        at_ms = self._next_pane_ms
        wanted = counted.listed(config, config, self._by.first)
        number = max(number, held.number + 1)  # one that a sense took when it began is not taken again
        roster = held.followed_by(number, wanted, at_ms, evaluator.schedule.ends_ms(at_ms))
        if roster is None:
            return False
        keep_document(self._log, self._appender, self._by.source)  # nobody may have kept it who evaluated
        keep_references(self._log, self._appender, self._by.config)  # an earlier version kept no large ones
        self._take(roster)
        self._announced = True
        there = {one.name for one in held.listed}
        come = [one for one in roster.models if one.entered == number]
        gone = [one for one in roster.models if one.left == number and one.name not in {each.name for each in come}]
        if added := [one for one in come if one.name not in there]:
            _log.info("models %s are added: their windows begin when every partition counts them", counted.named(added))
        if changed := [one for one in come if one.name in there]:
            said = (
                "models %s mean something else: they go on as they were until every partition counts what they mean now"
            )
            _log.info(said, counted.named(changed))
        if gone:
            _log.info("models %s are taken out: no window of theirs begins any more", counted.named(gone))
        return True

    def begin(self) -> bool:
        """Whether models that waited may begin: then they do, at the pane that is recorded next."""
        from_ms = self._may_begin_ms()
        if from_ms is None or self.roster.number > self._by.roster.number:
            return False
        waited, number = [one for one in self.roster.models if one.waits], self.roster.number
        self._take(self.roster.begun(from_ms, self._evaluator.schedule.ends_ms(from_ms)))
        self._announced = self.roster.number > number
        _log.info("models %s are counted by every partition: their windows begin at %d", counted.named(waited), from_ms)
        return True

    def _may_begin_ms(self) -> int | None:
        """Where windows of the models that wait may start: at the first pane after everything that any owner read without
        counting it by this roster. None while none waits, or one does not have it."""
        evaluator, roster = self._evaluator, self.roster
        if self._by.in_hindsight or not roster.waits or any(one.number < roster.number for one in evaluator.adopted):
            return None
        pane_ms, newest_ms = self._by.plan.pane_ms, max(one.newest_ms for one in evaluator.adopted)
        from_ms = max(self._next_pane_ms, (newest_ms // pane_ms + 1) * pane_ms if newest_ms > NEVER else 0)
        # What was counted already, of a model that is to mean something else, may lie ahead of the clocks: as what it means until
        # then, or as what it meant when it was taken out, by an owner who had not read that it was.
        waits = {(one.name, one.section) for one in roster.models if one.waits}
        changes = any(one.name == name and one.section != section for one in roster.models for name, section in waits)
        return max(from_ms, evaluator.next_pane_ms) if changes else from_ms

    @property
    def _next_pane_ms(self) -> int:
        """Start of the first pane after all clocks, and after every tick that is closed. What was fed and lies further ahead
        waits for its tick, and is then counted, or not, as the roster has it."""
        plan, evaluator = self._by.plan, self._evaluator
        ended_ms = max(evaluator.next_ticks()) * plan.join.tick_ms - 1
        clocks = [clock.prediction_ms for clock in evaluator.clocks if clock.prediction_ms < FOREVER]
        newest_ms = max([*clocks, ended_ms])
        return max(0, (newest_ms // plan.pane_ms + 1) * plan.pane_ms)

    def _take(self, roster: Roster) -> None:
        self._evaluator.list_models(roster)
        self._to_record = roster

    def recording(
        self, evaluation: EvalCommit, generation: Generation | None, windows_from_ms: int | None
    ) -> EvalCommit:
        """The evaluation with what it is to say of a generation, and of models."""
        roster = self._to_record
        if generation is not None:
            return switch_of(evaluation, generation, windows_from_ms, UNSET if roster is None else roster)
        return evaluation if roster is None else models_of(evaluation, roster)

    def recorded(self) -> None:
        """What was to be recorded is: owners and people may know."""
        if self._to_record is not None:
            self._to_record = None
            self.remember()

    def remember(self) -> None:
        """Keep a copy of what holds, where it changed and is not kept already."""
        if self._evaluator.roster is not None:
            counted.remember(self._log, self._appender, self._topic, self._evaluator.roster)

    def take_announced(self) -> bool:
        """Whether owners are to count otherwise than when it was last asked."""
        announced, self._announced = self._announced, False
        return announced
