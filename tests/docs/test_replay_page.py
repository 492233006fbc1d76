"""docs/replay.md can be followed: the tutorial is run as it is printed, and what it says of the format is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from monitor.adapters.recording_format import BLOCK_BYTES, BLOCK_RECORDS, FORMAT, MAGIC, SEGMENT_OFFSETS
from monitor.cli.replay import command
from tests.docs.following import followed
from tests.docs.test_docs import ROOT

PAGE = ROOT / "docs" / "replay.md"


def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path) -> None:
    done = followed(PAGE, tmp_path)
    assert done.stderr.count("driftline: identical: ") == 2
    assert re.search(r"\d+ commits over 800 records and \d+ evaluations made again, byte for byte", done.stderr)
    assert re.search(
        r"different: alert \(.*\): data\.evidence\.threshold is 0\.8 here, 0\.7 in the record", done.stderr
    )
    (alert,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert alert["data"]["rule"] == "accuracy-low"
    assert len((tmp_path / "again" / "windows.jsonl").read_bytes().splitlines()) > 10


def test_what_it_says_of_the_format_is_so() -> None:
    text = PAGE.read_text()
    assert f"The format, version {FORMAT}:" in text
    assert f"{SEGMENT_OFFSETS:,} offsets" in text
    assert f"`{MAGIC.decode()}`" in text
    assert f"up to {BLOCK_RECORDS:,} records or {BLOCK_BYTES >> 20} MiB" in text


def test_every_option_that_says_where_to_is_told() -> None:
    text = PAGE.read_text()
    options = {name for option in command.params for name in option.opts if name.startswith("--")}
    assert [name for name in sorted(options - {"--set", "--config", "--output", "--quiet"}) if f"`{name}" not in text
            and f" {name}" not in text] == []  # fmt: skip
