from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.contract.worlds import EmbeddedWorld, KafkaWorld, MemoryWorld, World
from tests.kafka.broker import Kafka


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
    elif request.param == "embedded":
        embedded = EmbeddedWorld(str(tmp_path / "log"))
        yield embedded
        embedded.close()
    else:
        cluster: Kafka = request.getfixturevalue("kafka")
        yield (kafka_world := KafkaWorld(cluster))
        kafka_world.close()
