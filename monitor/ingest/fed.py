"""What was fed to a partition since somebody last asked, for telemetry and for dead letters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from monitor.events import LabelColumns, PredictionColumns


@dataclass(slots=True)
class Fed:
    """Offset of the newest row that can be used; bad values by feature, which reject nothing; records that are no rows, by
    reason."""

    usable: int | None = None
    faults: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def take(self, columns: PredictionColumns | LabelColumns) -> None:
        """A batch was decoded."""
        if len(columns):
            self.usable = int(columns.offsets[-1])
        if isinstance(columns, PredictionColumns) and columns.faults:
            self.faults.update(columns.faults)
        if columns.skipped:
            self.skipped.update(columns.skipped)
