from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry.contract.worlds import DirectoryWorld, MemoryWorld, SimulatedWorld, World


@pytest.fixture(params=["memory", "simulated", "directory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "memory":
        return MemoryWorld()
    return SimulatedWorld() if request.param == "simulated" else DirectoryWorld(tmp_path / "store")
