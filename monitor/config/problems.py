"""A mistake in the config as a value: where, what, and what else it depends on."""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and list positions from the top, as in YAML. In `Problem.reads`, `*` stands for every position."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A mistake: where it is, what is wrong and what is allowed, and which other places it depends on."""

    path: Path
    sentence: str
    reads: tuple[Path, ...] = ()
    wanted: str | None = None
    """The name that was looked for in `reads`. What is broken there hides the problem only if it may be that name."""


def path_text(path: Path) -> str:
    """`rules[0].window` for ('rules', 0, 'window')."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
