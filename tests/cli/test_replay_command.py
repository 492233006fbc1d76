"""`driftline replay` over a deployment that has run: into nothing, files and topics, and the proof."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from monitor.adapters.embedded import EmbeddedLog
from tests.cli.conftest import CONFIG, Deployment
from tests.cli.driving import driftline


def published(log: Path, namespace: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Final windows by what they are of, alerts by id, as they are in the topics of an embedded log."""
    db = sqlite3.connect(log / "log.db")
    query = "SELECT value FROM records r JOIN partitions p ON r.id >> 40 = p.id WHERE p.topic = ? AND value IS NOT NULL"
    windows = [bytes(value) for (value,) in db.execute(query, (f"{namespace}.windows",))]
    alerts = [bytes(value) for (value,) in db.execute(query, (f"{namespace}.alerts",))]
    db.close()
    names = ("model", "version", "segment", "window", "start_ms", "kind")
    told = [(orjson.loads(value), value) for value in windows]
    finals = {str([window[n] for n in names]): value for window, value in told if window["final"]}
    return finals, {orjson.loads(value)["id"]: value for value in alerts}


# -- into nothing, files, topics -------------------------------------------------------------------------------------


def test_a_replay_into_nothing_tells_what_it_found_and_leaves_nothing(deployment: Deployment) -> None:
    before = {p: p.stat().st_size for p in deployment.log.iterdir() if p.name == "log.db"}
    done = driftline("replay", *deployment.where, "-o", "json", "-q")
    assert done.code == 0, done.err
    finals, _ = published(deployment.log, "small")
    assert done.json["windows"] == len(finals) > 10
    assert done.json["alerts"]["firing"] > 0
    assert done.json["rejected"]["flights.predictions"] == {"malformed": 1, "missing": 1, "unknown_model": 1}
    assert {p: p.stat().st_size for p in before} == before


