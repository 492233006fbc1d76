"""docs/backtests.md can be followed: the tutorial is run as it is printed."""

from __future__ import annotations

import json
from pathlib import Path

from monitor.backtest.gates import COUNTED
from monitor.cli.backtest import command
from tests.docs.following import followed
from tests.docs.test_docs import ROOT

PAGE = ROOT / "docs" / "backtests.md"


def test_the_tutorial_runs_as_it_is_printed(tmp_path: Path) -> None:
    done = followed(PAGE, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["differences"]["moved"], "a rule that waits fires later"
    assert report == json.loads((tmp_path / "compared" / "backtest.json").read_text())
    assert "With other values of rules.accuracy-low.threshold and" in done.stdout
    assert done.stdout.count(" 0.95, ") == 2
    assert "missed" not in done.stdout.partition("With other values")[0]
    assert "gate: accuracy@1h < 0.5 holds" in done.stderr
    assert "Backtest of monday" in (tmp_path / "monday.html").read_text("utf-8")
    assert [row["front"] for row in json.loads((tmp_path / "monday.json").read_text())["sweep"]].count(True) > 0


def test_every_option_and_count_is_told() -> None:
    text = PAGE.read_text()
    options = {name for option in command.params for name in option.opts if name.startswith("--")}
    assert [name for name in sorted(options - {"--set", "--config", "--output", "--quiet"}) if name not in text] == []
    assert [name for name in COUNTED if f"`{name}`" not in text] == []
