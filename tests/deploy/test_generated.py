from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy.generated import FILES, RULES, prometheus_rule


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_what_is_made_is_what_is_committed(path: Path) -> None:
    assert path.read_text() == FILES[path](), "run python -m tests.deploy.generated"


def test_the_operator_gets_the_same_rules_as_a_plain_prometheus() -> None:
    assert yaml.safe_load(prometheus_rule())["spec"] == yaml.safe_load(RULES.read_text())
