"""What prometheus_client says of this process and its garbage collector, in both formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def process_registry() -> CollectorRegistry:
    """A registry of nothing else."""
    from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def process_metrics(registry: CollectorRegistry) -> tuple[bytes, bytes]:
    """As text, and as OpenMetrics without its end."""
    from prometheus_client import generate_latest
    from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

    own = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # published without types
    return generate_latest(registry), bytes(own).removesuffix(b"# EOF\n")
