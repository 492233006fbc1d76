"""A log line for each change of an alert, so that who reads only the log sees that something fired."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from monitor.alerts.event import Standing

if TYPE_CHECKING:
    from monitor.alerts.event import AlertEvent
    from monitor.ports import WallClock

LINES: Final = 20
PER_MS: Final = 60_000
"""More lines than LINES in this time are counted, not written: what a run over a recording decides in seconds fills no disk."""
_log = logging.getLogger("driftline.alerts")


class AlertLines:
    """Writes them. A line has what a record of the alerts topic is found by, and no value of any record: names, severity, event
    time, the event's id. WARNING for what fires as a page, else INFO."""

    def __init__(self, clock: WallClock, topic: str) -> None:
        self._clock, self._topic = clock, topic
        self._since_ms = clock.monotonic_ms()
        self._written = self._left_out = 0

    def tell(self, events: Sequence[AlertEvent]) -> None:
        """Changes that were decided, in their order."""
        if self._clock.monotonic_ms() - self._since_ms >= PER_MS:
            self.sum_up()
            self._since_ms, self._written = self._clock.monotonic_ms(), 0
        for event in events:
            if self._written >= LINES:
                self._left_out += 1
                continue
            self._written += 1
            self._line(event)

    def sum_up(self) -> None:
        """Say how many were left out since it was said last, if any."""
        if self._left_out:
            _log.warning("%d more changes of alerts are not logged; topic %s has them", self._left_out, self._topic)
            self._left_out = 0

    def _line(self, event: AlertEvent) -> None:
        data = event.data
        pages = data.severity == "page" and data.state is Standing.FIRING
        _log.log(
            logging.WARNING if pages else logging.INFO,
            "alert %s: %s, severity %s, at %s, id %s",
            event.change.value,
            event.subject,
            data.severity,
            event.time,
            event.id,
            extra={
                "alert": {
                    "change": event.change.value,
                    "subject": event.subject,
                    "severity": data.severity,
                    "time": event.time,
                    "id": event.id,
                    "fingerprint": event.partitionkey,
                }
            },
        )
