"""Editions that owners are asked to count by, as the topic `configs` keeps them beside the documents.

An announcement decides nothing: owners that know the edition count by it from their next commit on, and when all do the evaluator
records where windows of it begin. A record is JSON under a key of its own, so compaction takes none.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from monitor.editions import FIRST, Edition
from monitor.errors import LedgerError, NewerVersion

FORMAT = 1
PREFIX = b"edition/"


class Announcement(msgspec.Struct, frozen=True):
    """One edition. `since_ms`: wall clock of the evaluator that announced it."""

    format: int
    edition: Edition
    since_ms: int

    @property
    def key(self) -> bytes:
        """The key of the record."""
        return b"%s%08d" % (PREFIX, self.edition.number)


_decoder = msgspec.json.Decoder(Announcement)


def encode(record: Announcement) -> bytes:
    """Bytes of a record."""
    return msgspec.json.encode(record)


def decode(raw: bytes, where: str) -> Announcement:
    """The record in `raw`; `where` names it in errors.

    Raises LedgerError for bytes that are none, NewerVersion for a newer format than this code writes.
    """
    try:
        version = msgspec.convert(msgspec.json.decode(raw)["format"], int)
        if version > FORMAT:
            raise NewerVersion(f"{where} has format {version}, this version of Driftline reads up to {FORMAT}")
        return _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LedgerError(f"{where} is not an announcement: {error}", "Something else wrote to this topic.") from error


def newest(there: Mapping[bytes, bytes], topic: str) -> int:
    """The newest edition that a topic of configurations announces; the first where there is none."""
    found = (decode(raw, f"{topic} key {key!r}") for key, raw in there.items() if key.startswith(PREFIX))
    return max((one.edition.number for one in found), default=FIRST)
