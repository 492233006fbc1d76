"""Alerts from a file of CloudEvents, a line each: what `driftline alerts list -o json` prints."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import StepFailed
from pipelines.firing import Firing, by_event, firing


class FileAlerts:
    """`pipelines.ports.Alerts` over a file that is read anew at each question. No file named: nothing fires."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def firing(self) -> tuple[Firing, ...]:
        """See Alerts. Raises StepFailed for a line that is no alert: half an answer could start a run that another alert
        forbids."""
        if self._path is None:
            return ()
        if not self._path.is_file():
            remedy = "`driftline alerts list -o json` makes one; write it beside and rename it."
            raise StepFailed(f"file {str(self._path)!r}", "is not there", remedy, again=True)
        found, unreadable = firing(self._path.read_bytes().splitlines())
        if unreadable:
            first = unreadable[0]
            raise StepFailed(
                f"line {first.number} of {str(self._path)!r}",
                f"is no alert: {first.why}",
                "Write the file beside and rename it, so that nobody reads half of it; or upgrade.",
                again=True,
            )
        return found

    def events(self) -> dict[str, Firing]:
        """See Told. Empty where there is no file."""
        if self._path is None or not self._path.is_file():
            return {}
        return by_event(self._path.read_bytes().splitlines())
