"""The commands, over a registry. The tutorial of this package alone is in tests/docs/test_tutorials."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from monitor.cli.retrain_alerts import TopicAlerts
from pipelines.cli.policies import load
from pipelines.errors import ConfigError, StepFailed
from pipelines.firing import Kind
from tests.cli.conftest import Deployment
from tests.cli.driving import Outcome, driftline
from tests.pipelines.test_subprocesses import flights

POLICY = """
models:
  flights:
    rows: joined.jsonl
    data: {label: delayed, features: [hour, origin, distance]}
    trigger: {cooldown: 24h, labels_min: 1000}
    gate: {segments: [origin], segment_margin: 0.1, segment_rows_min: 100}
"""
ALERT = {
    "category": "rule", "fingerprint": "f1", "episode": "e1", "state": "firing", "latest": True, "summary": "low",
    "rule": "low-recall", "model": "flights", "version": "1", "segment": "all", "tick_ms": 2, "fired_ms": 1,
    "evidence": {"metric": "recall"},
}  # fmt: skip


def test_what_fires_is_read_from_the_topic_of_a_deployment(deployment: Deployment) -> None:
    fires = TopicAlerts(deployment.config, deployment.log).firing()
    said = driftline("alerts", "list", *deployment.where, "--firing", "-o", "json").lines
    assert fires
    assert {each.fingerprint for each in fires} == {event["data"]["fingerprint"] for event in said}
    assert {(each.kind, each.model, each.name) for each in fires} == {(Kind.PERFORMANCE, "arrival-delay", "too-good")}
    with pytest.raises(StepFailed, match=r"topic 'small\.alerts\.state' cannot be read") as caught:
        TopicAlerts(deployment.config, deployment.log / "none").firing()
    assert caught.value.again


class Desk:
    """A policy, rows, alerts and a store, and commands about them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "retrain.yaml").write_text(POLICY)
        rows = [json.dumps(row) for row in flights(3000)]
        (directory / "joined.jsonl").write_text("\n".join(rows))
        self.fires(ALERT)

    def fires(self, *alerts: dict[str, object]) -> None:
        lines = [json.dumps({"dataschema": "urn:driftline:schema:alert:v1", "data": data}) for data in alerts]
        (self.directory / "alerts.jsonl").write_text("\n".join(lines))

    def round(self, verb: str, *more: object) -> Outcome:
        where = ("--alerts", self.directory / "alerts.jsonl", "--work", self.directory / "work")
        return self(verb, "-c", self.directory / "retrain.yaml", *where, *more)

    def __call__(self, *args: object) -> Outcome:
        return driftline("retrain", *args, "--store", self.directory / "store")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_over_a_registry_an_alert_becomes_a_version_that_serves(desk: Desk) -> None:
    planned = desk.round("plan", "-o", "json")
    assert (planned.json["begins"], planned.json["why"], planned.json["mode"]) == (True, "performance", "full")
    done = desk.round("run", "--once", "-o", "json")
    assert done.code == 0, done.err
    assert [line["after"] for line in done.lines if "after" in line][-1] == "awaiting_approval"
    (run,) = desk("list", "-o", "json").lines
    assert run["run"] == planned.json["run"]
    assert desk("approve", run["run"][:6], "--reason", "fine", "--actor", "eve").code == 0
    assert "version 1 is champion" in desk.round("run", "--once").out
    store = desk.directory / "store"
    assert "champion 1" in driftline("registry", "list", "--store", store).out
    shown = driftline("registry", "show", "flights@champion", "--store", store, "-o", "json").json
    assert run["run"] in json.dumps(shown)
    assert shown["content"]["probe"] is not None, "a server can check how it behaves"
    assert driftline("registry", "fsck", "--store", store).code == 0
    assert "| all | 900 |" in desk("show", run["run"], "--page").out
    assert json.loads(desk("show", run["run"], "--gate").out)["outcome"] == "pass"
    assert desk("show", run["run"], "-o", "json").json["state"] == "probation"
    assert desk.round("plan", "-o", "json").json["why"] == "already_run"
    refused = desk("cancel", run["run"], "--reason", "too late")
    assert (refused.code, "cannot be cancelled: it is probation" in refused.err) == (3, True)


