"""A run ends in the middle of a step when nothing of the step is at work any more, and not before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.directory import DirectoryStore
from pipelines.errors import StepFailed
from pipelines.journal import Reason
from pipelines.policy import DAY_MS, HOUR_MS, Train
from pipelines.ports import Alive
from pipelines.states import State
from pipelines.worker import Worker
from tests.deploy.apiserver import apiserver
from tests.pipelines.cluster import Flaky, MemoryCluster, Node, ended
from tests.pipelines.memory import fakes, policy
from tests.pipelines.test_jobs import PLACE, Desk, awake, desk
from tests.pipelines.test_worker import AUTO, Story

__all__ = ["apiserver", "desk"]


def never(alive: Alive) -> None:
    raise StepFailed("the step", "met a fault", "It is tried again.", again=True)


class Gone:
    """Whether the step is gone, and how often that was asked."""

    def __init__(self) -> None:
        self.yet, self.asked = False, 0

    def __call__(self, alive: Alive) -> None:
        self.asked += 1
        if not self.yet:
            raise StepFailed("Job 'j'", "was not gone", "Is its node lost?", again=True)


def at_work(story: Story) -> Gone:
    """A run whose worker left in the middle of training."""
    gone = Gone()
    story.ports.on_train, story.ports.on_clear = never, gone
    story.fire()
    story.round()
    assert story.journal.view.state is State.TRAINING
    return gone


def test_a_run_that_is_cancelled_between_two_tries_ends_when_its_step_is_gone() -> None:
    story = Story(fakes())
    gone = at_work(story)
    story.book.cancel(story.book.active()[-1].run, "ada", "holiday", story.ports.clock.ms)
    assert story.later(HOUR_MS) == []
    assert "it is cancelled when its step is gone: Job 'j' was not gone" in story.journal.view.tried
    gone.yet = True
    assert story.later(HOUR_MS) == [(State.CANCELLED, Reason.ASKED)]
    assert gone.asked == 2


@pytest.mark.parametrize(("run_ms", "end"), [(30 * DAY_MS, State.FAILED), (DAY_MS, State.TIMED_OUT)])
def test_a_run_that_is_given_up_ends_when_its_step_is_gone(run_ms: int, end: State) -> None:
    story = Story(fakes(), policy=policy(promote=AUTO.promote, trigger=AUTO.trigger, tries_max=2, run_ms=run_ms))
    gone = at_work(story)
    for _ in range(9):
        assert story.later(12 * HOUR_MS) == []  # however often: the run is not said to be over
    assert gone.asked == 9
    gone.yet = True
    assert [state for state, _ in story.later(12 * HOUR_MS)] == [end]


def test_a_run_whose_step_takes_long_to_go_is_held_meanwhile() -> None:
    """A lease is a minute, and there may be much to remove, or to say goodbye to."""
    story = Story(fakes())
    at_work(story)
    others: list[object] = []

    def slow(alive: Alive) -> None:
        for _ in range(10):
            story.ports.clock.ms += 20_000
            alive()
            others.extend(Worker(story.ports, story.book, "another").advance(story.book.active()[-1]))

    story.ports.on_clear = slow
    story.book.cancel(story.book.active()[-1].run, "ada", "holiday", story.ports.clock.ms)
    assert story.later(HOUR_MS) == [(State.CANCELLED, Reason.ASKED)]
    assert others == []


def cancels(desk: Desk) -> Callable[[], None]:
    """What a worker would do that came upon a run which was cancelled while nobody held it."""
    executor = desk.executor()
    return lambda: executor.clear(desk.policy(), awake)


def leave(desk: Desk) -> None:
    with pytest.raises(KeyboardInterrupt):
        desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt))


def test_the_job_that_a_worker_left_is_found_and_removed(desk: Desk) -> None:
    leave(desk)
    desk.node.start()
    cancels(desk)()
    assert desk.admin.all_jobs() == []


def test_a_job_that_ended_is_left_to_be_looked_at_and_those_of_other_models_are_left_alone(desk: Desk) -> None:
    leave(desk)
    other = desk.executor()
    other.clear(policy(model="another", train=Train(command=("x",), score_command=("x",))), awake)
    assert len(desk.admin.all_jobs()) == 1
    desk.node.fail(desk.node.start(), "PodFailurePolicy", [ended("step", 4)])
    cancels(desk)()
    assert len(desk.admin.all_jobs()) == 1


def test_the_jobs_of_another_store_in_the_same_namespace_are_left_alone(tmp_path: Path) -> None:
    cluster = MemoryCluster()
    one, other = (
        Desk(store, Flaky(cluster), cluster, Node(cluster, tmp_path, tmp_path), tmp_path / "work", place=place)
        for store, place in (
            (stored(tmp_path / "a"), PLACE),
            (stored(tmp_path / "b"), PLACE.__class__(image=PLACE.image, claim="another")),
        )
    )
    leave(one)
    cancels(other)()
    assert len(cluster.all_jobs()) == 1


def stored(directory: Path) -> DirectoryStore:
    return DirectoryStore(directory)


def test_a_cluster_that_does_not_answer_has_not_stopped_anything(desk: Desk) -> None:
    leave(desk)
    desk.cluster.away = lambda: True
    with pytest.raises(StepFailed, match="does not answer") as caught:
        cancels(desk)()
    assert caught.value.again


def test_jobs_are_seen_as_they_stand(desk: Desk) -> None:
    leave(desk)
    (seen,) = desk.executor().seen("fraud")
    assert (seen.ending.end, seen.leaving, seen.result) == ("under_way", False, False)
    desk.node.succeed(desk.node.start())
    (seen,) = desk.executor().seen("fraud")
    assert (seen.ending.end, seen.result) == ("done", True)
    assert desk.executor().seen("another") == []
