"""Did you mean: the nearest of the allowed names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name closest to `given`, or None when nothing is close. Case and `-`/`_` do not count as distance."""
    names = {_plain(name): name for name in allowed}
    if found := difflib.get_close_matches(_plain(given[:100]), names, n=1, cutoff=0.6):
        return names[found[0]]
    return None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def hint(given: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    found = nearest(given, allowed)
    return f"; did you mean {found!r}?" if found is not None and found != given else ""


def listing(allowed: Iterable[str], most: int = 24) -> str:
    """The allowed names in a row, cut short with a count."""
    names = list(allowed)
    if not names:
        return "none"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
