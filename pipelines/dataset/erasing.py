"""Taking the rows of some ids out of every version of a store.

    1. put the segments that lose rows anew   by digest, beside the old ones
    2. put the successors' manifests          by digest
    3. put the redaction                      one document: from here on every version that lost rows is its successor
    4. commit successors of archived panes    one commit a partition; one without a pane to an archive that has no such rows
    5. remove the blobs that held the rows    nothing names them any more but manifests that nobody is given

Whoever writes to an archive folds its log and then asks which ids were erased. So behind a commit of step 4 nobody adds what
was made without knowing of step 3: he is told that he was second.

Who is killed before step 3 has changed nothing that is read; what he put is found by `driftline registry gc`, or used when the
same is asked again. Who is killed in step 4 or 5 is made up for by the next call: panes that still hold rows are found again,
and `finish` adds the commits that are missing, and removes what redactions say was removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from msgspec import UNSET, structs
from numpy.typing import NDArray

from pipelines.dataset import archive as a
from pipelines.dataset import manifest as m
from pipelines.dataset import redaction as r
from pipelines.dataset.digest import PREFIX
from pipelines.dataset.mentions import Hashed, Mentions, hit, wide
from pipelines.dataset.row_digest import RowDigest
from pipelines.dataset.shelf import Shelf, Version
from pipelines.dataset.table import Schema

ROUNDS_MAX: Final = 5
"""How often a store is looked at while others write to it."""


class RemovingStore(a.LogStore, Protocol):
    """A store from which blobs can be removed. `registry.store.Store` is one."""

    def remove_blob(self, digest: str, before_ms: int) -> bool:
        """Remove a blob unless it was put or renewed at or after `before_ms`; True when it is gone."""


@dataclass(frozen=True, slots=True)
class Affected:
    """A version with rows of the ids: how many, in which of its segments (places)."""

    version: Version
    rows: int
    segments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What a redaction did. `spared`: blobs that somebody wrote again meanwhile, or whose store's clock is ahead; the same call
    a little later removes them."""

    document: str
    versions: tuple[r.Replaced, ...]
    removed: int
    spared: int


def affected(shelf: Shelf, hashes: Hashed, rows_of: dict[str, int] | None = None) -> Iterator[Affected]:
    """Every version with rows of the ids, each read whole. Raises what the store raises for damage. `rows_of`: how many are in
    each blob that was read before; versions share segments."""
    known = wide(hashes)
    rows_of = {} if rows_of is None else rows_of
    for version in shelf.versions():
        places = []
        for place, segment in enumerate(version.manifest.segments):
            if segment.digest not in rows_of:
                table = shelf.table(version.manifest, segment)
                rows_of[segment.digest] = int(hit(table, known).sum())
            if rows_of[segment.digest]:
                places.append(place)
        rows = sum(rows_of[version.manifest.segments[place].digest] for place in places)
        if rows:
            yield Affected(version, rows, tuple(places))


@dataclass(frozen=True, slots=True)
class Archived:
    """Rows of the ids in an archive: how many in its current panes, and all blobs that hold some, replaced ones too."""

    archive: a.Archive
    rows: int
    blobs: tuple[str, ...]


def archived(store: RemovingStore, hashes: Hashed, rows_of: dict[str, int] | None = None) -> Iterator[Archived]:
    """Every archive with rows of the ids, each read whole. `rows_of`: see `affected`. Raises likewise."""
    known = wide(hashes)
    rows_of = {} if rows_of is None else rows_of
    for name in a.names(store):
        archive = a.Archive(store, name)
        state = archive.state()
        current = {segment.digest for _, _, segment in state.current.values()}
        hits = {}
        for digest, (_, schema) in state.blobs.items():
            if store.blob_size(digest) is None and digest not in current:
                continue  # an erasure took it
            if digest not in rows_of:
                rows_of[digest] = int(hit(archive.table(schema, digest), known).sum())
            if rows_of[digest]:
                hits[digest] = rows_of[digest]
        if hits:
            yield Archived(archive, sum(rows for digest, rows in hits.items() if digest in current), tuple(hits))


@dataclass(frozen=True, slots=True)
class Held:
    """What one look at a store found of the ids. `others`: blobs that hold them and are of neither. `mentions`: in which dataset
    or archive how many rows of other ids hold one; they are among those of `versions` and `archives` where they go too."""

    versions: tuple[Affected, ...]
    archives: tuple[Archived, ...]
    others: tuple[str, ...]
    mentions: tuple[tuple[str, int], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.versions or self.archives or self.others)


