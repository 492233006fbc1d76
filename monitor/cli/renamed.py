"""Flags of commands that are called otherwise now: as `monitor.config.renamed` has keys of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RenamedFlag:
    """A flag of a command (`run`, or `ledger audit`) that was renamed. `since` and `until` as for keys."""

    command: str
    old: str
    new: str
    since: str
    until: str
    accepted: bool = True

    def is_of(self, args: Sequence[str]) -> bool:
        """Whether arguments, the first of which are words of a command, are for its command."""
        words = self.command.split()
        return list(args[: len(words)]) == words

    def __str__(self) -> str:
        ends = f"{self.old} is accepted until {self.until}" if self.accepted else f"{self.old} is not accepted any more"
        return f"{self.command}: {self.old} is called {self.new} since Driftline {self.since}: write that; {ends}"


RENAMED_FLAGS: tuple[RenamedFlag, ...] = ()
"""All of them, the oldest first."""


def with_new_flags(args: Sequence[str], renamed: Sequence[RenamedFlag]) -> tuple[list[str], list[RenamedFlag]]:
    """The arguments of a command, its words first, with every old name replaced that is accepted; and the flags that were named
    by an old name, each once."""
    made, found = list(args), dict[RenamedFlag, None]()
    for each in renamed:
        if not each.is_of(args):
            continue
        for place, arg in enumerate(made):
            if arg == "--":  # what follows are no flags
                break
            name, equals, value = arg.partition("=")
            if name == each.old:
                found[each] = None
                if each.accepted:
                    made[place] = f"{each.new}{equals}{value}"
    return made, list(found)
