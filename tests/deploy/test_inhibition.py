"""What silences what in the Alertmanager configuration: only alerts that share the labels which are compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())["inhibit_rules"]
ALERTS: dict[str, str] = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((PROMETHEUS / "driftline.rules.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def named(matchers: list[str]) -> set[str]:
    """The shipped alerts that the matchers of a rule take."""
    (pattern,) = (found[1] for each in matchers if (found := re.match(r'alertname=~?"(.*)"', each)))
    return {name for name in ALERTS if re.fullmatch(pattern, name)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["source_matchers"][0])
def test_what_is_compared_is_a_label_of_both(rule: dict[str, Any]) -> None:
    """`up` has only what Prometheus itself gives a target: compared by anything else it would silence nothing, or everything."""
    of_prometheus = {"job", "instance"}
    for side in ("source_matchers", "target_matchers"):
        names = named(rule[side])
        assert names
        for name in names:
            if re.search(r"\bup\{", ALERTS[name]):
                assert set(rule["equal"]) <= of_prometheus, f"{name} has none of {rule['equal']}"
