"""The few things that a store in an object store asks of one, by obstore: what it raises is said as errors of the registry."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Final

from registry.errors import Damaged, NotInstalled, StoreError, StoreUnreachable

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import BackoffConfig, ClientConfig, RetryConfig
    from obstore.store import ObjectStore as Opened

SCHEMES: Final = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}
"""What an address begins with, and what the names of its variables in the environment begin with."""
_ADDRESS: Final = re.compile(r"([a-z0-9]+)://(.*)", re.DOTALL)
_WRITER: Final = "driftlinewriter"  # Azure takes no hyphen in it
_PARTS_FROM_BYTES: Final = 64 << 20
_CONNECT, _READ, _REQUEST = (timedelta(seconds=secs) for secs in (5, 20, 3_600))
"""A store that says nothing for so long is asked again; a large blob may take its time as long as bytes come."""
_RETRIES, _RETRY_FOR = 1_000, timedelta(seconds=30)
"""The time ends it, not the number: five tries of a connection that is refused are over within a second."""
_WAIT: Final[BackoffConfig] = {
    "init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2,
}  # fmt: skip
_REMEDY: Final = "Look at the address, the credentials and the store's own log; then try again."
Meta = Mapping[str, Any]
"""`size` in bytes and `last_modified`, by the store's clock."""


class Objects:
    """Objects under one prefix. Every call raises StoreError when the store refuses or fails, and StoreUnreachable when
    it does not answer for half a minute."""

    def __init__(self, address: str, opened: Opened | None = None) -> None:
        """Raises StoreError, NotInstalled. `opened`: the client, where a caller has made it."""
        self.where = address
        self._store = opened if opened is not None else _open(address)

    def create(self, path: str, content: bytes, writer: str) -> bool:
        """Make an object with all of its bytes unless there is one; True for the one writer who did."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        attributes = {_WRITER: writer}
        with self._explained(path):
            try:
                obstore.put(self._store, path, content, mode="create", use_multipart=False, attributes=attributes)
            except AlreadyExistsError:
                return self._writer(path) == writer  # the client may have asked twice when an answer was lost
            except BaseError:
                # It may have been done or not. Who finds another's object, or its own, knows; who finds none does not.
                if (found := self._writer(path)) is None:
                    raise
                return found == writer
        return True

    def put(self, path: str, file: IO[bytes], size_bytes: int) -> None:
        """Write an object under a name that nobody else uses."""
        import obstore

        with self._explained(path):
            obstore.put(self._store, path, file, use_multipart=size_bytes >= _PARTS_FROM_BYTES)

    def copy(self, source: str, target: str) -> bool:
        """Copy an object within the store; False when it is not there."""
        import obstore

        with self._explained(source):
            try:
                obstore.copy(self._store, source, target)
            except FileNotFoundError:
                return False
        return True

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        import obstore

        with self._explained(path):
            try:
                obstore.head(self._store, path)
            except FileNotFoundError:
                return False
        return True

    def read(self, path: str, bytes_max: int) -> bytes | None:
        """A small object whole; None when it is not there. Raises Damaged when it is larger than it may be."""
        found = self._get(path)
        if found is None:
            return None
        if (size := int(found.meta["size"])) > bytes_max:
            raise Damaged(f"{path} in {self.where!r}", f"it has {size:,} bytes where at most {bytes_max:,} are read")
        with self._explained(path):
            return bytes(found.bytes())

    def chunks(self, path: str, size_bytes: int) -> Iterator[bytes] | None:
        """An object in pieces of at least that size, but for the last; None when it is not there."""
        found = self._get(path)
        if found is None:
            return None

        def passed_on() -> Iterator[bytes]:
            with self._explained(path):
                for chunk in found.stream(min_chunk_size=size_bytes):
                    yield bytes(chunk)

        return passed_on()

    def delete(self, path: str) -> None:
        """Remove an object; that it is not there is fine."""
        import obstore

        with self._explained(path), suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    def list(self, folder: str, after: str | None = None) -> Iterator[tuple[str, Meta]]:
        """(path, what is known of it) of all objects below a folder, or of those whose path is larger than `after`."""
        import obstore

        with self._explained(folder or "its objects"):
            for batch in obstore.list(self._store, prefix=folder or None, offset=after):
                for meta in batch:
                    yield meta["path"], meta

    def _writer(self, path: str) -> str | None:
        found = self._get(path)
        return None if found is None else str(found.attributes.get(_WRITER, ""))

    def _get(self, path: str) -> GetResult | None:
        import obstore

        with self._explained(path):
            try:
                return obstore.get(self._store, path)
            except FileNotFoundError:
                return None

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        begun = time.monotonic()
        try:
            yield
        except (BaseError, OSError) as error:
            if (
                secs := time.monotonic() - begun
            ) >= _RETRY_FOR.total_seconds():  # what is refused for good ends at once
                why = f"cannot be read or written: for {secs:.0f} s the store did not answer: {_brief(error)}"
                raise StoreUnreachable(f"{what} in {self.where!r}", why, _REMEDY) from error
            why = f"cannot be read or written: {_brief(error)}"
            raise StoreError(f"{what} in {self.where!r}", why, _REMEDY) from error


def _open(address: str) -> Opened:
    found = _ADDRESS.fullmatch(address)
    host, _, path = ("", "", "") if found is None else found[2].partition("/")
    lacks = found is not None and found[1] == "az" and not path.partition("/")[0]  # the container
    if found is None or found[1] not in SCHEMES or not host or "@" in host or lacks:
        raise StoreError(
            f"store {address.rpartition('@')[2][:200]!r}",  # before an @ somebody may have written a password
            "is no address of an object store",
            "Write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://ACCOUNT/CONTAINER/PREFIX; "
            "credentials come from the environment.",
        )
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise NotInstalled(f"store {address!r}", "obstore", "objects") from error
    try:
        # Ours replace all that the client would have read of its own connection from the environment; this one is needed there.
        plain = _plain_allowed(address, SCHEMES[found[1]])
        client: ClientConfig = {
            "allow_http": plain,
            "connect_timeout": _CONNECT,
            "read_timeout": _READ,
            "timeout": _REQUEST,
        }
        retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR, "backoff": _WAIT}
        return from_url(address, client_options=client, retry_config=retry)
    except (BaseError, ValueError) as error:
        raise StoreError(f"store {address!r}", f"cannot be opened: {_brief(error)}", _REMEDY) from error


def _plain_allowed(address: str, names: str) -> bool:
    """Whether a store without encryption may be used. Raises StoreError where one is named and may not."""
    allowed = os.environ.get(f"{names}_ALLOW_HTTP", "").lower() in ("true", "1")
    endpoints = (f"{names}_ENDPOINT_URL", f"{names}_ENDPOINT", f"{names}_ENDPOINT_URL_S3")
    plain = next((each for each in endpoints if os.environ.get(each, "").lower().startswith("http://")), None)
    if plain is not None and not allowed:
        remedy = f"Set {names}_ALLOW_HTTP=true where whoever is between may read the rows, or give an https:// address."
        raise StoreError(
            f"store {address!r}", f"cannot be used: {plain} is an http:// address, and nobody allowed that", remedy
        )
    return allowed


def _brief(error: Exception) -> str:
    """The first line of what the client says: the rest repeats it as a structure."""
    return str(error).strip().split("\n")[0][:500]
