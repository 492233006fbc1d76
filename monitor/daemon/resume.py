"""Where the evaluator goes on: at a checkpoint of `evals`, or at the beginning. And what it saves."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import UNSET

from monitor.daemon.checkpoints import (
    Checkpoints,
    Found,
    follower_at,
    manifest_of,
    of_evals,
    refuse_without_beginning,
    stands,
    usable,
    with_ledger,
)
from monitor.daemon.rules_in_force import RulesInForce, evaluations
from monitor.daemon.tail import Follower
from monitor.daemon.trim import trim
from monitor.daemon.writer import LostOwnership
from monitor.errors import MonitorError
from monitor.evaluator import Evaluator
from monitor.ledger.checkpoints import EVALS, CheckpointError, Fold, encode_body
from monitor.ledger.fold import Verdict
from monitor.ledger.records import EvalCommit
from monitor.ports import Log
from monitor.saved import SavedEvaluation, format_of, gone_by, read_evaluation, save

_log = logging.getLogger("driftline.checkpoints")


@dataclass(frozen=True, slots=True)
class Resumed:
    """A checkpoint of `evals` that can be gone on from."""

    evals: Follower
    followers: list[Follower]
    evaluation: EvalCommit
    saved: SavedEvaluation
    where: str
    overtaken: bool


def others_since(epoch: int, evals: Follower) -> bool:
    """Whether somebody fenced itself in after `epoch`, by a follower that has read further.

    Who opens publishes the last step once more, under its own epoch, which readers take for the newest. If it died in the
    middle of that, the step is to be published again: by going on from a checkpoint before it, because what a step
    publishes cannot be told from the state after it. A process that slept may save such a state after others had come.
    """
    return evals.state.epoch > epoch


class EvaluatorCheckpoints:
    """Those of `evals`, found and written."""

    def __init__(self, log: Log, topics: tuple[str, str, str], partitions: int, every: int, *, trims: bool) -> None:
        """`topics`: ledger, evals, checkpoints. `every`: ledger records between two checkpoints."""
        self._log, self._partitions, self._every, self._trims = log, partitions, every, trims
        self._ledger, self._evals, self._topic = topics
        self._checkpoints: Checkpoints = of_evals(log, self._topic, partitions)
        self._read = 0
        self._looked_at: list[int] = []

    def find(self) -> Iterator[Resumed]:
        """Those that can be used, the newest first. Raises LedgerError when `evals` or the ledger lost records.

        One that others overtook comes last, and only where the beginning of `evals` or of the ledger is gone: see `others_since`.
        """
        self._looked_at = self._begins()
        last: list[Found] = []
        for one in usable(self._log, self._evals, 0, self._checkpoints):
            if self._is_overtaken(one):
                last.append(one)
            else:
                yield from self._whole(one, overtaken=False)
        if any(self._begins()):
            for one in last:
                yield from self._whole(one, overtaken=True)

    def _whole(self, one: Found, *, overtaken: bool) -> Iterator[Resumed]:
        try:
            yield self._resumed(one, overtaken)
        except CheckpointError as error:
            _log.warning("%s", error)

    def _is_overtaken(self, one: Found) -> bool:
        """Whether others were the evaluator after this was saved and decided nothing new."""
        follower = follower_at(self._evals, 0, one.manifest.fold, one.manifest.place)
        epoch, end = follower.state.epoch, self._log.end_offsets(self._evals)[0]
        decided = next(evaluations(self._log, self._evals, end, follower), None)
        return decided is None and others_since(epoch, follower)

    def _begins(self) -> list[int]:
        return [*self._log.begin_offsets(self._evals), *self._log.begin_offsets(self._ledger)]

    def refuse_without_beginning(self) -> None:
        """Raise LedgerError when the first records of `evals`, or of the ledger, are gone: nothing can begin there.

        Raises LostOwnership when they went after `find` had looked: another process decided, saved and trimmed meanwhile.
        """
        if self._begins() != self._looked_at:
            raise LostOwnership(self._evals, 0, Verdict.NOT_OWNER)
        newer, (evals, *ledger) = self._checkpoints.newer, self._looked_at
        refuse_without_beginning(self._evals, 0, evals, newer)
        for partition, begin in enumerate(ledger):
            refuse_without_beginning(self._ledger, partition, begin, newer)

    def _resumed(self, found: Found, overtaken: bool) -> Resumed:
        manifest = found.manifest
        if len(manifest.ledger) != self._partitions or manifest.fold.evaluation is None:
            raise CheckpointError(found.where, f"it is of {len(manifest.ledger)} partitions")
        for partition, place in enumerate(manifest.ledger):
            if not stands(self._log, self._ledger, partition, place, found.where):
                raise CheckpointError(found.where, f"{self._ledger}[{partition}] was trimmed above it")
        try:
            saved = read_evaluation(found.body())
        except (msgspec.DecodeError, ValueError) as error:
            raise CheckpointError(found.where, f"its body is damaged ({error})") from error
        followers = [
            follower_at(self._ledger, partition, fold, place)
            for partition, (fold, place) in enumerate(zip(saved.ledger, manifest.ledger, strict=True))
        ]
        evals = follower_at(self._evals, 0, manifest.fold, manifest.place)
        return Resumed(evals, followers, manifest.fold.evaluation, saved, found.where, overtaken)

    def begun_at(self, followers: Sequence[Follower]) -> None:
        """The next checkpoint is due so many records after here."""
        self._read = sum(follower.next_offset for follower in followers)

    def due(self, followers: Sequence[Follower]) -> bool:
        """Whether enough of the ledger was read since the last one."""
        return sum(follower.next_offset for follower in followers) - self._read >= self._every

    def write(
        self, evals: Follower, followers: list[Follower], evaluator: Evaluator, rules: RulesInForce, rejected: int
    ) -> None:
        """Save what was decided; right after it was committed and published, so that it is a function of `evals`."""
        folds = tuple(Fold.of(follower.state) for follower in followers)
        editions, generation = evaluator.editions.save() or UNSET, rules.generation or UNSET
        own, gone = save(evaluator), gone_by(evaluator)
        saved = SavedEvaluation(folds, rejected, rules.digest, own, generation, editions, gone)
        body = encode_body(saved)
        manifest = with_ledger(manifest_of(EVALS, evals), followers)
        manifest = msgspec.structs.replace(manifest, format=max(manifest.format, format_of(saved)))
        self.begun_at(followers)
        if self._checkpoints.write(manifest, body):
            _log.info("checkpoint of evals at offset %d: %d bytes", manifest.place.at, len(body))
            if self._trims:
                self._trim()

    def _trim(self) -> None:
        try:
            trim(self._log, (self._ledger, self._evals, self._topic), self._partitions)
        except MonitorError as error:
            _log.warning("the ledger was not trimmed: %s", error)
