"""The command `driftline history`, over the registry that lies in the same store."""

from __future__ import annotations

from monitor.cli.retrain import wire
from pipelines.cli.lineage import history_, over

command = over(history_, wire)