def test_files_hold_the_final_windows_and_the_alerts_of_the_live_run(deployment: Deployment, tmp_path: Path) -> None:
    done = driftline("replay", *deployment.where, "--to", tmp_path / "out", "-q", "-o", "json")
    assert done.code == 0, done.err
    finals, alerts = published(deployment.log, "small")
    windows = (tmp_path / "out" / "windows.jsonl").read_bytes().splitlines()
    assert sorted(windows) == sorted(finals.values())
    told = (tmp_path / "out" / "alerts.jsonl").read_bytes().splitlines()
    assert sorted(told) == sorted(alerts.values())
    assert [json.loads(line)["start_ms"] for line in windows] == sorted(
        json.loads(line)["start_ms"] for line in windows
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["alerts.jsonl", "replay.json", "windows.jsonl"]
    result = json.loads((tmp_path / "out" / "replay.json").read_text())
    assert result["files"] == done.json["files"]
    assert result["files"]["windows.jsonl"]["lines"] == len(windows)
    again = driftline("replay", *deployment.where, "--to", tmp_path / "out", "-q")
    assert again.code == 1
    assert "is not empty. Choose another directory" in again.err


def test_a_range_is_replayed_alone(deployment: Deployment, tmp_path: Path) -> None:
    bounds = ("--from", "flights.predictions=20", "--until", "flights.predictions=120")
    done = driftline("replay", *deployment.where, "--to", tmp_path / "out", *bounds, "-q", "-o", "json")
    assert done.json["ranges"]["flights.predictions"] == [[20, 120], [20, 120]]
    windows = [json.loads(line) for line in (tmp_path / "out" / "windows.jsonl").read_bytes().splitlines()]
    seen = sum(w["seen"] for w in windows if w["segment"] == "all" and w["kind"] == "input")
    assert seen == 200, "bad records stand at the end of the topic"


def test_another_configuration_gives_other_windows(deployment: Deployment, tmp_path: Path) -> None:
    changed = ("--set", "windows=[day, 1h]")
    done = driftline("replay", *deployment.where, *changed, "--to", tmp_path / "out", "-q", "-o", "json")
    assert done.code == 0, done.err
    windows = [json.loads(line) for line in (tmp_path / "out" / "windows.jsonl").read_bytes().splitlines()]
    assert {w["window"] for w in windows} == {"day", "1h"}


def test_topics_of_its_own_namespace_hold_the_same(deployment: Deployment) -> None:
    where = (*deployment.where, "--to-topics", "--namespace", "again", "-q")
    done = driftline("replay", *where, "-o", "json")
    assert (done.code, done.json["to"]) == (0, "again"), done.err
    assert published(deployment.log, "again")[0] == published(deployment.log, "small")[0]
    log = EmbeddedLog(deployment.log)
    assert log.topic("again.ledger") is not None
    log.close()
    assert driftline("ledger", "audit", *deployment.where, "--set", "namespace=again").code == 0
    used = driftline("replay", *where)
    assert used.code == 1
    assert "topic 'again.ledger' exists: namespace 'again' is in use. --resume goes on" in used.err
    assert driftline("replay", *where, "--resume").code == 0


def test_live_topics_are_refused_by_name(deployment: Deployment) -> None:
    refused = driftline("replay", *deployment.where, "--to-topics", "--namespace", "small")
    assert refused.code == 1
    assert "never writes to the live topics of namespace 'small'" in refused.err
    log = EmbeddedLog(deployment.log)
    before = {name: log.end_offsets(f"small.{name}") for name in ("ledger", "evals", "windows", "alerts")}
    log.close()
    assert before["ledger"] != [0, 0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--verify", "--to", "out"), "--verify compares a whole recorded run"),
        (("--without-decisions",), "--without-decisions says how --verify compares"),
        (("--to", "out", "--to-topics", "--namespace", "n"), "say either --to DIR or --to-topics"),
        (("--to-topics",), "belong together"),
        (("--to-topics", "--namespace", "a/../b"), "'a/../b' names no topics; allowed are at most 200 letters"),
        (("--resume",), "--resume needs --to DIR or --to-topics"),
        (("--verify", "--from", "2013-01-01", "--from", "held"), "say --from once"),
        (("--verify", "--without-decisions", "--from", "held"), "no --from"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    deployment: Deployment, arguments: tuple[str, ...], sentence: str
) -> None:
    refused = driftline("replay", *deployment.where, *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert sentence in refused.err


# -- killed and resumed --------------------------------------------------------------------------------------------

SLOW = """
import time
from monitor.daemon.task import Task
ended = Task.commit
def slowly(self, flags):
    time.sleep(0.05)
    ended(self, flags)
Task.commit = slowly
from monitor.cli.app import main
main()
"""
SMALL = ("--set", "state.max_batch_rows=100", "--set", "state.commit_interval=20ms")


@pytest.mark.parametrize("kill_at", [3, 12])
def test_a_replay_that_was_killed_and_resumed_leaves_the_same_bytes(
    deployment: Deployment, tmp_path: Path, kill_at: int
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert driftline("replay", *deployment.where, *SMALL, "--to", whole, "-q").code == 0
    arguments = ["replay", *map(str, deployment.where), *SMALL, "--to", str(cut), "-q"]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *arguments])
    deadline = time.monotonic() + 60
    while commits(cut) < kill_at:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert not (cut / "windows.jsonl").exists()
    unfinished = driftline("replay", *deployment.where, *SMALL, "--to", cut)
    assert "--resume goes on with it" in unfinished.err
    other = driftline("replay", *deployment.where, *SMALL, "--set", "time.tick=30m", "--to", cut, "--resume")
    assert other.code == 1
    assert "the replay was begun with config sha256:" in other.err
    resumed = driftline("replay", *deployment.where, *SMALL, "--to", cut, "--resume", "-q")
    assert resumed.code == 0, resumed.err
    contents = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in (whole, cut)]
    assert contents[0] == contents[1]
    finished = driftline("replay", *deployment.where, *SMALL, "--to", cut, "--resume")
    assert "the replay is finished" in finished.err


def commits(folder: Path) -> int:
    try:
        db = sqlite3.connect(f"file:{folder / '.replay' / 'log.db'}?mode=ro", uri=True)
        query = "SELECT sum(next) FROM partitions WHERE topic = 'small.ledger'"
        try:
            return int(db.execute(query).fetchone()[0] or 0)
        finally:
            db.close()
    except sqlite3.Error:
        return 0


# -- the proof -------------------------------------------------------------------------------------------------------


def test_a_run_is_proved_from_its_log_and_from_its_recording(deployment: Deployment, tmp_path: Path) -> None:
    assert driftline("record", *deployment.where, "--to", tmp_path / "r", "--decisions", "-q").code == 0
    for where in (deployment.where, ("-c", deployment.config, "--recording", tmp_path / "r")):
        proved = driftline("replay", *where, "--verify", "-o", "json", "-q")
        assert proved.code == 0, proved.err
        assert (proved.json["identical"], proved.json["differences"]) == (True, [])
        assert min(proved.json[name] for name in ("commits", "evaluations", "records")) > 0
        again = driftline("replay", *where, "--verify", "--without-decisions", "-q")
        assert again.code == 0, again.err
        assert "identical:" in again.err


def test_what_differs_is_named_and_the_code_is_3(deployment: Deployment, tmp_path: Path) -> None:
    changed = tmp_path / "changed.yaml"
    changed.write_text(CONFIG.replace("threshold: 0.99", "threshold: 0.98"))
    where = ("-c", changed, "--embedded", deployment.log, "--verify", "--without-decisions")
    found = driftline("replay", *where, "-q", "-o", "json")
    assert found.code == 3
    (first,) = found.json["differences"]
    assert first["field"] == "data.evidence.threshold"
    assert (first["ours"], first["theirs"]) == (0.98, 0.99)
    assert "data.evidence.threshold is 0.98 here, 0.99 in the record" in found.err
    assert "arrival-delay" in first["where"]["subject"]


def test_a_changed_meaning_is_refused_with_what_to_do(deployment: Deployment) -> None:
    refused = driftline("replay", *deployment.where, "--set", "windows=[day, 1h]", "--verify", "-q")
    assert refused.code == 1
    assert "counts under configuration sha256:" in refused.err
    assert "--without-decisions" in refused.err


def test_a_recording_without_decisions_cannot_be_verified(deployment: Deployment, tmp_path: Path) -> None:
    assert driftline("record", *deployment.where, "--to", tmp_path / "r", "-q").code == 0
    refused = driftline("replay", "-c", deployment.config, "--recording", tmp_path / "r", "--verify", "-q")
    assert refused.code == 1
    assert "there is no topic 'small.ledger'" in refused.err
    assert "A recording needs --decisions" in refused.err


def test_a_period_that_begins_later_is_proved_from_there(deployment: Deployment, tmp_path: Path) -> None:
    proved = driftline("replay", *deployment.where, "--verify", "--from", "held", "-q", "-o", "json")
    assert (proved.code, proved.json["skipped_commits"]) == (0, 0)
    late = driftline("replay", *deployment.where, "--verify", "--from", "2200-01-01", "-q")
    assert late.code == 1
    assert "of no commit could it be proved" in late.err
