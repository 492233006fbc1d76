"""Rows are held to what is declared of the data, by the same rules as the alerts, before anything is trained on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

from monitor.alerts.cloudevents import encode, operational_event
from monitor.alerts.event import ABOUT_DATA, Standing
from monitor.alerts.examples import example_events
from monitor.cli.retrain_checks import DeclaredChecks, checks_of
from pipelines.cli.policies import load
from pipelines.errors import ConfigError, StepFailed
from pipelines.firing import Firing, Kind, firing
from pipelines.local_data import FileData
from pipelines.policy import DAY_MS, Data, Policy
from pipelines.quality import AtMost, Check, failing
from pipelines.tables import write_rows
from pipelines.trigger import Why, plan
from tests.pipelines.memory import BORN_MS, MemoryStore, alert, policy
from tests.simulation import quality as monitored

DISTANCE = Check(min=0, max=6000, missing=AtMost(0.1))
FEATURES = {"distance": DISTANCE}


def rows(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"at_ms": n, "label": n % 2, "distance": 500.0, "n": n, **changes} for n in range(count)]


def alive() -> None:
    """Nobody can take this over."""


def validated(tmp_path: Path, table: list[dict[str, Any]], declared: dict[str, Check], data: Data) -> list[str]:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(write_rows(table))
    made = policy(data=data)
    source = FileData(MemoryStore(), {"fraud": path}, lambda _: declared)
    dataset = source.collect(made, 1 << 50, alive)
    return [f"{finding.check}: {finding.detail}" for finding in source.validate(made, dataset)]


def test_good_rows_pass() -> None:
    assert list(failing(rows(100), FEATURES)) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"distance": 9000}, "out_of_range:distance in 20 of 100 rows (20.0%), at most 1.0% are allowed"),
        ({"distance": None}, "missing:distance in 20 of 100 rows (20.0%), at most 10.0% are allowed"),
        ({"distance": "far"}, "wrong_type:distance in 20 of 100 rows (20.0%), at most 1.0% are allowed"),
    ],
)
def test_a_check_that_fails_says_what_how_often_and_no_value(wrong: dict[str, Any], sentence: str) -> None:
    assert list(failing([*rows(80), *rows(20, **wrong)], FEATURES)) == [sentence]


def test_rows_at_the_limit_pass() -> None:
    assert list(failing([*rows(99), *rows(1, distance=-1)], FEATURES)) == []


@pytest.mark.parametrize("late", [False, True])
def test_rows_to_train_on_and_rows_to_judge_by_are_both_looked_at(tmp_path: Path, late: bool) -> None:
    table = [{**row, "distance": 9000} if (row["n"] >= 80) == late and row["n"] % 2 else row for row in rows(100)]
    found = validated(tmp_path, table, FEATURES, Data("label", ("distance",)))
    assert [sentence.split(" in ")[0] for sentence in found] == ["quality: out_of_range:distance"]


def test_a_policys_own_checks_come_first_and_those_of_other_columns_are_not_asked(tmp_path: Path) -> None:
    far = rows(100, distance=9000)
    strict = {"distance": Check(max=10), "elsewhere": Check(missing=AtMost(0.0))}
    wide = Data("label", ("distance",), checks={"distance": Check(max=10_000)})
    assert validated(tmp_path, far, strict, wide) == []
    assert len(validated(tmp_path, far, strict, Data("label", ("distance",)))) == 1
    own = Data("label", ("distance",), checks={"n": Check(max=50)})
    assert len(validated(tmp_path, rows(100), {}, own)) == 1


def test_a_policy_without_checks_has_the_digest_it_always_had() -> None:
    assert "checks" not in msgspec.to_builtins(Data("label", ("x",)))
    assert policy(data=Data("label", ("x",), checks=FEATURES)).digest != policy().digest


def test_checks_are_written_in_the_policy_as_in_the_monitors_configuration(tmp_path: Path) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text(
        "models: {fraud: {data: {label: y, features: [x, run], checks: "
        "{run: {min: 0, max: 9, missing: {at_most: 0.1}}, x: {values: [a, b]}}}}}"
    )
    (made,), _ = load(path)
    assert made.data.checks == {"run": Check(min=0, max=9, missing=AtMost(0.1)), "x": Check(values=("a", "b"))}
    path.write_text("models: {fraud: {data: {label: y, features: [x], checks: {x: {min: 5, max: 3}}}}}")
    with pytest.raises(ConfigError, match=r"min \(5\) is above max \(3\)"):
        load(path)


def test_what_the_monitor_declares_is_a_check_with_its_type() -> None:
    found = checks_of(monitored.config(), "m")
    assert found["distance"] == Check(
        min=0, max=6000, missing=AtMost(0.3), out_of_range=AtMost(0.2), type=found["distance"].type
    )
    assert (str(found["distance"].type), str(found["carrier"].type)) == ("numeric", "categorical")
    assert found["carrier"].values == ("AA", "DL")
    assert checks_of(monitored.config(), "n") == checks_of(monitored.config(), "nobody") == {}


def test_a_configuration_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="cannot be read") as caught:
        DeclaredChecks(tmp_path / "none.yaml")("m")
    assert caught.value.again


@given(monitored.records)
def test_rows_are_wrong_here_exactly_where_they_are_wrong_to_the_monitor(records: list[dict[str, Any]]) -> None:
    """The monitor's counts are held to `kinds` by its own tests."""
    checks = checks_of(monitored.config(), "m")
    joined = {"below_min": "out_of_range", "above_max": "out_of_range"}
    theirs, ours = Counter[str](), Counter[str]()
    for record in records:
        for name in monitored.kinds(record["features"]):
            kind, _, feature = name.partition(":")
            theirs[f"{joined.get(kind, kind)}:{feature}"] += 1
        for feature, check in checks.items():
            if (violation := check.violation(record["features"].get(feature))) is not None:
                ours[f"{violation}:{feature}"] += 1
    assert ours == theirs


