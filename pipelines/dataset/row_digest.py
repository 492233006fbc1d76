r"""The digest of rows: SHA-256 of the schema and of every row's canonical bytes, in order.

    driftline-rows 1\n
    [{"name":"id_hash","type":"hash128"},...]\n
    row, row, row, ...                                   (`table` says which bytes)

It does not know of files, compression or chunks. Changing one bit of what is hashed is a new number in the first line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec
import numpy as np

from pipelines.dataset.digest import PREFIX, canonical_bytes
from pipelines.dataset.table import Schema, Table

_HEAD = b"driftline-rows 1\n"
_ROWS_AT_ONCE = 8192  # a few hundred bytes a row: what is encoded at once stays in the cache


class RowDigest:
    """Adds tables up, each in its turn."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._hasher = hashlib.sha256(_HEAD + canonical_bytes([msgspec.to_builtins(f) for f in schema]) + b"\n")
        self.rows = 0

    def add(self, table: Table) -> None:
        """The next rows. Rows of another schema are a bug of the caller (AssertionError)."""
        assert table.schema == self._schema, "the rows have another schema"
        for start in range(0, len(table), _ROWS_AT_ONCE):
            part = table.take(np.arange(start, min(start + _ROWS_AT_ONCE, len(table))))
            self._hasher.update(part.encode().tobytes())
        self.rows += len(table)

    def digest(self) -> str:
        """Of everything added so far."""
        return PREFIX + self._hasher.hexdigest()


def digest_of_rows(schema: Schema, tables: Iterable[Table]) -> str:
    """The digest of tables end to end."""
    whole = RowDigest(schema)
    for table in tables:
        whole.add(table)
    return whole.digest()
