"""Ids in a registry: rows of datasets and of runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from monitor.adapters.absence import Finding, Found, search_bytes, search_file, search_path
from monitor.adapters.needles import Needles
from monitor.cli.redact_places import Line, Who
from monitor.cli.redact_rows import rows_holding
from pipelines import carrying
from pipelines.carrying import ROWS
from pipelines.dataset import erasing
from pipelines.dataset import redaction as r
from pipelines.dataset.mentions import Mentions
from pipelines.dataset.shelf import Shelf
from pipelines.handoffs import RESULTS
from pipelines.rows import KIND

if TYPE_CHECKING:
    from registry.location import Location, OpenedStore

_DOCUMENT_BYTES_MAX: Final = 64 * 1024
"""Of the document that names the rows of a run; it holds a policy's part on data."""
_LIST_BYTES_MAX: Final = 1 << 20
"""Of the list of files that a step was sent or gave back: a thousand files have some 150 KiB."""

_YOUNG_MS: Final = 3_600_000
"""How old a blob is that nobody is about to name."""
_PARQUET: Final = b"PAR1"


class StorePlace:
    """A registry in a directory or an object store."""

    def __init__(self, location: Location, needles: Needles, who: Who, mentions: bool) -> None:
        """Raises NotFound where there is none. `mentions`: rows of other ids that hold one go too."""
        from registry.cli.common import open_store

        self.where = f"store {location}"
        self._location, self._needles, self._who = location, needles, who
        self._store: OpenedStore = open_store(location)
        self._shelf = Shelf(self._store)
        self._hashes = np.array(needles.hashes, np.uint64).reshape(-1, 2)
        held = Mentions(self._shelf, self._store, self._hashes, partial(rows_holding, needles))
        self._with_mentions = mentions
        self._erasing = erasing.Erasing(self._shelf, self._store, self._hashes, self._others, held, mentions)
        self._holding: dict[str, bool] = {}  # by blob that was read
        self._aside: list[Line] = []  # what the last look found and leaves

    def found(self) -> list[Line]:
        """See Place."""
        held = self._erasing.look()
        lines = [
            Line(
                self.where,
                f"rows of dataset {each.version}",
                each.rows,
                "will be taken out: the version gets a successor",
            )
            for each in held.versions
        ]
        lines += [
            Line(self.where, f"rows of archive {each.archive.name}", each.rows, "will be taken out")
            for each in held.archives
        ]
        lines += self._mentioned(held.mentions, "among those; they are remembered, and no new dataset will have them")
        if held.others:
            lines.append(Line(self.where, "blobs with rows of runs", len(held.others), "will be removed"))
        if left := erasing.left_to_finish(self._shelf, self._store):
            lines.append(Line(self.where, "blobs of an interrupted redaction", left, "will be removed"))
        return lines + self._aside

    def take_out(self) -> list[Line]:
        """See Place."""
        lines = []
        gone, spared = erasing.finish(self._shelf, self._store, self._who.now_ms())
        if gone or spared:
            lines.append(Line(self.where, "blobs of an interrupted redaction", gone, _removed(spared)))
        who = self._who
        for held, done in self._erasing.rounds(lambda: (who.actor, who.reason, who.now_ms()), who.key()):
            lines += self._left(held) if done is None else self._done(held, done)
        if not self._with_mentions:
            lines += self._mentioned(self._erasing.mentions)
        return lines + self._aside

    def _mentioned(self, found: Iterable[tuple[str, int]], taken: str = "") -> Iterator[Line]:
        then = taken if self._with_mentions else "left: they are of other ids; --mentions takes them out"
        return (Line(self.where, f"rows of other ids that hold one, {where}", rows, then) for where, rows in found)

    def _done(self, held: erasing.Held, done: erasing.Done) -> Iterator[Line]:
        names = {each.version.digest: str(each.version) for each in held.versions}
        for each in done.versions:
            then = "taken out; no row was left" if each.successor is None else f"taken out; now {each.successor}"
            yield Line(self.where, f"rows of dataset {names[each.version]}", each.rows, then)
        for one in held.archives:
            yield Line(self.where, f"rows of archive {one.archive.name}", one.rows, "taken out")
        if self._with_mentions:
            yield from self._mentioned(held.mentions, "among those; they are remembered, and no new dataset has them")
        yield Line(self.where, "blobs with rows of the ids", done.removed, _removed(done.spared))

    def _left(self, held: erasing.Held) -> Iterator[Line]:
        """Others wrote it while it was looked at, more often than that is done."""
        then = "left: others write to the store; do it once more when they have ended"
        for each in held.versions:
            yield Line(self.where, f"rows of dataset {each.version}", each.rows, then)
        for one in held.archives:
            yield Line(self.where, f"blobs of archive {one.archive.name}", len(one.blobs), then)
        if held.others:
            yield Line(self.where, "blobs with rows of the ids", len(held.others), then)

    def search(self) -> Iterator[Finding]:
        """See Place."""
        if isinstance(self._location, Path):
            yield from search_path(self._location, self._needles)
            return
        store = self._store
        for name in store.documents():
            yield from search_bytes(store.document(name) or b"", f"document {name} of {store.where}", self._needles)
        for log in store.logs():
            for number in range(1, store.last(log) + 1):
                body = store.entry(log, number) or b""
                yield from search_bytes(body, f"entry {number} of {log} of {store.where}", self._needles)
        for blob in store.blobs():
            yield from self._search_blob(blob.digest)

    def _search_blob(self, digest: str) -> Iterator[Finding]:
        import tempfile

        with tempfile.SpooledTemporaryFile(max_size=64 << 20) as spool:
            for chunk in self._store.blob(digest):
                spool.write(chunk)
            yield from search_file(spool, f"blob {digest} of {self._store.where}", self._needles)

    def _others(self, versions: set[str]) -> list[str]:
        """Blobs that hold an id and are segments of nothing: rows of runs and of steps, and what nothing names."""
        rows = dict.fromkeys(self._rows_of_runs(versions))
        return [*rows, *(each for each in self._unnamed() if each not in rows)]

    def _rows_of_runs(self, versions: set[str]) -> list[str]:
        """Blobs of rows of runs that hold an id, or were taken from a version that does or did; and of what steps elsewhere were
        sent and gave back, what holds an id. Where rows go because of their version, all rows go that steps alone were sent: a
        step that is tried again is sent its rows again."""
        held = versions | set(r.successors(r.redactions(self._store)))
        found: dict[str, None] = {}
        named: set[str] = set()
        sent: set[str] = set()  # the rows of steps
        returned: set[str] = set()
        of_source = False
        for blob in self._store.blobs():
            if blob.size_bytes > _LIST_BYTES_MAX:
                continue
            body = b"".join(self._store.blob(blob.digest))
            for path, digest in carrying.carried(body).items():
                (sent if path == ROWS else returned).add(digest)
            if blob.size_bytes > _DOCUMENT_BYTES_MAX or not (document := _rows_document(body)):
                continue
            for rows in (document.get("train"), document.get("test")):
                if not isinstance(rows, str) or not self._store.blob_size(rows):
                    continue
                named.add(rows)
                if document.get("source") in held:
                    of_source = True
                    found[rows] = None
                elif self._holds(rows):
                    found[rows] = None
        for name in self._store.documents(RESULTS.rstrip("/")):
            returned.update(carrying.carried(self._store.document(name) or b"").values())
        # Rows of a step that no run names were made of those of some run; of which is written nowhere.
        found |= dict.fromkeys(each for each in sorted(sent - named) if of_source and self._store.blob_size(each))
        others = sorted(each for each in (sent | returned) - named - set(found) if self._store.blob_size(each))
        found |= dict.fromkeys(each for each in others if self._holds(each))
        return list(found)

    def _unnamed(self) -> list[str]:
        """Blobs that nothing names and that hold an id: what writers left who were killed, or were second. A young one may be
        named in a moment and is left, but for segments: who writes those asks before what was erased meanwhile."""
        from registry import gc
        from registry.errors import RegistryError

        store, before_ms = self._store, self._who.now_ms() - _YOUNG_MS
        blobs = {blob.digest: blob for blob in store.blobs()}
        try:
            kept = gc.reachable(gc.roots(store), gc.references(store.blob, blobs))
        except RegistryError as error:
            then = f"not looked for: {error}"
            self._aside = [Line(self.where, "blobs that nothing names", 0, then)]
            return []
        held = [blob for digest, blob in sorted(blobs.items()) if digest not in kept and self._holds(digest)]
        old = [blob.digest for blob in held if blob.renewed_ms < before_ms or self._segment(blob.digest)]
        young = len(held) - len(old)
        then = "left: whoever wrote them in this hour may be about to; do it once more in an hour"
        self._aside = [Line(self.where, "blobs that nothing names yet", young, then)] if young else []
        return old

    def _segment(self, digest: str) -> bool:
        return next(iter(self._store.blob(digest)), b"").startswith(_PARQUET)

    def _holds(self, digest: str) -> bool:
        """Whether an id is in a blob."""
        if digest not in self._holding:
            self._holding[digest] = any(isinstance(each, Found) for each in self._search_blob(digest))
        return self._holding[digest]


def _rows_document(body: bytes) -> dict[str, Any] | None:
    if KIND.encode() not in body:
        return None
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) and document.get("kind") == KIND else None


def _removed(spared: int) -> str:
    if not spared:
        return "removed"
    return f"removed; {spared:,} were written again meanwhile: do it once more"
