"""Did you mean: the nearest of the names that there are, and those names in a row."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

LISTED_MOST: Final = 24


def hint(given: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?`, or nothing where no name is near."""
    found = difflib.get_close_matches(given[:100], list(known), n=1, cutoff=0.6)
    return f", did you mean {found[0]!r}?" if found else ""


def listing(known: Iterable[str]) -> str:
    """The names, cut short with a count."""
    names = list(known)
    rest = f" and {len(names) - LISTED_MOST} more" if len(names) > LISTED_MOST else ""
    return (", ".join(names[:LISTED_MOST]) or "none") + rest
