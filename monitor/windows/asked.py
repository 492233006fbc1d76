"""Views whose metrics are computed when somebody asks: for runs that tell final windows only.

A rule reads one metric of a revision, and of most revisions nobody reads any. Here a metric is computed for all windows
that were measured together when the first of them is asked for it, and not before. The numbers are those of `measure`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from monitor.metrics.estimates import Estimates
from monitor.metrics.task import Metric
from monitor.plan import ModelPlan
from monitor.sketches.cells import Cells
from monitor.windows import measure
from monitor.windows.measure import Revision
from monitor.windows.view import Estimate, Kind, WindowView


class Together:
    """The cells of windows that were measured together, and the metrics that somebody asked for. Mutable: `keep` lets go
    of what nobody asks for any more."""

    def __init__(self, plan: ModelPlan, kind: Kind, formulas: Mapping[str, Metric], cells: Cells) -> None:
        self.formulas = formulas
        self._plan, self._kind, self._cells = plan, kind, cells
        self._columns: dict[str, Estimates] = {}
        self._place: dict[int, int] | None = None

    def views(self, config_digest: str, revisions: Sequence[Revision]) -> list[WindowView]:
        """The views of the windows; row i of the cells belongs to revision i."""
        seen = self._cells.count("seen").tolist()
        labelled = self._cells.count("labelled").tolist() if self._kind is Kind.PERFORMANCE else [0] * len(seen)
        return [
            WindowView(
                revision.key,
                self._kind,
                revision.number,
                revision.final,
                revision.tick_ms,
                came,
                known,
                _Metrics(self, row),
                _Counts(self, row),
                config_digest,
                self._plan.reference_digest,
                revision.outlook,
                revision.partial,
            )
            for row, (revision, came, known) in enumerate(zip(revisions, seen, labelled, strict=True))
        ]

    def metric(self, name: str, row: int) -> Estimate:
        """A metric of a window. Raises KeyError for a name there is not."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self.formulas[name](self._cells)
        return column.at(row if self._place is None else self._place[row])

    def counts(self, row: int) -> Mapping[str, int]:
        """The counts of a window."""
        place = row if self._place is None else self._place[row]
        return measure.counts_of(self._plan, self._kind, self._cells.rows([place]))[0]

    def keep(self, rows: Sequence[int]) -> None:
        """Only the windows of these rows are asked for from now on; the memory of the others is given back. Once."""
        self._cells = self._cells.rows(rows)
        self._columns.clear()
        self._place = {row: place for place, row in enumerate(rows)}


class _Metrics(Mapping[str, Estimate]):
    """The metrics of one window."""

    __slots__ = ("_row", "_together")

    def __init__(self, together: Together, row: int) -> None:
        self._together, self._row = together, row

    def __getitem__(self, name: str) -> Estimate:
        return self._together.metric(name, self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._together.formulas)

    def __len__(self) -> int:
        return len(self._together.formulas)


class _Counts(Mapping[str, int]):
    """The counts of one window."""

    __slots__ = ("_row", "_together")

    def __init__(self, together: Together, row: int) -> None:
        self._together, self._row = together, row

    def __getitem__(self, name: str) -> int:
        return self._together.counts(self._row)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._together.counts(self._row))

    def __len__(self) -> int:
        return len(self._together.counts(self._row))
