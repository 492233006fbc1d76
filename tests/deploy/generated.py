"""Files under deploy/ that follow from other files: `python -m tests.deploy.generated` writes them anew.

A test compares each with what this module makes.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.deploy.dashboard import dashboard

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "driftline.rules.yml"

_RULE_HEAD = """\
# The rules of deploy/prometheus/driftline.rules.yml for the Prometheus operator. Made by `python -m tests.deploy.generated`:
# edit that file, not this one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: driftline
spec:
"""


def prometheus_rule() -> str:
    """The rules as an object of the Prometheus operator, word for word, comments included."""
    text = RULES.read_text()
    groups = text[text.index("groups:") :]
    assert yaml.safe_load(text) == yaml.safe_load(groups), "the rules stand before `groups:`"
    return _RULE_HEAD + "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))


FILES = {
    ROOT / "deploy/kubernetes/components/monitoring/prometheusrule.yaml": prometheus_rule,
    ROOT / "deploy/grafana/driftline.json": dashboard,
}

if __name__ == "__main__":
    for path, make in FILES.items():
        path.write_text(make())
        print(path.relative_to(ROOT))
