"""Where a registry is: a directory, or an address of an object store."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from registry.store import Store

Location = Path | str
"""A directory, or `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://ACCOUNT/CONTAINER/PREFIX`."""


class OpenedStore(Store, Protocol):
    """A store that may not be there yet: the first write makes it."""

    @property
    def exists(self) -> bool:
        """Whether there is a store yet, or only a name for one."""

    @property
    def where(self) -> str:
        """The directory or the address, for sentences."""


def location_of(text: str) -> Location:
    """What somebody wrote. Nothing is looked at: an address that is none is told when it is opened."""
    return text if "://" in text else Path(text)


def open_location(location: Location) -> OpenedStore:
    """The store in a location. Raises StoreError, and NotInstalled for an object store without the extra `objects`."""
    if isinstance(location, Path):
        from registry.directory import DirectoryStore

        return DirectoryStore(location)
    from registry.object_store import ObjectStore

    return ObjectStore(location)
