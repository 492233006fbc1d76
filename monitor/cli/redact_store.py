"""Ids in a registry: rows of datasets and of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from monitor.adapters.absence import Finding, search_bytes, search_file, search_path
from monitor.adapters.needles import Needles
from monitor.cli.redact_places import Line, Who
from pipelines import carrying
from pipelines.carrying import ROWS
from pipelines.dataset import erasing
from pipelines.dataset import redaction as r
from pipelines.dataset.shelf import Shelf
from pipelines.rows import KIND

if TYPE_CHECKING:
    from registry.location import Location, OpenedStore

_DOCUMENT_BYTES_MAX: Final = 64 * 1024
"""Of the document that names the rows of a run; it holds a policy's part on data."""
_LIST_BYTES_MAX: Final = 1 << 20
"""Of the list of files that a step was sent or gave back: a thousand files have some 150 KiB."""


class StorePlace:
    """A registry in a directory or an object store."""

    def __init__(self, location: Location, needles: Needles, who: Who) -> None:
        """Raises NotFound where there is none."""
        from registry.cli.common import open_store

        self.where = f"store {location}"
        self._location, self._needles, self._who = location, needles, who
        self._store: OpenedStore = open_store(location)
        self._shelf = Shelf(self._store)
        self._hashes = np.array(needles.hashes, np.uint64).reshape(-1, 2)

    def found(self) -> list[Line]:
        """See Place."""
        affected = list(erasing.affected(self._shelf, self._hashes))
        rows = self._rows_of_runs({each.version.digest for each in affected})
        lines = [
            Line(
                self.where,
                f"rows of dataset {each.version}",
                each.rows,
                "will be taken out: the version gets a successor",
            )
            for each in affected
        ]
        lines += [
            Line(self.where, f"rows of archive {each.archive.name}", each.rows, "will be taken out")
            for each in erasing.archived(self._store, self._hashes)
        ]
        if rows:
            lines.append(Line(self.where, "blobs with rows of runs", len(rows), "will be removed"))
        if left := erasing.left_to_finish(self._shelf, self._store):
            lines.append(Line(self.where, "blobs of an interrupted redaction", left, "will be removed"))
        return lines

    def take_out(self) -> list[Line]:
        """See Place."""
        now_ms = self._who.now_ms()
        lines = []
        gone, spared = erasing.finish(self._shelf, self._store, now_ms)
        if gone or spared:
            lines.append(Line(self.where, "blobs of an interrupted redaction", gone, _removed(spared)))
        affected = list(erasing.affected(self._shelf, self._hashes))
        rows = self._rows_of_runs({each.version.digest for each in affected})
        archives = list(erasing.archived(self._store, self._hashes))
        if not affected and not rows and not archives:
            return lines
        who = (self._who.actor, self._who.reason, now_ms)
        done = erasing.erase(self._shelf, self._store, self._hashes, affected, rows, who, self._who.key(), archives)
        names = {each.version.digest: str(each.version) for each in affected}
        for each in done.versions:
            then = "taken out; no row was left" if each.successor is None else f"taken out; now {each.successor}"
            lines.append(Line(self.where, f"rows of dataset {names[each.version]}", each.rows, then))
        lines += [Line(self.where, f"rows of archive {each.archive.name}", each.rows, "taken out") for each in archives]
        lines.append(Line(self.where, "blobs with rows of the ids", done.removed, _removed(done.spared)))
        return lines

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
                elif self._needles.among(self._store.blob(rows)):
                    found[rows] = None
        for name in self._store.documents(carrying.RESULTS.rstrip("/")):
            returned.update(carrying.carried(self._store.document(name) or b"").values())
        # Rows of a step that no run names were made of those of some run; of which is written nowhere.
        found |= dict.fromkeys(each for each in sorted(sent - named) if of_source and self._store.blob_size(each))
        others = sorted(each for each in (sent | returned) - named - set(found) if self._store.blob_size(each))
        found |= dict.fromkeys(each for each in others if self._needles.among(self._store.blob(each)))
        return list(found)


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
