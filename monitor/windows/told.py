"""Windows that were measured together, with the bytes that are published of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitor.plan import ModelPlan, Plan
from monitor.sketches.cells import Cells
from monitor.windows import measure, payload
from monitor.windows.asked import Together
from monitor.windows.editions import Editions
from monitor.windows.measure import Revision
from monitor.windows.outlook import as_of_edition
from monitor.windows.view import Kind, WindowView

Told = list[tuple[WindowView, bytes | None]]
"""Views, each with its bytes; None where none are published."""


def told(editions: Editions, model: str, kind: Kind, revisions: Sequence[Revision], cells: Cells) -> Told:
    """Windows of a model as the edition of each has them; row i of `cells`, of the edition that holds, belongs to revision i."""
    if len(editions.terms) == 1:
        return _told(editions.plan, editions.plan.model(model), kind, revisions, cells)
    found: dict[int, tuple[WindowView, bytes | None]] = {}
    starts = [revision.key.start_ms for revision in revisions]
    for plan, rows in editions.by_plan(starts):  # the cells of an edition are the first of those of the next
        own = plan.model(model)
        layout = own.cells_of(inputs=kind is Kind.INPUT)
        part = Cells(layout, np.ascontiguousarray(cells.array[rows, : layout.size]))
        then = [as_of_edition(revisions[row], plan.edition) for row in rows]
        found |= zip(rows, _told(plan, own, kind, then, part), strict=True)
    return [found[row] for row in range(len(found))]


def only_finals_told(
    asked: Together, plan: Plan, model: str, kind: Kind, revisions: Sequence[Revision], cells: Cells
) -> Told:
    """Of what is final the views and their bytes; of the rest views whose metrics are computed when `asked`."""
    found: Told = [(view, None) for view in asked.views(plan.config_digest, revisions)]
    if rows := [row for row, revision in enumerate(revisions) if revision.final]:
        own = Cells(cells.layout, cells.array[rows])
        finals = _told(plan, plan.model(model), kind, [revisions[row] for row in rows], own)
        for row, one in zip(rows, finals, strict=True):
            found[row] = one
    return found


def _told(plan: Plan, own: ModelPlan, kind: Kind, revisions: Sequence[Revision], cells: Cells) -> Told:
    views_of = measure.input_views if kind is Kind.INPUT else measure.performance_views
    views, metrics = views_of(own, plan.config_digest, revisions, cells)
    return list(zip(views, payload.encode_all(views, metrics), strict=True))
