"""`driftline size`: what it says. That it is right is measured in tests/simulation/test_sizing.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.cli.size import FILLING_ROWS, FRESH_BYTES, PROCESS_BYTES
from tests.cli.driving import driftline

CONFIG = Path(__file__).parents[2] / "monitor" / "demo" / "demo.yaml"


def test_every_number_is_told_to_people_and_as_json() -> None:
    shown = driftline("size", "-c", CONFIG, "--rate", 10)
    assert shown.code == 0
    for name in (
        "predictions held",
        "memory of the join",
        "memory of windows",
        "memory of a process",
        "ledger a day",
        "recovery",
    ):
        assert name in shown.out
    found = driftline("size", "-c", CONFIG, "--rate", 10, "-o", "json").json
    assert found["held_rows"] == pytest.approx(10 * 72 * 3600, rel=0.05)  # horizon + lateness are 36 h each
    assert found["process_bytes"] > found["join_bytes"] > 64 * found["held_rows"]
    fresh = found["process_bytes"] - found["fresh_process_bytes"]
    assert fresh > found["working_bytes"] > 0, (
        "who never had to catch up has neither what that takes nor what it leaves"
    )
    assert found["limit_bytes"] == found["process_bytes"], "so many records to catch up with fill it"
    assert found["recovery_seconds"] == pytest.approx(found["recovery_rows"] / found["records_per_second"], abs=0.1)
    assert found["restart_seconds"] == pytest.approx(6 * found["recovery_seconds"], rel=0.05, abs=0.3)
    assert found["records_per_second"] > 1_000, "it was tried"
    assert found["warnings"] == []


def test_what_the_series_budget_is_about_is_compared_with_it() -> None:
    arguments = ("size", "-c", CONFIG, "--rate", 10, "--records-per-second", 100_000, "-o", "json", "--set")
    whole = driftline(*arguments, "series_budget=10000").json
    of_process = whole["series"] - whole["series_of_models"]
    assert of_process > 50
    fits = driftline(*arguments, f"series_budget={whole['series_of_models']}").json
    assert fits["warnings"] == []
    assert fits["series"] == whole["series"], "those of the process are beside the budget"
    over = driftline(*arguments, f"series_budget={whole['series_of_models'] - 1}").json
    assert over["series"] == whole["series"] - 1
    assert "series of models are more than series_budget" in over["warnings"][0]


def test_twice_the_rate_is_twice_the_rows_and_less_than_twice_the_ledger() -> None:
    known = ("--records-per-second", 100_000, "-o", "json")
    one, two = (driftline("size", "-c", CONFIG, "--rate", rate, *known).json for rate in (200, 400))
    assert two["held_rows"] == pytest.approx(2 * one["held_rows"], rel=0.01)
    assert one["ledger_bytes_per_day"] < two["ledger_bytes_per_day"] < 2 * one["ledger_bytes_per_day"]


def test_processes_share_the_memory_and_a_recovery_goes_by_the_rate_given() -> None:
    arguments = ("size", "-c", CONFIG, "--rate", 10, "--partitions", 6, "-o", "json", "--processes")
    alone, three = (driftline(*arguments, n, "--records-per-second", 1_000).json for n in (1, 3))
    own, shared = (found["process_bytes"] - found["working_bytes"] for found in (alone, three))
    assert own - shared == pytest.approx(alone["join_bytes"] * 2 / 3, rel=0.01)
    assert alone["working_bytes"] > three["working_bytes"] > 0
    assert alone["recovery_seconds"] == pytest.approx(alone["recovery_rows"] / 1_000, abs=0.1)


def test_a_process_with_little_to_read_again_takes_less_than_what_to_give_it() -> None:
    known = ("--records-per-second", 100_000, "-o", "json", "--rate", 0.1)
    found = driftline("size", "-c", CONFIG, *known).json
    rows = 6 * found["recovery_rows"]
    assert 40_000 < rows < 80_000
    share = (found["limit_bytes"] - found["process_bytes"]) / (PROCESS_BYTES - FRESH_BYTES)
    assert share == pytest.approx(1 - rows / FILLING_ROWS, abs=0.01)
    assert found["process_bytes"] > found["fresh_process_bytes"]


def test_what_does_not_fit_is_said_with_both_numbers() -> None:
    shown = driftline(
        "size", "-c", CONFIG, "--rate", 1_000, "--records-per-second", 100_000, "--set", "state.max_rows=1000000"
    )
    assert shown.code == 0
    assert "state.max_rows is 1,000,000: there they wait in the topic; raise it, add processes" in shown.err


def test_predictions_without_labels_have_a_size_too(tmp_path: Path) -> None:
    path = tmp_path / "driftline.yaml"
    path.write_text(
        "streams:\n  predictions:\n    topic: p\n    fields: {id: $.id, at: $.at, score: $.score, model: $.m, version: $.v}\n"
        "    features: {x: numeric}\n"
        "models: [{name: m}]\nwindows: [1h]\n"
    )
    found = driftline("size", "-c", path, "--rate", 5, "-o", "json")
    assert found.code == 0, found.err
    assert found.json["ledger_bytes_per_day"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--processes", "7"), "--processes 7 is more than --partitions 6: the others would stand by"),
        (("--delay", "soon"), "--delay"),
    ],
)
def test_what_cannot_be_is_a_usage_error(arguments: tuple[str, ...], said: str) -> None:
    shown = driftline("size", "-c", CONFIG, "--rate", 10, *arguments)
    assert shown.code == 2
    assert said in shown.err
