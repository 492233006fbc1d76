"""`driftline retrain approve | cancel`."""

from __future__ import annotations

import click

from pipelines.book import Book
from pipelines.cli.common import SHORT, actor_option, note, opened, reason_option, store_option
from pipelines.local import Location


@click.command("approve")
@click.argument("run")
@click.option("--decline", is_flag=True, help="Say no instead.")
@reason_option
@actor_option
@store_option
@click.pass_context
def approve(ctx: click.Context, run: str, decline: bool, reason: str, actor: str, store: Location) -> None:
    """Agree that what a run made is promoted, or with --decline that it is not.

    The next round of `driftline retrain run` acts on it. Who asked for a run cannot approve it. An approval is void when the
    champion is another one by then.

    \b
    Examples:
      driftline retrain approve 3f2a --reason "better in every segment" --store ./store
      driftline retrain approve 3f2a --decline --reason "holiday week" --actor eve --store ./store
    """
    ports = opened(ctx, store)
    book = Book(ports.store)
    admission = book.find(run)
    view = book.approve(admission, actor, reason, ports.clock.now_ms(), decline=decline)
    said = "declined" if decline else f"approved, {len(view.approvals)} of {admission.policy.approvals}"
    note(f"run {admission.run[:SHORT]}, version {view.facts['version']} of {admission.model}: {said}")


@click.command("cancel")
@click.argument("run")
@reason_option
@actor_option
@store_option
@click.pass_context
def cancel(ctx: click.Context, run: str, reason: str, actor: str, store: Location) -> None:
    """Ask for the end of a run. A step at work is stopped within seconds; what was promoted cannot be cancelled.

    \b
    Examples:
      driftline retrain cancel 3f2a --reason "labels are wrong" --store ./store
    """
    ports = opened(ctx, store)
    book = Book(ports.store)
    admission = book.find(run)
    book.cancel(admission.run, actor, reason, ports.clock.now_ms())
    note(f"run {admission.run[:SHORT]} of {admission.model} ends as soon as a worker looks at it")


COMMANDS = (approve, cancel)
