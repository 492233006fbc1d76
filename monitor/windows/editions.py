"""Which edition windows are of: the one that held at their first moment (`monitor.editions`).

Sums of a window are of one edition from beginning to end, so its final value does not depend on when a namespace went over to
the next. What is decided of many windows (rules, budgets) goes by the newest that holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitor.editions import FIRST
from monitor.ingest.clocks import NEVER
from monitor.plan import Plan

SavedEditions = tuple[tuple[int, int], ...]
"""Editions and the event time from which on windows that start are of them, ascending."""


class Editions:
    """The editions of a namespace. Mutable; the evaluator and what it consists of share one."""

    def __init__(self, plan: Plan) -> None:
        """Everything is of the edition of this plan, the newest that is known."""
        self._plans = {plan.edition: plan}
        self.known = plan.edition
        self.begin_with(plan.edition)

    def begin_with(self, number: int) -> None:
        """Everything is of this one: nothing was counted yet."""
        self.terms: SavedEditions = ((number, NEVER),)

    @property
    def number(self) -> int:
        """The newest that holds."""
        return self.terms[-1][0]

    @property
    def plan(self) -> Plan:
        """The plan as the newest that holds has it."""
        return self._plan(self.number)

    def go_over(self, number: int, from_ms: int) -> None:
        """Have another one for windows that start at `from_ms` or later: the start of a pane that nothing was counted in."""
        assert self.number < number <= self.known, f"edition {number} does not follow {self.number}"
        assert self.terms[-1][1] <= from_ms, "editions follow each other in event time"
        self.terms = (*self.terms, (number, from_ms))

    def by_plan(self, starts: Sequence[int]) -> Iterable[tuple[Plan, list[int]]]:
        """Windows that start then (ms), by the plan of their edition: their places, each once."""
        found: dict[int, list[int]] = {}
        for place, start in enumerate(starts):
            found.setdefault(next(number for number, from_ms in reversed(self.terms) if from_ms <= start), []).append(
                place
            )
        return [(self._plan(number), places) for number, places in found.items()]

    def _plan(self, number: int) -> Plan:
        known = self._plans.get(number)
        if known is None:
            known = self._plans[number] = self._plans[self.known].of_edition(number)
        return known

    def save(self) -> SavedEditions:
        """Its terms; none where all is of the first."""
        return () if self.terms == ((FIRST, NEVER),) else self.terms

    def restore(self, saved: SavedEditions) -> None:
        """Make it what another was. Raises ValueError for an edition that is not known."""
        self.terms = saved or ((FIRST, NEVER),)
        if self.number > self.known:
            raise ValueError(f"it goes by edition {self.number}, this version of Driftline knows up to {self.known}")
