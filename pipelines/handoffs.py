"""What is known of steps that were handed to an outside system: a log of each in the store, `handoffs/MODEL/NAME`.

A hand-off is requested, accepted by who was told of it, and ends once: delivered, failed, or withdrawn. Entries are created as
the next number after those that were read, so whoever would end it a second time is told that it has ended. What comes from
outside counts only with a signature by the secret that the two share: anything else stands in the log and ends nothing.

Secrets are changed, and what ended by one stays ended: of a result that was taken the document is the witness
(`pipelines.carrying.settle`), of a failure that was told a document beside it. Both are below `steps/`, where nobody outside has
to write.

A hand-off that failed or was withdrawn can be requested anew, as its next attempt: what belongs to an attempt before counts
no more. One that is open can be requested again as the same attempt: its signatures are those of the secrets there are now.

Digests are written without their prefix, as in `pipelines.carrying`, and for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import msgspec

from pipelines.codec import PREFIX, decode, digest_of, encode
from pipelines.errors import NotFound, Refused, StoreError, Undecided
from pipelines.hook_spec import genuine, signature
from pipelines.log import append, read_log
from pipelines.ports import Alive, Store

FORMAT: Final = 2
"""Newest. Of requests since they are signed; the other records are as they were."""
ROOT: Final = "handoffs"
RESULTS: Final = "steps/"
"""Results of steps are documents below it: see `pipelines.carrying`."""
RACES_MAX: Final = 100


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", kw_only=True):
    """What all records have."""

    format: int = 1
    previous: str | None = None  # digest of the record before
    attempt: int
    at_ms: int


class Requested(_Record, frozen=True, tag="requested", kw_only=True):
    """A worker wants it done, by `until_ms`. Signed, so that whoever brings the result back with another secret is told."""

    format: int = FORMAT
    until_ms: int
    step: str  # the name of the work, without what makes it unique
    brought: str  # hex digest of the list of what the step reads
    function: str | None
    command: tuple[str, ...]
    environment: tuple[str, ...]  # names only
    signature: str = ""  # none before format 2


class Accepted(_Record, frozen=True, tag="accepted"):
    """Whoever was told of it said that it is taken care of."""

    code: int


class Delivered(_Record, frozen=True, tag="delivered"):
    """It is done. `listing`: hex digest of the list of what the step wrote."""

    actor: str
    listing: str
    signature: str = ""


class Failed(_Record, frozen=True, tag="failed"):
    """It was not done. `again`: another try may help."""

    actor: str
    why: str
    again: bool
    signature: str = ""


class Withdrawn(_Record, frozen=True, tag="withdrawn"):
    """A worker wants it no more."""

    why: str


Ending = Delivered | Failed | Withdrawn
Record = Requested | Accepted | Delivered | Failed | Withdrawn
Signed = TypeVar("Signed", bound=Requested | Delivered | Failed)


def id_of(name: str, attempt: int) -> str:
    """What the outside knows a hand-off by: of every message about one attempt."""
    return f"{name}-{attempt}"


def signed(record: Signed, name: str, secrets: Sequence[bytes]) -> Signed:
    """The record with its signature, which holds for this attempt of this hand-off alone."""
    said = signature(secrets, id_of(name, record.attempt), record.at_ms // 1000, _unsigned(record))
    return msgspec.structs.replace(record, signature=said)


def shared(record: Requested, name: str, secrets: Sequence[bytes]) -> bool:
    """Whether it was requested with one of these secrets; True of a request that is not signed, as of earlier versions."""
    at = record.at_ms // 1000
    said = record.signature
    return not said or genuine(secrets, id_of(name, record.attempt), at, _unsigned(record), said)


def foreign(record: Requested, name: str, secrets: Sequence[bytes]) -> int:
    """How many signatures of a request are by none of these secrets; 0 of one that is not signed."""
    at = record.at_ms // 1000
    return sum(
        not genuine(secrets, id_of(name, record.attempt), at, _unsigned(record), each)
        for each in record.signature.split()
    )


def signed_anew(record: Requested, name: str, secrets: Sequence[bytes]) -> Requested | None:
    """The same request with the signatures of all these secrets; None where it has them, or was requested with none of them."""
    at, said = record.at_ms // 1000, record.signature
    fits = [genuine((each,), id_of(name, record.attempt), at, _unsigned(record), said) for each in secrets]
    return signed(record, name, secrets) if any(fits) and not all(fits) else None


def _unsigned(record: Requested | Delivered | Failed) -> bytes:
    return encode(msgspec.structs.replace(record, signature="", previous=None))


@dataclass(frozen=True, slots=True)
class HandOff:
    """What the records together say. `doubted`: those from outside of the newest attempt, before its ending, that none of the
    secrets signed: forged, or signed with another secret of the request."""

    model: str
    name: str
    bodies: tuple[bytes, ...] = ()
    asked: Requested | None = None
    accepted: Accepted | None = None
    ending: Ending | None = None
    doubted: tuple[Delivered | Failed, ...] = ()

    @property
    def refused(self) -> int:
        """How many are doubted."""
        return len(self.doubted)

    @property
    def id(self) -> str:
        """See `id_of`. Of the newest attempt."""
        return id_of(self.name, self.asked.attempt if self.asked else 0)

    @property
    def open(self) -> bool:
        """Whether it was requested and has not ended."""
        return self.asked is not None and self.ending is None


class HandOffs:
    """The hand-offs of a store. `secrets`: those to believe, asked for each time; none: signatures are not looked at, for
    commands that only show."""

    def __init__(self, store: Store, secrets: Callable[[], Sequence[bytes]] | None) -> None:
        self._store, self._secrets = store, secrets

    def read(self, model: str, name: str) -> HandOff:
        """A hand-off as it stands. Raises FormatError, StoreError."""
        log = f"{ROOT}/{model}/{name}"
        found = HandOff(model, name)
        for number, body in enumerate(read_log(self._store, log), 1):
            record: Record = decode(Record, body, f"entry {number} of {log!r}", FORMAT)
            if record.previous != (digest_of(found.bodies[-1]) if found.bodies else None):
                raise StoreError(f"entry {number} of {log!r}", "does not continue the one before", "Run fsck.")
            found = self._with(found, record, body)
        return found

    def all(self, model: str | None = None) -> Iterator[HandOff]:
        """Every hand-off, or those of a model."""
        for log in self._store.logs(ROOT if model is None else f"{ROOT}/{model}"):
            _, of, name = log.split("/")
            yield self.read(of, name)

    def logs(self, model: str) -> list[str]:
        """The logs of all hand-offs of a model, those that have ended too. They stay, so there may be many."""
        return self._store.logs(f"{ROOT}/{model}")

    def under_way(self, model: str, logs: Sequence[str], alive: Alive) -> Iterator[HandOff]:
        """Those of a model that have not ended. `alive` is called for each of the logs, and one with a result is not read."""
        for log in logs:
            alive()
            name = log.split("/")[2]
            if self._store.document(f"{RESULTS}{name}") is None and (found := self.read(model, name)).open:
                yield found

    def find(self, id_: str) -> HandOff:
        """The one that the outside knows by an id. Raises NotFound."""
        name, _, attempt = id_.rpartition("-")
        for log in self._store.logs(ROOT):
            if log.endswith(f"/{name}") and attempt.isdecimal():
                return self.read(log.split("/")[1], name)
        raise NotFound(f"hand-off {id_!r}", "is not in this store", "`driftline retrain handoffs` lists them.")

    def enter(self, before: HandOff, record: Record) -> HandOff | None:
        """Add a record after those that were read; None when somebody else was first."""
        previous = digest_of(before.bodies[-1]) if before.bodies else None
        record = msgspec.structs.replace(record, previous=previous)
        body = encode(record)
        if not append(self._store, f"{ROOT}/{before.model}/{before.name}", before.bodies, body):
            return None
        return self._with(before, record, body)

    def end(self, before: HandOff, record: Ending) -> HandOff:
        """End it, if it has not ended: whoever is first decides. Raises StoreError when it is lost too often."""
        for _ in range(RACES_MAX):
            if not before.open:
                return before
            if (entered := self.enter(before, record)) is not None:
                return entered
            before = self.read(before.model, before.name)
        raise StoreError(f"hand-off {before.id!r}", "was lost to others too often", "Try again.")

    def signed_anew(self, found: HandOff) -> HandOff:
        """With the signatures of all secrets there are now: whoever has only the newest may bring back then what was requested
        with the one before. It stays the same attempt of the same hand-off."""
        if self._secrets is None or found.asked is None or not found.open:
            return found
        record = signed_anew(found.asked, found.name, self._secrets())
        return found if record is None else self.enter(found, record) or self.read(found.model, found.name)

    def told(self, found: HandOff) -> None:
        """A failure was believed, and is so from now on, whatever secrets come after."""
        assert isinstance(found.ending, Failed)
        self._store.create_document(_witness(found.name, found.ending), _hex(found.ending))

    def contested(self, found: HandOff) -> Delivered | Failed | None:
        """What was entered before the ending, says otherwise, and may be right: the request was signed with more secrets than
        there are here. None where the worker has decided, who has them all: the first that one of them signed."""
        if self._secrets is None or found.asked is None or not isinstance(found.ending, Delivered | Failed):
            return None
        if foreign(found.asked, found.name, self._secrets()) == 0 or self._before(found.name, found.ending):
            return None
        return next((each for each in found.doubted if not _same(each, found.ending)), None)

    def _with(self, found: HandOff, record: Record, body: bytes) -> HandOff:
        bodies = (*found.bodies, body)
        if isinstance(record, Requested):
            anew = found.asked is not None and record.attempt == found.asked.attempt and found.open
            return (
                replace(found, bodies=bodies, asked=record)
                if anew
                else HandOff(found.model, found.name, bodies, record)
            )
        fits = found.open and found.asked is not None and record.attempt == found.asked.attempt
        accepted, ending, doubted = found.accepted, found.ending, found.doubted
        if fits and isinstance(record, Accepted):
            accepted = accepted or record
        elif fits and (isinstance(record, Withdrawn) or self._believed(found.name, record)):
            ending = record  # type: ignore[assignment]  # what is no Accepted ends it
        elif isinstance(record, Delivered | Failed) and fits:
            doubted = (*doubted, record)
        return HandOff(found.model, found.name, bodies, found.asked, accepted, ending, doubted)

    def _believed(self, name: str, record: Record) -> bool:
        if self._secrets is None:
            return True
        assert isinstance(record, Delivered | Failed)
        if self._before(name, record):
            return True
        at = record.at_ms // 1000
        return genuine(self._secrets(), id_of(name, record.attempt), at, _unsigned(record), record.signature)

    def _before(self, name: str, record: Delivered | Failed) -> bool:
        """Whether it was believed before, by a secret that may be gone."""
        if isinstance(record, Delivered):
            taken = self._store.document(f"{RESULTS}{name}")
            return taken is not None and digest_of(taken) == PREFIX + record.listing
        return self._store.document(_witness(name, record)) == _hex(record)


def _witness(name: str, record: Failed) -> str:
    return f"{RESULTS}{id_of(name, record.attempt)}.failed"


def _hex(record: Failed) -> bytes:
    """Which failure: without the place in the log, and without the prefix of a digest."""
    return digest_of(encode(msgspec.structs.replace(record, previous=None))).removeprefix(PREFIX).encode()


def deliver(handoffs: HandOffs, id_: str, record: Callable[[int], Delivered | Failed]) -> bool:
    """End a hand-off from outside; False when the same was said before. `record`: of an attempt, signed. Raises NotFound,
    Refused; Undecided where it was entered and is perhaps not the first."""
    found = handoffs.find(id_)
    if found.id != id_ or found.asked is None:
        raise Refused(f"hand-off {id_!r}", f"is over: {found.id!r} took its place", "Nothing is to be done for it.")
    mine = record(found.asked.attempt)
    after = handoffs.end(found, mine)
    if after.ending is not None and _same(after.ending, mine):
        if (other := handoffs.contested(after)) is not None:
            why = (
                f"has this result, and one that {other.actor} brought before, which none of the secrets here signed: it was made "
                "with another secret of the worker, or is forged"
            )
            remedy = "The first that is genuine counts: the worker decides within half a minute, then the same command tells."
            raise Undecided(f"hand-off {id_!r}", why, remedy)
        return found.ending is None
    said = "withdrawn" if isinstance(after.ending, Withdrawn) else "ended otherwise"
    why = f"was {said}: {after.ending.why}" if isinstance(after.ending, Withdrawn | Failed) else f"was {said}"
    raise Refused(f"hand-off {id_!r}", why, "One result counts, the first: this one is not used.")


def _same(one: Ending, other: Ending) -> bool:
    if isinstance(one, Delivered) and isinstance(other, Delivered):
        return one.listing == other.listing
    if isinstance(one, Failed) and isinstance(other, Failed):
        return (one.why, one.again) == (other.why, other.again)
    return False
