"""Keeping a run while something takes long that does not call `alive` by itself: objects of gigabytes that are read from a store,
or put there, and rows that are read out of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

from pipelines.ports import Alive

EVERY_SECS: Final = 1.0
T = TypeVar("T")


def meanwhile(work: Callable[[], T], alive: Alive, every_secs: float = EVERY_SECS) -> T:
    """What `work` gives or raises; `alive` is called every second until then. What `alive` raises ends the waiting: the work is
    left to itself, in its thread, so it must be of a kind that may be done late: blobs by digest, files of a job that is left."""
    given: list[T] = []
    raised: list[BaseException] = []

    def done() -> None:
        try:
            given.append(work())
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is raised again where it is waited for
            raised.append(error)

    thread = threading.Thread(target=done, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(every_secs)
        if thread.is_alive():
            alive()
    if raised:
        raise raised[0]
    return given[0]
