"""docs/python.md can be followed: its code is run as it is printed."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from monitor import notebook
from tests.cli.conftest import FLIGHTS
from tests.docs.test_docs import ROOT, blocks

PAGE = ROOT / "docs" / "python.md"


def test_the_tour_runs_as_it_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.json

    tour, of_drift = blocks(PAGE, "python")
    found: dict[str, Any] = {}
    exec(compile(tour, "tour", "exec"), found)
    rates = found["accuracy"].to_pylist()
    assert [rate["value"] for rate in rates][:4] == [1.0] * 4
    assert rates[-1]["value"] == 0.0
    assert (found["told"].incidents.missed, found["told"].alerts["rule"].to_pylist()) == (0, ["accuracy-low"])
    assert [alert.later_ms for alert in found["told"].differences.moved] == [3_600_000]
    monkeypatch.chdir(tmp_path)
    for name in ("flights.yaml", "flights.reference.json"):
        (tmp_path / name.replace("flights.yaml", "driftline.yaml")).write_bytes((FLIGHTS.parent / name).read_bytes())
    flights = pa.input_stream(str(FLIGHTS / "predictions.jsonl.gz"), compression="gzip")
    found["predictions"] = pa.json.read_json(flights).slice(0, 3_000)
    exec(compile(of_drift, "drift", "exec"), found)
    assert set(found["distances"]["distance"].to_pylist()) == {"psi", "ks"}


def test_every_function_and_its_arguments_are_told() -> None:
    text = PAGE.read_text()
    for name in notebook.__all__:
        if name != "Backtest":
            told = text.partition(f"| `{name}(")[2].partition(")`")[0]
            arguments = [each.strip().partition("=")[0] for each in told.split(",")]
            assert [each for each in arguments if each != "*"] == list(
                inspect.signature(getattr(notebook, name)).parameters
            )
    fields = [f"`{field}`" for field in notebook.Backtest.__dataclass_fields__]
    assert [field for field in fields if field not in text] == []