# ------------------------------------------------------------------------------------------------------- the trigger


def silent(model: str | None) -> Firing:
    event = operational_event(
        "driftline", "model-silent" if model else "predictions-silent", "scope", Standing.FIRING,
        at_ms=5, fired_ms=5, severity="page", summary="s", facts={"model": model} if model else {}, labels={},
        about=ABOUT_DATA,
    )  # fmt: skip
    (found,), _ = firing([encode(event)])
    return found


def test_an_event_that_says_what_it_is_about_is_taken_at_its_word() -> None:
    (found,), unreadable = firing([encode(example_events()["data_quality"])])
    assert not unreadable
    assert (found.kind, found.model, found.metric) == (
        Kind.DATA_QUALITY,
        "arrival-delay",
        "out_of_range:distance",
    )
    assert (silent("fraud").kind, silent("fraud").model) == (Kind.DATA_QUALITY, "fraud")
    assert (silent(None).kind, silent(None).model) == (Kind.DATA_QUALITY, None)


@pytest.mark.parametrize("model", ["fraud", None])
def test_a_skip_names_the_alert_that_blocks_by_its_id(model: str | None) -> None:
    blocking = silent(model)
    decided = plan(policy(), [alert(), blocking], (), 5000, BORN_MS + DAY_MS, frozenset({"1"}))
    assert decided.why is Why.DATA_QUALITY
    assert f"{blocking.name} (alert {blocking.episode})" in decided.detail
    assert (
        plan(policy(), [alert(), silent("other")], (), 5000, BORN_MS + DAY_MS, frozenset({"1", "v1"})).why
        is Why.PERFORMANCE
    )


def test_the_type_is_guessed_from_what_is_declared() -> None:
    assert Check(min=0).violation("5") == "wrong_type"
    assert Check(values=("5", "true")).violation(5.0) is None
    assert Check(values=("5", "true")).violation(True) is None
    assert Check().violation("anything") is None
    assert Check().violation([1]) == "wrong_type"
    assert Check(missing=AtMost(0.5)).violation(float("nan")) == "missing"


def test_the_policy_is_a_policy() -> None:
    assert isinstance(policy(data=Data("label", ("x",), checks=FEATURES)), Policy)
