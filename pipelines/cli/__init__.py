"""The commands `driftline retrain ...` and `driftline train`, which are `python -m pipelines ...` where only this package is
installed.

Arguments, tables, exit codes; what is done is done elsewhere. The group is made for a wiring: alone it keeps versions itself,
in `monitor.cli` it is handed a registry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from pipelines.cli import carrying, handoffs, jobs, people, rounds, showing
from pipelines.local import Places, Wired, wire

_NO: Final = frozenset({"reject", "decline", "deny", "disapprove", "refuse"})
Wiring = Callable[[Places], Wired]


class _InOrder(click.Group):
    """Commands in the order in which they are used, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """As they were added."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Who wants to say no is told how it is said: no name of a command is near."""
        if args and args[0] in _NO:
            ctx.fail(f"No such command {args[0]!r}. To say no: approve RUN --decline --reason ...")
        return super().resolve_command(ctx, args)


def make(wiring: Wiring) -> click.Group:
    """The group `retrain` over some wiring."""

    @click.group("retrain", cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
    @click.pass_context
    def group(ctx: click.Context) -> None:
        """Retrain a model when its alerts fire, prove the challenger, and promote it.

        What fires now is read from --alerts; what follows from it is in the policies of -c. One run an incident, one at a
        time for a model; a person approves unless the policy says otherwise. Journals and models are in --store.

        \b
        Examples:
          driftline retrain plan -c retrain.yaml --alerts alerts.jsonl --store ./store
          driftline retrain run -c retrain.yaml --alerts alerts.jsonl --store ./store --once
          driftline retrain approve 3f2a --reason "better in every segment" --store ./store

        Exit codes: 0 fine, 1 failed, 2 usage, 3 refused by a rule or by the gate, 69 no cluster or store answers, 75 not yet
        decided, 78 a policy file with mistakes, 130 or 143 stopped by a signal.
        """
        ctx.obj = wiring

    for command in (
        *rounds.COMMANDS,
        *showing.COMMANDS,
        *people.COMMANDS,
        *jobs.COMMANDS,
        *handoffs.COMMANDS,
        *carrying.COMMANDS,
    ):
        group.add_command(command)
    return group


command = make(wire)
