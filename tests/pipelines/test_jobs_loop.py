"""The whole loop over Jobs: an alert fires, every step is a Job, a version is promoted; workers end, pods are evicted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.book import Book
from pipelines.cli.policies import load
from pipelines.filesteps import FileSteps
from pipelines.job_spec import LABEL, over
from pipelines.local import Places, Wired, wire
from pipelines.orchestrator import Orchestrator
from pipelines.policy import DAY_MS, Policy
from pipelines.states import State
from tests.deploy.apiserver import apiserver
from tests.pipelines.test_cli import Desk as Files
from tests.pipelines.test_jobs import Desk, desk

__all__ = ["apiserver", "desk"]


class Cluster:
    """Controller and kubelet: the first pod of the first Job is evicted, all others do their work."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.evicted = desk, False
        self.before: Callable[[], None] = lambda: None

    def __iter__(self) -> Cluster:
        return self

    def __call__(self) -> None:
        self.before()
        if all(over(job) for job in self.desk.admin.all_jobs()):
            return
        pod = self.desk.node.start()
        if not self.evicted:
            self.evicted = True
            self.desk.node.evict(pod)
        else:
            self.desk.node.succeed(pod)


class Always(list):  # type: ignore[type-arg]
    """What happens each second, for ever."""

    def pop(self, _: object = 0) -> object:
        return self[0]


def wired(desk: Desk, directory: Path) -> tuple[Wired, list[Policy]]:
    (policy,), files = load(directory / "retrain.yaml")
    places = Places(
        desk.store.directory, directory / "alerts.jsonl", files.rows, directory, directory / "work", None, files.anchors
    )
    steps = FileSteps(desk.store, directory / "work", desk.executor())
    return dataclasses.replace(wire(places), trainer=steps, evaluator=steps), [policy]


def test_an_alert_becomes_jobs_and_the_jobs_a_version_that_serves(desk: Desk, tmp_path: Path) -> None:
    files = Files(tmp_path)
    ports, policies = wired(desk, files.directory)
    controller = Cluster(desk)
    desk.acts = Always([controller])

    def ends() -> None:
        raise KeyboardInterrupt  # SIGTERM, while the first Job is at work

    controller.before = ends
    with pytest.raises(KeyboardInterrupt):
        Orchestrator(ports, policies, "w1").round()
    (left,) = desk.admin.all_jobs()
    controller.before = lambda: None
    book = Book(ports.store)
    (run,) = book.active()
    assert book.journal(run.run).view.state is State.TRAINING
    Orchestrator(ports, policies, "w2").round()
    assert book.journal(run.run).view.state is State.AWAITING_APPROVAL
    book.approve(run, "eve", "fine", ports.clock.now_ms())
    Orchestrator(ports, policies, "w2").round()
    assert book.journal(run.run).view.state is State.PROBATION
    serving = ports.models.serving(policies[0])
    assert serving is not None
    assert serving.version == 1
    names = [job["metadata"]["labels"][LABEL] for job in desk.admin.all_jobs()]
    assert left["metadata"]["name"] in names, "the worker that came after took it up"
    assert desk.results() == len(names) == desk.node.ran, "each Job one result, and no step ran twice"
    assert {name.split("-")[1] for name in names} == {"train", "score"}
    assert all(over(job) for job in desk.admin.all_jobs())
    assert ports.clock.now_ms() < run.at_ms + DAY_MS
