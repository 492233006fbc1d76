"""The play: sends what is due, and keeps worker, retraining and service in step with its event time.

    history (at once) -> the first model -> live, so many hours a second

Event time stands still while somebody retrains, and at every look at the alerts until the worker has decided on all that was
sent: how fast this machine is does not change what happens.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from monitor.demo import FIRST_MS, LIVE_MS, Due, Script, by_the_formula
from monitor.ports import OutRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.cli.demo_loop import Loop, PlayClock
    from monitor.daemon.worker import Worker
    from monitor.ports import Appender

LOOK_EVERY_MS: Final = 6 * 3_600_000
HISTORY_RECORDS: Final = 4_000
"""Sent at a time while history is told."""
_HOUR_MS: Final = 3_600_000


class Play:
    """Called once in every turn of the worker. `loop` None: nobody retrains, and the recorded predictions are served."""

    def __init__(
        self,
        script: Script,
        topics: Mapping[str, str],
        appender: Appender,
        clock: PlayClock,
        loop: Loop | None,
        hours_a_second: float,
    ) -> None:
        self._script, self._topics, self._appender = script, topics, appender
        self._clock, self._loop, self._speed = clock, loop, hours_a_second
        self._serve = by_the_formula if loop is None else loop.serve
        self._due = iter(script)
        self._next: Due | None = next(self._due, None)
        self._sent = 0
        self._looked_ms = LIVE_MS - LOOK_EVERY_MS
        self._asked = self._ticked = False
        self._turned = time.monotonic()
        self.over = False
        clock.ms = FIRST_MS

    @property
    def now_ms(self) -> int:
        """Event time of the play."""
        return self._clock.ms

    def ticked(self) -> None:
        """The worker closes ticks in this turn: it is not done with what was sent."""
        self._ticked = True

    def turn(self, worker: Worker) -> None:
        """Send what is due by now."""
        passed = time.monotonic() - self._turned
        self._turned += passed
        if self.over or (self._loop is not None and self._loop.busy):
            return
        if self._next is None:
            self.over = True
            worker.end_when_read()
        elif self._next.at_ms < LIVE_MS:
            self._tell_history()
        elif self._may_go_on(worker):
            self._clock.ms = min(
                max(LIVE_MS, self._clock.ms) + int(passed * self._speed * _HOUR_MS), self._looked_ms + LOOK_EVERY_MS
            )
            self._send_due()

    def _may_go_on(self, worker: Worker) -> bool:
        """At a look the play waits for the worker, and lets the loop look; between two it goes on."""
        if self._clock.ms < self._looked_ms + LOOK_EVERY_MS and self._asked:
            return True
        if not self._settled(worker):
            return False
        if self._loop is not None:
            self._clock.ms = max(self._clock.ms, LIVE_MS)
            (self._loop.look if self._asked else self._loop.begin)()
        self._asked = True
        self._looked_ms = max(self._clock.ms, LIVE_MS)
        return False

    def _settled(self, worker: Worker) -> bool:
        """Whether everything that was sent is read, committed, decided and published."""
        ticked, self._ticked = self._ticked, False
        if ticked or worker.judge is None or sum(worker.statistics.consumed.values()) < self._sent:
            return False
        followers = worker.judge.followers
        return all(
            not task.engine.uncommitted_rows and followers[p].next_offset >= task.writer.follower.next_offset
            for p, task in worker.tasks.items()
        )

    def _tell_history(self) -> None:
        for _ in range(HISTORY_RECORDS):
            if self._next is None or self._next.at_ms >= LIVE_MS:
                break
            self._clock.ms = self._next.at_ms
            self._send(self._next)
        self._appender.flush(10_000)

    def _send_due(self) -> None:
        while self._next is not None and self._next.at_ms <= self._clock.ms:
            self._send(self._next)
        self._appender.flush(10_000)

    def _send(self, due: Due) -> None:
        value = self._script.value(due, self._serve)
        if value is not None:
            self._appender.send(self._topics[due.stream], OutRecord(value, due.key))
            self._sent += 1
        self._next = next(self._due, None)
