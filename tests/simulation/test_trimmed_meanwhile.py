"""A log that its owner trims while another process looks for where it begins: at every question that is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from monitor.daemon.checkpoints import follow, of_evals, of_ledger
from monitor.daemon.resume import EvaluatorCheckpoints
from monitor.daemon.writer import LostOwnership
from monitor.errors import OffsetLost
from tests.simulation.histories import PARTITIONS
from tests.simulation.saving import a_run_with_checkpoints

CHECKPOINTS, EVALS, LEDGER = "saved.checkpoints", "saved.evals", "saved.ledger"


class Before:
    """What a log answers: for the first questions as before its first checkpoint, from then on as it is."""

    def __init__(self, log: Any, questions: int) -> None:
        self._log, self._left = log, questions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def _is_over(self) -> bool:
        self._left -= 1
        return self._left < 0

    def begin_offsets(self, topic: str) -> Sequence[int]:
        now: Sequence[int] = self._log.begin_offsets(topic)
        return now if self._is_over() else [0] * len(now)

    def end_offsets(self, topic: str) -> Sequence[int]:
        now: Sequence[int] = self._log.end_offsets(topic)
        return now if self._is_over() or topic != CHECKPOINTS else [0] * len(now)


@pytest.mark.parametrize("questions", range(12))
def test_who_follows_goes_on_from_a_checkpoint_or_finds_that_its_place_is_gone(questions: int) -> None:
    trimmed = a_run_with_checkpoints(trim=True)
    for topic, partition in ((EVALS, 0), (LEDGER, 0)):
        assert trimmed.begin_offsets(topic)[partition] > 0
        log: Any = Before(trimmed, questions)
        checkpoints = of_evals if topic == EVALS else of_ledger
        own = checkpoints(log, CHECKPOINTS, PARTITIONS if topic == EVALS else 0)
        follower, manifest = follow(log, topic, partition, own)
        if manifest is not None:
            assert follower.next_offset > trimmed.begin_offsets(topic)[partition]
            continue
        assert follower.next_offset == 0
        with pytest.raises(OffsetLost):
            follower.catch_up(log, trimmed.end_offsets(topic)[partition])


@pytest.mark.parametrize("questions", range(12))
def test_an_evaluator_finds_a_checkpoint_or_that_another_one_is_at_work(questions: int) -> None:
    """As seed 505396 of the simulation, which took the ledger for lost: trimmed between two questions of one check."""
    log: Any = Before(a_run_with_checkpoints(trim=True), questions)
    own = EvaluatorCheckpoints(log, (LEDGER, EVALS, CHECKPOINTS), PARTITIONS, 3, trims=True)
    if next(own.find(), None) is None:
        try:
            own.refuse_without_beginning()
        except LostOwnership:
            return
        reader = log.reader(keys=False, headers=False)
        reader.assign({(EVALS, 0): 0})
        with pytest.raises(OffsetLost):
            reader.poll(1, 0)
