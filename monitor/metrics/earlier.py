"""The metrics that a task had in an edition (`monitor.editions`): each task lists those of the first."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from monitor.editions import DETAILED
from monitor.metrics.task import Metric


def metrics_of(edition: int, metrics: Mapping[str, Metric], first: Collection[str]) -> Mapping[str, Metric]:
    """Those of some metrics that an edition has, in their order; `first`: names of those of the first edition."""
    if edition >= DETAILED:
        return MappingProxyType(dict(metrics))
    return MappingProxyType({name: metric for name, metric in metrics.items() if name in first})
