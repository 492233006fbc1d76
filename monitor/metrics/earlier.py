"""What editions a task had: what is decided again by an earlier one has its cells and its metrics, to the byte.

Edition 2 (`DETAILED`) added cells behind those of the first and metrics beside its own; each task lists those of the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from monitor.metrics.task import Metric

FIRST: Final = 1
DETAILED: Final = 2
"""Which added metrics to all tasks, and the cells that they need."""
NEWEST: Final = DETAILED


def known_to(edition: int, metrics: Mapping[str, Metric], first: Collection[str]) -> Mapping[str, Metric]:
    """Those of some metrics that an edition has, in their order; `first`: names of those of the first edition."""
    if edition >= DETAILED:
        return MappingProxyType(dict(metrics))
    return MappingProxyType({name: metric for name, metric in metrics.items() if name in first})
