"""Rows that go into a table by themselves, without a record that brings them."""

from __future__ import annotations

import numpy as np

from monitor.events import UInt64s
from monitor.join.index import Rows
from monitor.join.rows import ChainedRows, place_of


def link(table: ChainedRows, rows: Rows, ids: UInt64s) -> None:
    """Hang rows that came back under their ids; the order within a chain means nothing."""
    table.next_row[place_of(rows)] = 0
    heads = table.index.claim(table.ids, rows, ids)
    on = np.flatnonzero(heads != rows)
    while on.size:
        # One row behind each head at a time: several may have the same.
        _, one = np.unique(heads[on], return_index=True)
        now = on[one]
        table.next_row[rows[now]] = table.next_row[heads[now]]
        table.next_row[heads[now]] = rows[now]
        on = np.delete(on, one)
