"""docs/erasure.md can be followed: the tutorial is run as it is printed, and it names every place and option."""

from __future__ import annotations

import json
from pathlib import Path

from monitor.adapters import absence
from monitor.cli.redact import command
from tests.docs.following import followed
from tests.docs.test_docs import ROOT

PAGE = ROOT / "docs" / "erasure.md"


def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path) -> None:
    done = followed(PAGE, tmp_path)
    assert "nothing was changed; --yes does it" in done.stderr
    assert "none of 1 ids is anywhere that was searched" in done.stderr
    (shown,) = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"dataset"')]
    assert (shown["names"], shown["manifest"]["rows"], shown["manifest"]["redacted"]["rows"]) == (["january"], 2, 1)
    assert "the same, bit for bit" in done.stdout


def test_it_tells_every_option_and_all_that_is_opened() -> None:
    text = PAGE.read_text()
    options = {name for option in command.params for name in option.opts if name.startswith("--")}
    untold = {"--config", "--set", "--embedded", "--output", "--reason", "--actor"}
    assert [name for name in sorted(options - untold) if name not in text] == []
    openers = {opener.__name__.strip("_") for _, opener in absence._PACKED}
    told = {"arrow_file": "Arrow", "recording": "segments of recordings", "parquet": "Parquet", "sqlite": "SQLite"}
    assert [name for name in openers if told.get(name, name) not in text] == []
