"""Rows of files as they come: what is read as what was meant, and what is refused by its name before it is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import NotFound, PipelineError, StepFailed
from pipelines.gate import GateSpec
from pipelines.local_data import FileData
from pipelines.losses import Loss, LossSpec
from pipelines.policy import Data
from pipelines.ports import Dataset
from pipelines.tables import parse_rows, read_rows
from tests.pipelines.memory import MemoryStore, policy

ASKED = policy(data=Data("label", ("x",)))
ROW = {"at_ms": 1_000, "x": 1.5, "label": 1}


def awake() -> None:
    """Nobody wants anything."""


class Bench:
    def __init__(self, directory: Path, *rows: dict[str, Any]) -> None:
        self.store = MemoryStore()
        path = directory / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.data = FileData(self.store, {"fraud": path})

    def rows(self, dataset: Dataset | None) -> list[dict[str, Any]]:
        assert dataset is not None
        parts = [b"".join(self.store.blob(digest)) for digest in (dataset.train, dataset.test) if digest]
        return [row for part in parts for row in parse_rows(part, "")]


def rows_of(directory: Path, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    bench = Bench(directory, *rows)
    return bench.rows(bench.data.collect(ASKED, 2**40, awake))


def test_a_time_that_was_written_with_a_point_is_a_time(tmp_path: Path) -> None:
    """As of pandas, where a column with one hole in it is one of floats."""
    found = rows_of(tmp_path, {**ROW, "at_ms": 1_000.0, "known_ms": 2_000.0}, {**ROW, "at_ms": 5.0, "known_ms": None})
    assert [row["at_ms"] for row in found] == [5, 1_000]
    bench = Bench(tmp_path, {**ROW, "at_ms": 1_000.0, "known_ms": 2_000.0})
    assert [bench.data.mature(ASKED, at_ms) for at_ms in (1_999, 2_000)] == [0, 1]


def test_what_python_and_pandas_write_for_what_is_missing_is_missing(tmp_path: Path) -> None:
    found = rows_of(tmp_path, {**ROW, "x": float("nan")}, {**ROW, "label": float("nan")}, ROW)
    assert [row["x"] for row in found] == [1.5, None]
    from pyarrow import Table, parquet

    path = tmp_path / "rows.parquet"
    parquet.write_table(Table.from_pylist([{**ROW, "x": float("nan")}, {**ROW, "x": None}]), path)
    assert [row["x"] for row in read_rows(path)] == [None, None]


def test_bytes_of_a_parquet_file_are_in_hexadecimal_and_what_cannot_be_kept_has_its_column_named(
    tmp_path: Path,
) -> None:
    from datetime import UTC, datetime

    from pyarrow import Table, parquet

    path = tmp_path / "rows.parquet"
    data = FileData(MemoryStore(), {"fraud": path})
    rows = [{**ROW, "label": number % 2, "id_hash": bytes([0, 255, number])} for number in range(4)]
    parquet.write_table(Table.from_pylist(rows), path)
    assert read_rows(path)[1]["id_hash"] == "00ff01"
    assert data.collect(ASKED, 2**40, awake).test_rows == 4
    parquet.write_table(Table.from_pylist([{**row, "seen": datetime(2026, 1, 1, tzinfo=UTC)} for row in rows]), path)
    with pytest.raises(
        StepFailed, match=r"a row cannot be kept as JSON: column 'seen' \(datetime\).*leave the column out"
    ):
        data.collect(ASKED, 2**40, awake)


@pytest.mark.parametrize("written", ["Infinity", "-Infinity", "1e999", "[" * 100_000])
def test_a_number_that_is_none_is_refused_in_a_sentence(written: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW) + f'\n{{"at_ms": 1, "label": 0, "x": {written}}}\n')
    with pytest.raises(PipelineError) as raised:
        bench.data.collect(ASKED, 2**40, awake)
    assert isinstance(raised.value, StepFailed)
    assert any(said in str(raised.value) for said in ("line 2 of ", "a row cannot be kept as JSON"))


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        ({"at_ms": "2026-01-01T00:00:00Z"}, "at: 'at_ms' must be a whole number of ms, and is not in 1 of 2 rows"),
        ({"at_ms": None}, "at: 'at_ms' must be"),
        ({"at_ms": 0.5}, "at: 'at_ms' must be"),
        ({"at_ms": True}, "at: 'at_ms' must be"),
        ({"label": "yes"}, "label: 'label' must be a number, or null, and is not in 1 of 2 rows, first in row 2"),
        ({"known_ms": "yesterday"}, "known_ms: 'known_ms' must be a whole number of ms, or null"),
    ],
)
def test_a_row_that_would_be_left_out_is_refused_by_its_place_and_without_its_value(
    odd: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, ROW, {**ROW, **odd})
    for ask in (
        lambda: bench.data.mature(ASKED, 2**40),
        lambda: bench.data.collect(ASKED, 2**40, awake),
        lambda: bench.data.past(ASKED, 0, 2**40),
    ):
        with pytest.raises(NotFound) as raised:
            ask()
        assert sentence in str(raised.value)
        assert "yes" not in str(raised.value)
    assert bench.rows(bench.data.watched(ASKED, ("2",), 0, 2**40, awake)) == [ROW], (
        "a version is watched on what is there"
    )


@pytest.mark.parametrize("version", [2, 2.0, "2", "v2"])
def test_a_version_is_known_as_a_number_too(version: object, tmp_path: Path) -> None:
    mine, other, silent = {**ROW, "version": version}, {**ROW, "version": 1}, {**ROW, "version": None}
    bench = Bench(tmp_path, mine, other, {**silent, "at_ms": 900}, {**silent, "at_ms": 1_100})
    names = ("2", "v2", "fraud@2")
    assert bench.data.seen(ASKED, names) is True
    assert bench.data.seen(ASKED, ("3",)) is False
    watched = bench.rows(bench.data.watched(ASKED, names, 1_000, 2**40, awake))
    assert [(row["at_ms"], row["version"]) for row in watched] == [(1_000, version), (1_100, None)]
    compared = bench.rows(bench.data.compared(ASKED, names, ("1",), 0, 2**40, awake))
    assert [row["version"] for row in compared] == [None, version, None]


def test_rows_that_say_no_version_say_nothing_of_who_serves(tmp_path: Path) -> None:
    assert Bench(tmp_path, ROW, {**ROW, "version": None}).data.seen(ASKED, ("2",)) is None


@pytest.mark.parametrize(
    ("label", "place", "said"),
    [
        (2, 3, "'label' is neither 0 nor 1 in 1 of 70 rows to train on (1.4%), and the loss brier is for two classes"),
        (
            0.5,
            90,
            "'label' is neither 0 nor 1 in 1 of 30 rows to judge by (3.3%), and the loss brier is for two classes",
        ),
        (-1, 0, "'label' is neither 0 nor 1 in 1 of 70 rows to train on (1.4%), and the loss brier is for two classes"),
    ],
)
def test_a_label_of_no_class_is_found_with_the_rows_and_not_by_training(
    tmp_path: Path, label: float, place: int, said: str
) -> None:
    rows: list[dict[str, Any]] = [{"at_ms": n, "x": n, "label": n % 2} for n in range(100)]
    rows[place]["label"] = label
    bench = Bench(tmp_path, *rows)
    found = bench.data.validate(ASKED, bench.data.collect(ASKED, 2**40, awake))
    assert [(each.check, each.detail) for each in found] == [("label", said)]
    numbers = policy(data=Data("label", ("x",)), gate=GateSpec(loss=LossSpec(Loss.ABSOLUTE, 5.0)))
    assert bench.data.validate(numbers, bench.data.collect(numbers, 2**40, awake)) == (), (
        "a number is as good as another"
    )
