"""The runs in a store: read, admitted, claimed, and what people do to them. Over the port; time comes in as an argument."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pipelines import codec
from pipelines.errors import NotFound, Refused, StoreError
from pipelines.journal import (
    Approved,
    Cancel,
    Declined,
    Record,
    RunView,
    Verdict,
    decode_record,
    fold,
    journal_log,
    record_format,
)
from pipelines.log import append, read_log
from pipelines.policy import Policy
from pipelines.ports import Store
from pipelines.runs import Admission, RunSummary, admissions_log, decode_admission, encode_admission, format_of
from pipelines.states import State, cancellable
from pipelines.trigger import Plan

RACES_MAX: Final = 10_000
"""Races for a number that are lost in a row before giving up."""


@dataclass(frozen=True, slots=True)
class Journal:
    """A run's journal as it was read: the records as they are, and what they say."""

    bodies: tuple[bytes, ...]
    view: RunView


class Book:
    """The runs in a store. What cannot change any more is remembered: entries of a log, and runs that are over."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._admitted: dict[str, list[tuple[Admission, bytes]]] = {}
        self._ended: dict[str, RunView] = {}

    # ------------------------------------------------------------------------------------------------------ reading

    def models(self) -> list[str]:
        """Every model that ever had a run, sorted."""
        parts = (log.split("/") for log in self.store.logs("retraining"))
        return [part[1] for part in parts if len(part) == 3 and part[2] == "runs"]

    def admissions(self, model: str) -> list[Admission]:
        """The runs of a model, in order."""
        return [admission for admission, _ in self._admissions(model)]

    def journal(self, run: str) -> Journal:
        """The journal of a run. Raises StoreError when its records are no chain."""
        bodies, view = read_log(self.store, journal_log(run)), RunView()
        for _, view in records(run, bodies):  # noqa: B007  # the last one is what counts
            pass
        return Journal(tuple(bodies), view)

    def history(self, run: str) -> list[tuple[Record, RunView]]:
        """Every record of a run, with what the journal said after it."""
        return list(records(run, read_log(self.store, journal_log(run))))

    def summaries(self, model: str) -> list[RunSummary]:
        """What the trigger needs to know of the runs so far."""
        return [self._summary(admission) for admission in self.admissions(model)]

    def active(self) -> list[Admission]:
        """Runs that go on, of every model."""
        last = (admissions[-1] for model in self.models() if (admissions := self.admissions(model)))
        return [admission for admission in last if not self._view(admission.run).ended]

    def find(self, run: str) -> Admission:
        """The run whose id begins so. Raises NotFound."""
        found = [a for model in self.models() for a in self.admissions(model) if a.run.startswith(run)] if run else []
        if len(found) != 1:
            why = f"is the beginning of {len(found)} ids" if found else "is not here"
            raise NotFound(f"run {run!r}", why, "`driftline retrain list` shows what there is.")
        return found[0]

    # ------------------------------------------------------------------------------------------------------ writing

    def admit(self, policy: Policy, decide: Callable[[list[RunSummary]], Plan], by: str, now_ms: int) -> Plan:
        """Let a run begin if the decision, taken on the runs so far, says so. When another worker admitted one in between it
        is taken anew: two never begin on the same state."""
        for _ in range(RACES_MAX):
            known = self._admissions(policy.model)
            plan = decide([self._summary(admission) for admission, _ in known])
            if not plan.begins:
                return plan
            assert plan.run is not None
            assert plan.mode is not None
            entry = Admission(
                format_of(policy),
                len(known) + 1,
                codec.digest_of(known[-1][1]) if known else None,
                plan.run,
                policy.model,
                plan.mode,
                plan.causes,
                plan.alpha,
                policy,
                by,
                plan.detail,
                now_ms,
            )
            if append(self.store, admissions_log(policy.model), [raw for _, raw in known], encode_admission(entry)):
                return plan
        raise StoreError(f"log {admissions_log(policy.model)!r}", "was lost to others too often", "Try again.")

    def enter(self, run: str, journal: Journal, record: Record) -> Journal | None:
        """Add a record after those that were read; None when somebody else was first. Raises Refused for a record that may not
        stand there."""
        raw = codec.encode(record)
        view, verdict = fold(journal.view, record, raw)
        if verdict is not Verdict.FINE:
            raise Refused(
                f"run {run}", f"takes no such record now: it is {journal.view.state} ({verdict})", "Read it again."
            )
        if not append(self.store, journal_log(run), journal.bodies, raw):
            return None
        return Journal((*journal.bodies, raw), view)

    def cancel(self, run: str, actor: str, reason: str, now_ms: int) -> RunView:
        """Ask for the end of a run. Raises Refused when it is over, or promoted."""

        def make(view: RunView, head: dict[str, Any]) -> Record:
            if not cancellable(view.state):
                remedy = "Roll the alias back instead." if not view.ended else "Nothing is to be done."
                raise Refused(f"run {run}", f"cannot be cancelled: it is {view.state}", remedy)
            return Cancel(**head, reason=reason)

        return self._act(run, actor, now_ms, make)

    def approve(self, admission: Admission, actor: str, reason: str, now_ms: int, *, decline: bool = False) -> RunView:
        """Agree to the promotion of what the run made, or do not. Raises Refused for who asked for the run himself."""
        run = admission.run

        def make(view: RunView, head: dict[str, Any]) -> Record:
            if view.state is not State.AWAITING_APPROVAL:
                raise Refused(
                    f"run {run}", f"waits for no approval: it is {view.state}", "`driftline retrain show` tells more."
                )
            version = view.facts["version"]
            if decline:
                return Declined(**head, version=version, reason=reason)
            if not admission.causes and same_actor(actor, admission.requested_by):
                why = f"was asked for by {actor}, who cannot approve it as well"
                raise Refused(f"run {run}", why, "Ask somebody else.")
            if any(same_actor(actor, given.actor) for given in view.approvals):
                raise Refused(f"run {run}", f"has the approval of {actor} already", "One person approves once.")
            return Approved(**head, version=version, reason=reason)

        return self._act(run, actor, now_ms, make)

    # ------------------------------------------------------------------------------------------------------- within

    def _act(self, run: str, actor: str, now_ms: int, make: Callable[[RunView, dict[str, Any]], Record]) -> RunView:
        for _ in range(RACES_MAX):
            journal = self.journal(run)
            head = {"format": record_format(), "previous": journal.view.chain, "actor": actor, "at_ms": now_ms}
            entered = self.enter(run, journal, make(journal.view, head))
            if entered is not None:
                return entered.view
        raise StoreError(f"log {journal_log(run)!r}", "was lost to others too often", "Try again.")

    def _admissions(self, model: str) -> list[tuple[Admission, bytes]]:
        log, found = admissions_log(model), self._admitted.setdefault(model, [])
        previous = codec.digest_of(found[-1][1]) if found else None
        for number, body in enumerate(read_log(self.store, log, len(found)), len(found) + 1):
            where = f"entry {number} of {log!r}"
            admission = decode_admission(body, where)
            if (admission.number, admission.previous) != (number, previous):
                raise StoreError(where, f"does not continue entry {number - 1}", "Restore it from a copy.")
            previous = codec.digest_of(body)
            found.append((admission, body))
        return list(found)

    def _view(self, run: str) -> RunView:
        if run not in self._ended:
            view = self.journal(run).view
            if not view.ended:
                return view
            self._ended[run] = view
        return self._ended[run]

    def _summary(self, admission: Admission) -> RunSummary:
        view = self._view(admission.run)
        promoted_ms = next((at_ms for state, at_ms in view.entered if state is State.PROBATION), None)
        ended_ms = view.since_ms if view.ended else None
        return RunSummary(admission, view.state, ended_ms, promoted_ms is not None, view.reason, promoted_ms)


def records(run: str, bodies: list[bytes]) -> Iterator[tuple[Record, RunView]]:
    """The records of a journal with what it says after each. Raises StoreError when they are no chain, FormatError."""
    view = RunView()
    for number, body in enumerate(bodies, 1):
        where = f"entry {number} of {journal_log(run)!r}"
        record = decode_record(body, where)
        view, verdict = fold(view, record, body)
        if verdict is not Verdict.FINE:
            raise StoreError(where, f"does not continue entry {number - 1} ({verdict})", "Restore it from a copy.")
        yield record, view


def same_actor(one: str, other: str) -> bool:
    """Whether two names mean the same person: case, width and surrounding spaces make no second pair of eyes."""
    return _folded(one) == _folded(other)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()
