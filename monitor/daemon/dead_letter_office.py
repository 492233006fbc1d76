"""Dead letters of a worker: what goes where, by the breaker's decision. The writing itself is `adapters.dead_letters`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from monitor.config.types import Config
from monitor.events import RecordBatch, Rejected
from monitor.ports import Appender, Log


class DeadLetterOffice:
    """Takes every fed batch with what was rejected of it. Letters are acknowledged before the commit that counts them."""

    needs_originals = True

    def __init__(self, log: Log, appender: Appender, config: Config) -> None:
        self.written: dict[str, Counter[str]] = defaultdict(Counter)

    def use(self, appender: Appender) -> None:
        """Write through another producer from now on."""

    def take(self, batch: RecordBatch, rejected: Sequence[Rejected]) -> None:
        """A batch was fed."""

    def flush(self) -> None:
        """Wait until every letter is acknowledged."""

    def flooding(self, partition: int) -> bool:
        """Whether letters of a partition are cut to pointers now."""
        return False

    def forget(self, partition: int) -> None:
        """The partition is not ours any more."""
