"""What a type of the policy refuses beside the kinds of its fields, one by one, with the keys that each refusal rests on.

Whoever reads a kept document back stops at the first (`refuse`, in `__post_init__`). Whoever writes a file is told all of them
(`pipelines.cli.mistakes`), but for those that rest on a key with a mistake of another kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Wrong(NamedTuple):
    """`at`: the key where it is told, below the section that tells it; empty: the section. `on`: the keys it rests on, where that
    is not `at` alone. Keys are dotted, durations without their unit."""

    at: str
    why: str
    on: tuple[str, ...] = ()


def refuse(wrong: Iterable[Wrong]) -> None:
    """Raise ValueError with the first of them, where there is one."""
    for each in wrong:
        raise ValueError(each.why)
