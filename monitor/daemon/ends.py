"""The recorded end of input, and records that came after it: nobody reads them any more, so it is said."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from monitor.config.types import Config, Topics
from monitor.daemon.checkpoints import follow, of_evals, of_ledger
from monitor.daemon.tail import Follower
from monitor.errors import LedgerError, OffsetLost
from monitor.ports import Log

_log = logging.getLogger("driftline.worker")


def tell_of_later_records(follower: Follower, ends: Sequence[Sequence[int]], namespace: str) -> None:
    """Warn if the end was recorded in a ledger partition below these offsets, by stream and partition."""
    commit = follower.state.commit
    if commit is None or not commit.ended:
        return
    read = zip((commit.predictions[1], commit.labels[1]), ends, strict=False)
    if any(offset < end[follower.partition] for offset, end in read):
        _log.warning("%s", _ended(namespace, follower.partition, "records that came later are not read"))


def settled(log: Log, topics: Topics, partitions: int) -> bool:
    """Whether somebody recorded that everything is settled. What is trimmed while it is read is asked for again later."""
    try:
        evals, _ = follow(log, topics.evals, 0, of_evals(log, topics.checkpoints, partitions))
        evals.catch_up(log, log.end_offsets(topics.evals)[0])
    except OffsetLost:
        return False
    return evals.state.evaluation is not None and evals.state.evaluation.settled


def look_behind_the_ends(log: Log, topics: Topics, ends: Sequence[Sequence[int]], namespace: str) -> None:
    """The same for every partition of a ledger, by reading it."""
    for partition, end in enumerate(log.end_offsets(topics.ledger)):
        follower, _ = follow(log, topics.ledger, partition, of_ledger(log, topics.checkpoints, partition))
        follower.catch_up(log, end)
        tell_of_later_records(follower, ends, namespace)


def refuse_to_go_on(namespace: str, partition: int) -> None:
    """Raise LedgerError: a live run has nothing to do where the end of input is recorded."""
    raise _ended(namespace, partition, "it takes nothing more")


def _ended(namespace: str, partition: int, what: str) -> LedgerError:
    why = f"namespace {namespace!r}: the end of input was recorded for partition {partition}, {what}"
    return LedgerError(why, "Choose another `namespace` to read the topics again, or to go on.")


def settled_everywhere(log: Log, config: Config, finish: list[list[int]], *, look: bool) -> bool:
    """Whether every partition is settled, by whoever; then, with `look`, whether somebody else's end was ours."""
    topics = config.topics()
    is_settled = settled(log, topics, len(finish[0]))
    if is_settled and look:
        look_behind_the_ends(log, topics, finish, config.namespace)
    return is_settled
