"""Tables as Parquet and back. The only module here that needs pyarrow (`driftline[datasets]`).

Nothing but values survives the way there and back: which library wrote a file, its encodings and pages are not part of any
row. So the same rows may be other bytes in another version of pyarrow, and still have the same digest of rows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from pipelines.dataset.errors import ExtraMissing, UnreadableDataset
from pipelines.dataset.table import Column, Floats, Hashes, Ints, Schema, Table, Texts, Type

COMPRESSION: Final = "zstd"


def require() -> None:
    """Raises ExtraMissing when pyarrow is not installed."""
    _arrow()


def to_parquet(table: Table) -> bytes:
    """A table as one file with one row group."""
    arrow, parquet = _arrow()
    arrays = [_array(arrow, column) for column in table.columns.values()]
    made = arrow.Table.from_arrays(arrays, names=list(table.columns))
    sink = arrow.BufferOutputStream()
    parquet.write_table(made, sink, compression=COMPRESSION, row_group_size=max(1, len(table)), version="2.6")
    out: bytes = sink.getvalue().to_pybytes()
    return out


def from_parquet(raw: bytes, schema: Schema, where: str) -> Table:
    """The rows of a file. Raises UnreadableDataset when it is no such file or has other columns."""
    arrow, parquet = _arrow()
    try:
        found = parquet.ParquetFile(arrow.BufferReader(raw)).read()
        if found.column_names != [field.name for field in schema]:
            raise UnreadableDataset(where, f"has the columns {found.column_names}", "It is not of this version.")
        return Table({field.name: _column(arrow, found.column(field.name), field.type) for field in schema})
    except (arrow.ArrowException, OSError, TypeError) as error:
        raise UnreadableDataset(where, f"cannot be read: {error}", "Restore it from a copy.") from error


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ExtraMissing("a dataset's segment", "pyarrow", "datasets") from error
    return pa, pq


def _array(arrow: Any, column: Column) -> Any:
    if isinstance(column, Ints):
        return arrow.array(column.values, type=arrow.int64(), mask=column.null)
    if isinstance(column, Floats):
        return arrow.array(column.values, type=arrow.float64(), mask=np.isnan(column.values))
    if isinstance(column, Texts):
        return arrow.array(column.texts(), type=arrow.string())
    raw = np.ascontiguousarray(column.values.astype("<u8")).tobytes()
    return arrow.FixedSizeBinaryArray.from_buffers(arrow.binary(16), len(column), [None, arrow.py_buffer(raw)])


def _column(arrow: Any, chunked: Any, kind: Type) -> Column:
    whole = chunked.combine_chunks()
    array = whole.chunk(0) if isinstance(whole, arrow.ChunkedArray) and whole.num_chunks else whole
    expected = {
        Type.INT: arrow.int64(),
        Type.FLOAT: arrow.float64(),
        Type.TEXT: arrow.string(),
        Type.HASH: arrow.binary(16),
    }
    if array.type != expected[kind]:
        raise TypeError(f"a column of {array.type} where {kind} is needed")
    null = array.is_null().to_numpy(zero_copy_only=False)
    if kind is Type.INT:
        return Ints(array.fill_null(0).to_numpy(zero_copy_only=False), null)
    if kind is Type.FLOAT:
        return Floats(array.fill_null(float("nan")).to_numpy(zero_copy_only=False))
    if kind is Type.TEXT:
        coded = array.dictionary_encode()
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return Texts(codes.astype(np.int32), coded.dictionary.to_pylist())
    if null.any():
        raise TypeError("a hash that is null")
    raw = b"".join(array.to_pylist())
    return Hashes(np.frombuffer(raw, "<u8").astype(np.uint64).reshape(-1, 2))
