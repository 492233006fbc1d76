"""The report of `make verify`: what each part showed when it last ran, with the command, the commit and the date.

A part that has run leaves its figures in `build/verify/PART.json`; `write` makes `tests/verify/report.md` of all of them. The
report is committed, so that whoever reads the repository sees what was run and when, and can run it again.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "build" / "verify"
REPORT = Path(__file__).parent / "report.md"
PARTS = {
    "simulate": "Deterministic simulation",
    "mutations": "The rules, one taken away at a time",
    "model": "Two writers of a ledger, exhaustively",
    "fuzz": "Fuzzing",
    "chaos": "Chaos on three real Kafka nodes",
}
HEAD = """# What `make verify` showed

Written by `python -m tests.verify report` from the last run of each part; nothing here is typed by hand. Every part states the
command that repeats it, the commit it ran at (`+` after it: with changes that were not committed yet) and the time it took.
"""


def keep(
    part: str, command: str, secs: float, figures: Mapping[str, Any], table: list[tuple[str, str]] | None = None
) -> None:
    """Remember what a part showed. `table`: rows of two columns, the first of them the heading."""
    assert part in PARTS
    FIGURES.mkdir(parents=True, exist_ok=True)
    now = datetime.fromtimestamp(time.time(), UTC)
    document = {
        "command": command,
        "commit": COMMIT,
        "date": now.strftime("%Y-%m-%d %H:%M UTC"),
        "secs": round(secs, 1),
        "figures": figures,
        "table": table or [],
    }
    (FIGURES / f"{part}.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def write() -> Path:
    """Compose the report of every part that has left figures."""
    sections = [HEAD]
    for part, title in PARTS.items():
        found = FIGURES / f"{part}.json"
        if found.exists():
            sections.append(section(title, orjson.loads(found.read_bytes())))
    REPORT.write_text("\n".join(sections))
    return REPORT


def titles(text: str) -> list[str]:
    """The parts that a report is about."""
    return [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]


def section(title: str, document: Mapping[str, Any]) -> str:
    """One part of the report."""
    lines = [f"## {title}", "", f"`{document['command']}`, {document['date']}, commit {document['commit']}, "]
    lines[-1] += f"{document['secs']:,.0f} s."
    lines += ["", *(f"- {name}: {_figure(value)}" for name, value in document["figures"].items())]
    if document["table"]:
        head, *rows = document["table"]
        lines += ["", f"| {head[0]} | {head[1]} |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows)]
    return "\n".join([*lines, ""])


def _figure(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_figure(each)}" for name, each in value.items())
    if isinstance(value, int | float):
        return f"{value:,}"
    return str(value)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


COMMIT = _commit()
"""As it was when the process began: a long run goes on while others commit."""
