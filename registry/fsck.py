"""Is the store whole? Every byte is read, every reference followed, every log folded; what is wrong is named.

One flipped byte in any file, any file that was removed, an entry that continues another history, a move that the rule does
not allow, a version whose files are not those of its manifest, a blob that a thing of another package needs (`registry.others`)
and that nobody removed on purpose: each is a finding of its own. What merely lies around (blobs that nobody refers to,
unfinished writes, foreign files) is a note.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from registry.chained import receipt_name
from registry.digest import PREFIX, digest_of, digests_in
from registry.errors import Damaged, FormatError, Missing, RegistryError
from registry.fold import BROKEN, MovesState, Verdict, fold
from registry.gc import reachable, references
from registry.manifest import Manifest, ModelFile, VersionEntry, decode_entry, decode_manifest
from registry.mlflow import IMPORTS, decode_imported
from registry.moves import Approve, decode_move
from registry.others import Nobody, Others, Reference
from registry.publication import ModelState
from registry.store import ENTRY_BYTES_MAX, Store, StoredBlob, read_blob


class Fault(StrEnum):
    """What is wrong, one word."""

    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"  # of a newer format, or not what it should be
    BROKEN_CHAIN = "broken_chain"
    NOT_COUNTED = "not_counted"  # a move that the rule does not allow
    CONTRADICTION = "contradiction"  # two records that cannot both be true
    UNREACHABLE = "unreachable"
    LEFTOVER = "leftover"
    STRAY = "stray"
    UNFOLLOWED = "unfollowed"  # what it needs is not known here


SIGNATURES = "signatures/"
"""Documents beside the logs: `signatures/LOG/NUMBER/...` (`registry.trust`)."""
NOTES = frozenset({Fault.UNREACHABLE, Fault.LEFTOVER, Fault.STRAY, Fault.UNFOLLOWED})
"""What lies around without being wrong."""


@dataclass(frozen=True, slots=True)
class Found:
    """One finding: which thing, what is wrong, in which words."""

    what: str
    fault: Fault
    detail: str

    @property
    def damage(self) -> bool:
        """Whether something is wrong, not merely lying around."""
        return self.fault not in NOTES


@dataclass(slots=True)
class _Read:
    """What could be read of the store so far."""

    entries: dict[str, dict[int, bytes]] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, StoredBlob] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    versions: dict[str, dict[int, VersionEntry]] = field(default_factory=dict)
    trained_on: dict[str, str] = field(default_factory=dict)  # digest of the dataset of a version that says one


def fsck(
    store: Store,
    witnesses: tuple[ModelState, ...] = (),
    progress: Callable[[int], None] = lambda _: None,
    others: Others | None = None,
) -> Iterator[Found]:
    """Every finding. `witnesses` are states that were published: the log must still hold what they say.

    `progress` is told how many more bytes of blobs were read. `others` knows what things of other packages need.
    """
    read = _Read()
    yield from _documents(store, read)
    yield from _entries(store, read)
    yield from _blobs(store, read, progress)
    yield from _versions(store, read)
    yield from _moves(read)
    yield from _signed(read)
    yield from _imports(read)
    yield from _others(store, read, others or Nobody())
    for state in witnesses:
        yield from _witness(state, read)
    whole = {digest: blob for digest, blob in read.blobs.items() if digest not in read.damaged}
    kept = reachable(_named(read), references(store.blob, whole))
    for digest in sorted(read.blobs.keys() - kept):
        yield Found(f"blob {digest}", Fault.UNREACHABLE, "nothing refers to it; `gc` removes it when it is old enough")
    for left in store.leftovers():
        yield Found(left.path, Fault.LEFTOVER, f"an unfinished write of {left.size_bytes:,} bytes")
    for path in store.strays():
        yield Found(path, Fault.STRAY, "it is no part of a registry")


def _fault(what: str, error: RegistryError) -> Found:
    fault = Fault.UNREADABLE
    if isinstance(error, Damaged | Missing):
        fault = Fault.DAMAGED if isinstance(error, Damaged) else Fault.MISSING
    return Found(what, fault, error.why)


# ------------------------------------------------------------------------------------------------ what is in the store


def _documents(store: Store, read: _Read) -> Iterator[Found]:
    for name in store.documents():
        try:
            read.documents[name] = store.document(name) or b""
        except RegistryError as error:
            yield _fault(f"document {name!r}", error)


def _entries(store: Store, read: _Read) -> Iterator[Found]:
    for log in sorted({*store.logs(), *_promised(read)}):
        bodies = read.entries[log] = {}
        last = max(store.last(log), *_promised(read).get(log, []), 0)
        for number in range(1, last + 1):
            what = f"entry {number} of {log!r}"
            try:
                body = store.entry(log, number)
            except RegistryError as error:
                yield _fault(what, error)
                continue
            if body is None:
                yield Found(what, Fault.MISSING, "it was there: later entries or a receipt say so")
                continue
            bodies[number] = body
            yield from _receipt(log, number, last, body, read)


def _receipt(log: str, number: int, last: int, body: bytes, read: _Read) -> Iterator[Found]:
    name = receipt_name(log, number)
    said = read.documents.get(name)
    if said is not None and said.decode("utf-8", "replace") != digest_of(body):
        yield Found(
            f"entry {number} of {log!r}", Fault.CONTRADICTION, f"its receipt is for {said.decode('utf-8', 'replace')}"
        )
    # The last receipt may be missing: its writer ended before it, and the next one makes up for it.
    if said is None and number < last and log.startswith("models/"):
        yield Found(f"document {name!r}", Fault.MISSING, f"entry {number} of {log!r} has no receipt")


def _signed(read: _Read) -> Iterator[Found]:
    """Whoever takes the end of a log away takes its receipts too, and may forget what was signed."""
    for name in read.documents:
        log, _, number = name.removeprefix(SIGNATURES).rpartition("/")[0].rpartition("/")
        if name.startswith(SIGNATURES) and not (number.isdecimal() and int(number) in read.entries.get(log, {})):
            yield Found(f"entry {number} of {log!r}", Fault.MISSING, f"there is a signature of it, {name!r}")


def _imports(read: _Read) -> Iterator[Found]:
    """What was imported names the version that it became."""
    for name, body in read.documents.items():
        if not name.startswith(f"{IMPORTS}/"):
            continue
        what = f"document {name!r}"
        try:
            found = decode_imported(body, what)
        except RegistryError as error:
            yield _fault(what, error)
            continue
        if found.number is not None:
            model = name.split("/")[-3]
            entry = read.versions.get(model, {}).get(found.number)
            if entry is None or entry.manifest != f"{PREFIX}{found.manifest}":
                yield Found(
                    what,
                    Fault.CONTRADICTION,
                    f"it says that it became {model}@{found.number}, which is another or none",
                )


def _promised(read: _Read) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name in read.documents:
        kind, _, rest = name.partition("/")
        log, _, number = rest.rpartition("/")
        if kind == "receipts" and number.isdecimal():
            found.setdefault(log, []).append(int(number))
    return found


def _blobs(store: Store, read: _Read, progress: Callable[[int], None]) -> Iterator[Found]:
    read.blobs = {blob.digest: blob for blob in store.blobs()}
    for digest in read.blobs:
        try:
            for chunk in store.blob(digest):
                progress(len(chunk))
        except RegistryError as error:
            read.damaged.add(digest)
            yield _fault(f"blob {digest}", error)


def _named(read: _Read) -> set[str]:
    bodies = [body for entries in read.entries.values() for body in entries.values()]
    return set().union(*(digests_in(body) for body in [*bodies, *read.documents.values()]))


# ----------------------------------------------------------------------------------------------- what the records say


def _model_logs(read: _Read, kind: str) -> Iterator[tuple[str, str, Mapping[int, bytes]]]:
    for log, bodies in read.entries.items():
        parts = log.split("/")
        if len(parts) == 3 and parts[0] == "models" and parts[2] == kind:
            yield parts[1], log, bodies


def _versions(store: Store, read: _Read) -> Iterator[Found]:
    for model, log, bodies in _model_logs(read, "versions"):
        known = read.versions[model] = {}
        for number, body in bodies.items():
            what = f"entry {number} of {log!r}"
            try:
                entry = known[number] = decode_entry(body, what)
            except FormatError as error:
                yield _fault(what, error)
                continue
            if entry.number != number or not _continues(bodies, number, entry.previous):
                yield Found(what, Fault.BROKEN_CHAIN, f"it does not continue entry {number - 1}")
            yield from _manifest(store, read, f"{model}@{number}", model, entry)


def _continues(bodies: Mapping[int, bytes], number: int, previous: str | None) -> bool:
    if number == 1:
        return previous is None
    return number - 1 not in bodies or previous == digest_of(bodies[number - 1])


def _manifest(store: Store, read: _Read, version: str, model: str, entry: VersionEntry) -> Iterator[Found]:
    what = f"manifest {entry.manifest} of {version}"
    if entry.manifest not in read.blobs:
        yield Found(what, Fault.MISSING, "no such blob")
    elif entry.manifest not in read.damaged:
        try:
            manifest = decode_manifest(b"".join(store.blob(entry.manifest)), what)
        except RegistryError as error:
            yield _fault(what, error)
            return
        if manifest.model != model or manifest.run != entry.run:
            why = (
                f"it is of model {manifest.model!r} and run {manifest.run!r}, its entry of {model!r} and {entry.run!r}"
            )
            yield Found(what, Fault.CONTRADICTION, why)
        if manifest.dataset is not None:
            read.trained_on[version] = manifest.dataset
        yield from _parts(read, version, manifest)


def _parts(read: _Read, version: str, manifest: Manifest) -> Iterator[Found]:
    for part in manifest.parts():
        name = f"file {part.path!r}" if isinstance(part, ModelFile) else "attachment"
        blob = read.blobs.get(part.digest)
        if blob is None:
            yield Found(f"{name} of {version}", Fault.MISSING, f"there is no blob {part.digest}")
        elif part.digest in read.damaged:
            yield Found(f"{name} of {version}", Fault.DAMAGED, f"blob {part.digest} is")
        elif blob.size_bytes != part.size_bytes:
            why = f"blob {part.digest} has {blob.size_bytes:,} bytes, the manifest says {part.size_bytes:,}"
            yield Found(f"{name} of {version}", Fault.CONTRADICTION, why)


def _moves(read: _Read) -> Iterator[Found]:
    for model, log, bodies in _model_logs(read, "moves"):
        state, whole = MovesState(), True
        for number, body in bodies.items():
            what = f"entry {number} of {log!r}"
            try:
                move = decode_move(body, what)
            except FormatError as error:
                yield _fault(what, error)
                whole = False
                continue
            if not _continues(bodies, number, move.previous):
                yield Found(what, Fault.BROKEN_CHAIN, f"it does not continue entry {number - 1}")
            state, verdict = fold(state, move, body)
            if verdict in BROKEN and whole:
                whole = False
                if _continues(bodies, number, move.previous):
                    yield Found(what, Fault.BROKEN_CHAIN, f"it cannot be folded: {verdict}")
            elif verdict is not Verdict.ACCEPTED and whole:
                yield Found(what, Fault.NOT_COUNTED, f"the rule does not allow it: {verdict}")
            version = getattr(move, "version", None)
            if version is not None:
                entry = read.versions.get(model, {}).get(version)
                requester = move.requester if isinstance(move, Approve) else None
                yield from _target(what, f"{model}@{version}", entry, getattr(move, "manifest", ""), requester)


def _target(
    what: str, version: str, entry: VersionEntry | None, manifest: str, requester: str | None
) -> Iterator[Found]:
    if entry is None:
        yield Found(what, Fault.CONTRADICTION, f"it is about {version}, which cannot be read")
    elif entry.manifest != manifest:
        yield Found(what, Fault.CONTRADICTION, f"it is about {manifest}, {version} is {entry.manifest}")
    elif requester is not None and requester != entry.registered_by:
        yield Found(
            what, Fault.CONTRADICTION, f"it says that {requester} registered {version}; {entry.registered_by} did"
        )


# -------------------------------------------------------------------------------------- things of other packages


def _others(store: Store, read: _Read, others: Others) -> Iterator[Found]:
    ahead: deque[tuple[str, Reference]] = deque()
    unknown, removed = 0, list[Iterable[str]]()
    for name, body in read.documents.items():
        try:
            removed.append(others.removed(name, body, f"document {name!r}"))
        except RegistryError:
            continue  # told as a document that cannot be read
    for what, ask in _foreign(read, others):
        try:
            named = ask()
        except RegistryError as error:
            yield _fault(what, error)
            continue
        unknown += named is None
        ahead.extend((what, reference) for reference in named or ())
    # The dataset of a version is kept by whoever made it, maybe elsewhere; if it is here, so are its rows.
    kept = {version: digest for version, digest in read.trained_on.items() if digest in read.blobs}
    ahead.extend((version, Reference("dataset", digest, opens=True)) for version, digest in kept.items())
    yield from _followed(store, read, others, ahead, {digest for each in removed for digest in each})
    if unknown:
        why = "what they need is not known here; `driftline registry fsck` knows more than `python -m registry fsck`"
        yield Found(f"{unknown:,} entries and documents of other packages", Fault.UNFOLLOWED, why)


def _foreign(read: _Read, others: Others) -> Iterator[tuple[str, Callable[[], Iterable[Reference] | None]]]:
    for log, bodies in read.entries.items():
        if not log.startswith("models/"):
            for number, body in bodies.items():
                what = f"entry {number} of {log!r}"
                yield what, partial(others.entry, log, body, what)
    for name, body in read.documents.items():
        if not name.startswith(("receipts/", SIGNATURES, f"{IMPORTS}/")):
            what = f"document {name!r}"
            yield what, partial(others.document, name, body, what)


def _followed(
    store: Store, read: _Read, others: Others, ahead: deque[tuple[str, Reference]], removed: set[str]
) -> Iterator[Found]:
    known, opened = set(store.documents()), set(read.damaged)
    while ahead:
        what, needed = ahead.popleft()
        where = f"{needed.part} of {what}"
        blob = read.blobs.get(needed.digest)
        if blob is None:
            if needed.document not in known and needed.digest not in removed:
                instead = "" if needed.document is None else f" and no document {needed.document!r}"
                yield Found(where, Fault.MISSING, f"there is no blob {needed.digest}{instead}")
        elif needed.opens and blob.digest not in opened and blob.size_bytes <= ENTRY_BYTES_MAX:
            opened.add(blob.digest)
            try:
                named = others.blob(read_blob(store, blob.digest, ENTRY_BYTES_MAX), where)
            except RegistryError as error:
                yield _fault(where, error)
                continue
            ahead.extend((where, reference) for reference in named or ())


def _witness(state: ModelState, read: _Read) -> Iterator[Found]:
    log = f"models/{state.model}/moves"
    body = read.entries.get(log, {}).get(state.sequence)
    what = f"entry {state.sequence} of {log!r}"
    if body is None:
        yield Found(what, Fault.MISSING, f"the published state of {state.model}/{state.alias} rests on it")
    elif digest_of(body) != state.move:
        why = (
            f"the published state of {state.model}/{state.alias} rests on {state.move}, the log holds {digest_of(body)}"
        )
        yield Found(what, Fault.CONTRADICTION, why)
