"""One worker at one run: claim it, take it from state to state, and enter every step in the journal.

    1. read the journal            over, or held by somebody whose lease has not run out: nothing to do
    2. claim                       create-if-absent of the next entry; its number is the fence
    3. do the step of the state    outside the journal: may be done again, by us or by who comes after us
    4. enter what came of it       counts only while no newer claim is there; back to 3

A process may end anywhere. Between 3 and 4 the step is done again by the next worker; every port allows that. A worker that
wakes up after its lease finds a newer claim at 4, and stops: `Fenced`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pipelines.beside import stood_down
from pipelines.book import Book, Journal
from pipelines.errors import (
    CancelAsked,
    ConfigError,
    Fenced,
    FormatError,
    Halted,
    NotFound,
    NotInstalled,
    PipelineError,
    StepFailed,
)
from pipelines.journal import Claimed, Moved, Noted, Reason, Record, Renewed, RunView, Tried, journal_log, record_format
from pipelines.ports import Ports
from pipelines.runs import Admission
from pipelines.states import WAITING, State, cancellable
from pipelines.steps import STEPS
from pipelines.task import Next, Task

LEASE_MS: Final = 60_000
RETRY_MS: Final = 30_000
"""Before the second try of a step; four times as long before each later one."""
_RETRY_DOUBLINGS: Final = 5
"""After which the time between two tries grows no more: half a day."""
_AT_WORK: Final = frozenset({State.VALIDATING, State.TRAINING, State.EVALUATING, State.SHADOWING, State.PROBATION})
"""States in which the user's code may run."""
_TIMED: Final = frozenset({State.REQUESTED, State.COLLECTING, State.VALIDATING, State.TRAINING, State.EVALUATING})


@dataclass(frozen=True, slots=True)
class Happening:
    """A run moved. What is logged, printed and counted."""

    run: str
    model: str
    before: State
    after: State
    reason: Reason
    detail: str
    at_ms: int


class _WantsToNote(Exception):
    """A step that is only looked at came to where it would enter `facts`."""