def test_what_ends_badly_has_its_exit_code(desk: Desk) -> None:
    desk.fires(ALERT, ALERT | {"fingerprint": "f2", "evidence": {"metric": "missing:hour"}})
    said = desk.round("run", "--once")
    assert (said.code, "begins nothing (data_quality)" in said.err) == (0, True)
    asked = desk.round("run", "--once", "--model", "flights", "--reason", "now")
    assert asked.code == 3
    desk.fires(ALERT)
    (desk.directory / "retrain.yaml").write_text(POLICY + "    train: {command: ['false'], score_command: ['false']}\n")
    failed = desk.round("run", "--once")
    assert (failed.code, "training -> failed (step_failed)" in failed.out) == (1, True)


def test_a_person_stops_all_and_starts_one(desk: Desk) -> None:
    def why() -> object:
        return desk.round("plan", "-o", "json").json["why"]

    assert why() == "performance"
    (desk.directory / "store").mkdir()
    assert desk("stop", "--all", "--reason", "incident 4711", "--actor", "ada").code == 0
    planned = desk.round("plan", "-o", "json").json
    assert (planned["begins"], planned["why"]) == (False, "stopped")
    assert planned["detail"].startswith("ada stopped all models: incident 4711")
    ran = desk.round("run", "--once")
    assert (ran.code, "begins nothing (stopped)" in ran.err, desk("list", "-o", "json").lines) == (0, True, [])
    assert desk("start", "flights", "--reason", "over").code == 0
    assert why() == "performance"
    assert desk("reset", "flights", "--reason", "looked").code == 0
    assert desk.round("run", "--once").code == 0
    for command in ("stop", "start", "reset"):
        mistyped, right = (desk(command, model, "--reason", "x") for model in ("flihgts", "flights"))
        assert (mistyped.code, right.code, "WARNING" in right.err) == (0, 0, False)
        assert "WARNING: no model 'flihgts' has had a run or a version in this store" in mistyped.err
        assert "did you mean 'flights'? There are: flights." in mistyped.err
    for wrong in (("stop", "flights", "--all"), ("start",)):
        assert desk(*wrong, "--reason", "x").code == 2


def test_a_file_stops_all_while_it_is_there(desk: Desk) -> None:
    file = desk.directory / "STOP"
    file.touch()
    ran = desk.round("run", "--once", "--stop-file", file)
    assert f"begins nothing (stopped): file '{file}' is there; when it is removed it goes on" in ran.err


def test_a_run_that_waits_can_be_cancelled(desk: Desk) -> None:
    desk.round("run", "--once")
    (run,) = desk("list", "--active", "-o", "json").lines
    assert desk("cancel", run["run"], "--reason", "holiday", "--actor", "ada").code == 0
    assert "awaiting_approval -> cancelled (asked): ada: holiday" in desk.round("run", "--once").out
    assert desk("list", "--active", "-o", "json").lines == []
    assert "cancelled" in desk("list").out


@pytest.mark.parametrize(
    ("args", "code", "sentence"),
    [
        (("show", "zz"), 1, "run 'zz' is not here"),
        (("approve", "zz"), 2, "Missing option '--reason'"),
        (("list", "--nonsense"), 2, "No such option"),
        (("approve", "zz", "--reason", " "), 2, "it has no words"),
        (("cancel", "zz", "--reason", ""), 2, "it has no words"),
    ],
)
def test_mistakes_are_said(desk: Desk, args: tuple[str, ...], code: int, sentence: str) -> None:
    desk.round("run", "--once")
    done = desk(*args)
    assert (done.code, sentence in done.err) == (code, True), done.err


def test_a_store_that_is_not_there_is_a_matter_of_usage(tmp_path: Path) -> None:
    done = driftline("retrain", "list", "--store", tmp_path / "none")
    assert (done.code, "is not there" in done.err) == (2, True)


def test_a_run_that_is_asked_for_needs_a_model_a_reason_and_rows(desk: Desk) -> None:
    for given in (("--reason", "now"), ("--model", "flights"), ("--model", "flights", "--reason", "")):
        assert desk.round("run", "--once", *given).code == 2, given
    (desk.directory / "joined.jsonl").unlink()
    asked = desk.round("run", "--once", "--model", "flights", "--reason", "now")
    assert (asked.code, "begins nothing (unreadable)" in asked.err) == (1, True)
    assert desk.round("run", "--once").code == 1, "what cannot be read is no quiet round"


TRAINS = POLICY + "    train: {function: 'mine:train', score_function: 'mine:score'}\n"


