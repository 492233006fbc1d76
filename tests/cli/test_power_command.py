from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.driving import driftline

TEXT = """
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {hour: numeric}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
models: [{name: delays}]
windows: [1h]
budget: {learn: 5d}
"""
QUICK = ("--per-day", "20000", "--accuracy", "0.9", "--runs", "12", "--within", "10d")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "driftline.yaml"
    path.write_text(TEXT)
    return path


def test_larger_drops_are_seen_sooner_and_too_small_ones_never(config: Path) -> None:
    shown = driftline(
        "power", "-c", str(config), *QUICK, "--drop", "0.005", "--drop", "0.04", "--drop", "0.2", "-o", "json"
    )
    assert (shown.code, shown.err) == (0, "")
    told = orjson.loads(shown.out)
    assert (told["model"], told["beat_ms"], told["patience_beats"]) == ("delays", 3_600_000, 720.0)
    small, middle, large = told["drops"]
    assert small == {"drop": 0.005, "missed": 1.0, "median_ms": None, "nine_of_ten_ms": None}
    assert large["median_ms"] == 3_600_000
    assert large["median_ms"] < middle["median_ms"] <= middle["nine_of_ten_ms"]
    assert 0.1 < told["limit"] < 0.14
    again = driftline(
        "power", "-c", str(config), *QUICK, "--drop", "0.005", "--drop", "0.04", "--drop", "0.2", "-o", "json"
    )
    assert again.out == shown.out, "the same seed"


def test_the_table_says_what_is_never_told(config: Path) -> None:
    shown = driftline("power", "-c", str(config), *QUICK, "--drop", "0.005")
    assert (shown.code, shown.err) == (0, "")
    assert "0.5%" in shown.out
    assert "never" in shown.out
    assert "833 labelled rows every 1h; label delay comes on top" in shown.out
    assert "nothing is told" in shown.out
    assert "in the part of the day that is known least, nothing is told" in shown.out
    whole = driftline("power", "-c", str(config), *QUICK, "--drop", "0.005", "--set", "budget.season=none")
    assert "the margin of what was learned) nothing is told" in whole.out


def for_task(path: Path, model: str) -> Path:
    text = TEXT.replace("{name: delays}", f"{{name: delays, {model}}}").replace(
        "score: $.score", "prediction: $.answer"
    )
    path.write_text(text)
    return path


def test_of_classes_the_drop_of_accuracy_is_told(tmp_path: Path) -> None:
    config = for_task(tmp_path / "classes.yaml", "task: multiclass, classes: [cat, dog, owl]")
    shown = driftline("power", "-c", str(config), *QUICK, "--drop", "0.002", "--drop", "0.1", "-o", "json")
    assert (shown.code, shown.err) == (0, "")
    told = orjson.loads(shown.out)
    assert 0.095 < told["error_rate"] < 0.105 < told["limit"] < 0.14
    small, large = told["drops"]
    assert (small["drop"], small["missed"]) == (0.002, 1.0)
    assert large["missed"] == 0.0


def test_of_numbers_the_growth_of_errors_is_told(tmp_path: Path) -> None:
    config = for_task(tmp_path / "numbers.yaml", "task: regression, largest: 1000")
    asked = ("power", "-c", str(config), "--per-day", "20000", "--runs", "12", "--within", "10d")
    growths = ("--growth", "0.002", "--growth", "0.1", "--growth", "0.5")
    shown = driftline(*asked, *growths, "-o", "json")
    assert (shown.code, shown.err) == (0, "")
    told = orjson.loads(shown.out)
    assert told["rank"] == pytest.approx(0.5, abs=0.01)
    assert told["rank"] < told["limit"] < 0.56
    small, middle, large = told["growths"]
    assert small == {"growth": 0.002, "missed": 1.0, "median_ms": None, "nine_of_ten_ms": None}
    assert large["median_ms"] == 3_600_000
    assert large["median_ms"] < middle["median_ms"]
    table = driftline(*asked, "--growth", "0.5")
    assert (table.code, table.err) == (0, "")
    assert "errors grow by" in table.out
    assert "50.0%" in table.out
    assert "The mean rank of errors by size is learned as 0.5" in table.out


@pytest.mark.parametrize(
    ("model", "more", "sentence"),
    [
        ("task: regression", QUICK, "--accuracy is not for 'delays', a regression model; say --growth"),
        (
            "task: regression",
            ("--per-day", "9", "--drop", "0.1"),
            "--drop is not for 'delays', a regression model; say --growth",
        ),
        (
            "task: multiclass, classes: [a, b]",
            (*QUICK, "--positives", "0.1"),
            "--positives is not for 'delays', a multiclass model; say --accuracy and --drop",
        ),
        (
            "task: multiclass, classes: [a, b]",
            ("--per-day", "9"),
            "--accuracy is needed for 'delays', a multiclass model: the share that is right now",
        ),
    ],
)
def test_options_of_another_task_are_refused(tmp_path: Path, model: str, more: tuple[str, ...], sentence: str) -> None:
    shown = driftline("power", "-c", str(for_task(tmp_path / "own.yaml", model)), *more)
    assert shown.code == 2
    assert sentence in shown.err


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--drop", "0.95"), "--drop 0.95 leaves nothing of --accuracy 0.9"),
        (("--growth", "0.1"), "--growth is not for 'delays', a binary model; say --accuracy and --drop"),
        (("--model", "other"), "--model 'other' is not listed; listed are: delays"),
        (("--within", "soon"), "Invalid value for --within"),
        (("--set", "models=[{name: a}, {name: b}]"), "the configuration lists 2 models: say which with --model"),
    ],
)
def test_what_cannot_be_asked_is_said(config: Path, more: tuple[str, ...], sentence: str) -> None:
    shown = driftline("power", "-c", str(config), *QUICK, *more)
    assert shown.code == 2
    assert sentence in shown.err


@pytest.mark.parametrize("option", ["--per-day", "--accuracy", "--positives", "--drop", "--bursts"])
@pytest.mark.parametrize("value", ["nan", "inf", "1e300"])
def test_numbers_that_are_none_are_refused(config: Path, option: str, value: str) -> None:
    shown = driftline("power", "-c", str(config), *QUICK, option, value)
    assert (shown.code, shown.out) == (2, "")
    assert f"'{option}'" in shown.err
    assert "Traceback" not in shown.err


def test_without_a_budget_there_is_nothing_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(TEXT.replace("budget: {learn: 5d}\n", ""))
    shown = driftline("power", "-c", str(path), *QUICK)
    assert shown.code == 2
    assert "the configuration has no `budget`" in shown.err
