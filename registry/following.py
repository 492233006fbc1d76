"""A thread that keeps a reader at what the `models` topic says, while others score.

    1. look into the store             what is served does not wait for a broker
    2. wait for records of the alias   the one with the highest rank is offered to the reader
    3. every `poll_store_s`            look into the store again: a record may be lost, or the broker be away

Fetching, loading and proving a version happens here, beside the version that serves. Who scores takes `serving` once for a batch
and is never without one after the first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Self

from registry.errors import RegistryError
from registry.publication import StateRecord
from registry.reader import ModelReader, Outcome, Serving, Taken
from registry.state_topic import StateTail, StateTopic

POLL_STORE_S: Final = 30.0
_WAIT_MS: Final = 500
_AGAIN_S: Final = 1.0

Told = Callable[[Taken], None]
"""Called from the thread with what became of a state, when that is news: swapped, or refused for another reason than before."""


class Following:
    """Follows the alias of a reader on a topic, from `with` to its end. Without a topic only the store is looked into."""

    def __init__(
        self, reader: ModelReader, topic: StateTopic | None, told: Told, *, poll_store_s: float = POLL_STORE_S
    ) -> None:
        self._reader, self._topic, self._told, self._poll_store_s = reader, topic, told, poll_store_s
        self._tail: StateTail | None = None
        self._rank = (-1, -1)
        self._news: tuple[Outcome, str] | None = None
        self._trouble = ""
        self._end, self._first = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="driftline-following", daemon=True)

    def __enter__(self) -> Self:
        self._tail = self._topic.tail() if self._topic else None  # what it refuses is said here, not in the thread
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def first(self, timeout_s: float | None = None) -> Serving:
        """The version that serves, as soon as there is one. Raises RegistryError when the time is up; `told` has said why."""
        self._first.wait(timeout_s)
        if (serving := self._reader.serving) is None:
            raise RegistryError(self._reader.key, "has no version that can be served", "Promote one that can.")
        return serving

    def _run(self) -> None:
        due = 0.0
        try:
            while not self._end.is_set():
                if time.monotonic() >= due:
                    self._take(self._reader.poll())
                    due = time.monotonic() + self._poll_store_s
                if self._tail is None:
                    self._end.wait(max(0.0, min(due - time.monotonic(), _AGAIN_S)))
                elif not self._offer(self._polled(self._tail)):
                    due = 0.0
        finally:
            if self._tail is not None:
                self._tail.close()

    def _polled(self, tail: StateTail) -> list[StateRecord]:
        try:
            found = tail.poll(_WAIT_MS)
        except RegistryError as error:
            if str(error) != self._trouble:
                self._told(Taken(Outcome.REFUSED, str(error), error))
            self._trouble = str(error)
            self._end.wait(_AGAIN_S)
            return []
        self._trouble = ""
        return found

    def _offer(self, records: list[StateRecord]) -> bool:
        """False when the store has to be looked into, because it is ahead. Of several records the newest that can be
        taken is: a forged one must not hide those below it."""
        mine = [r for r in records if r.key == self._reader.key.encode() and r.value and r.rank >= self._rank]
        for record in sorted(mine, key=lambda record: record.rank, reverse=True):
            taken = self._reader.offer(record.value)
            self._take(taken)
            if taken.outcome is not Outcome.REFUSED:
                self._rank = record.rank
                return taken.outcome is not Outcome.OLDER
        return True

    def _take(self, taken: Taken) -> None:
        if self._reader.serving is not None:
            self._first.set()
        news = (taken.outcome, taken.detail)
        if taken.outcome is Outcome.OLDER or news == self._news:
            return  # the store is ahead of the record: what it says is taken when it is looked into
        if taken.outcome is not Outcome.SAME_VERSION or (self._news and self._news[0] is Outcome.REFUSED):
            self._told(taken)
        self._news = news
