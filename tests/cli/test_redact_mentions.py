"""`driftline redact --mentions`: rows of other ids that hold one leave stores as their records leave recordings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from monitor.adapters.needles import Needles
from monitor.cli.redact_rows import rows_holding
from pipelines.dataset.table import NULL, Floats, Hashes, Ints, Table, Texts
from tests.cli.driving import driftline

CONFIG = """\
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: {from: $.at, unit: ms}, score: $.score}
    features: {note: categorical, amount: numeric}
  labels:
    topic: q
    fields: {id: $.id, at: {from: $.at, unit: ms}, label: $.label}
time: {horizon: 1h, lateness: 1h, disorder: 1m}
models: [{name: m}]
windows: [1h]
"""
T0 = 1_767_600_000_000
ROWS = 300
LEFT = "left: they are of other ids; --mentions takes them out"


@pytest.fixture
def where(tmp_path: Path) -> tuple[object, ...]:
    """A log, a recording, and a store with a dataset and an archive; `ada-1` is in the notes of the tenth and the last row."""
    (tmp_path / "driftline.yaml").write_text(CONFIG)
    notes = {10: "as ada-1 said", ROWS - 1: "ada-1", 11: "ada-12", 12: "Xada-1"}
    rows = [
        {"id": "ada-1" if i == 5 else f"u{i}", "at": T0 + 60_000 * i, "score": 0.5,
         "features": {"note": notes.get(i, "none"), "amount": i / 4}} for i in range(ROWS)
    ]  # fmt: skip
    labels = [{"id": row["id"], "at": row["at"], "label": 1} for row in rows]
    for topic, held in (("p", rows), ("q", labels)):
        (tmp_path / f"{topic}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in held))
        asked = (topic, tmp_path / f"{topic}.jsonl", "--embedded", tmp_path / "log", "--partitions", 1, "-q")
        assert driftline("produce", *asked).code == 0
    log = ("-c", tmp_path / "driftline.yaml", "--embedded", tmp_path / "log")
    store = ("--store", tmp_path / "store")
    for command in (
        ("record", *log, "--to", tmp_path / "recorded", "-q"),
        ("dataset", "create", *log, *store, "--name", "plain", "--all"),
        ("archive", "write", *log, *store, "--pane", "1h", "--name", "plain-archive"),
    ):
        done = driftline(*command)
        assert done.code == 0, done.err
    return (*log, "--recording", tmp_path / "recorded", *store)


def _found(done: object) -> dict[str, tuple[int, str]]:
    return {each["what"]: (each["count"], each["then"]) for each in done.json["found"]}  # type: ignore[attr-defined]


def test_they_are_counted_in_the_plan_and_are_nowhere_afterwards(where: tuple[object, ...], tmp_path: Path) -> None:
    asked = ("redact", *where, "--no-topics", "ada-1")
    plain = _found(driftline(*asked, "-o", "json"))
    assert (plain["rows of dataset plain"][0], plain["rows of other ids that hold one, dataset plain"]) == (
        1,
        (2, LEFT),
    )
    planned = _found(driftline(*asked, "--mentions", "-o", "json"))
    assert planned["rows of dataset plain"][0] == 3
    count, then = planned["rows of other ids that hold one, dataset plain"]
    assert (count, then.partition(";")[0]) == (2, "among those")
    assert sum("rows of other ids that hold one, archive" in what for what in planned) == 1
    done = driftline(*asked, "--mentions", "--yes", "-o", "json")
    assert (done.code, _found(done)["rows of dataset plain"][0]) == (0, 3), done.err
    proof = driftline(*asked, "--search", "-o", "json")
    assert (proof.code, proof.json["found"]) == (0, []), proof.out
    shown = driftline("dataset", "show", "plain", *where[-2:], "-o", "json").json["manifest"]
    assert shown["rows"] == ROWS - 3
    again = driftline("dataset", "create", *where[:4], *where[-2:], "--all", "-o", "json").json["manifest"]
    assert again["rows_digest"] == shown["rows_digest"], "what the topics hold does not come back"
    for command in (
        ("dataset", "verify", "plain", *where[:4]),
        ("registry", "fsck"),
        ("archive", "verify", "plain-archive"),
    ):
        told = driftline(*command, *where[-2:])
        assert told.code == 0, told.out + told.err
    assert driftline(*asked, "--mentions", "--yes", "-o", "json").json["found"] == []


def test_without_it_they_are_left_and_the_search_says_what_takes_them_out(where: tuple[object, ...]) -> None:
    asked = ("redact", *where, "--no-topics", "ada-1")
    done = _found(driftline(*asked, "--yes", "-o", "json"))
    assert done["rows of other ids that hold one, dataset plain"] == (2, LEFT)
    searched = driftline(*asked, "--search")
    assert searched.code == 1
    assert "is in records and rows of other ids: --yes --mentions takes these out too" in searched.err
    assert "--mentions takes these out too" not in driftline(*asked, "--search", "--mentions").err


def test_a_number_is_looked_at_as_it_is_written_and_what_is_not_there_is_not() -> None:
    table = Table({
        "id_hash": Hashes(np.zeros((4, 2), np.uint64)),
        "at_ms": Ints(np.array([7, 0, 77, 7]), np.array([False, True, False, True])),
        "amount": Floats(np.array([1.5, 0.0, np.nan, 2.25])),
        "note": Texts(np.array([0, NULL, 1, 0], np.int32), ["b-0", "a"]),
    })  # fmt: skip
    for asked, held in (("7", [0]), ("0", [0, 1, 3]), ("25", [3]), ("a", [2]), ("b-0", [0, 3]), ("nan-1", [])):
        assert np.flatnonzero(rows_holding(Needles([asked]), table)).tolist() == held, asked
