"""Rows in files: JSON lines (also gzipped), and Parquet where pyarrow is installed."""

from __future__ import annotations

import gzip
import json
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
        found: list[Row] = parquet.read_table(path).to_pylist()
        return found
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return parse_rows(raw, str(path))


def parse_rows(raw: bytes, where: str) -> list[Row]:
    """Rows from JSON lines. Raises StepFailed with the line that is none."""
    rows = []
    for number, line in enumerate(raw.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise StepFailed(f"line {number} of {where}", f"is not JSON: {error}", "Write one object a line.") from None
        if not isinstance(row, dict):
            raise StepFailed(f"line {number} of {where}", "is no object", "Write one object a line.")
        rows.append(row)
    return rows


def write_rows(rows: Iterable[Row]) -> bytes:
    """JSON lines, the same bytes for the same rows. Raises StepFailed for what JSON cannot hold."""
    try:
        return b"".join(canonical_bytes(row) + b"\n" for row in rows)
    except (TypeError, ValueError) as error:
        raise StepFailed("a row", f"cannot be kept as JSON: {error}", "Use numbers, texts and null.") from None


def numbers(rows: Sequence[Row], column: str) -> Floats:
    """A column as floats, NaN where there is nothing or no number."""
    return np.array([_number(row.get(column)) for row in rows], dtype=np.float64)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
