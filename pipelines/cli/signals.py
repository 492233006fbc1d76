"""What a worker does when it is told to end: the step at work is stopped, the run is given back, and it says so."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

from pipelines.cli.common import note

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def ending() -> Iterator[None]:
    """SIGINT ends the process with 130 and SIGTERM with 143, as a shell would say it, from wherever it stands: every step may
    be done again, and what is entered is entered whole. A second signal does what it would do without this."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    came: list[signal.Signals] = []

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, _: FrameType | None) -> NoReturn:
        restore()
        came.append(signal.Signals(number))
        raise SystemExit(128 + number)

    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        yield
    except SystemExit:
        if came:
            note(
                f"{came[0].name}: stopped; a step that was at work is stopped too, its run given back for the next worker"
            )
        raise
    finally:
        restore()
