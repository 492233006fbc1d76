"""The last look at every commit: nothing was lost, nothing counted twice."""

from __future__ import annotations

from monitor.errors import LedgerError
from monitor.join.outcomes import Conservation


def refuse_imbalance(partition: int, conservation: Conservation) -> None:
    """Raise LedgerError when records read and records accounted for differ."""
    if not conservation.holds:
        raise LedgerError(
            f"partition {partition}: records were lost or counted twice: {conservation.sentence()}",
            "This is a bug in Driftline. Please report it with `driftline ledger audit`.",
        )
