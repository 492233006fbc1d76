"""`driftline ledger gap`, and the audit of a ledger that was trimmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.adapters import dead_letters
from monitor.adapters.clock import SystemClock
from monitor.adapters.embedded import EmbeddedLog
from monitor.config import load
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.plan import plan_of
from monitor.ports import TopicSpec
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


@pytest.fixture
def where(deployment: Deployment, tmp_path: Path) -> tuple[object, ...]:
    """A deployment of its own, nothing read yet."""
    for name, path in (("predictions", deployment.predictions), ("labels", deployment.labels)):
        sent = driftline("produce", f"flights.{name}", path, "--embedded", tmp_path / "log", "--partitions", 2, "-q")
        assert sent.code == 0, sent.err
    return ("-c", deployment.config, "--embedded", tmp_path / "log")


def read_everything(where: tuple[object, ...], *overrides: str) -> EmbeddedLog:
    """Run a worker in this process until both topics are read, committed and evaluated, without recording an end."""
    config = load(
        [Path(str(where[1]))], ["state.max_batch_rows=200", "state.commit_interval=1ms", *overrides], environ={}
    )
    log = EmbeddedLog(Path(str(where[3])))

    closing: list[
        object
    ] = []  # whoever is told while ticks close must not stop: what was not committed would be decided again

    def tell(worker: Worker) -> None:
        if closing:
            closing.clear()
            return
        tasks = worker.tasks.values()
        if len(tasks) < 2 or not all(t.reached(worker.finish) and not t.engine.uncommitted_rows for t in tasks):
            return
        if worker.judge is not None and [f.next_offset for f in worker.judge.followers] == log.end_offsets(
            "small.ledger"
        ):
            worker.stop()

    Worker(log, config, plan_of(config), SystemClock(), dead_letters, WorkerOptions(), closing.append, tell).run()
    return log


def test_a_gap_is_shown_and_recorded_only_when_asked_and_the_daemon_goes_on(where: tuple[object, ...]) -> None:
    log = read_everything(where)
    assert "nothing is missing" in driftline("ledger", "gap", *where).out
    end = log.end_offsets("flights.predictions")[0]
    log.delete_records("flights.predictions", 0, end - 1)
    ran = driftline("run", *where, "--until-end", "--no-http", "-q")
    assert ran.code == 1
    assert "is needed but the log holds" in ran.err
    assert "driftline ledger gap" in ran.err

    shown = driftline("ledger", "gap", *where)
    assert shown.code == 1
    assert (
        f"partition 0, predictions: topic 'flights.predictions' begins at offset {end - 1}; a rebuild needs"
        in shown.out
    )
    assert "predictions and" in shown.out
    assert "nothing was recorded" in shown.err
    nameless = driftline("ledger", "gap", *where, "--yes")
    assert nameless.code == 2
    assert "--yes needs --who and --why" in nameless.err

    recorded = driftline("ledger", "gap", *where, "--yes", "--who", "ada", "--why", "disk full")
    assert recorded.code == 0, recorded.err
    assert "recorded: small.ledger[0]@" in recorded.out
    assert "by ada: disk full" in recorded.out
    assert "nothing is missing" in driftline("ledger", "gap", *where).out
    last = driftline("ledger", "cat", *where, "--partition", 0).lines[-1]
    assert (last["kind"], last["who"], last["why"], last["verdict"]) == ("gap", "ada", "disk full", "accepted")

    ran = driftline("run", *where, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    audited = driftline("ledger", "audit", *where, "-o", "json")
    assert audited.json["holds"], audited.out
    assert audited.json["partitions"][0]["prediction_outcomes"]["shed"] > 0
    windows = driftline("windows", *where, "-o", "json", "--limit", 0).json["windows"]
    assert 0 < sum("partial" in window for window in windows) <= len(windows)
    assert ", partial" in driftline("windows", *where).out
    log.close()


def test_the_audit_of_a_trimmed_ledger_says_from_where_it_holds(deployment: Deployment, tmp_path: Path) -> None:
    """Predictions come in five portions, so that the evaluator decides, and saves, a few times."""
    where = ("-c", deployment.config, "--embedded", tmp_path / "log")
    lines = deployment.predictions.read_text().splitlines(keepends=True)
    log = EmbeddedLog(tmp_path / "log")
    log.ensure(TopicSpec("flights.labels", 2))
    for portion in range(5):
        part = tmp_path / f"{portion}.jsonl"
        part.write_text("".join(lines[portion * len(lines) // 5 : (portion + 1) * len(lines) // 5]))
        sent = driftline("produce", "flights.predictions", part, *where[2:], "--partitions", 2, "-q")
        assert sent.code == 0, sent.err
        read_everything(where, "state.checkpoint_records=1", "state.trim=true").close()
    whole = driftline("ledger", "audit", *where, "-o", "json")
    assert whole.code == 0, whole.out
    assert whole.json["holds"]
    for line in whole.json["partitions"]:
        assert line["from_offset"] > 0
        assert f"partition {line['partition']}: trimmed; read from the checkpoint at offset" in whole.err
    assert min(log.begin_offsets("small.ledger")) > 0
    log.delete_topic("small.checkpoints")
    log.close()
    without = driftline("ledger", "audit", *where)
    assert without.code == 1
    assert "the log lost its beginning" in without.err


def looked(where: tuple[object, ...]) -> dict[str, str]:
    """Of `check --live` what is said of the ledger: level and words."""
    found = driftline("check", *where, "--live", "-o", "json").json["findings"]
    (one,) = [each for each in found if each["what"] == "ledger"]
    return dict(one)


def test_what_run_would_refuse_is_found_by_who_only_looks(where: tuple[object, ...], deployment: Deployment) -> None:
    """Records that are gone unread, and a topic that was made again, which no gap makes good."""
    assert driftline("check", *where, "--live").code == 0, "nothing has begun"
    log = read_everything(where)
    log.close()
    assert looked(where)["level"] == "ok"
    sent = driftline("produce", "flights.labels", deployment.labels, "--embedded", where[3], "-q")
    assert sent.code == 0, sent.err
    log = EmbeddedLog(Path(str(where[3])))
    end = log.end_offsets("flights.labels")[0]
    log.delete_records("flights.labels", 0, end - 1)
    found = looked(where)
    assert (found["level"], "were never read" in found["value"]) == ("error", True)
    assert "driftline ledger gap" in found["hint"]
    log.delete_topic("flights.labels")
    log.ensure(TopicSpec("flights.labels", 2))
    log.close()
    found = looked(where)
    assert (found["level"], "deleted and made again" in found["value"]) == ("error", True)
    assert driftline("check", *where, "--live").code == 1
    gap = driftline("ledger", "gap", *where)
    assert gap.code == 1
    assert "deleted and made again" in gap.err
    assert "deleted and made again" in driftline("doctor", *where).out
