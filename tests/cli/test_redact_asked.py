"""What `driftline redact` makes of what it is given, and how it tells what it found: nothing is proved by a mistake."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.driving import driftline

CONFIG = """\
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: {from: $.at, unit: ms}, score: $.score}
  labels:
    topic: q
    fields: {id: $.id, at: {from: $.at, unit: ms}, label: $.label}
models: [{name: m}]
windows: [1h]
"""
ODD = 'a"ü"/1'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "driftline.yaml").write_text(CONFIG)
    return tmp_path / "driftline.yaml"


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbfada-1\r\nalan-2\r\n",
        "ada-1\nalan-2\n".encode("utf-16"),
        "\ufeffada-1\nalan-2".encode("utf-16-be"),
        b"ada-1\n\xef\xbb\xbfalan-2\n",
        b"ada-1\ralan-2",
    ],
    ids=["UTF-8 that says so", "UTF-16", "big-endian", "two files in one", "old line ends"],
)
@pytest.mark.parametrize("stdin", [False, True])
def test_a_file_that_says_its_encoding_is_read_by_it(
    config: Path, tmp_path: Path, raw: bytes, stdin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first id would be another one, and be nowhere: a proof of nothing."""
    (tmp_path / "ids.txt").write_bytes(raw)
    (tmp_path / "held").mkdir()
    (tmp_path / "held/first").write_text("of ada-1")
    (tmp_path / "held/second").write_text("of alan-2")
    where = ("-c", config, "--no-topics", "--outputs", tmp_path / "held", "--search", "-o", "json")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    done = driftline("redact", *where, "--ids-from", "-" if stdin else tmp_path / "ids.txt")
    assert (done.code, done.json["ids"], [each["ids"] for each in done.json["found"]]) == (1, 2, [1, 1])


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"ada\xe4\n", "is no UTF-8, first at byte 3"),
        ("ada-1".encode("utf-16-le"), "holds zero bytes"),
        (b"\n\r\n", "say which ids"),
    ],
)
def test_a_file_that_is_no_list_of_ids_is_a_mistake(config: Path, tmp_path: Path, raw: bytes, why: str) -> None:
    (tmp_path / "ids.txt").write_bytes(raw)
    done = driftline("redact", "-c", config, "--no-topics", "--ids-from", tmp_path / "ids.txt", "--search")
    assert (done.code, why in done.err) == (2, True), done.err


def test_ids_that_look_as_if_they_were_copied_badly_are_told(config: Path) -> None:
    done = driftline("redact", "-c", config, "--no-topics", '"ada-1"', "alan-2 ", "edsger-3")
    assert "2 of the ids begin with a quote, or begin or end with white space" in done.err
    assert "ada" not in done.out + done.err


def _held(tmp_path: Path) -> Path:
    """100 predictions on a partition: `7` is the hour of every record, and the id of the one at offset 60."""
    ids = ["7" if i == 60 else ODD if i in (10, 11, 12, 80) else f"u{i}" for i in range(100)]
    lines = (json.dumps({"id": who, "at": 1_767_600_000_000 + i, "hour": 7}) for i, who in enumerate(ids))
    (tmp_path / "p.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "q.jsonl").write_text('{"id": "grace-4", "at": 1767600000000, "label": 1}\n')
    for topic in "pq":
        where = (topic, tmp_path / f"{topic}.jsonl", "--embedded", tmp_path / "log", "--partitions", 1, "-q")
        assert driftline("produce", *where).code == 0
    return tmp_path / "log"


def test_the_advice_is_about_records_of_the_ids_and_says_what_goes_with_them(config: Path, tmp_path: Path) -> None:
    where = ("redact", "-c", config, "--embedded", _held(tmp_path))
    found = {each["what"]: each for each in driftline(*where, "7", "-o", "json").json["found"]}
    own = found["records that hold the ids, the last below offset 61"]
    then = "yours: they go with retention; sooner only with the 61 offsets below 61, whoever they are of: kafka-delete-records"
    assert (own["count"], own["then"]) == (1, then)
    others = found["records of other ids that hold one of these somewhere"]
    assert (others["count"], others["then"][:32]) == (99, "left: they are somebody else's. ")
    only = driftline(*where, "1767600000005", "-o", "json").json["found"]
    assert [(each["count"], "offset" in each["then"]) for each in only] == [(1, False)]


def test_an_output_that_cannot_be_searched_is_told_with_why(config: Path, tmp_path: Path) -> None:
    (tmp_path / "held").mkdir()
    (tmp_path / "held/report.pdf").write_bytes(b"%PDF-1.7 ...")
    where = ("redact", "-c", config, "--no-topics", "--outputs", tmp_path / "held", "ada-1")
    (found,) = driftline(*where, "-o", "json").json["found"]
    assert found["what"] == "a file that cannot be searched: it is a PDF, which is not opened"
    assert "report.pdf: not searched: it is a PDF" in driftline(*where, "--search").err
    assert driftline(*where, "--yes", "-o", "json").json["found"][0]["then"] == "removed"


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body in files.items():
            packed.writestr(name, body * 20)
    return out.getvalue()


def test_what_a_search_finds_in_topics_is_a_line_for_each_partition(config: Path, tmp_path: Path) -> None:
    where = ("redact", "-c", config, "--embedded", _held(tmp_path), "--search")
    done = driftline(*where, ODD, "u30", "nobody")
    assert done.code == 1
    assert done.err.splitlines() == ["driftline: topic p[0]: 2 of the ids in 5 records, offsets 10-12, 30, 80"]
    many = driftline(*where, *(f"u{i}" for i in range(0, 100, 3)))
    assert many.err.endswith("21, 24, and in 24 more ranges (-o json has all)\n"), many.err
    assert driftline("record", *where[1:5], "--to", tmp_path / "kept", "-q").code == 0
    (kept, *_, way_out) = driftline(*where, "--recording", tmp_path / "kept", "u30", "u31").err.splitlines()
    assert way_out.endswith("in records and rows of other ids: --yes --mentions takes these out too")
    assert kept.endswith("00000000000000000000.seg (offsets from 0): 2 of the ids")
    (tmp_path / "both.zip").write_bytes(_zip({"a (1)": b"-u30", "b (2)": b"-u31-u30", "c": b"-nobody"}))
    (packed, *_) = driftline(*where, "--outputs", tmp_path / "both.zip", "u30", "u31").err.splitlines()
    assert packed.endswith("both.zip: 2 of the ids (in 2 parts: -o json has all)")
    told = driftline(*where, ODD, "-o", "json").json["found"]
    assert [each["where"] for each in told] == [f"topic p[0], offset {offset}" for offset in (10, 11, 12, 80)]
