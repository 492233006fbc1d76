"""What the dashboard asks is PromQL, about families that exist and labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.telemetry import BY_NAME
from tests.deploy.conftest import Run
from tests.deploy.test_rules import unknown_names

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "driftline.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}


def asked() -> Iterator[tuple[str, str, str]]:
    """(title, expression, legend) of every query of a panel."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def filled(expression: str) -> str:
    """The expression with its variables filled in, as Grafana does for `All`."""
    return re.sub(r"\$\w+", ".*", expression)


def linted(promtool: Run, folder: Path, expressions: list[str]) -> str:
    """What promtool says of expressions, each recorded under a name of its own; "" when nothing."""
    rules = [{"record": f"panel:number_{i}:x", "expr": filled(e)} for i, e in enumerate(expressions)]
    path = folder / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked = promtool("check", "rules", str(path))
    return "" if checked.returncode == 0 else checked.stdout + checked.stderr


def test_every_query_is_promql(promtool: Run, tmp_path: Path) -> None:
    expressions = [expression for _, expression, _ in asked()]
    assert linted(promtool, tmp_path, expressions) == ""
    assert "parse error" in linted(promtool, tmp_path, ["sum by (x (driftline_partitions)"])


@pytest.mark.parametrize(("title", "expression", "legend"), list(asked()))
def test_a_query_names_what_is_exported_and_only_labels_that_are_left(title: str, expression: str, legend: str) -> None:
    assert unknown_names(expression) == []
    for family, matchers in re.findall(r"\b(driftline_\w+)\{([^}]*)\}", expression):
        labels = {"driftline_namespace", "le", *(BY_NAME[f].labels if (f := _family(family)) in BY_NAME else ())}
        assert set(re.findall(r"(\w+)=~?", matchers)) <= labels, f"{title}: {family} has no such label"
    shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
    if grouped := re.match(r"[^{]*?\bby \(([^)]*)\)", expression):
        assert shown <= set(re.split(r",\s*", grouped.group(1))), (
            f"{title}: the legend shows a label that is summed over"
        )


def _family(name: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", name) if name not in BY_NAME else name


def test_variables_are_defined_before_they_are_used_and_ask_for_what_is_exported() -> None:
    known: set[str] = set()
    for name, variable in VARIABLES.items():
        query = variable["query"]["query"] if isinstance(variable["query"], dict) else ""
        assert set(re.findall(r"\$(\w+)", query)) <= known
        assert unknown_names(query.rpartition(",")[0]) == []
        known.add(name)
    used = {name for _, expression, _ in asked() for name in re.findall(r"\$(\w+)", expression)}
    assert used | {"datasource"} == known


def test_no_datasource_of_somebody_is_wired_in() -> None:
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_panels_tile_the_page() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, f"{panel['title']} lies over another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
