"""Snapshots of joins in an object store: ADDRESS/NAMESPACE/PARTITION/SEQUENCE-DIGEST.snapshot, one object each.

The bytes are those of a file (`monitor.adapters.snapshots`); an object is there with all of them, or not at all. Whatever the
store does, it holds up the worker for no longer than a request may take: a snapshot that takes longer was not written.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from numpy.typing import NDArray

from monitor.adapters.snapshots import KEPT, SnapshotFile, write_file
from monitor.errors import MonitorError
from monitor.ledger.snapshots import SnapshotError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_log = logging.getLogger("driftline.snapshots")

_PREFIXES: Final = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}
"""What an address begins with, and what the names of its variables in the environment begin with."""
_CONNECT, _REQUEST = timedelta(seconds=5), timedelta(seconds=20)
_CHUNK: Final = 1 << 20


class ObjectsRefused(MonitorError):
    """The address names no object store, or the client for it is not installed."""


def is_address(text: str) -> bool:
    """Whether `state.snapshots` names an object store, not a folder."""
    return "://" in text


class SnapshotObjects:
    """Satisfies `monitor.ports.SnapshotStore`. Credentials, region and endpoint come from the environment, as the tools of each
    cloud read them."""

    def __init__(self, address: str, namespace: str) -> None:
        """Raises ObjectsRefused."""
        self._where = f"{address.rstrip('/')}/{namespace}"
        self._namespace = namespace
        self._store = _open(address)

    def problem(self) -> str | None:
        """Why none could be written there now, told before the first is due; None when one could."""
        import obstore

        probe = f"{self._namespace}/{os.getpid()}.probe"
        try:
            with self._explained(f"{self._where}/{os.getpid()}.probe"):
                obstore.put(self._store, probe, b"", use_multipart=False)
                obstore.delete(self._store, probe)
        except SnapshotError as error:
            return error.why
        return None

    def paths(self, partition: int) -> list[str]:
        """Those of a partition, the newest first; none when the store does not answer, which is logged."""
        try:
            return [f"{self._where}/{partition}/{name}" for name in self._names(partition)]
        except SnapshotError as error:
            _log.warning("%s", error)
            return []

    def open(self, where: str) -> SnapshotFile:
        """Raises SnapshotError when it is damaged, or cannot be read. The copy on this machine has no name."""
        import obstore

        with tempfile.NamedTemporaryFile(suffix=".snapshot") as file:
            with self._explained(where):
                key = f"{self._namespace}/{where.removeprefix(f'{self._where}/')}"
                for chunk in obstore.get(self._store, key).stream(min_chunk_size=_CHUNK):
                    file.write(bytes(chunk))
                file.flush()
            return SnapshotFile(Path(file.name), where)

    def write(self, partition: int, name: str, header: bytes, columns: Iterable[NDArray[Any]]) -> int:
        """Write one under a name that sorts behind those before it, and remove all but the newest; gives its size. Raises
        SnapshotError; nothing is left of it then."""
        import obstore

        where = f"{self._where}/{partition}/{name}.snapshot"
        with self._explained(where), tempfile.TemporaryFile() as file:
            size = write_file(file, header, columns)
            file.seek(0)
            obstore.put(self._store, f"{self._namespace}/{partition}/{name}.snapshot", file)
            for old in self._names(partition)[KEPT:]:
                obstore.delete(self._store, f"{self._namespace}/{partition}/{old}")
        return size

    def all(self) -> list[str]:
        """Every object of the namespace. Raises SnapshotError."""
        import obstore

        with self._explained(self._where):
            return [meta["path"] for batch in obstore.list(self._store, prefix=self._namespace) for meta in batch]

    def clear(self) -> int:
        """Remove every object of the namespace; gives how many. Raises SnapshotError."""
        import obstore

        found = self.all()
        for path in found:
            with self._explained(path), suppress(FileNotFoundError):
                obstore.delete(self._store, path)
        return len(found)

    def _names(self, partition: int) -> list[str]:
        import obstore

        folder = f"{self._namespace}/{partition}"
        with self._explained(f"{self._where}/{partition}"):
            found = [meta["path"] for batch in obstore.list(self._store, prefix=folder) for meta in batch]
        return sorted((path.rpartition("/")[2] for path in found if path.endswith(".snapshot")), reverse=True)

    @contextmanager
    def _explained(self, where: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            raise SnapshotError(where, "it is not there any more") from error
        except (BaseError, OSError) as error:
            brief = str(error).strip().split("\n")[0][:300]
            raise SnapshotError(where, f"the object store cannot be read or written: {brief}") from error


def _open(address: str) -> ObjectStore:
    found = re.fullmatch(r"(s3|gs|az(?=://[^/]+/[^/]))://[^/@]+(/.*)?", address)
    if found is None:
        # Before an @ somebody may have written a password.
        raise ObjectsRefused(
            f"state.snapshots: {address.rpartition('@')[2][:200]!r} is no address of an object store. Write s3://BUCKET/PREFIX, "
            "gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX; credentials come from the environment."
        )
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise ObjectsRefused(
            f"state.snapshots: {address!r} needs obstore, which is not installed. Run: pip install 'driftline[objects]'."
        ) from error
    plain = os.environ.get(f"{_PREFIXES[found[1]]}_ALLOW_HTTP", "").lower() in ("true", "1")
    try:
        return from_url(
            address,
            client_options={"allow_http": plain, "connect_timeout": _CONNECT, "timeout": _REQUEST},
            retry_config={"max_retries": 1, "retry_timeout": _REQUEST},
        )
    except (BaseError, ValueError) as error:
        brief = str(error).strip().split("\n")[0][:300]
        raise ObjectsRefused(f"state.snapshots: {address!r} cannot be opened: {brief}") from error
