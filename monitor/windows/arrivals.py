"""What a tick brought, apart from the windows it went to: the food of detectors, which take each tick once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.events import Int64s
from monitor.groups import model_of
from monitor.windows.pieces import Piece


@dataclass(frozen=True, slots=True)
class Arrival:
    """The sum of a tick's contributions to one version of a model in one pane of event time; `cells` as in the window's
    vector, which is that of an `sense` of the model. Takings back are in it, so a cell can be negative."""

    model: str
    version: str
    pane_ms: int
    cells: Int64s
    of: str | None = None

    @property
    def sense(self) -> str:
        """The sense of the model that it was counted as."""
        return self.of or self.model


def arrivals(piece: Piece, width: int) -> list[Arrival]:
    """What a whole piece adds up to in the first `width` cells, by version, then by pane. Where nothing is left there is no
    arrival: what one commit added and another took back must look like never added."""
    sums: dict[tuple[str, str, int], Int64s] = {}
    start = 0
    for group, pane_ms, length in zip(piece.group.tolist(), piece.pane_ms.tolist(), piece.length.tolist(), strict=True):
        part = slice(start, start + length)
        start += length
        owner = piece.groups[group]
        key = owner.model, owner.version, pane_ms
        if (total := sums.get(key)) is None:
            total = sums[key] = np.zeros(width, np.int64)
        cells = piece.cells[part]
        # Cells of a slot are distinct and ascend.
        inside = int(np.searchsorted(cells, width))
        total[cells[:inside]] += piece.amounts[part][:inside]
    return [
        Arrival(model_of(sense), version, pane_ms, cells, sense)
        for (sense, version, pane_ms), cells in sorted(sums.items())
        if cells.any()
    ]