class Erasing:
    """Taking the rows of some ids out of a store until none is left. `others` is asked for more blobs that hold some, given the
    digests of the versions that do. `mentions` finds rows of other ids that hold one: they are counted, and go too where
    `with_mentions`."""

    def __init__(
        self,
        shelf: Shelf,
        store: RemovingStore,
        hashes: Hashed,
        others: Callable[[set[str]], Iterable[str]] = lambda _: (),
        mentions: Mentions | None = None,
        with_mentions: bool = False,
    ) -> None:
        self._shelf, self._store, self._hashes, self._others = shelf, store, hashes, others
        self._mentions, self._with_mentions, self._asked = mentions, with_mentions, hashes
        self._rows_of: dict[str, int] = {}
        self.mentions: tuple[tuple[str, int], ...] = ()
        """Those of the last look."""

    def look(self) -> Held:
        """Read everything that was not read before. Raises what the store raises for damage."""
        self.mentions = () if self._mentions is None else tuple(self._mentions.read(self._rows_of))
        if self._with_mentions and self._mentions is not None:
            known = np.concatenate([self._asked, self._mentions.ids])
            if len(known) > len(self._asked):
                self._rows_of.clear()  # what was counted is of those that were asked for alone
            self._hashes = known
        versions = tuple(affected(self._shelf, self._hashes, self._rows_of))
        others = tuple(self._others({each.version.digest for each in versions}))
        return Held(versions, tuple(archived(self._store, self._hashes, self._rows_of)), others, self.mentions)

    def rounds(self, who: Callable[[], tuple[str, str, int]], drawn: bytes) -> Iterator[tuple[Held, Done | None]]:
        """Look, erase what is found, and look again: a writer who had begun before may have added some meanwhile. What is
        there when a round changed nothing, or after `ROUNDS_MAX`, comes last, with None. The ids are remembered also where
        nothing is found: of a writer who is under way nothing can be found."""
        for number in range(ROUNDS_MAX):
            held = self.look()
            if not held and (number or r.erased(self._store).among(self._hashes).all()):
                return
            done = erase(
                self._shelf, self._store, self._hashes, held.versions, held.others, who(), drawn, held.archives
            )
            if held:
                yield held, done
            if not done.removed and not done.versions and not any(each.rows for each in held.archives):
                break
        if held := self.look():
            yield held, None


def erase(
    shelf: Shelf,
    store: RemovingStore,
    hashes: Hashed,
    found: Sequence[Affected],
    others: Sequence[str],
    who: tuple[str, str, int],
    drawn: bytes,
    archives: Sequence[Archived] = (),
) -> Done:
    """Replace the versions and archived panes that were found and remove the blobs that held rows of the ids: their segments,
    and `others`. `who`: name, reason, time in ms; `drawn`: a key for a store that has none."""
    actor, reason, at_ms = who
    key = r.key_of(store, drawn)
    known = wide(hashes)
    replaced, removed = [], dict.fromkeys([*others, *(digest for each in archives for digest in each.blobs)])
    for each in found:
        successor = _successor(shelf, each, known)
        digest = None if successor is None else shelf.add(successor)[0]
        replaced.append(r.Replaced(each.version.digest, digest, each.rows))
        removed |= dict.fromkeys(each.version.manifest.segments[place].digest for place in each.segments)
    digits = tuple(sorted(digest.removeprefix(PREFIX) for digest in removed))
    made = r.Redaction(r.FORMAT, actor, at_ms, reason, r.keyed(hashes, key), tuple(replaced), digits)
    document = r.add(store, made)
    for name in a.names(store):
        _forget(a.Archive(store, name), known, at_ms)
    gone, spared = _remove(store, digits, at_ms)
    return Done(document, made.versions, gone, spared)


def finish(shelf: Shelf, store: RemovingStore, at_ms: int) -> tuple[int, int]:
    """Remove what redactions before say was removed and is there: (how many blobs, how many were spared). Blobs that a version
    names stay: they were put again, and `affected` finds them."""
    held = r.redactions(store)
    for name in a.names(store) if held else ():
        _pass(a.Archive(store, name), {each.created_ms for each in held})
    named = _named(shelf, store)
    digits = {each for redaction in held for each in redaction.removed if PREFIX + each not in named}
    return _remove(store, sorted(digits), at_ms)


