"""`driftline explain --store`: what the model makes of the features of an alert, as its version in the registry says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from monitor.alerts.event import AlertEvent, BudgetAlert, RuleAlert
from monitor.alerts.examples import example_events
from monitor.alerts.explained import Explanation, Split
from monitor.cli.explain_features import Feature, features_of, importance_of, numbers
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline

MODEL = "arrival-delay"
IMPORTANCE = {"hour": 0.03, "distance": 0.12, "origin": 0.001}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions: one with its importance, one without, one that says nonsense."""
    folder = tmp_path_factory.mktemp("registry")
    for number, param in enumerate((json.dumps(IMPORTANCE), None, '{"hour": "much"}')):
        model = folder / f"model{number}.json"
        model.write_text(json.dumps({"weights": [number]}))
        params = () if param is None else ("--param", f"permutation_importance={param}")
        made = driftline("registry", "add", model, "--name", "arrival-delay", *params, "--store", folder / "store")
        assert made.code == 0, made.err
    return folder / "store"


@pytest.mark.parametrize("called", ["1", "v1", "arrival-delay@1"])
def test_a_version_is_found_by_whatever_the_predictions_call_it(store: Path, called: str) -> None:
    assert importance_of(store, "arrival-delay", called) == IMPORTANCE


@pytest.mark.parametrize(
    ("model", "version", "says"),
    [
        (
            "arrival-delay",
            "2",
            "arrival-delay@2 has none among its params; it is given by `driftline registry add --param",
        ),
        ("arrival-delay", "3", "arrival-delay@3 has something else there than a number for each feature"),
        (
            "arrival-delay",
            "9",
            "the registry has no version of 'arrival-delay' that predictions call '9'; it has arrival-delay@1, arrival-delay@2",
        ),
        ("x", "1", "the registry has no model 'x', which the alert is about; it has arrival-delay"),
    ],
)
def test_where_the_registry_does_not_say_it_is_said_what_was_looked_for(
    store: Path, model: str, version: str, says: str
) -> None:
    found = importance_of(store, model, version)
    assert isinstance(found, str)
    assert found.startswith(says)


@pytest.mark.parametrize("found", [None, {}, [], 3, {"a": True}, {"a": None}, {"a": float("nan")}])
def test_what_is_no_importance_is_none(found: object) -> None:
    assert numbers(found) is None


def explained(*harms: tuple[str, float]) -> AlertEvent:
    event = example_events()["firing"]
    why = Explanation(
        before_start_ms=0, before_end_ms=1, before_windows=1, rows=9, errors=3, before_rows=9, before_errors=1,
        splits=[Split(feature=name, mix=0.0, within=0.0, harm=harm) for name, harm in harms], slices=[], bins=[],
    )  # fmt: skip
    assert isinstance(event.data, RuleAlert)
    return structs.replace(event, data=structs.replace(event.data, explanation=why))


def test_features_stand_in_the_order_of_expected_harm_then_of_importance() -> None:
    event = explained(("origin", 0.02), ("hour", 0.0), ("distance", 0.0), ("carrier", -0.01))
    found = features_of(event, IMPORTANCE)
    assert [(one.feature, one.harm, one.importance) for one in found] == [
        ("origin", 0.02, 0.001), ("distance", 0.0, 0.12), ("hour", 0.0, 0.03), ("carrier", -0.01, None)
    ]  # fmt: skip


def test_what_a_budget_found_stands_in_the_order_of_importance() -> None:
    event = example_events()["budget"]
    assert isinstance(event.data, BudgetAlert)
    (first,) = event.data.causes
    parts = (
        ("hour", "features", 0.5),
        ("missing:hour", "quality", 0.2),
        ("distance", "features", 0.2),
        ("$score", "predictions", 0.1),
    )
    causes = [structs.replace(first, channel=channel, area=area, share=share) for channel, area, share in parts]
    event = structs.replace(event, data=structs.replace(event.data, causes=causes))
    assert features_of(event, IMPORTANCE) == [
        Feature("distance", None, 0.2, 0.12),
        Feature("hour", None, 0.7, 0.03),
    ]


def test_an_alert_that_names_no_feature_is_told_with_all_of_the_model() -> None:
    assert [one.feature for one in features_of(example_events()["firing"], IMPORTANCE)] == [
        "distance",
        "hour",
        "origin",
    ]
    assert features_of(example_events()["operational"], None) == []
    (broken,) = features_of(example_events()["data_quality"], IMPORTANCE)
    assert broken == Feature("distance", None, None, 0.12)


def test_the_command_says_what_it_has(deployment: Deployment, store: Path, tmp_path: Path) -> None:
    events = driftline("alerts", "list", *deployment.where, "--all", "-o", "json").lines
    alert = next(event["id"] for event in events if event["data"]["state"] == "firing")
    asked = ("explain", alert, *deployment.where, "--no-replay")
    shown = driftline(*asked, "--store", store)
    assert shown.code == 0, shown.err
    rows = [line.split() for line in shown.out.splitlines() if line.split()[:1] and line.split()[0] in IMPORTANCE]
    assert rows == [["distance", "0.12"], ["hour", "0.03"], ["origin", "0.001"]]
    told = driftline(*asked, "--store", store, "-o", "json").json
    assert told["features"][0] == {"feature": "distance", "harm": None, "share": None, "importance": 0.12}
    assert driftline(*asked, "-o", "json").json["features"] is None
    (tmp_path / "model.json").write_text("{}")
    other = tmp_path / "other"
    assert driftline("registry", "add", tmp_path / "model.json", "--name", "another", "--store", other).code == 0
    assert (
        "no permutation_importance: the registry has no model 'arrival-delay', which the alert is about; it has another"
        in driftline(*asked, "--store", other).out
    )
    (tmp_path / "empty").mkdir()
    refused = driftline(*asked, "--store", tmp_path / "empty")
    assert refused.code == 1
    assert "registry" in refused.err
