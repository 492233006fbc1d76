"""`driftline retrain carry`: what the containers beside a step do in a Job (`pipelines.job_spec`)."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.carrying import fetch, give
from pipelines.cli.common import note, opened, store_option
from pipelines.errors import StepFailed
from pipelines.job_spec import ACCEPTED_NOT
from pipelines.local import Location


@click.command("carry", hidden=True)
@click.argument("way", type=click.Choice(["in", "out"]))
@click.argument("what", metavar="DIGEST|NAME")
@click.option(
    "--directory", required=True, type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
    help="The directory of the job.",
)  # fmt: skip
@store_option
@click.pass_context
def carry(ctx: click.Context, way: str, what: str, directory: Path, store: Location) -> None:
    """Bring what a step reads from the store (in DIGEST), or what it wrote to it (out NAME). For the pods of a Job.

    \b
    Examples:
      driftline retrain carry in sha256:5f1c... --directory /job --store /store
      driftline retrain carry out driftline-train-3f2a0c11b7de-0a1b2c3d4e --directory /job --store /store
    """
    kept = opened(ctx, store).store
    if way == "in":
        fetch(kept, what, directory)
        return
    try:
        first = give(kept, what, directory)
    except StepFailed as error:
        note(str(error))
        ctx.exit(ACCEPTED_NOT)
    if not first:
        note(f"{what} has a result already: this one is not used")


COMMANDS = (carry,)
