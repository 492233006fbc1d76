"""Rows of every type, nulls among them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pipelines.dataset.table import Floats, Hashes, Ints, Table, Texts

Row = tuple[int, int | None, float | None, str | None]

rows = st.lists(
    st.tuples(
        st.integers(0, 2**128 - 1),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False),
        st.none() | st.text(max_size=5),
    ),
    max_size=20,
)


def table(some: list[Row]) -> Table:
    """A table whose words are numbered as they come."""
    words = list(dict.fromkeys(text for *_, text in some if text is not None))
    return Table({
        "id_hash": Hashes(np.array([[i >> 64, i & (2**64 - 1)] for i, *_ in some], np.uint64).reshape(-1, 2)),
        "at_ms": Ints(
            np.array([0 if n is None else n for _, n, *_ in some], np.int64),
            np.array([n is None for _, n, *_ in some], np.bool_),
        ),
        "score": Floats(np.array([np.nan if x is None else x for _, _, x, _ in some], np.float64)),
        "origin": Texts(np.array([-1 if t is None else words.index(t) for *_, t in some], np.int32), words),
    })  # fmt: skip


FEW: list[Row] = [
    (1, 1_357_000_000_000, 0.25, "EWR"),
    (2**127 + 5, -1, -0.0, "é"),
    (7, None, None, None),
    (7, 0, 0.0, ""),
]
