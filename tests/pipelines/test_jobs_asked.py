"""How often a cluster is asked: by one that is well, by one that is away, and by one that says when to come again."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from pipelines.errors import CancelAsked, StepFailed
from pipelines.jobs import AFTER_SECS_MOST, BACKOFF_SECS_MOST, POLL_SECS, POLL_SECS_MOST
from tests.pipelines.test_jobs import Desk, apiserver, body, desk, runs

__all__ = ["apiserver", "desk"]

HOUR_MS = 3_600_000


def asked(desk: Desk, away: Callable[[float], bool]) -> list[float]:
    """When a Job was asked for, in seconds since the beginning; `away`: when the cluster does not answer."""
    at: list[float] = []

    def looks() -> bool:
        if not at or at[-1] != desk.now:
            at.append(desk.now)
        return away(desk.now)

    desk.cluster.away = looks
    return at


def gaps(at: list[float]) -> list[float]:
    return [later - before for before, later in itertools.pairwise(at)]


def test_a_job_at_work_is_asked_for_every_few_seconds_and_never_more_rarely(desk: Desk) -> None:
    at = asked(desk, lambda _: False)
    desk.acts = [*[lambda: None] * 3600, runs(desk)]
    assert body(desk, desk.train(timeout_ms=2 * HOUR_MS)) == b"2"
    assert gaps(at)[0] == POLL_SECS
    assert max(gaps(at)) == POLL_SECS_MOST
    assert len(at) < 3600 / POLL_SECS_MOST + 60


def test_a_cluster_that_is_away_is_asked_later_and_later_and_as_often_as_ever_when_it_is_back(desk: Desk) -> None:
    at = asked(desk, lambda now: now < 600)
    desk.acts = [*[lambda: None] * 60, runs(desk)]
    assert body(desk, desk.train(timeout_ms=2 * HOUR_MS)) == b"2"
    before = [each for each in at if each < 600]
    assert gaps(before)[:6] == [2, 4, 8, 16, 32, BACKOFF_SECS_MOST]
    assert max(gaps(at)) == BACKOFF_SECS_MOST
    assert max(gaps([each for each in at if each >= 660])) <= POLL_SECS_MOST


@pytest.mark.parametrize(("says", "waits"), [(0, 2), (120, 120), (86_400, AFTER_SECS_MOST)])
def test_a_cluster_that_says_when_to_ask_again_is_not_asked_before(desk: Desk, says: float, waits: float) -> None:
    at = asked(desk, lambda now: now == 0)
    desk.cluster.after_secs = says
    desk.acts = [runs(desk)]
    assert body(desk, desk.train(timeout_ms=2 * HOUR_MS)) == b"2"
    assert gaps(at)[0] == waits


def test_a_job_that_cannot_be_removed_now_is_tried_a_few_times_before_that_is_said(desk: Desk) -> None:
    away = [False]
    at = asked(desk, lambda _: away[0])

    def cancelled() -> None:
        if desk.admin.all_jobs():
            away[0] = True
            raise CancelAsked("r")

    with pytest.raises(StepFailed, match="was not gone 40 s after it was removed"):
        desk.train(cancelled)
    assert gaps(at)[-5:] == [1, 2, 4, 8, 16]
