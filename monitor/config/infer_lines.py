"""Lines of a proposed config."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

WIDTH = 110


def comment(text: str, mark: bool = False) -> list[str]:
    """A comment of as many lines as it takes; marked where somebody should look."""
    return textwrap.wrap(
        ("CHECK: " if mark else "") + text,
        WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def indent(lines: Iterable[str], by: int = 2) -> list[str]:
    """The lines, further to the right."""
    return [" " * by + line if line else line for line in lines]
