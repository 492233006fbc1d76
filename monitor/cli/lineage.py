"""The command `driftline lineage`, over the registry that lies in the same store."""

from __future__ import annotations

from monitor.cli.retrain import wire
from pipelines.cli.lineage import lineage, over

command = over(lineage, wire)