def test_a_step_that_asks_for_another_try_is_said_with_its_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.directory)
    (desk.directory / "retrain.yaml").write_text(TRAINS)
    (desk.directory / "mine.py").write_text("import sys\ndef train(job):\n    sys.exit(75)\n")
    done = desk.round("run", "--once")
    assert (done.code, "is tried again from" in done.err) == (0, True)
    assert "ended with code 75, which asks for another try" in done.err
    (run,) = desk("list", "-o", "json").lines
    for said in (desk("list").out, desk("show", run["run"]).out):
        assert "tried again from" in said


def start(desk: Desk) -> subprocess.Popen[str]:
    """A worker of its own, once its step is at work."""
    (desk.directory / "retrain.yaml").write_text(TRAINS)
    body = "import os, pathlib, time\ndef train(job):\n    pathlib.Path(os.environ['DRIFTLINE_PROJECT'], 'pid').write_text("
    (desk.directory / "mine.py").write_text(body + "str(os.getpid()))\n    time.sleep(60)\n")
    where = ("--alerts", "alerts.jsonl", "--work", "work", "--store", "store")
    command = [sys.executable, "-m", "pipelines", "retrain", "run", "-c", "retrain.yaml", *where]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(command, cwd=desk.directory, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (desk.directory / "pid").is_file() or not (desk.directory / "pid").read_text():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no step came to work"
        time.sleep(0.05)
    return process


def at_work(desk: Desk) -> bool:
    try:
        os.kill(int((desk.directory / "pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_worker_that_is_told_to_end_stops_its_step_and_gives_the_run_back(
    desk: Desk, sent: signal.Signals, code: int
) -> None:
    process = start(desk)
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, f"{sent.name}: stopped" in said) == (code, True), said
    assert not at_work(desk)
    (run,) = desk("list", "-o", "json").lines
    assert (run["state"], run["waits"]) == ("training", None), "nobody has to wait for the lease"


def test_who_holds_a_run_that_was_killed_is_said_until_the_lease_is_over(desk: Desk) -> None:
    process = start(desk)
    process.kill()
    process.communicate()
    os.kill(int((desk.directory / "pid").read_text()), signal.SIGKILL)
    (run,) = desk("list", "-o", "json").lines
    sentence = f"held by {run['lease']['owner']} until"
    assert sentence in desk("list").out
    assert f"it is {sentence}" in desk("show", run["run"]).out
    assert f"run {run['run'][:12]} of flights is {sentence}" in desk.round("run", "--once").err


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("data: {label: y}", "missing required field `features`"),
        ("data: {label: y, features: [y]}", "never the label"),
        ("data: {label: y, features: [x]}\n    gate: {alpa: 0.1}", "unknown field `alpa`"),
        ("data: {label: y, features: [x], gap: soon}", "a.data.gap: 'soon' is no duration"),
        ("data: {label: y, features: [x]}\n    trigger: {alerts: [data_quality]}", "only performance and drift"),
        (
            "data: {label: y, features: [x]}\n    promote: aproove",
            "is none of observe, approve, auto, did you mean 'approve'?",
        ),
        ("data: {label: y, features: [x], window: 0d}", "line 3, a.data.window: '0d' is no time at all"),
        ("data: {label: y, features: [x], gap: -5d}", "'-5d' is no duration"),
        ("data: {label: y, features: [x]}\n    train: {function: minetrain, score_function: m:f}", "write module:name"),
        ("data: {label: y, features: x}", "line 3, a.data.features: Expected `array`, got `str`"),
        ("data: {label: y, features: [x]}\n    gate: 5", "line 4, a.gate: Expected `object`, got `int`"),
        (
            "data: {label: y, features: [x], checks: {hour: {mn: 0}}}",
            "a.data.checks.hour.mn: unknown field `mn`, did you",
        ),
        ("data: {label: y, features: [x]}\n    model: b", "unknown field `model`"),
        ("data: {label: y, features: [x]}\n    train: {function: m:f}", "needs own scoring code"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, wrong: str, sentence: str) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text(f"models:\n  a:\n    {wrong}\n")
    with pytest.raises(ConfigError, match=r"retrain\.yaml") as caught:
        load(path)
    assert sentence in str(caught.value)


def test_all_mistakes_of_a_policy_file_are_said_at_once_with_their_lines(desk: Desk) -> None:
    wrong = POLICY.replace("segment_margin", "segment_margn").replace("24h", "soon").replace("label:", "lable:")
    (desk.directory / "retrain.yaml").write_text(wrong + wrong.partition("models:\n")[2])
    done = desk.round("plan")
    assert done.code == 78
    assert [line.strip().partition(";")[0] for line in done.err.splitlines()[1:]] == [
        *(
            f"line {line}, flights.{said}"
            for line, said in (
                (5, "data: missing required field `label`"),
                (5, "data.lable: unknown field `lable`, did you mean 'label'?"),
                (6, "trigger.cooldown: 'soon' is no duration"),
                (7, "gate.segment_margn: unknown field `segment_margn`, did you mean 'segment_margin'?"),
            )
        ),  # of the copy that is not read
        "line 8, flights: is there twice, first in line 3",
        "line 10, flights.data: missing required field `label`",
        "line 10, flights.data.lable: unknown field `lable`, did you mean 'label'?",
        "line 11, flights.trigger.cooldown: 'soon' is no duration",
        "line 12, flights.gate.segment_margn: unknown field `segment_margn`, did you mean 'segment_margin'?",
    ], done.err


def test_the_rows_of_a_laptop_are_trained_as_a_run_would(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "model"
    given = ("train", "--local", "-c", desk.directory / "retrain.yaml", "--out", out, "-o", "json")
    done = driftline(*given)
    assert (done.code, done.json["outcome"], done.json["files"]) == (0, "pass", ["columns.json", "model.onnx"])
    assert driftline(*given).code == 2, "the directory is not empty"
    assert "the champion" not in (out / "gate.json").read_text() + (out / "gate.md").read_text()
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(json.dumps(row) for row in flights(200)))
    again = driftline(
        "train", "--local", "-c", desk.directory / "retrain.yaml", "--rows", few, "--out", tmp_path / "m2"
    )
    assert (again.code, again.out.partition(":")[0]) == (3, "inconclusive")


def alone(desk: Desk, *args: object) -> subprocess.CompletedProcess[str]:
    """`python -m pipelines retrain`, in the store of a desk."""
    where = ("--alerts", desk.directory / "alerts.jsonl", "--work", desk.directory / "work")
    round_of = ("-c", desk.directory / "retrain.yaml", *where) if args[0] in {"run", "plan"} else ()
    command = [sys.executable, "-m", "pipelines", "retrain", *args, *round_of, "--store", desk.directory / "store"]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)


def test_a_store_of_the_pipelines_alone_is_refused_by_whoever_keeps_models_in_the_registry(desk: Desk) -> None:
    assert alone(desk, "run", "--once").returncode == 0
    store = desk.directory / "store"
    model = desk.directory / "model.json"
    model.write_text('{"weights": [1]}')
    words = "this store's models were kept without the registry: flights in "
    for done in (
        desk.round("run", "--once"),
        desk.round("plan"),
        desk("list"),
        driftline("registry", "list", "--store", store),
        driftline("registry", "show", "flights@champion", "--store", store),
        driftline("registry", "add", model, "--name", "other", "--store", store),
    ):
        assert (done.code, words in done.err, "Go on with `python -m pipelines`" in done.err) == (1, True, True), (
            done.err
        )
    assert driftline("registry", "fsck", "--store", store).code == 0
    assert alone(desk, "list").returncode == 0, "nothing was changed"


def test_a_store_of_the_registry_is_refused_by_the_pipelines_alone(desk: Desk) -> None:
    assert desk.round("run", "--once").code == 0
    for done in (alone(desk, "run", "--once"), alone(desk, "list")):
        assert done.returncode == 1
        assert "this store's models were kept by the registry: flights has no version" in done.stderr
        assert "Use `driftline retrain`" in done.stderr


def test_what_a_step_on_a_laptop_left_when_it_failed_is_where_it_says(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.directory)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    given = ("train", "--local", "-c", "retrain.yaml", "--out", "model")
    assert driftline(*given).code == 0
    assert list(scratch.iterdir()) == [], "what went well is cleared away"
    (desk.directory / "retrain.yaml").write_text(TRAINS)
    (desk.directory / "mine.py").write_text("def train(job):\n    raise ValueError('no such column')\n")
    done = driftline(*given[:-1], "other")
    left = re.search(r"Its output is in '([^']+)'", done.err)
    assert (done.code, left is not None) == (1, True), done.err
    assert left is not None
    assert "no such column" in (Path(left[1]) / "log.txt").read_text()
