"""What other packages keep in the store, and what it needs there to be whole.

The registry reads none of it. A text that looks like a digest is no proof that a blob is meant: it may be of rows, of a
configuration, of the entry before. So nothing is guessed: whoever puts the program together hands in `Others`, which knows
the documents of its packages and names the fields of them that are blobs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reference:
    """What a thing needs: `part` says in a word or two as what. A document of the name `document` will do instead of a blob.
    `opens`: the blob may refer on (`Others.blob`)."""

    part: str
    digest: str
    document: str | None = None
    opens: bool = False


class Others(Protocol):
    """What things of other packages refer to; None for things that are not known. Each raises FormatError for one that should
    be known and cannot be read; `where` names it there."""

    def entry(self, log: str, body: bytes, where: str) -> Iterable[Reference] | None:
        """What an entry of a log refers to."""

    def document(self, name: str, body: bytes, where: str) -> Iterable[Reference] | None:
        """What a document refers to."""

    def blob(self, body: bytes, where: str) -> Iterable[Reference] | None:
        """What a blob refers to that a reference says it may."""

    def removed(self, name: str, body: bytes, where: str) -> Iterable[str]:
        """Digests of blobs that a document says were removed on purpose: nobody misses them."""


class Nobody:
    """`Others` where nothing else is installed: knows nothing."""

    def entry(self, log: str, body: bytes, where: str) -> None:
        """See Others."""

    def document(self, name: str, body: bytes, where: str) -> None:
        """See Others."""

    def blob(self, body: bytes, where: str) -> None:
        """See Others."""

    def removed(self, name: str, body: bytes, where: str) -> Iterable[str]:
        """See Others."""
        return ()
