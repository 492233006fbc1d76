from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.registry.contract.worlds import BucketWorld, DirectoryWorld, MemoryWorld, SimulatedWorld, World
from tests.registry.s3 import S3


@pytest.fixture(params=["memory", "simulated", "directory", "bucket"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "bucket":
        with S3() as s3:
            yield BucketWorld(s3)
    elif request.param == "memory":
        yield MemoryWorld()
    else:
        yield SimulatedWorld() if request.param == "simulated" else DirectoryWorld(tmp_path / "store")
