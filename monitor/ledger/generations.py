"""The generations of a namespace's configuration, as the topic `configs` keeps them beside the documents.

Which generation holds is said by the evaluations (`records.Generation`); what stands here is a copy of it for people, that
outlives the trimming of `evals`. A record is JSON under a key of its own, so compaction takes none.
"""

from __future__ import annotations

import msgspec

from monitor.errors import LedgerError, NewerVersion
from monitor.ledger.records import Generation

FORMAT = 1
PREFIX = b"generation/"


class GenerationRecord(msgspec.Struct, frozen=True):
    """One generation. `since_ms` is the wall clock of the worker whose configuration it is, when it first read it."""

    format: int
    number: int
    since_ms: int
    reason: str
    document: str
    """Digest of the whole configuration: the key of its document in the same topic."""
    meaning: str
    """Digest of what gives numbers their meaning: what windows carry."""
    windows_from_ms: int | msgspec.UnsetType = msgspec.UNSET
    """Where its windows are others than those before: they begin at this event time or later."""
    roster: int | msgspec.UnsetType = msgspec.UNSET
    """Where its models, or what they mean, are others than before: the number of the roster that says so. Left out where it is
    that of the generation, as in records of earlier versions."""

    @staticmethod
    def of(
        generation: Generation,
        document: str,
        meaning: str,
        windows_from_ms: int | None = None,
        roster: int | None = None,
    ) -> GenerationRecord:
        """From what an evaluation says."""
        since = msgspec.UNSET if windows_from_ms is None else windows_from_ms
        own = msgspec.UNSET if roster in (None, generation.number) else roster
        what = generation.number, generation.since_ms, generation.reason, document, meaning
        return GenerationRecord(FORMAT, *what, since, own)

    @property
    def key(self) -> bytes:
        """The key of the record."""
        return b"%s%08d" % (PREFIX, self.number)


_decoder = msgspec.json.Decoder(GenerationRecord)


def encode(record: GenerationRecord) -> bytes:
    """Bytes of a record."""
    return msgspec.json.encode(record)


def decode(raw: bytes, where: str) -> GenerationRecord:
    """The record in `raw`; `where` names it in errors.

    Raises LedgerError for bytes that are no generation, NewerVersion for a newer format than this code writes.
    """
    try:
        version = msgspec.convert(msgspec.json.decode(raw)["format"], int)
        if version > FORMAT:
            raise NewerVersion(f"{where} has format {version}, this version of Driftline reads up to {FORMAT}")
        return _decoder.decode(raw)
    except (msgspec.DecodeError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise LedgerError(f"{where} is not a generation: {error}", "Something else wrote to this topic.") from error
