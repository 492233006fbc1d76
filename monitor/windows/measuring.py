"""Views of the revisions of a stack of ticks: what is told of each, and of what is not told what somebody may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

from monitor.metrics.estimates import Estimates
from monitor.metrics.task import Metric
from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import Cells, checked
from monitor.windows import measure, payload
from monitor.windows.asked import Together
from monitor.windows.course import Course, CourseCells
from monitor.windows.measure import Revision
from monitor.windows.outlook import LabelBook
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
    """What a plan measures of one kind of window."""

    def __init__(self, plan: Plan, kind: Kind, book: LabelBook | None) -> None:
        """`book`: how labels come, where windows are to say what to expect."""
        self._plan, self._kind, self._book = plan, kind, book
        self._formulas: dict[str, Mapping[str, Metric]] = {}

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
        views, metrics = self._views_of(plan, revisions, checked(Cells(course.layout, course.whole())))
        return Measured(views, payload.encode_all(views, metrics))

    def _of_finals(self, plan: ModelPlan, revisions: Sequence[Revision], cells: Cells) -> Measured:
        """Of what is final the views and their bytes; of the rest views that can be asked."""
        if plan.sense not in self._formulas:
            self._formulas[plan.sense] = measure.formulas(plan, self._kind)
        asked = Together(plan, self._kind, self._formulas[plan.sense], cells)
        found = asked.views(self._plan.config_of(plan), revisions)
        values: list[bytes | None] = [None] * len(found)
        if rows := [row for row, revision in enumerate(revisions) if revision.final]:
            views, metrics = self._views_of(plan, [revisions[row] for row in rows], cells.rows(rows))
            for row, view, value in zip(rows, views, payload.encode_all(views, metrics), strict=True):
                found[row], values[row] = view, value
        return Measured(found, values, asked)

    def _views_of(
        self, plan: ModelPlan, revisions: Sequence[Revision], cells: Cells
    ) -> tuple[list[WindowView], Mapping[str, Estimates]]:
        views_of = measure.input_views if self._kind is Kind.INPUT else measure.performance_views
        return views_of(plan, self._plan.config_of(plan), revisions, cells)
