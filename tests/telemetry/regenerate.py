"""Writes docs/telemetry.md anew: `python -m tests.telemetry.regenerate`."""

from __future__ import annotations

from pathlib import Path

from monitor.telemetry.document import markdown

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"

if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
