"""In which spans of event time records were lost by name: windows that touch one are partial.

A gap in the ledger says that records of a partition were lost, or that what it held was given up. Which windows that
touches is bounded, not known: what is lost tells no time of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from monitor.windows.view import Kind

Lost = tuple[int, int]
"""[from_ms, until_ms) of event time."""

IsLost = Callable[[int, int], bool]
"""Whether something of [start_ms, end_ms) was lost."""


def nothing_lost(*_: int) -> bool:
    """Where no gap was ever recorded."""
    return False


class Losses:
    """The spans by kind of window, disjoint and in order. Mutable; the evaluator and what it consists of share one."""

    def __init__(self) -> None:
        self.spans: dict[Kind, tuple[Lost, ...]] = {}

    def add(self, kind: Kind, from_ms: int, until_ms: int) -> None:
        """Records of this span were lost."""
        merged: list[Lost] = []
        for start, end in sorted((*self.spans.get(kind, ()), (from_ms, until_ms))):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        self.spans[kind] = tuple(merged)

    def any_of(self, kind: Kind) -> bool:
        """Whether anything of a kind was lost: hardly ever is."""
        return bool(self.spans.get(kind))

    def touch(self, kind: Kind, start_ms: int, end_ms: int) -> bool:
        """Whether something of [start_ms, end_ms) was lost."""
        return any(start < end_ms and start_ms < end for start, end in self.spans.get(kind, ()))


SavedLosses = dict[str, tuple[Lost, ...]]


def save(losses: Losses) -> SavedLosses:
    """The spans by name of their kind."""
    return {str(kind): spans for kind, spans in losses.spans.items()}


def restore(losses: Losses, saved: Mapping[str, Iterable[Lost]]) -> None:
    """Make it what another was. Raises ValueError for a kind that there is not."""
    losses.spans = {Kind(kind): tuple((start, end) for start, end in spans) for kind, spans in saved.items()}
