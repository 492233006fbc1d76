"""The recorded end of input, and records that came after it: nobody reads them any more, so it is said."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from monitor.daemon.tail import Follower, follow_from_start
from monitor.errors import LedgerError
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


def look_behind_the_ends(log: Log, ledger: str, ends: Sequence[Sequence[int]], namespace: str) -> None:
    """The same for every partition of a ledger, by reading it."""
    for partition, end in enumerate(log.end_offsets(ledger)):
        follower = follow_from_start(log, ledger, partition)
        follower.catch_up(log, end)
        tell_of_later_records(follower, ends, namespace)


def refuse_to_go_on(namespace: str, partition: int) -> None:
    """Raise LedgerError: a live run has nothing to do where the end of input is recorded."""
    raise _ended(namespace, partition, "it takes nothing more")


def _ended(namespace: str, partition: int, what: str) -> LedgerError:
    why = f"namespace {namespace!r}: the end of input was recorded for partition {partition}, {what}"
    return LedgerError(why, "Choose another `namespace` to read the topics again, or to go on.")
