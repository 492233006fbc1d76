"""A Job that was there before anybody asked: one that failed is no answer, one that is at work or has ended well is."""

from __future__ import annotations

import pytest

from pipelines.errors import StepFailed
from tests.pipelines.test_jobs import Desk, apiserver, body, desk, runs

__all__ = ["apiserver", "desk"]


@pytest.mark.parametrize("reason", ["PodFailurePolicy", "DeadlineExceeded"])
def test_a_job_that_failed_for_another_run_is_no_answer_to_this_one(desk: Desk, reason: str) -> None:
    """The same rows, code and model are the same work: of a score that is so for every run of a day."""
    mended = desk.work.parent / "mended"
    command = (
        "sh",
        "-c",
        f"test -e {mended} || {{ echo no token >&2; exit 4; }}; wc -l < in/rows.jsonl > out/model/rows.json",
    )

    def fails() -> None:
        pod = desk.node.start()
        desk.node.fail(pod, reason, desk.node.run(pod))

    desk.acts = [fails]
    with pytest.raises(StepFailed):
        desk.train(command=command)
    desk.acts = [fails]
    with pytest.raises(StepFailed):
        desk.train(command=command)
    assert desk.node.ran == 2, "it was asked again, and fails again"
    mended.touch()
    desk.acts = [runs(desk)]
    assert body(desk, desk.train(command=command)) == b"2"
    assert (desk.node.ran, desk.results(), len(desk.admin.all_jobs())) == (3, 1, 1)


def test_a_job_that_ended_between_two_questions_is_not_done_again(desk: Desk) -> None:
    with pytest.raises(KeyboardInterrupt):
        desk.train(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    look = desk.cluster.job

    def ends(name: str) -> object:  # after the store was asked, before the cluster is
        desk.cluster.job = look  # type: ignore[method-assign]
        runs(desk)()
        return look(name)

    desk.cluster.job = ends  # type: ignore[method-assign,assignment]
    assert body(desk, desk.train()) == b"2"
    assert desk.node.ran == 1
