"""The commands `driftline registry ...`, which are `python -m registry ...` where only this package is installed.

Arguments, tables, exit codes; what is done is done elsewhere. Heavy libraries are imported by the commands that need them.
The group is made for a place where states are published: alone that is Kafka, `monitor.cli` knows more of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli import importing, moves, probes, signatures, upkeep, verifying, versions
from registry.cli.publishing import ALONE, Place, publish_command, publishes

if TYPE_CHECKING:
    from registry.others import Others


class _InOrder(click.Group):
    """Commands in the order in which they are used, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As they were added."""
        return list(self.commands)


def make(place: Place, more: tuple[click.Command, ...] = (), others: Others | None = None) -> click.Group:
    """The group `registry`, publishing to a place, with more commands of whoever makes it, and what he knows of `others`."""

    @click.group("registry", cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
    def group() -> None:
        """Keep model versions, and the aliases that say which one is served.

        A version is its files by digest, what it was made from and how it was judged; it never changes. An alias
        (champion, challenger, any name) is moved by a logged compare-and-swap. The registry is a directory or a prefix of
        an object store: --store DIR, --store s3://BUCKET/PREFIX, or DRIFTLINE_STORE.

        \b
        Examples:
          driftline registry add model.onnx --name fraud --store ./registry
          driftline registry promote fraud@1 --reason "first model" --store ./registry
          driftline registry list --store ./registry

        Exit codes: 0 fine, 1 failed, 2 usage, 3 refused by a rule, 69 broker or store unreachable.
        """

    imports = [publishes(each, place) for each in importing.COMMANDS]
    for each in (*versions.COMMANDS, *imports, *verifying.COMMANDS, *probes.COMMANDS, *signatures.COMMANDS):
        group.add_command(each)
    for each in moves.MOVES:
        group.add_command(publishes(each, place))
    for each in (*moves.READING, publish_command(place), upkeep.state, upkeep.fsck_command(others), upkeep.gc, *more):
        group.add_command(each)
    return group


command = make(ALONE)
