"""A log line for each change of an alert, so that who reads only the log sees that something fired."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from monitor.alerts.event import Standing, rfc3339

if TYPE_CHECKING:
    from monitor.alerts.event import AlertEvent
    from monitor.daemon.judge import Judge
    from monitor.evaluator import TickOutput
    from monitor.ports import WallClock

LINES: Final = 20
PER_MS: Final = 60_000
"""More lines than LINES in this time are counted, not written: what a run over a recording decides in seconds fills no disk."""
_log = logging.getLogger("driftline.alerts")


class AlertLines:
    """Writes them. A line has what a record of the alerts topic is found by, and no value of any record: names, severity, event
    time, the event's id. WARNING for what fires as a page, else INFO. What fired before this process evaluated is no news: it is
    said once, as what still fires, at INFO."""

    def __init__(self, clock: WallClock, topic: str) -> None:
        self._clock, self._topic = clock, topic
        self._since_ms = clock.monotonic_ms()
        self._written = self._left_out = 0
        self._told: dict[str, int] = {}
        """When what fires and was said to began, by fingerprint."""
        self._judge: Judge | None = None

    def tell_opening(self, output: TickOutput) -> None:
        """What an evaluator that opens says: what was decided before it, again, is no news. What it decides itself then is what
        ends with a rule that the configuration has no more."""
        if output.basis is None:
            self.tell([event for event in output.events if event.data.state is Standing.RESOLVED])

    def opened(self, judge: Judge) -> None:
        """An evaluator is open, perhaps since long: of one that was not seen before it is said what fires already."""
        if judge is not self._judge:
            self._judge = judge
            self.still(event for _, event in sorted(judge.evaluator.standing.items()))

    def still(self, standing: Iterable[AlertEvent]) -> None:
        """Say what fires, but for what this process has said to."""
        for event in standing:
            data = event.data
            if self._told.get(data.fingerprint) != data.fired_ms:
                self._told[data.fingerprint] = data.fired_ms
                if self._room():
                    self._line(event, logging.INFO, "still_firing", f"since {rfc3339(data.fired_ms)}")

    def tell(self, events: Sequence[AlertEvent]) -> None:
        """Changes that were decided, in their order."""
        for event in events:
            data = event.data
            fires = data.state is Standing.FIRING
            if data.latest and fires:
                self._told[data.fingerprint] = data.fired_ms
            elif data.latest:
                self._told.pop(data.fingerprint, None)
            if self._room():
                level = logging.WARNING if fires and data.severity == "page" else logging.INFO
                self._line(event, level, event.change.value, f"at {event.time}")

    def _room(self) -> bool:
        """Whether one more line may be written; it is counted where not."""
        if self._clock.monotonic_ms() - self._since_ms >= PER_MS:
            self.sum_up()
            self._since_ms, self._written = self._clock.monotonic_ms(), 0
        room = self._written < LINES
        self._written += room
        self._left_out += not room
        return room

    def sum_up(self) -> None:
        """Say how many were left out since it was said last, if any."""
        if self._left_out:
            _log.warning("%d more changes of alerts are not logged; topic %s has them", self._left_out, self._topic)
            self._left_out = 0

    def _line(self, event: AlertEvent, level: int, change: str, when: str) -> None:
        _log.log(
            level,
            "alert %s: %s, severity %s, %s, id %s",
            change.replace("_", " "),
            _readable(event.subject),
            event.data.severity,
            when,
            event.id,
            extra={
                "alert": {
                    "change": change,
                    "subject": event.subject,
                    "severity": event.data.severity,
                    "time": event.time,
                    "id": event.id,
                    "fingerprint": event.partitionkey,
                }
            },
        )


def _readable(subject: str) -> str:
    """The subject of an event as it reads (`partition/1`), unless that would bring into the log what shows as something else."""
    text = unquote(subject)
    return text if text.isprintable() else subject
