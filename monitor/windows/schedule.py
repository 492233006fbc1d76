"""Which kinds of window there are, and when: the set may change at a pane.

A window is of the set that held at its first moment. One that is taken out is not begun any more, and those that began
before go on until they are final; one that is added begins with its first span that starts at the change or later, so
that it never lacks what came before. The same holds for models, and for their senses: `models` says where windows of each
may start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from monitor.config.windows import Window
from monitor.events import Bools, Int64s
from monitor.groups import model_of
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.windows.spans import spans_of


class Term(NamedTuple):
    """A kind of window and when it holds: for spans that start in [from_ms, until_ms) of event time."""

    window: Window
    from_ms: int
    until_ms: int


class Schedule:
    """The kinds of window of a namespace. Mutable; the evaluator and what it consists of share one."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.terms: tuple[Term, ...]
        self.models: Mapping[str, tuple[tuple[int, int, int], ...]] | None = None
        """By sense of a model where its windows may start, from and until, and until when records count for them; None where
        all do. Those of a model that is not in it, but counts by a template, always may."""
        self._senses: dict[str, tuple[str, ...]] = {}
        self.begin_with(windows)

    def list_models(self, models: Mapping[str, tuple[tuple[int, int, int], ...]] | None) -> None:
        """From now on these."""
        self.models, self._senses = models, {}
        for sense in models or ():
            name = model_of(sense)
            self._senses[name] = (*self._senses.get(name, ()), sense)

    def begin_with(self, windows: Sequence[Window]) -> None:
        """These, at all times: nothing was counted yet."""
        self.terms = tuple(Term(window, NEVER, FOREVER) for window in windows)

    @property
    def current(self) -> tuple[Window, ...]:
        """Those that hold from the last change on."""
        return tuple(term.window for term in self.terms if term.until_ms == FOREVER)

    @property
    def names(self) -> frozenset[str]:
        """Names of those that hold from the last change on."""
        return frozenset(window.name for window in self.current)

    @property
    def has_changed(self) -> bool:
        """Whether it is not the same set at all times."""
        return any((term.from_ms, term.until_ms) != (NEVER, FOREVER) for term in self.terms)

    def change(self, windows: Sequence[Window], from_ms: int) -> None:
        """Have this set for spans that start at `from_ms` or later: the start of a pane that nothing was counted in."""
        wanted, before = {window.name for window in windows}, self.names
        ended = [
            term._replace(until_ms=from_ms) if term.until_ms == FOREVER and term.window.name not in wanted else term
            for term in self.terms
        ]
        added = [Term(window, from_ms, FOREVER) for window in windows if window.name not in before]
        self.terms = tuple(term for term in (*ended, *added) if term.from_ms < term.until_ms)

    def spans(self, at_ms: int) -> list[tuple[str, int, int]]:
        """(name, start, end) of every window that holds the moment `at_ms`, of models that always were."""
        return [
            (term.window.name, start, end)
            for term in self.terms
            for start, end in spans_of(term.window, at_ms)
            if term.from_ms <= start < term.until_ms
        ]

    def spans_of_model(self, model: str, at_ms: int) -> list[tuple[str, int, int]]:
        """The same of a sense of a model."""
        found = self.spans(at_ms)
        if self.models is None or (terms := self.models.get(model)) is None:
            return found
        return [one for one in found if any(from_ms <= one[1] < until_ms for from_ms, until_ms, _ in terms)]

    def counts(self, model: str, pane_ms: Int64s) -> Bools:
        """Which of these panes of a sense count: what came before it began, or after it ended, is of no window."""
        terms = None if self.models is None else self.models.get(model)
        found = np.full(len(pane_ms), terms is None)
        for from_ms, _, ends_ms in terms or ():
            found |= (from_ms <= pane_ms) & (pane_ms < ends_ms)
        return found

    def sense_at(self, model: str, start_ms: int) -> str:
        """The sense of a model that its windows are of which start at a moment."""
        senses = self._senses.get(model, ())
        return next((one for one in senses if self._starts(one, start_ms)), model) if len(senses) > 1 else model

    def in_force(self, sense: str, pane_ms: Int64s) -> Bools:
        """Which of these panes are of windows that start in this sense: others of its model have the rest."""
        if len(self._senses.get(model_of(sense), ())) < 2:
            return np.ones(len(pane_ms), np.bool_)
        return np.array([self._starts(sense, at_ms) for at_ms in pane_ms.tolist()], np.bool_)

    def _starts(self, sense: str, at_ms: int) -> bool:
        assert self.models is not None
        return any(from_ms <= at_ms < until_ms for from_ms, until_ms, _ in self.models.get(sense, ()))

    def has_begun(self, model: str, at_ms: int) -> bool:
        """Whether windows of a model may start at a moment."""
        return model not in self._senses or any(self._starts(one, at_ms) for one in self._senses[model])

    def goes_on(self, model: str) -> bool:
        """Whether windows of a model are begun from the last change on."""
        if self.models is None or model not in self._senses:
            return True
        terms = (term for one in self._senses[model] for term in self.models[one])
        return any(until_ms == FOREVER for _, until_ms, _ in terms)

    def ends_ms(self, at_ms: int) -> int:
        """Where the last window ends that starts before a moment and is not over then."""
        return max([at_ms, *(end for _, _, end in self.spans(at_ms - 1))])

    def window(self, name: str) -> Term:
        """The newest term of this name. Raises KeyError."""
        for term in reversed(self.terms):
            if term.window.name == name:
                return term
        raise KeyError(name)


SavedTerm = tuple[str, int, int]


def save(schedule: Schedule) -> tuple[SavedTerm, ...]:
    """Its terms, sorted: the order in which a configuration names windows means nothing."""
    return tuple(sorted((term.window.name, term.from_ms, term.until_ms) for term in schedule.terms))


def restore(schedule: Schedule, saved: Iterable[SavedTerm]) -> None:
    """Make a schedule what another was. Raises ValueError for a name that is no window."""
    schedule.terms = tuple(Term(Window.parse(name), from_ms, until_ms) for name, from_ms, until_ms in saved)
