"""Three brokers on loopback, each a controller too: what one broker cannot show. Replicas, elections, a quorum that goes on."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from tests.kafka.broker import Kafka, KafkaCluster, free_ports

NODES = 3
REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "leader.imbalance.check.interval.seconds": "3",  # a broker that is back has its leaders again: they move twice
    "leader.imbalance.per.broker.percentage": "0",
    "replica.lag.time.max.ms": "3000",
}


class ThreeNodes(Kafka):
    """Three brokers that this process owns; any one may be killed and started again."""

    def __init__(self, *, heap_mb: int = 256, properties: Mapping[str, str] | None = None) -> None:
        ports = free_ports(2 * NODES)
        brokers, controllers = ports[:NODES], ports[NODES:]
        super().__init__(",".join(f"127.0.0.1:{port}" for port in brokers))
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self.nodes = [
            KafkaCluster(
                port=broker,
                heap_mb=heap_mb,
                cluster_id=cluster_id,
                properties={
                    "node.id": str(number),
                    "controller.quorum.voters": voters,
                    "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
                    **REPLICATED,
                    **(properties or {}),
                },
            )
            for number, (broker, controller) in enumerate(zip(brokers, controllers, strict=True), 1)
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for node in self.nodes:
            self._stack.callback(node.close)
        with ThreadPoolExecutor(NODES) as pool:  # none of them answers before there are two
            list(pool.map(lambda node: node.start(), self.nodes))
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
