"""Rows in files: JSON lines (also gzipped), and Parquet where pyarrow is installed."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.codec import canonical_bytes
from pipelines.errors import NotFound, NotInstalled, StepFailed

Row = dict[str, Any]
Floats = np.ndarray[Any, np.dtype[np.float64]]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file. Raises NotFound, NotInstalled, StepFailed."""
    if not path.is_file():
        raise NotFound(f"file {str(path)!r}", "is not there", "Name a file of JSON lines, or a Parquet file.")
    if path.suffix == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError:
            raise NotInstalled("reading Parquet", "pyarrow", "datasets") from None
        found: list[Row] = [_plain(row) for row in parquet.read_table(path).to_pylist()]
        return found
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return parse_rows(raw, str(path))


def parse_rows(raw: bytes, where: str) -> list[Row]:
    """Rows from JSON lines; NaN, which some write for what is missing, is null. Raises StepFailed with the line that is none."""
    rows, decoder = [], json.JSONDecoder(parse_constant=_constant)  # `json.loads` would make one for each line
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line.decode(json.detect_encoding(line), "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise StepFailed(f"line {number} of {where}", f"is not JSON: {error}", "Write one object a line.") from None
        if not isinstance(row, dict):
            raise StepFailed(f"line {number} of {where}", "is no object", "Write one object a line.")
        rows.append(row)
    return rows


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no number")


def _plain(row: Row) -> Row:
    """NaN is null, and bytes, as of the hash of an id, are in hexadecimal: JSON has neither."""
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and math.isnan(value) else value


def row_bytes(row: Row) -> bytes:
    """A row as JSON, the same bytes for the same content. Raises StepFailed for what JSON cannot hold, with its column."""
    try:
        return canonical_bytes(row)
    except (TypeError, ValueError) as error:
        column, kind = next(((name, type(value).__name__) for name, value in row.items() if not _fits(value)), ("", ""))
        why = f"cannot be kept as JSON: column {column!r} ({kind}): {error}"
        remedy = "Use numbers, texts and null, or leave the column out of the rows."
        raise StepFailed("a row", why, remedy) from None


def _fits(value: object) -> bool:
    try:
        canonical_bytes(value)
    except (TypeError, ValueError):
        return False
    return True


def write_rows(rows: Iterable[Row]) -> bytes:
    """JSON lines, the same bytes for the same rows. Raises StepFailed, as `row_bytes`."""
    return b"".join(row_bytes(row) + b"\n" for row in rows)


def numbers(rows: Sequence[Row], column: str) -> Floats:
    """A column as floats, NaN where there is nothing or no number."""
    return np.array([_number(row.get(column)) for row in rows], dtype=np.float64)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
