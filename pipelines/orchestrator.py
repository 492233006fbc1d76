"""One round: read what fires, decide for each model, admit, advance what is under way. Any number of processes may do this.

Nothing is remembered between rounds but what is in the store, so a process that is killed and started again, or a second one
beside it, changes nothing about what happens, only about who does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET

from pipelines.book import Book
from pipelines.errors import ConfigError, NotFound, NotInstalled, StepFailed
from pipelines.firing import Firing
from pipelines.policy import Policy
from pipelines.ports import Ports
from pipelines.runs import RunSummary
from pipelines.switch import Switch
from pipelines.trigger import Asked, Held, Plan, Why, plan
from pipelines.worker import LEASE_MS, Happening, Worker

_PLENTY: Final = 2**62


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round: the decision for each model, and how runs moved."""

    plans: tuple[Plan, ...]
    happened: tuple[Happening, ...]


class Orchestrator:
    """Retrains the models of some policies. `owner` names this process in leases and admissions; `halted`: another switch beside
    the one in the store, such as a file, which stops every model and says why; `told`: of decisions and moves as they happen."""

    def __init__(
        self,
        ports: Ports,
        policies: Sequence[Policy],
        owner: str,
        lease_ms: int = LEASE_MS,
        halted: Callable[[], str | None] = lambda: None,
        told: Callable[[Plan | Happening], None] = lambda _: None,
    ) -> None:
        self._ports, self._policies, self._owner, self._halted = ports, tuple(policies), owner, halted
        self._told = told
        self._book, self._switch = Book(ports.store), Switch(ports.store)
        self._worker = Worker(ports, self._book, owner, lease_ms, self.stopped, told)

    def stopped(self, model: str) -> str | None:
        """Why retraining of a model stands still, None where it does not."""
        return self._halted() or self._switch.stopped(model)

    def plan(self, policy: Policy, asked: Asked | None = None) -> Plan:
        """What would happen now. Changes nothing."""
        return self._decide(policy, self._ports.alerts.firing(), self._book.summaries(policy.model), asked)

    def round(self) -> Round:
        """Decide, admit and advance once. Runs under way go first: what they free can be used at once."""
        happened = [moved for admission in self._book.active() for moved in self._worker.advance(admission)]
        plans = []
        for policy in self._policies:
            plans.append(self.admit(policy))
            self._told(plans[-1])
        begun = {each.run for each in plans if each.begins}
        for admission in self._book.active() if begun else ():
            if admission.run in begun:
                happened += self._worker.advance(admission)
        return Round(tuple(plans), tuple(happened))

    def admit(self, policy: Policy, asked: Asked | None = None) -> Plan:
        """Let a run of this model begin if it should."""
        by = self._owner if asked is None else asked.by
        try:
            alerts = self._ports.alerts.firing()
            now_ms = self._ports.clock.now_ms()
            return self._book.admit(policy, lambda runs: self._decide(policy, alerts, runs, asked), by, now_ms)
        except (ConfigError, NotFound, NotInstalled, StepFailed) as error:  # of one model; the others go on
            if asked is not None and isinstance(error, ConfigError):
                raise  # whoever asked can mend it
            return Plan(policy.model, Why.UNREADABLE, str(error))

    def advance(self, run: str) -> list[Happening]:
        """Take one run as far as it goes now."""
        return self._worker.advance(self._book.find(run))

    def _decide(
        self, policy: Policy, alerts: Sequence[Firing], runs: Sequence[RunSummary], asked: Asked | None
    ) -> Plan:
        now_ms = self._ports.clock.now_ms()
        serving = self._ports.models.serving(policy)
        names = None if serving is None else frozenset(serving.names)
        held = Held(self.stopped(policy.model), self._switch.reset_ms(policy.model))
        found = plan(policy, alerts, runs, _PLENTY, now_ms, names, asked, held)
        if not found.begins:
            return found  # rows are counted only when everything else says go: counting may mean reading them all
        if policy.gate.anchor is not UNSET:  # found out after training it would have cost the run, and the incident
            self._ports.anchors.anchor(policy)
        return plan(policy, alerts, runs, self._ports.data.mature(policy, now_ms), now_ms, names, asked, held)
