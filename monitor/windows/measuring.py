"""Views of the revisions of a stack of ticks: what is told of each, and of what is not told what somebody may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from monitor.metrics.task import Metric
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import Cells, checked
from monitor.windows import measure, payload
from monitor.windows.asked import Together
from monitor.windows.course import Course, CourseCells
from monitor.windows.editions import Editions
from monitor.windows.measure import Revision
from monitor.windows.outlook import LabelBook, as_of_edition
from monitor.windows.stacks import Stack
from monitor.windows.view import Kind, Outlook, WindowView


@dataclass(frozen=True, slots=True)
class Measured:
    """The views of the revisions of one model, each with the bytes that are published, None where none are; `asked`: what
    computes metrics of theirs that somebody asks for."""

    views: Sequence[WindowView]
    values: Sequence[bytes | None]
    asked: Together | None = None


class Measuring:
    """What the editions of a plan measure of one kind of window."""

    def __init__(self, editions: Editions, kind: Kind, book: LabelBook | None) -> None:
        """`book`: how labels come, where windows are to say what to expect."""
        self._editions, self._kind, self._book = editions, kind, book
        self._plan = editions.plan
        self._formulas: dict[str, Mapping[str, Metric]] = {}

    def follow_editions(self) -> None:
        """Another edition holds."""
        self._plan = self._editions.plan
        self._formulas.clear()

    @property
    def lazy(self) -> bool:
        """Whether only those cells of most windows are worked out that somebody asks for."""
        return self._plan.finals_only and self._book is None

    def measure(self, stack: Stack, lost: Callable[[int, int], bool] | None) -> dict[str, Measured]:
        """Of each sense of a model; `lost` says of a span of event time whether something of it was, None where nothing was."""
        revisions = {model: self._revisions(stack, turn.course, lost) for model, turn in stack.turns.items()}
        if self._book is not None:
            self._look_ahead(self._book, stack, revisions)
        return {model: self._measured(model, stack.turns[model].course, own) for model, own in revisions.items()}

    def _revisions(self, stack: Stack, course: Course, lost: Callable[[int, int], bool] | None) -> list[Revision]:
        ends_ms = [(tick + 1) * self._plan.join.tick_ms for tick in stack.ticks]
        keys, places = course.keys, course.place.tolist()
        partial = repeat(False) if lost is None else map([lost(k.start_ms, k.end_ms) for k in keys].__getitem__, places)
        return list(
            map(
                Revision,
                map(keys.__getitem__, places),
                course.number.tolist(),
                course.final.tolist(),
                map(ends_ms.__getitem__, course.tick.tolist()),
                repeat(None),
                partial,
            )
        )

    def _look_ahead(self, book: LabelBook, stack: Stack, revisions: Mapping[str, list[Revision]]) -> None:
        """Give every revision what was to be expected of it in its tick."""
        assert stack.brought is not None, "the book of labels takes what ticks bring"
        for at, tick in enumerate(stack.ticks):
            book.take(tick, stack.brought[at])
            for model, turn in stack.turns.items():
                rows, plan = turn.revisions(at), self._plan.counted_as(model)
                if not rows:
                    continue
                own = revisions[model]
                cells = Cells(turn.course.layout, turn.course.whole()[rows])
                outlooks: Sequence[Outlook | None] = book.outlooks(plan, [own[row] for row in rows], cells)
                for row, outlook in zip(rows, outlooks, strict=True):
                    own[row] = own[row]._replace(outlook=outlook)

    def _measured(self, model: str, course: Course, revisions: list[Revision]) -> Measured:
        plan = self._plan.counted_as(model)
        if self._plan.finals_only:
            cells = CourseCells(course) if self.lazy else Cells(course.layout, course.whole())
            return self._of_finals(plan, revisions, cells)
        return self._told(model, revisions, checked(Cells(course.layout, course.whole())))

    def _told(self, model: str, revisions: Sequence[Revision], cells: Cells) -> Measured:
        """Windows as the edition of each has them; row i of `cells`, of the edition that holds, belongs to revision i."""
        if len(self._editions.terms) == 1:
            return Measured(*self._with_bytes(self._plan, model, revisions, cells))
        found: dict[int, tuple[WindowView, bytes]] = {}
        starts = [revision.key.start_ms for revision in revisions]
        for plan, rows in self._editions.by_plan(starts):  # the cells of an edition are the first of those of the next
            layout = plan.counted_as(model).cells_of(inputs=self._kind is Kind.INPUT)
            part = Cells(layout, np.ascontiguousarray(cells.array[rows, : layout.size]))
            then = [as_of_edition(revisions[row], plan.edition) for row in rows]
            found |= zip(rows, zip(*self._with_bytes(plan, model, then, part), strict=True), strict=True)
        places = range(len(found))
        return Measured([found[row][0] for row in places], [found[row][1] for row in places])

    def _of_finals(self, plan: ModelPlan, revisions: Sequence[Revision], cells: Cells) -> Measured:
        """Of what is final the views and their bytes; of the rest views that can be asked."""
        if plan.sense not in self._formulas:
            self._formulas[plan.sense] = measure.formulas(plan, self._kind)
        asked = Together(plan, self._kind, self._formulas[plan.sense], cells)
        found = asked.views(self._plan.config_of(plan), revisions)
        values: list[bytes | None] = [None] * len(found)
        if rows := [row for row, revision in enumerate(revisions) if revision.final]:
            own = self._with_bytes(self._plan, plan.sense, [revisions[row] for row in rows], cells.rows(rows))
            for row, view, value in zip(rows, *own, strict=True):
                found[row], values[row] = view, value
        return Measured(found, values, asked)

    def _with_bytes(
        self, plan: Plan, model: str, revisions: Sequence[Revision], cells: Cells
    ) -> tuple[list[WindowView], list[bytes]]:
        views_of = measure.input_views if self._kind is Kind.INPUT else measure.performance_views
        own = plan.counted_as(model)
        views, metrics = views_of(own, plan.config_of(own), revisions, cells)
        return views, payload.encode_all(views, metrics)
