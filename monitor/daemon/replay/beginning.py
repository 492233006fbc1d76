"""Where a proof begins: at the first records, or where the ledger is trimmed at the oldest checkpoint that can be used.

What a checkpoint says of the time before it is taken as it stands: it is bound to the record it follows by that record's
digest, and whoever decides on from it must come to the recorded digests. Of two checkpoints the older proves more.
"""

from __future__ import annotations

from monitor.config.types import Topics
from monitor.daemon.checkpoints import follower_at, of_ledger, usable
from monitor.daemon.resume import EvaluatorCheckpoints, Resumed
from monitor.daemon.tail import Follower, follow_from_start
from monitor.errors import LedgerError
from monitor.ports import Log


def of_partition(log: Log, topics: Topics, partition: int, end: int) -> Follower:
    """A follower of a ledger partition where the proof of its commits begins, below offset `end`.

    Raises LedgerError where the first records are gone and no checkpoint tells what they said.
    """
    if log.begin_offsets(topics.ledger)[partition] == 0:
        return follow_from_start(log, topics.ledger, partition)
    found = [
        follower_at(topics.ledger, partition, each.manifest.fold, each.manifest.place)
        for each in usable(log, topics.ledger, partition, of_ledger(log, topics.checkpoints, partition))
        if each.manifest.place.next_offset <= end
    ]
    if not found:
        raise _gone(log, topics.ledger, partition)
    return found[-1]


def of_evaluations(log: Log, topics: Topics, partitions: int, evals_end: int) -> Resumed | None:
    """The checkpoint where the proof of the evaluations below offset `evals_end` begins; None for the first of them.

    Raises LedgerError where the first records are gone, of `evals` or of the ledger they speak of, and no checkpoint
    tells what they said.
    """
    gone = [(topics.evals, 0)] if log.begin_offsets(topics.evals)[0] else []
    gone += [(topics.ledger, p) for p, begin in enumerate(log.begin_offsets(topics.ledger)) if begin]
    if not gone:
        return None
    names = (topics.ledger, topics.evals, topics.checkpoints)
    checkpoints = EvaluatorCheckpoints(log, names, partitions, every=1, trims=False)
    found = [each for each in checkpoints.find() if each.evals.next_offset <= evals_end]
    if not found:
        raise _gone(log, *gone[0])
    return found[-1]


def _gone(log: Log, topic: str, partition: int) -> LedgerError:
    begin = log.begin_offsets(topic)[partition]
    return LedgerError(
        f"topic {topic!r} partition {partition} begins at offset {begin} and no checkpoint can be used: what it began with is "
        "gone, so nothing after it can be proved",
        "Verify a recording that was made before.",
    )
