"""Which records of a batch have to be taken one after the other.

A batch is linked at once, each record against what its key was when the batch began. That is the same as one after the other
unless a record moves the time by which its key is remembered: one with an earlier time than the content held. What follows
it in the batch under the same id is then to be asked against the new time.
"""

from __future__ import annotations

import numpy as np

from monitor.events import Int64s
from monitor.join.index import Rows


def one_by_one(rows: Rows, heads: Rows, at: Int64s, head_ms: Int64s, chained: Rows) -> Int64s:
    """Places, ascending, of the records that must not be linked with the rest; `rows` are new and in the order of the log.

    `heads`: first row of the chain that each belongs to (itself for a new id), `head_ms` that row's time, `chained` what
    follows it. Of an id with two further records or more all of them, where their times, after that of the head, ever go
    down; where the chain is longer than its head, where they change at all.
    """
    on = np.flatnonzero(heads != rows)
    on = on[np.argsort(heads[on], kind="stable")]
    first = np.flatnonzero(np.concatenate([[True], heads[on][1:] != heads[on][:-1]])) if on.size else on
    size = np.diff(np.append(first, on.size))
    if not (size > 1).any():
        return np.zeros(0, np.int64)
    times = at[on]
    last = np.concatenate([[0], times[:-1]])
    last[first] = head_ms[on][first]
    moved = (times < last) | ((chained[on] != 0) & (times != last))
    group = np.repeat(np.arange(len(first)), size)
    alone = (size > 1) & (np.bincount(group, moved, len(first)) > 0)
    return np.sort(on[alone[group]])
