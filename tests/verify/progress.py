"""How far a long part is: a bar with an ETA for people, one line every half minute for everything else."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
LINE_EVERY_SECS = 30.0


def shown(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, one by one, with the progress on standard error. `what` is their plural."""
    if sys.stderr.isatty():
        yield from _barred(items, total, what)
        return
    began = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - said >= LINE_EVERY_SECS:
            said = now
            left_secs = (now - began) / done * (total - done)
            print(f"verify: {done:,} of {total:,} {what}, ETA {left_secs / 60:.1f} min", file=sys.stderr, flush=True)
        yield item


def _barred(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import track

    yield from track(items, what, total, console=Console(stderr=True), transient=True)
