"""What a tick brings to the windows of one model, apart from the windows it goes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.events import Bools, Int64s
from monitor.groups import Group


@dataclass(frozen=True, slots=True)
class Piece:
    """What a tick brings the windows of one model, as S slots.

    Slot s is (groups[group[s]], pane_ms[s]); its cells are the next `length[s]` of `cells`, with `amounts` beside them,
    ascending. No slot is there twice, no amount is 0, no slot is empty.
    """

    groups: Sequence[Group]
    group: Int64s
    pane_ms: Int64s
    length: Int64s
    cells: Int64s
    amounts: Int64s

    def only(self, wanted: Bools) -> Piece:
        """Some of its slots; itself where those are all."""
        if wanted.all():
            return self
        inner, own = np.repeat(wanted, self.length), (self.group[wanted], self.pane_ms[wanted], self.length[wanted])
        return Piece(self.groups, *own, self.cells[inner], self.amounts[inner])
