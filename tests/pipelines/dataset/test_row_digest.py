"""One digest for the same rows, another one for any other rows."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dataset import parquet
from pipelines.dataset.errors import UnreadableDataset
from pipelines.dataset.row_digest import digest_of_rows
from pipelines.dataset.table import Field, Table, Type
from tests.pipelines.dataset.rows import FEW, Row, rows, table

SCHEMA = table([]).schema
GOLDEN = "sha256:fa109625d7b0241027fada23d419a9f1877ad606eceb3bda1c7e73c3e64dabd5"


def digest(*tables: Table) -> str:
    return digest_of_rows(SCHEMA, tables)


def by_hand(some: list[Row]) -> str:
    """The digest as the documentation says it, without NumPy."""
    names = ("id_hash", "hash128"), ("at_ms", "int64"), ("score", "float64"), ("origin", "text")
    schema = ",".join(f'{{"name":"{name}","type":"{kind}"}}' for name, kind in names)
    body = b"driftline-rows 1\n[" + schema.encode() + b"]\n"
    for i, n, x, text in some:
        body += struct.pack("<QQ", i >> 64, i & (2**64 - 1))
        body += bytes(9) if n is None else b"\1" + struct.pack("<q", n)
        body += bytes(9) if x is None else b"\1" + struct.pack("<d", x)
        body += bytes(33) if text is None else b"\1" + hashlib.sha256(text.encode()).digest()
    return "sha256:" + hashlib.sha256(body).hexdigest()


@given(rows)
def test_the_digest_is_what_the_documentation_says(some: list[Row]) -> None:
    assert digest(table(some)) == by_hand(some)


@given(rows, st.integers(0, 20), st.integers(0, 20))
def test_cuts_cannot_be_seen(some: list[Row], a: int, b: int) -> None:
    first, second = sorted((a, b))
    parts = some[:first], some[first:second], some[second:]
    assert digest(*map(table, parts)) == digest(table(some))


@given(rows, rows)
def test_other_rows_have_another_digest(one: list[Row], other: list[Row]) -> None:
    same = [repr(r) for r in one] == [repr(r) for r in other]  # repr tells -0.0 from 0.0
    assert (digest(table(one)) == digest(table(other))) == same


@given(rows)
def test_parquet_changes_no_row(some: list[Row]) -> None:
    whole = table(some)
    back = parquet.from_parquet(parquet.to_parquet(whole), SCHEMA, "a segment")
    assert back.schema == SCHEMA
    assert digest(back) == digest(whole)
    assert back.texts("origin").texts() == [text for *_, text in some]


def test_other_bytes_of_parquet_hold_the_same_rows(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    whole = table(FEW * 50)
    zstd = parquet.to_parquet(whole)
    monkeypatch.setattr(parquet, "COMPRESSION", "none")
    plain = parquet.to_parquet(whole)
    assert zstd != plain
    first, second = (parquet.from_parquet(raw, SCHEMA, "a segment") for raw in (zstd, plain))
    assert digest(first) == digest(second) == digest(whole)


def test_the_digest_of_a_few_rows_never_changes() -> None:
    assert digest(table(FEW)) == GOLDEN


def test_a_segment_that_pyarrow_18_wrote_holds_the_same_rows() -> None:
    raw = (Path(__file__).parents[2] / "golden" / "dataset-segment-pyarrow18.parquet").read_bytes()
    assert digest(parquet.from_parquet(raw, SCHEMA, "it")) == GOLDEN


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_what_is_no_segment_is_refused_by_name(cut: int) -> None:
    raw = parquet.to_parquet(table(FEW))
    with pytest.raises(UnreadableDataset, match="segment 7 of partition 1 cannot be read"):
        parquet.from_parquet(raw[:cut], SCHEMA, "segment 7 of partition 1")
    with pytest.raises(UnreadableDataset, match="has the columns"):
        parquet.from_parquet(raw, SCHEMA[1:], "it")
    with pytest.raises(UnreadableDataset, match="a column of int64 where float64 is needed"):
        parquet.from_parquet(raw, (SCHEMA[0], Field("at_ms", Type.FLOAT), *SCHEMA[2:]), "it")


def test_which_not_a_number_it_was_does_not_matter() -> None:
    odd = table(FEW)
    values = odd.floats("score").values
    values[2] = np.frombuffer(struct.pack("<Q", 0x7FF8_0000_0000_0123), np.float64)[0]
    assert digest(odd) == GOLDEN
