"""One store of each kind, with what a test needs beside the port: a second handle, a clock, a hand that damages."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from obstore.store import from_url

from registry.directory import DirectoryStore
from registry.object_store import ObjectStore
from registry.store import Store
from tests.registry.disk import Disk, SimulatedFiles
from tests.registry.memory import MemoryStore
from tests.registry.s3 import S3

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Opened
    from obstore.store import RetryConfig


class World(Protocol):
    """A store under test. `store` is one handle, `another()` one as a second process would have it."""

    store: Store

    def another(self) -> Store: ...
    def now_ms(self) -> int: ...
    def pass_time(self, ms: int) -> None: ...
    def flip(self, what: str) -> None:
        """Flip the last bit of an entry (`log#number`), a document (its name) or a blob (its digest)."""


class MemoryWorld:
    def __init__(self) -> None:
        self.store: Store = (twin := MemoryStore())
        self._twin = twin

    def another(self) -> Store:
        return self.store

    def now_ms(self) -> int:
        return self._twin.now_ms

    def pass_time(self, ms: int) -> None:
        self._twin.now_ms += ms

    def flip(self, what: str) -> None:
        twin = self._twin
        if what.startswith("sha256:"):
            twin.kept[what] = (_flipped(twin.kept[what][0]), twin.kept[what][1])
        elif "#" in what:
            log, _, number = what.partition("#")
            twin.entries[log, int(number)] = _flipped(twin.entries[log, int(number)])
        else:
            twin.named[what] = _flipped(twin.named[what])


class SimulatedWorld:
    """The directory store on the simulated disk: the same code as on a real one."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.store: Store = self.another()

    def another(self) -> Store:
        return DirectoryStore("simulated", SimulatedFiles(self.disk))

    def now_ms(self) -> int:
        return self.disk.now_ms

    def pass_time(self, ms: int) -> None:
        self.disk.now_ms += ms

    def flip(self, what: str) -> None:
        file = SimulatedFiles(self.disk)._file(path_of(what))
        file.cached = _flipped(file.cached)


class DirectoryWorld:
    """A real directory. Time passes by making everything older."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store: Store = self.another()

    def another(self) -> Store:
        return DirectoryStore(self.directory)

    def now_ms(self) -> int:
        probe = self.directory.parent / "clock"
        probe.touch()
        return probe.stat().st_mtime_ns // 1_000_000

    def pass_time(self, ms: int) -> None:
        for path in self.directory.rglob("*"):
            if path.is_file():
                status = path.stat()
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - ms * 1_000_000))

    def flip(self, what: str) -> None:
        path = self.directory / path_of(what)
        path.write_bytes(_flipped(path.read_bytes()))


class BucketWorld:
    """The object store on a server of its own. Time passes by its clock."""

    def __init__(self, s3: S3) -> None:
        self.s3 = s3
        self.store: Store = self.another()

    def another(self) -> Store:
        return ObjectStore("s3://bucket/prefix", client(self.s3))

    def now_ms(self) -> int:
        return self.s3.bucket.now_ms()

    def pass_time(self, ms: int) -> None:
        self.s3.bucket.ahead_ms += ms

    def flip(self, what: str) -> None:
        for key, kept in self.s3.bucket.objects.items():
            if key.startswith(f"prefix/{path_of(what)}"):
                kept.content = _flipped(kept.content)


def client(s3: S3) -> Opened:
    """The client as a process in the environment of the server would make it, but for its patience."""
    retry: RetryConfig = {
        "max_retries": 2,
        "backoff": {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=5)},
    }
    return from_url(
        "s3://bucket/prefix",
        config={
            "endpoint": s3.endpoint,
            "access_key_id": "key",
            "secret_access_key": "secret",
            "region": "us-east-1",
        },
        client_options={"allow_http": True},
        retry_config=retry,
    )


def path_of(what: str) -> str:
    """Where the directory store keeps it; written down here a second time, because it is a durable format."""
    if what.startswith("sha256:"):
        return f"blobs/{what[7:9]}/{what[7:]}"
    if "#" in what:
        log, _, number = what.partition("#")
        return f"logs/{log}/{int(number):08d}.entry"
    return f"documents/{what}.document"


def _flipped(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])
