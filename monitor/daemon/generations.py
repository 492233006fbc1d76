"""Which configuration a worker has, which one the evaluator goes by, and what is kept of both.

Every worker reads files of its own, and they do not change at one moment everywhere. The evaluator's record decides: it
says which generation holds, and since when the worker that decided it knew its configuration. Another worker that takes
over goes by its own configuration only if it learnt of it later than that. Whoever has an older one follows what holds,
whose document is kept, until its own files change: two workers with different files never undo each other in turn.

A start counts as learning: a process that is started with an edited configuration, or with an earlier one, means it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from monitor.config import Config
from monitor.daemon.begun import kept
from monitor.ledger.generations import PREFIX, GenerationRecord, decode
from monitor.ledger.records import Generation
from monitor.ports import Log

START, SIGNAL, FILE = "start", "signal", "file"
"""How a worker came to read a configuration: it started, it was asked to (SIGHUP), its files changed."""


@dataclass(frozen=True, slots=True)
class Known:
    """A configuration as a worker knows it. `since_ms`: when it first read it, by the clock of the wall."""

    config: Config
    since_ms: int
    reason: str = START


def successor(known: Known, holds: Generation | None, *, same: bool, begun: bool) -> Generation | None:
    """The generation that a worker's configuration is to become; None where what holds stays.

    `holds`: what holds, None where none was recorded. `same`: its rules are the worker's own. `begun`: something was
    decided already: by an earlier version, where no generation was recorded.
    """
    if same:
        return None if begun else Generation(1, known.since_ms, known.reason)
    if holds is None:
        return Generation(2 if begun else 1, known.since_ms, known.reason)
    if known.since_ms <= holds.since_ms:
        return None
    return Generation(holds.number + 1, known.since_ms, known.reason)


def history(log: Log, topic: str) -> Iterator[GenerationRecord]:
    """The generations that are kept, by number. Raises LedgerError for a record of a newer format."""
    for key, value in sorted(kept(log, topic).items()):
        if key.startswith(PREFIX):
            yield decode(value, f"{topic} key {key.decode('utf-8', 'replace')}")
