"""Rows of an Arrow table as the records of a topic: what a service would have sent, had it sent them.

A row is the JSON object of its columns. Where the configuration looks for a field at a place that is no column
(`$.features.hour`), the column of the last name (`hour`) is put there too, so a flat table goes with the configuration of
production. `key` and `header:NAME` are read from columns `key` and `NAME`. Needs pyarrow (`driftline[notebook]`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from monitor.config.sources import Source, TimeField, format_path
from monitor.errors import MonitorError
from monitor.ports import OutRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from monitor.config.streams import LabelStream, PredictionStream

CHUNK = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TableError(MonitorError):
    """A table cannot be read as the records of a stream."""


def table_of(given: object, name: str) -> pa.Table:
    """What was given as a table: a table already, a list of rows (mappings), or whatever hands its rows to Arrow (record
    batches and their readers, frames of polars, of DuckDB, and of pandas from 2.2 on).

    A field that a row does not have is null in it. Raises TableError for anything else, and for rows that are no table.
    """
    import pyarrow as pa

    if isinstance(given, pa.Table):
        return given
    try:
        if isinstance(given, pa.RecordBatch):
            return pa.Table.from_batches([given])
        if hasattr(given, "__arrow_c_stream__"):
            return pa.table(given)
        if isinstance(given, (list, tuple)) and all(isinstance(row, Mapping) for row in given):
            columns = dict.fromkeys(column for row in given for column in row)
            return pa.table({column: [row.get(column) for row in given] for column in columns})
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise TableError(f"the {name} cannot be made a table: {error}") from error
    raise TableError(
        f"the {name} are {_named(given)}, which is no table: give a pyarrow.Table, a list of mappings, or a frame that Arrow "
        "reads (polars; pandas by pyarrow.Table.from_pandas)"
    )


def _named(given: object) -> str:
    """`a list whose row 2 is a tuple`, `a dict`: what it is, never what is in it."""
    if isinstance(given, (list, tuple)):
        row, strange = next((row, each) for row, each in enumerate(given) if not isinstance(each, Mapping))
        return f"a {type(given).__name__} whose row {row} is of type {type(strange).__name__}"
    return f"of type {type(given).__name__}"


def records(table: pa.Table, stream: PredictionStream | LabelStream, name: str, *, sort: bool) -> Iterator[OutRecord]:
    """The records of a table. `name` says which table it is; `sort`: in order of event time, as topics mostly are. An empty
    list, without rows and columns, has none.

    Raises TableError for a field that has no column, and for a value that JSON has no form for.
    """
    import orjson

    if not table.num_rows and not table.column_names:
        return
    sources = _sources(stream)
    columns = set(table.column_names)
    moved = [(path, column) for field, source in sources for path, column in _moved(field, source, columns, name)]
    headers = [source.name for _, source in sources if source.kind == "header"]
    keyed = any(source.kind == "key" for _, source in sources)
    at = stream.fields.at
    table = _in_time(table, at, sort=sort)
    for batch in table.to_batches(max_chunksize=CHUNK):
        for row in batch.to_pylist():
            key = row["key"] if keyed else None
            sent = [(header, _bytes(row[header])) for header in headers if row[header] is not None]
            for path, column in moved:
                _put(row, path, row[column])
            try:
                value = orjson.dumps(row)
            except TypeError as error:
                raise TableError(f"the {name} table: {error}; cast that column to text or a number") from error
            yield OutRecord(value, None if key is None else _bytes(key), sent)


def _sources(stream: PredictionStream | LabelStream) -> list[tuple[str, Source]]:
    """(field, where it is looked for) of everything that is read."""
    fields: dict[str, Any] = {name: getattr(stream.fields, name) for name in type(stream.fields).model_fields}
    found = [
        (name, value.source if isinstance(value, TimeField) else value)
        for name, value in fields.items()
        if isinstance(value, (Source, TimeField))
    ]
    found += [(f"scores.{name}", source) for name, source in (fields.get("scores") or {}).items()]
    found += [(f"features.{name}", feature.source) for name, feature in getattr(stream, "features", {}).items()]
    return found


def _moved(field: str, source: Source, columns: set[str], name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Which column has to go where for this field; nothing where it is already. Raises TableError where there is none."""
    if source.kind == "const":
        return
    if source.kind != "value":
        wanted = source.name if source.kind == "header" else "key"
        if wanted not in columns:
            raise _missing(field, source, wanted, columns, name)
        return
    if source.path[0] in columns:
        return
    if source.path[-1] not in columns and field == "withdrawn":
        return  # nothing is taken back
    if source.path[-1] not in columns:
        raise _missing(field, source, source.path[-1], columns, name)
    yield source.path, source.path[-1]


def _missing(field: str, source: Source, wanted: str, columns: Iterable[str], name: str) -> TableError:
    place = format_path(source.path) if source.kind == "value" else source.text()
    return TableError(
        f"the {name} table has no column for {field}, which is looked for at {place}: name one {wanted!r}, or change "
        f"streams.{name} in the configuration. It has: {', '.join(sorted(columns))}"
    )


def _put(row: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for step in path[:-1]:
        row = row.setdefault(step, {})
    row[path[-1]] = value


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _in_time(table: pa.Table, at: TimeField, *, sort: bool) -> pa.Table:
    """In order of event time, and instants (timestamps) in the unit that the configuration reads."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = at.source.path if at.source.kind == "value" else ()
    column = next((each for each in (path[:1] + path[-1:]) if each in table.column_names), None)
    if column is None or (column == path[0] and len(path) > 1):
        return table
    if sort:
        table = table.take(pc.sort_indices(table[column]))
    if pa.types.is_timestamp(table.schema.field(column).type):
        ms = table[column].cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
        place = table.column_names.index(column)
        table = table.set_column(place, column, pa.array([_instant(each, at.unit) for each in ms.to_pylist()]))
    return table


def _instant(ms: int | None, unit: str) -> int | float | str | None:
    if ms is None or unit == "ms":
        return ms
    return ms / 1_000 if unit == "s" else (_EPOCH + timedelta(milliseconds=ms)).isoformat()
