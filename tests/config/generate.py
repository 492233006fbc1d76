"""Writes what is generated from the config's types: `python -m tests.config.generate`."""

from __future__ import annotations

from pathlib import Path

from monitor.config.page import replaced
from monitor.config.schema import schema_text

ROOT = Path(__file__).parents[2]


def main() -> None:
    (ROOT / "monitor/config/schema.json").write_text(schema_text())
    page = ROOT / "docs/configuration.md"
    page.write_text(replaced(page.read_text()))


if __name__ == "__main__":
    main()
