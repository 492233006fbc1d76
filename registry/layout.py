"""Where a store keeps its things: the same names in a directory and in an object store."""

from __future__ import annotations

import re
from typing import Final

from registry.store import checked_key

MARKER: Final = "driftline-store"
LOGS: Final = "logs"
DOCUMENTS: Final = "documents"
BLOBS: Final = "blobs"
ENTRIES_MAX: Final = 99_999_999

ENTRY: Final = re.compile(r"(\d{8})\.entry")
DOCUMENT: Final = re.compile(r"(.+)\.document")
BLOB_OBJECT: Final = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{32}")


def entry_path(log: str, number: int) -> str:
    """Of one entry. Raises BadName."""
    assert 1 <= number <= ENTRIES_MAX
    return f"{LOGS}/{checked_key(log)}/{number:08d}.entry"


def document_path(name: str) -> str:
    """Of a document. Raises BadName."""
    return f"{DOCUMENTS}/{checked_key(name)}.document"
