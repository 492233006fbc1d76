"""What `driftline retrain plan`, `run` and `jobs` tell, and when: each move as it happens, secrets before a run begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from pipelines.cli import command as group
from pipelines.cli import make
from pipelines.errors import PipelineError, PolicyError, Unanswered
from pipelines.exits import code_of
from pipelines.hook_spec import Webhook
from pipelines.journal import Reason
from pipelines.orchestrator import Orchestrator
from pipelines.states import State
from pipelines.trigger import Plan
from pipelines.worker import Happening
from tests.pipelines.memory import alert, fakes, policy
from tests.pipelines.test_worker import Story

BASE = "models:\n  a:\n    data: {label: y, features: [x]}\n    executor: "


def test_each_decision_and_move_is_told_as_it_happens() -> None:
    ports, told, before = fakes(), list[Plan | Happening](), list[Plan | Happening]()
    ports.fires, ports.on_train = [alert()], lambda _: before.extend(told)
    done = Orchestrator(ports, [policy()], "w1", told=told.append).round()
    assert told == [*done.plans, *done.happened]
    assert isinstance(before[0], Plan)
    said = [str(each.after) for each in before if isinstance(each, Happening)]
    assert said == ["collecting", "validating", "training"], "before hours of training, not after them"


def asked(tmp_path: Path, which: str, executor: str, secret: str | None = None) -> tuple[str, PipelineError | None]:
    file = tmp_path / "retrain.yaml"
    file.write_text(BASE + executor)
    if secret is not None:
        (tmp_path / "hook.secret").write_text(secret)
    once = ["--once"] if which == "run" else []
    where = ["-c", str(file), "--store", str(tmp_path / "store"), "--work", str(tmp_path / "work")]
    done = CliRunner().invoke(group, [which, *once, *where])
    assert done.exception is None or isinstance(done.exception, PipelineError | SystemExit)
    return done.stderr, done.exception if isinstance(done.exception, PipelineError) else None


def test_a_secret_that_cannot_be_used_is_told_by_plan_and_refused_by_run(tmp_path: Path) -> None:
    hook = '{webhook: {url: "https://there/steps", secret_file: hook.secret}}\n'
    said, error = asked(tmp_path, "plan", hook)
    assert (
        f"driftline: a: file '{tmp_path}/hook.secret' (executor.webhook.secret_file) cannot be read: No such file"
        in said
    )
    assert error is None, "it may be on another machine"
    said, error = asked(tmp_path, "run", hook)
    assert isinstance(error, PolicyError)
    assert code_of(error) == 78
    assert f"a.executor.webhook: file '{tmp_path}/hook.secret' (executor.webhook.secret_file) cannot be read" in str(
        error
    )
    _, error = asked(tmp_path, "run", hook, "whsec_AAAA")
    assert "has 3 bytes" in str(error)
    said, error = asked(tmp_path, "run", hook, "whsec_" + "QUFB" * 11)
    assert (error, "secret" in said) == (None, False)


@pytest.mark.parametrize(
    ("url", "told_of"),
    [
        ("http://trainers.example/steps", True),
        ("http://10.0.0.7:8080/", True),
        ("http://localhost:8080/", False),
        ("http://127.0.0.1/", False),
        ("http://[::1]:80/", False),
        ("https://trainers.example/steps", False),
    ],
)
def test_messages_that_cross_a_network_unencrypted_are_told(tmp_path: Path, url: str, told_of: bool) -> None:
    assert Webhook(url, "s").open_to_others is told_of
    hook = f'{{webhook: {{url: "{url}", secret_file: hook.secret}}}}\n'
    for which in ("plan", "run"):
        said, error = asked(tmp_path, which, hook, "whsec_" + "QUFB" * 11)
        assert error is None
        assert (
            f"a: executor.webhook.url is '{url}': what is sent there is signed, and not encrypted" in said
        ) is told_of


def test_a_cluster_that_does_not_answer_ends_with_69_and_none_with_2(tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("lightkube")
    (tmp_path / "store").mkdir()
    file, kubeconfig = tmp_path / "retrain.yaml", tmp_path / "kubeconfig"
    file.write_text(BASE + "{kubernetes: {image: 'train:1', claim: store}}\n")
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    users = [{"name": "c", "user": {}}]
    kubeconfig.write_text(
        json.dumps({"clusters": [cluster], "contexts": [context], "users": users, "current-context": "c"})
    )
    ask = ["jobs", "-c", str(file), "--store", str(tmp_path / "store")]
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    error = CliRunner().invoke(group, ask).exception
    assert isinstance(error, Unanswered)
    assert code_of(error) == 69
    assert "the cluster does not answer" in str(error)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    error = CliRunner().invoke(group, ask).exception
    assert isinstance(error, PipelineError)
    assert code_of(error) == 2
    assert "Set KUBECONFIG" in str(error)


# --------------------------------------------------------------------------------------------------- people who are asked


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (
            "auto",
            "driftline: a: promote: auto asks nobody but for the first version: approvals (3) hold for that one alone",
        ),
        ("observe", "driftline: a: promote: observe promotes nothing, so nobody is asked: approvals (3) say nothing"),
        ("approve", None),
    ],
)
def test_approvals_that_nobody_will_be_asked_for_are_told(how: str, sentence: str | None, tmp_path: Path) -> None:
    for which in ("plan", "run"):
        said, _ = asked(tmp_path, which, f"{{}}\n    promote: {how}\n    approvals: 3\n")
        assert (sentence in said) if sentence else ("approvals" not in said)


@pytest.mark.parametrize("word", ["reject", "decline"])
def test_who_wants_to_say_no_is_told_how(word: str) -> None:
    done = CliRunner().invoke(group, [word, "3f2a"])
    assert done.exit_code == 2
    assert f"No such command {word!r}. To say no: approve RUN --decline --reason ..." in done.stderr
    assert "No such command 'plann'" in CliRunner().invoke(group, ["plann"]).stderr


def test_an_approval_after_somebody_declined_says_that_it_changes_nothing(tmp_path: Path) -> None:
    ports = fakes()
    story = Story(ports, policy(approvals=2), champion=False)
    story.fire()
    story.round()
    run = story.book.active()[0].run

    def answer(who: str, *more: str) -> str:
        words = ["approve", run, "--reason", "r", "--actor", who, "--store", str(tmp_path), *more]
        done = CliRunner().invoke(make(lambda _: cast(Any, ports)), words)
        assert done.exit_code == 0, done.output
        return done.stderr

    assert "approved, 1 of 2" in answer("ada")
    assert "declined" in answer("bob", "--decline")
    assert "approved, which changes nothing: bob has declined it, and the run ends with that" in answer("eve")
    assert story.round() == [(State.REJECTED, Reason.DECLINED)]