def left_to_finish(shelf: Shelf, store: RemovingStore) -> int:
    """How many blobs `finish` would remove."""
    named = _named(shelf, store)
    digests = {PREFIX + each for redaction in r.redactions(store) for each in redaction.removed}
    return sum(store.blob_size(digest) is not None for digest in digests - named)


def _named(shelf: Shelf, store: RemovingStore) -> set[str | None]:
    """The segments of versions and the current ones of archives."""
    named: set[str | None] = {segment.digest for version in shelf.versions() for segment in version.manifest.segments}
    states = (a.Archive(store, name).state() for name in a.names(store))
    return named | {segment.digest for state in states for _, _, segment in state.current.values()}


def _forget(archive: a.Archive, known: NDArray[np.void], at_ms: int) -> None:
    """Commit successors, without the rows, of the current panes that hold some; at least one commit, see above."""
    state = archive.state()
    clean = False
    while not clean:
        commits = [
            commit
            for partition in sorted({partition for partition, _ in state.current})
            if (commit := _without(archive, state, partition, known, at_ms))
        ]
        clean = all(archive.commit(state, each) for each in commits or [_nothing(at_ms)])
        if not clean:
            state = archive.state()  # a writer was first: what it wrote is looked at too


def _pass(archive: a.Archive, times: set[int]) -> None:
    """Add the commits of erasures that were killed before they came to an archive that is older than they."""
    state = archive.state()
    while owed := sorted(each for each in times - state.erasures if each >= state.begun.created_ms):
        if not archive.commit(state, _nothing(owed[0])):
            state = archive.state()


def _nothing(at_ms: int) -> a.Commit:
    return a.Commit(a.FORMAT, at_ms, 0, (), ())


def _without(
    archive: a.Archive, state: a.State, partition: int, known: NDArray[np.void], at_ms: int
) -> a.Commit | None:
    segments = []
    schema: Schema = ()
    for (owner, _), (_, held, segment) in sorted(state.current.items()):
        if owner != partition or segment.digest is None:
            continue
        table = archive.table(held, segment.digest)
        gone = hit(table, known)
        if not gone.any():
            continue
        left, schema = table.take(np.flatnonzero(~gone)), held
        digest, size = archive.put(left)
        unlabelled = int((~left.known("label")).sum())
        segments.append(
            structs.replace(
                segment,
                why=a.Why.REDACTED,
                rows=len(left),
                unlabelled_rows=unlabelled,
                rows_digest=a.digest_of_rows(left),
                digest=digest,
                size_bytes=size,
            )
        )
    return a.Commit(a.FORMAT, at_ms, partition, schema, tuple(segments)) if segments else None


def _remove(store: RemovingStore, digits: Sequence[str], at_ms: int) -> tuple[int, int]:
    there = [PREFIX + each for each in digits if store.blob_size(PREFIX + each) is not None]
    gone = sum(store.remove_blob(digest, at_ms) for digest in there)
    return gone, len(there) - gone


def _successor(shelf: Shelf, each: Affected, known: NDArray[np.void]) -> m.Manifest | None:
    """The version without the rows; None when none is left."""
    old = each.version.manifest
    whole, segments, unlabelled, labelled_gone = RowDigest(old.schema), [], 0, 0
    for place, segment in enumerate(old.segments):
        table = shelf.table(old, segment)
        if place in each.segments:
            gone = hit(table, known)
            labelled_gone += int((table.known("label") & gone).sum()) if "label" in table.columns else 0
            table = table.take(np.flatnonzero(~gone))
            if not len(table):
                continue
            segments.append(shelf.put_segment(table, segment.partition, segment.block))
        else:
            segments.append(segment)
        whole.add(table)
        unlabelled += int((~table.known("label")).sum()) if "label" in table.columns else 0
    if not segments:
        return None
    lost = Counter(old.excluded.predictions) + Counter({r.REDACTED: each.rows})
    unused = Counter(old.excluded.labels) + Counter({r.REDACTED: labelled_gone})
    before = 0 if old.redacted is UNSET else old.redacted.rows
    return structs.replace(
        old,
        format=m.REDACTED_FORMAT,
        segments=tuple(segments),
        rows_digest=whole.digest(),
        rows=whole.rows,
        unlabelled_rows=unlabelled,
        excluded=m.Counts(dict(lost), dict(unused)),
        redacted=m.Redacted(each.version.digest, before + each.rows),
    )
