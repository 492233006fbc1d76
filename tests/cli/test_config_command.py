"""`driftline config`."""

from __future__ import annotations

import json
from pathlib import Path

from monitor.adapters import dead_letters
from monitor.adapters.clock import SystemClock
from monitor.adapters.embedded import EmbeddedLog
from monitor.config import loads
from monitor.daemon.counted import counted
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
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
    assert changes["time.horizon"]["effect"] == "needs another namespace"
    assert driftline("config", "diff", deployment.config, other, "--exit-code").code == 3
    same = driftline("config", "diff", deployment.config, deployment.config, "--exit-code")
    assert (same.code, same.out) == (0, "")


def look_in(directory: Path, text: str) -> None:
    """Run a worker with this configuration until it has evaluated something, and counts its models."""
    log, config, clock = EmbeddedLog(directory), loads(text), SystemClock()
    until_ms = clock.monotonic_ms() + 60_000

    def tell(worker: Worker) -> None:
        judge = worker.judge
        if judge is not None and judge.generation is not None and not judge.behind and not judge.models.waiting:
            worker.stop()
        assert clock.monotonic_ms() < until_ms, "nothing was evaluated"

    try:
        by = counted(log, config, plan_of(config))
        Worker(log, config, by.plan, clock, dead_letters, WorkerOptions(), tell=tell, counted=by).run()
    finally:
        log.close()


def test_history_lists_the_generations_and_what_each_changed(tmp_path: Path) -> None:
    config, log = tmp_path / "d.yaml", tmp_path / "log"
    where = ("-c", config, "--embedded", log)
    config.write_text(CONFIG)
    lines = "".join(
        json.dumps(
            {
                "id": f"p{i}",
                "model": "arrival-delay",
                "version": "1",
                "at": 1_357_000_000_000 + 3_600_000 * i,
                "score": 0.5,
                "prediction": 1,
            }
        )
        + "\n"
        for i in range(5)
    )
    (tmp_path / "rows.jsonl").write_text(lines)
    for topic in ("predictions", "labels"):
        file = tmp_path / "rows.jsonl"
        assert driftline("produce", f"flights.{topic}", file, "--embedded", log, "--partitions", 1, "-q").code == 0
    nothing = driftline("config", "history", *where)
    assert nothing.code == 1
    assert "has `driftline run` been started" in nothing.err.lower()
    look_in(log, CONFIG)
    first = driftline("config", "history", *where, "-o", "json").json["generations"]
    look_in(log, CONFIG.replace("threshold: 0.99", "threshold: 0.9"))
    shown = driftline("config", "history", *where, "-o", "json").json["generations"]
    assert shown[0] == first[0]
    assert [(each["number"], each["reason"]) for each in shown] == [(1, "start"), (2, "start")]
    assert [each["changes"] for each in shown] == [[], ["rules.too-good.threshold: 0.99 -> 0.9"]]
    assert shown[1]["configuration"]["rules"][0]["threshold"] == 0.9
    table = driftline("config", "history", *where).out
    assert "rules.too-good.threshold: 0.99 -> 0.9" in table
    assert [each["models"] for each in shown] == [[], []]
    assert "the first" in table
    config.write_text(
        config.read_text().replace("severity: page", "severity: info").replace("threshold: 0.9", "threshold: 0.8")
    )
    assert driftline("run", *where, "--until-end", "--no-http", "-q").code == 0
    table = driftline("config", "history", *where).out
    assert "rules.too-good.severity" in table
    assert "\N{REPLACEMENT CHARACTER}" not in table, "one line for each change"


def test_history_says_since_when_a_model_that_came_or_went_is_counted(tmp_path: Path) -> None:
    config, log = tmp_path / "d.yaml", tmp_path / "log"
    where = ("-c", config, "--embedded", log)
    config.write_text(CONFIG)
    row = {"model": "arrival-delay", "version": "1", "score": 0.5, "prediction": 1}
    lines = [json.dumps({**row, "id": f"p{i}", "at": 1_357_000_000_000 + 3_600_000 * i}) for i in range(5)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    for topic in ("predictions", "labels"):
        file = tmp_path / "rows.jsonl"
        assert driftline("produce", f"flights.{topic}", file, "--embedded", log, "--partitions", 1, "-q").code == 0
    look_in(log, CONFIG)
    two = CONFIG.replace("models: [{name: arrival-delay", "models: [{name: other}, {name: arrival-delay")
    assert two != CONFIG
    look_in(log, two)
    look_in(log, CONFIG)
    _, came, went = driftline("config", "history", *where, "-o", "json").json["generations"]
    (other,) = came["models"]
    assert other["name"] == "other"
    assert other["from_ms"] > 1_357_000_000_000
    assert [each["name"] for each in went["models"]] == ["other"]
    assert went["models"][0]["until_ms"] <= went["models"][0]["counts_until_ms"]
    table = driftline("config", "history", *where).out
    assert "other: windows from 2013-01-0" in table
    assert "other: no window begins from 2013-01-0" in table
