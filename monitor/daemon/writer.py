"""The one who writes a ledger partition: appends, and knows at once when it no longer may.

An append that was acknowledged at the very next offset counts, because nothing can have come between. Otherwise what
came between is read, and the rule decides. An append without an acknowledgement is never repeated: the caller drops
its state and reads the log.
"""

from __future__ import annotations

from monitor.daemon.tail import Follower
from monitor.errors import MonitorError, OffsetLost
from monitor.ledger.fold import Chain, Verdict, fold
from monitor.ledger.records import FORMAT, Fence, Record, encode
from monitor.ports import Appender, Log, OutRecord


class LostOwnership(MonitorError):
    """Another writer took the partition over. Drop its state; if the lease is still held, open it again."""

    def __init__(self, topic: str, partition: int, verdict: Verdict) -> None:
        super().__init__(f"{topic}[{partition}]: another owner took over ({verdict}); this one stops writing to it")
        self.partition, self.verdict = partition, verdict


class LedgerWriter:
    """Appends to one partition of `ledger` or `evals` as its owner."""

    def __init__(self, log: Log, appender: Appender, follower: Follower, owner: str) -> None:
        self._log, self._appender, self.follower, self.owner = log, appender, follower, owner

    def fence(self) -> None:
        """Become the owner: a fence with a higher epoch, acknowledged, folded up to, and still ours.

        Raises LostOwnership when another fence won.
        """
        self._catch_up()
        epoch = self.follower.state.epoch + 1
        self.offer(Fence(FORMAT, epoch, self.owner))
        if self.follower.state.owner != self.owner:
            raise LostOwnership(self.follower.topic, self.follower.partition, Verdict.OLD_EPOCH)

    def append(self, record: Record) -> None:
        """Append a record and see that it counts. Raises LostOwnership or UnknownOutcome."""
        verdict = self.offer(record)
        if verdict is not Verdict.ACCEPTED:
            raise LostOwnership(self.follower.topic, self.follower.partition, verdict)

    @property
    def chain(self) -> Chain:
        """What the next commit continues."""
        state = self.follower.state
        return Chain(state.epoch, self.owner, state.sequence, state.chain)

    def offer(self, record: Record) -> Verdict:
        """Append a record, fold up to it, and say whether it counts. Raises UnknownOutcome."""
        raw = encode(record)
        follower = self.follower
        offset = self._appender.append(follower.topic, follower.partition, OutRecord(raw))
        if offset != follower.next_offset:
            self._read_up_to(offset)
        follower.state, verdict = fold(follower.state, record, raw)
        follower.next_offset = offset + 1
        if verdict is Verdict.ACCEPTED:
            follower.counted_at = offset
        return verdict

    def _catch_up(self) -> None:
        follower = self.follower
        self._read_up_to(self._log.end_offsets(follower.topic)[follower.partition])

    def _read_up_to(self, end: int) -> None:
        """Fold what others wrote. Where it was trimmed already they have gone on long since: opening again reads their
        checkpoint, and refuses by name what was not trimmed but lost."""
        follower = self.follower
        try:
            follower.catch_up(self._log, end)
        except OffsetLost as lost:
            raise LostOwnership(follower.topic, follower.partition, Verdict.NOT_OWNER) from lost
