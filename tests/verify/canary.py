"""A bug on purpose, to see that the simulation sees one. It lives here, is put in by patching, and is nowhere in the product.

The first commit after a rebuild leaves out what it adds to the performance windows: records are read, accounted for and
committed, the ledger is without a fault, and pairs are missing from the windows. Only a process that takes a partition over with
something to count makes the mistake, so a run in which nothing goes wrong does not show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import msgspec

from monitor.ledger.fold import Chain
from monitor.ledger.records import Commit
from monitor.partition import Flags, Partition


@contextmanager
def canary() -> Iterator[None]:
    """The bug, for as long as the context lasts."""
    rebuilt: set[int] = set()
    resume, commit = Partition.resume, Partition.commit

    def resuming(self: Partition, last: Commit, lost_up_to: tuple[int, int]) -> None:
        resume(self, last, lost_up_to)
        rebuilt.add(id(self))

    def committing(self: Partition, chain: Chain, flags: Flags) -> Commit:
        made = commit(self, chain, flags)
        if id(self) in rebuilt:
            rebuilt.discard(id(self))
            return msgspec.structs.replace(made, performance=None)
        return made

    with patch.object(Partition, "resume", resuming), patch.object(Partition, "commit", committing):
        yield