class Worker:
    """Advances runs. `owner` is drawn anew by every process: a name that comes back would be mistaken for the one that left."""

    def __init__(
        self,
        ports: Ports,
        book: Book,
        owner: str,
        lease_ms: int = LEASE_MS,
        stopped: Callable[[str], str | None] = lambda _: None,
        told: Callable[[Happening], None] = lambda _: None,
    ) -> None:
        """`stopped`: whether a model's retraining is stopped, in a sentence. `told`: of each move as it happens."""
        self._ports, self._book, self._owner, self._lease_ms = ports, book, owner, lease_ms
        self._stopped, self._told = stopped, told
        self._looked: dict[str, int] = {}  # when this process last looked at a run that is watched

    def advance(self, admission: Admission) -> list[Happening]:
        """Take a run as far as it goes now."""
        journal = self._book.journal(admission.run)
        view, now_ms = journal.view, self._ports.clock.now_ms()
        if view.ended or now_ms < view.not_before_ms:
            return []
        if view.lease is not None and view.lease.owner != self._owner and now_ms < view.lease.until_ms:
            return []
        if self._stopped(admission.model) and view.state is not State.PROBATION:
            return []  # what is promoted may still turn out worse, and go back
        if view.state in WAITING and not self._due(admission, view):
            return []  # looked at without a claim: a run that waits for a week must not fill its journal
        happened: list[Happening] = []
        if (held := self._claim(admission, journal)) is None:
            return happened
        try:
            self._work(held, happened)
        except Fenced:
            pass  # somebody else goes on
        except Halted:
            held.give_back()
        except (KeyboardInterrupt, SystemExit):
            held.give_back()
            raise
        return happened

    def _due(self, admission: Admission, view: RunView) -> bool:
        """Whether a run that waits has something to do. Nothing of it is changed, what a look found is kept (`pipelines.looks`):
        a step that wants to note something is due."""

        def alive() -> None:
            """Nothing is held; whoever is cancelled, stopped or overtaken looks no further."""
            if view.state is not State.PROBATION and (why := self._stopped(admission.model)) is not None:
                raise Halted(admission.run, why)
            if self._book.store.last(journal_log(admission.run)) > view.length:
                raise Fenced(admission.run, self._owner)

        def note(facts: dict[str, Any]) -> None:
            raise _WantsToNote(facts)

        if view.cancel is not None or "probation" in view.facts:
            return True
        if (every_ms := _every_ms(admission, view.state)) and not self._time_to_look(admission, every_ms):
            return False
        try:
            return STEPS[view.state](Task(self._ports, admission, view, self._owner, alive, note)) is not None
        except (Fenced, Halted):
            self._looked.pop(admission.run, None)  # that was no look
            return False
        except (_WantsToNote, ConfigError, FormatError, NotFound, NotInstalled, StepFailed):
            return True

    def _time_to_look(self, admission: Admission, every_ms: int) -> bool:
        now_ms = self._ports.clock.now_ms()
        due_ms = self._looked.get(admission.run, 0) + every_ms
        if admission.run in self._looked and now_ms < due_ms:
            return False
        self._looked[admission.run] = now_ms
        return True

    def _claim(self, admission: Admission, journal: Journal) -> _Held | None:
        now_ms = self._ports.clock.now_ms()
        until_ms = now_ms + self._lease_ms
        claim = Claimed(
            format=record_format(), previous=journal.view.chain, actor=self._owner, at_ms=now_ms, until_ms=until_ms
        )
        entered = self._book.enter(admission.run, journal, claim)
        if entered is None:
            return None
        return _Held(self._book, self._ports, admission, entered, self._owner, self._lease_ms, self._stopped)

    def _work(self, held: _Held, happened: list[Happening]) -> None:
        while not held.view.ended and held.holds:
            before = held.view.state
            if before is not State.PROBATION and (why := self._stopped(held.admission.model)) is not None:
                raise Halted(held.admission.run, why)
            following = self._step(held)
            if following is None:
                held.give_back()  # it waits: whoever looks next, after a clean end of this process too, waits for nobody
                return
            held.move(stood_down(self._task(held), following))
            view, admission = held.view, held.admission
            assert view.reason is not None
            happened.append(
                Happening(admission.run, admission.model, before, view.state, view.reason, view.detail, view.at_ms)
            )
            self._told(happened[-1])

    def _step(self, held: _Held) -> Next | None:
        view, admission, now_ms = held.view, held.admission, self._ports.clock.now_ms()
        if view.cancel is not None and cancellable(view.state):
            return self._over(held, Next(State.CANCELLED, Reason.ASKED, f"{view.cancel.actor}: {view.cancel.reason}"))
        if view.state in _TIMED and now_ms > admission.at_ms + admission.policy.run_ms:
            why = f"it did not get beyond {view.state} in time"
            return self._over(held, Next(State.TIMED_OUT, Reason.RUN_TIMED_OUT, why))
        try:
            return STEPS[view.state](self._task(held))
        except CancelAsked:
            return self._step(held)
        except (
            ConfigError,
            FormatError,
            NotFound,
            NotInstalled,
            StepFailed,
        ) as error:  # the store's own are not the run's
            return self._troubled(held, error)

    def _task(self, held: _Held) -> Task:
        return Task(self._ports, held.admission, held.view, self._owner, held.alive, held.note)

    def _troubled(self, held: _Held, error: PipelineError) -> Next | None:
        """What follows from a step that did not do its work."""
        view, again = held.view, isinstance(error, StepFailed) and error.again
        if view.state is State.PROBATION or (view.state is State.SHADOWING and again):
            return self._unseen(held, error)
        if not isinstance(error, StepFailed):
            return Next(State.FAILED, Reason.STEP_FAILED, str(error))
        if error.timed_out:
            return self._over(held, Next(State.TIMED_OUT, Reason.STEP_TIMED_OUT, str(error)))
        if not again or view.tries + 1 >= held.admission.policy.tries_max:
            return self._over(held, Next(State.FAILED, Reason.STEP_FAILED, str(error)))
        held.tried(str(error))
        return None

    def _unseen(self, held: _Held, error: PipelineError) -> Next | None:
        """A look that could not be made. What was promoted is not left alone over that: it is looked at again, until its time
        is over."""
        view, policy = held.view, held.admission.policy
        shadowing = view.state is State.SHADOWING
        most_ms = policy.shadow.most_ms if shadowing and policy.shadow else policy.probation.most_ms
        over = self._ports.clock.now_ms() >= view.since_ms + most_ms
        if not over or view.tries + 1 < policy.tries_max:
            self._looked.pop(held.admission.run, None)
            held.tried(str(error), max(RETRY_MS, _every_ms(held.admission, view.state)))
            return None
        if view.facts.get("probation") == Reason.WORSE:
            why = f"it is worse and could not be rolled back: {error}"
            return self._over(held, Next(State.FAILED, Reason.STEP_FAILED, why))
        end = (State.REJECTED, Reason.SHADOW_UNDECIDED) if shadowing else (State.TIMED_OUT, Reason.UNDECIDED)
        return self._over(held, Next(*end, f"it could not be looked at: {error}"))

    def _over(self, held: _Held, following: Next) -> Next | None:
        """The end of a run in the middle of a step. A step may be at work although nobody here waits for it: its worker
        ended, or could not stop it. Then the run ends when it is gone, and until then waits, however often that was tried."""
        if held.view.state in _AT_WORK:
            try:
                self._ports.trainer.clear(held.admission.policy, held.keep)
            except (ConfigError, NotInstalled, StepFailed) as error:
                held.tried(f"it is {following.to} when its step is gone: {error}")
                return None
        return following


