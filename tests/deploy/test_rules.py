from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.adapters.exposition import Exposer
from monitor.telemetry import BY_NAME, known
from tests.deploy.conftest import Run
from tests.telemetry.samples import sample_view

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "driftline.rules.yml"
CASES = sorted((Path(__file__).parent / "rules").glob("*.test.yml"))
NAMES = re.compile(r"\bdriftline_[a-z0-9_]+\b(?!\s*=)")


RECORDED = re.compile(r"\bdriftline:[a-z0-9_:]+")


def everything() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def rules() -> list[dict[str, Any]]:
    return [rule for rule in everything() if "alert" in rule]


ALERTS = [rule["alert"] for rule in rules()]
RECORDS = [rule["record"] for rule in everything() if "record" in rule]


def unknown_names(expression: str) -> list[str]:
    """Names in an expression that are neither families nor labels of the catalogue, and recorded ones that no rule records."""
    labels = {"driftline_namespace", "driftline_runbooks"}
    families = [name for name in NAMES.findall(expression) if name not in labels and not known(name)]
    return families + [name for name in RECORDED.findall(expression) if name not in RECORDS]


def test_the_check_of_names_finds_an_unknown_family() -> None:
    assert unknown_names("rate(driftline_no_such_total[5m]) > 0") == ["driftline_no_such_total"]
    assert unknown_names("max by (driftline_namespace) (driftline_partitions) > 0") == []
    assert unknown_names("driftline_commit_duration_seconds > 1") == ["driftline_commit_duration_seconds"]
    assert unknown_names("driftline:no_such:sum > 0") == ["driftline:no_such:sum"]


@pytest.mark.parametrize("rule", everything(), ids=[*RECORDS, *ALERTS])
def test_no_rule_names_an_unknown_family(rule: dict[str, Any]) -> None:
    assert unknown_names(rule["expr"]) == []


@pytest.mark.parametrize("path", [*sorted((ROOT / "docs" / "runbooks").glob("*.md")), *CASES], ids=lambda p: p.stem)
def test_no_runbook_and_no_case_names_an_unknown_family(path: Path) -> None:
    assert unknown_names(path.read_text()) == []


@pytest.mark.parametrize("rule", rules(), ids=ALERTS)
def test_every_alert_says_what_it_is_how_bad_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    where = f"{rule['alert']}.md"
    assert f"{{{{ with $externalLabels.driftline_runbooks }}}}{{{{ . }}}}/{where}" in rule["annotations"]["runbook_url"]
    assert f"docs/runbooks/{where} in Driftline's repository" in rule["annotations"]["runbook_url"]
    assert (ROOT / "docs/runbooks" / where).read_text().startswith(f"# {rule['alert']}\n")
    grouped = re.search(r"by \(([^)]*)\)", rule["expr"])
    by = grouped.group(1) if grouped else ""
    assert rule.get("labels", {}).get("severity") in ("page", "ticket") or "severity" in by


def test_what_is_recorded_is_named_by_level_metric_and_operation_and_tested() -> None:
    expected = {
        re.split(r"[{ ]", sample["expr"])[0]
        for path in CASES
        for case in yaml.safe_load(path.read_text())["tests"]
        for sample in case.get("promql_expr_test", [])
    }
    assert set(RECORDS) == expected
    assert all(re.fullmatch(r"driftline:[a-z_]+:[a-z0-9]+", name) for name in RECORDS)


def test_every_runbook_belongs_to_an_alert() -> None:
    assert {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")} == set(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_firing_a_quiet_and_a_resolving_case(alert: str) -> None:
    fires = quiet = resolves = False
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            moments = [m for m in case["alert_rule_test"] if m["alertname"] == alert]
            states = [bool(moment["exp_alerts"]) for moment in moments]
            fires |= any(states)
            quiet |= bool(states) and not any(states)
            resolves |= any(states) and not states[-1]
    assert (fires, quiet, resolves) == (True, True, True)


def test_the_alerts_of_one_model_differ_by_labels_that_the_family_has() -> None:
    (bridge,) = (rule for rule in rules() if rule["alert"] == "DriftlineModelAlert")
    for label in BY_NAME["driftline_alert_active"].labels:
        assert re.search(rf"\b{label}\b", bridge["expr"]), f"{label} would be lost on the way to Alertmanager"


def test_what_one_trouble_leaves_in_several_partitions_is_one_notification_and_models_are_apart() -> None:
    """As the route to start from groups: a process that died leaves each of its partitions as an alert."""
    route = yaml.safe_load((RULES.parent / "alertmanager.yml").read_text())["route"]

    def group(**labels: str) -> tuple[str, ...]:
        own = {"driftline_namespace": "prod", "alertname": "DriftlineModelAlert", "severity": "page", **labels}
        return tuple(own.get(name, "") for name in route["group_by"])

    partitions = {group(rule="partition-unowned", segment=f"partition/{number}") for number in range(4)}
    assert len(partitions) == 1
    assert group(rule="join-full", segment="partition/0") not in partitions
    assert group(rule="low", model="a", segment="all") != group(rule="low", model="b", segment="all")
    assert all("group_by" not in child for child in route["routes"]), "else those decide"


def test_promtool_accepts_rules_and_configuration(promtool: Run) -> None:
    folder = RULES.parent
    for arguments in (("check", "rules", str(RULES)), ("check", "config", str(folder / "prometheus.yml"))):
        checked = promtool(*arguments)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_the_rules_do_what_the_cases_say(promtool: Run, path: Path) -> None:
    tested = promtool("test", "rules", str(path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_promtool_finds_nothing_to_say_about_our_metrics(promtool: Run) -> None:
    text = Exposer().render(sample_view(models=2, versions=2, segments=3)).text.decode()
    checked = promtool("check", "metrics", stdin=text)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
