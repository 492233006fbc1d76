"""`driftline config`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import CONFIG, Deployment
from tests.cli.driving import driftline


def test_show_prints_defaults_and_overrides_and_masks_secrets(deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("hunter2")
    kafka = tmp_path / "kafka.yaml"
    kafka.write_text("kafka: {bootstrap_servers: 'h:1', properties: {sasl.password_file: pw, sasl.username: me}}\n")
    shown = driftline("config", "show", "-c", deployment.config, "-c", kafka, "--set", "time.horizon=2d")
    assert shown.code == 0
    assert "horizon: 2d" in shown.out
    assert "max_batch_rows: 50000" in shown.out
    assert "hunter2" not in shown.out
    document = driftline("config", "show", "-c", deployment.config, "-c", kafka, "-o", "json")
    assert document.json["namespace"] == "small"
    assert "hunter2" not in document.out


def test_schema_is_the_shipped_one() -> None:
    shipped = Path(driftline.__code__.co_filename).parents[2] / "monitor" / "config" / "schema.json"
    assert json.loads(driftline("config", "schema").out) == json.loads(shipped.read_text())


def test_diff_says_what_and_when_and_is_a_gate_when_asked(deployment: Deployment, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.replace("0.99", "0.9").replace("horizon: 36h", "horizon: 48h"))
    shown = driftline("config", "diff", deployment.config, other, "-o", "json")
    assert shown.code == 0
    changes = {change["path"]: change for change in shown.json["changes"]}
    assert changes["rules.too-good.threshold"]["new"] == "0.9"
    assert changes["time.horizon"]["effect"] == "takes effect at a pane"
    assert driftline("config", "diff", deployment.config, other, "--exit-code").code == 3
    same = driftline("config", "diff", deployment.config, deployment.config, "--exit-code")
    assert (same.code, same.out) == (0, "")