def _every_ms(admission: Admission, state: State) -> int:
    """Between two looks at a run that stands there; 0 where there is nothing to score."""
    if state is State.PROBATION:
        return admission.policy.probation.every_ms
    return admission.policy.shadow.every_ms if state is State.SHADOWING and admission.policy.shadow else 0


class _Held:
    """A run that this worker has claimed."""

    def __init__(
        self,
        book: Book,
        ports: Ports,
        admission: Admission,
        journal: Journal,
        owner: str,
        lease_ms: int,
        stopped: Callable[[str], str | None],
    ) -> None:
        self.admission, self._stopped = admission, stopped
        self._book, self._ports, self._journal = book, ports, journal
        self._owner, self._lease_ms, self._fence = owner, lease_ms, journal.view.length

    @property
    def view(self) -> RunView:
        """What the journal says, as far as it was read."""
        return self._journal.view

    @property
    def holds(self) -> bool:
        """Whether the lease was not given back."""
        return self.view.lease is not None and self.view.lease.fence == self._fence

    def move(self, following: Next) -> None:
        """Enter the next state."""
        self._enter(
            lambda head: Moved(
                **{**head, "format": record_format(following.reason)},
                to=following.to,
                reason=following.reason,
                detail=following.detail,
                facts=dict(following.facts),
            )
        )

    def note(self, facts: dict[str, Any]) -> None:
        """Enter what came of a part of a step."""
        self._enter(lambda head: Noted(**head, facts=facts))

    def tried(self, why: str, most_ms: int | None = None) -> None:
        """Enter that a step did not work, and give the lease back. `most_ms`: until it is tried again, at most."""
        wait_ms = RETRY_MS * 4 ** min(self.view.tries, _RETRY_DOUBLINGS)
        later_ms = self._ports.clock.now_ms() + (wait_ms if most_ms is None else min(wait_ms, most_ms))
        self._enter(lambda head: Tried(**head, why=why, not_before_ms=later_ms))

    def give_back(self) -> None:
        """Let the lease run out now: the process ends, and nobody has to wait for it."""
        if self.holds:
            with suppress(Fenced):
                self._enter(lambda head: Renewed(**head, until_ms=head["at_ms"]))

    def alive(self) -> None:
        """As `keep`, for a step at work. Raises CancelAsked, Halted as well, with the lease kept: there is time to stop."""
        self.keep()
        if self.view.state is not State.PROBATION and (why := self._stopped(self.admission.model)) is not None:
            raise Halted(self.admission.run, why)
        if self.view.cancel is not None:
            raise CancelAsked(self.admission.run)

    def keep(self) -> None:
        """Renew the lease when half of it is over. Raises Fenced."""
        if self._book.store.last(journal_log(self.admission.run)) > self.view.length:
            self._reread()
        assert self.view.lease is not None
        now_ms = self._ports.clock.now_ms()
        if now_ms > self.view.lease.until_ms - self._lease_ms // 2:
            self._enter(lambda head: Renewed(**head, until_ms=now_ms + self._lease_ms))

    def _enter(self, make: Callable[[dict[str, Any]], Record]) -> None:
        while True:
            head = {
                "format": record_format(),
                "previous": self.view.chain,
                "actor": self._owner,
                "at_ms": max(self._ports.clock.now_ms(), self.view.at_ms),
                "fence": self._fence,
            }
            entered = self._book.enter(self.admission.run, self._journal, make(head))
            if entered is not None:
                self._journal = entered
                return
            self._reread()

    def _reread(self) -> None:
        self._journal = self._book.journal(self.admission.run)
        if not self.holds:
            raise Fenced(self.admission.run, self._owner)
