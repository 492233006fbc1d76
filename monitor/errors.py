"""The exceptions of the monitor, drawn as a tree.

    MonitorError                 anything this package raises on purpose
    ├── ConfigError              the configuration cannot be used (exit 78); carries every problem found
    ├── LogError                 the log (Kafka or embedded) refused or failed
    │   ├── LogUnreachable       no answer within the time allowed (exit 69)
    │   │   └── SchemasUnreachable   nor from the schema registry: records cannot be read until it answers
    │   ├── NotAllowed           the brokers do not let this user do it (exit 78)
    │   ├── UnknownOutcome       an append may or may not have landed; read the log to know
    │   └── OffsetLost           records needed are no longer in the log
    ├── LedgerError              the ledger cannot be continued: another topic, a broken chain
    │   └── NewerVersion         what is there was written by a later version (exit 78): a downgrade
    ├── FormatError              a published record is newer than this code, or no such record (windows.canonical)
    ├── ListenError              the HTTP address cannot be listened on (adapters.http)
    ├── SpillRefused             rows of a join could not be put aside on disk (join.memory); they stay in memory
    ├── LostOwnership            another writer took a ledger partition over (daemon.writer)
    └── ReferenceProfileError    a reference profile cannot be read or does not fit the model

Bad input is never an exception: it is a value (`events.Rejected`).
"""

from __future__ import annotations


class MonitorError(Exception):
    """Anything the monitor raises on purpose; the message says who, what, which value and what to do next."""


class ConfigError(MonitorError):
    """The configuration cannot be used. `problems` holds one finished sentence per mistake, in file order."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LogError(MonitorError):
    """The log refused or failed; `topic` and `partition` say where when they are known."""

    def __init__(self, message: str, *, topic: str | None = None, partition: int | None = None) -> None:
        super().__init__(message)
        self.topic, self.partition = topic, partition


class LogUnreachable(LogError):
    """No broker answered within the time allowed. Retrying may help."""


class NotAllowed(LogError):
    """The brokers do not let this user do it: an access control list lacks a right. Retrying will not help."""


class SchemasUnreachable(LogUnreachable):
    """The schema registry did not say what a schema is. Reading waits; nothing is lost."""

    def __init__(self, url: str, number: int | str, why: str) -> None:
        super().__init__(
            f"the schema registry at {url} does not say what schema {number} is: {why}. Records of it wait; look at the "
            "registry and at schema_registry in the configuration"
        )
        self.url, self.number, self.why = url, number, why


class UnknownOutcome(LogError):
    """An append was sent and not acknowledged: it is in the log, or not, or lands later.

    Only the log itself tells. The caller drops its producer and its state and reopens.
    """


class OffsetLost(LogError):
    """Records that are still needed have left the log (retention, truncation, a re-created topic)."""

    def __init__(self, topic: str, partition: int, wanted: int, begin: int, end: int) -> None:
        super().__init__(
            f"topic {topic!r} partition {partition}: offset {wanted} is needed but the log holds [{begin}, {end}). "
            "Raise the topic's retention above the horizon; to go on without them, record the loss with `driftline ledger gap`.",
            topic=topic,
            partition=partition,
        )
        self.wanted, self.begin, self.end = wanted, begin, end


class LedgerError(MonitorError):
    """The ledger cannot be continued as configured. `hint` says what an operator can do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(f"{why}. {hint}")
        self.why, self.hint = why, hint


class NewerVersion(LedgerError):
    """What a namespace holds was written by a later version than this one, and cannot be gone on with. `release`: the first
    that can, None where the record does not say."""

    def __init__(self, why: str, release: str | None = None) -> None:
        needed = (
            "the version that wrote it, or a newer one" if release is None else f"Driftline {release} or a newer one"
        )
        super().__init__(
            why,
            f"Run {needed}: this namespace does not go back to an earlier version. With another `namespace` any version "
            "counts again whatever both topics hold.",
        )
        self.release = release


class ReferenceProfileError(MonitorError):
    """A reference profile cannot be read, or does not fit the model that names it."""


class SpillRefused(MonitorError):
    """Rows could not be put aside. Nothing is lost: they stay in memory. Retrying helps once there is space."""

    def __init__(self, directory: str, why: str, *, at_start: bool = False) -> None:
        remedy = "Make room there; until then predictions wait."
        if at_start:
            remedy = "Make it a directory that this process may write to, or name another one."
        super().__init__(f"rows of the join cannot be put aside in {directory!r} (state.directory): {why}. {remedy}")
        self.directory, self.why, self.at_start = directory, why, at_start
