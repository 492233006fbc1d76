"""docs/car-loan.md is typed as it is printed: the drop is paged by the estimate before labels and by the truth after."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_docs import FENCED, ROOT

PAGE = ROOT / "docs" / "car-loan.md"
LOANS = ("docs/examples/car_loan.py", "docs/examples/car_loan.yaml", "tests/data/reference/car_loan.npz")
TABLE = {
    (row["name"], int(row["chunk"]) + (10 if row["period"] == "analysis" else 0)): float(row["value"])
    for row in csv.DictReader((ROOT / "tests/data/reference/nannyml_car_loan.csv").read_text().splitlines())
    if row["kind"] == "realized"
}
DAY_MS, START_MS = 86_400_000, 1_767_225_600_000


def typed(body: str, directory: Path) -> str:
    """What the commands print, in the directory."""
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", body],
        cwd=directory,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder of the loans, and what each block of commands printed."""
    home = tmp_path_factory.mktemp("checkout")
    for name in LOANS:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, home / name)
    first, second = (body for kind, body in FENCED.findall(PAGE.read_text()) if kind == "sh")
    return home / "car-loan", [typed(first, home), typed(second, home / "car-loan")]


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines() if line.startswith(" 2026-")]


def test_every_alert_of_the_page_is_told_then_and_no_other(told: tuple[Path, list[str]]) -> None:
    printed = next(body for kind, body in FENCED.findall(PAGE.read_text()) if not kind and "accuracy-estimated" in body)
    found = [row for row in rows(told[1][0]) if row[2] in ("page", "ticket")]
    assert found == rows(printed)
    assert [(row[2], row[3]) for row in found] == [
        ("page", "accuracy-estimated"),
        ("ticket", "budget-input"),
        ("page", "accuracy"),
        ("page", "budget-performance"),
    ]
    assert all(row[0] >= "2026-01-16" for row in found), "five calm days, and the ten that were learned"
    assert found[0][0] < "2026-01-23" <= found[2][0], "labels come a week after"


def test_a_run_tells_what_the_backtest_told_and_the_page_shows(told: tuple[Path, list[str]]) -> None:
    printed = next(body for kind, body in FENCED.findall(PAGE.read_text()) if not kind and "labelled" in body)
    assert rows(printed) == rows(told[1][1])[:3]
    assert told[1][1].count("firing") == 4


def test_every_day_is_a_chunk_of_nannymls(told: tuple[Path, list[str]]) -> None:
    done = typed("driftline windows -c driftline.yaml --embedded ./log --window 1d --final -o json", told[0])
    windows: list[dict[str, Any]] = [w for w in json.loads(done)["windows"] if w["kind"] == "performance"]
    assert len(windows) == 20
    for window in windows:
        chunk = (window["start_ms"] - START_MS) // DAY_MS
        for name in ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "average_precision"):
            metric = window["metrics"][name]
            expected = pytest.approx(TABLE[name, chunk], abs=1e-6 + metric["bound"], rel=0)
            assert metric["value"] == expected, (chunk, name)
