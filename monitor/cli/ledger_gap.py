"""The command `driftline ledger gap`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import config_options, embedded_option, load_config
from monitor.cli.exits import FAILED

if TYPE_CHECKING:
    from monitor.daemon.gaps import Missing


@click.command("gap")
@config_options
@embedded_option
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition.")
@click.option("--who", help="Who decides this; kept in the ledger.")
@click.option("--why", help="Why; kept in the ledger.")
@click.option("--yes", is_flag=True, help="Record it. Without, it is only shown.")
def gap(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    partition: int | None,
    who: str | None,
    why: str | None,
    yes: bool,
) -> None:
    """Go on without source records that have left their topic: they count as lost, with who decided it and why.

    Windows that the loss can have touched are marked as partial, and no rule judges them. Without --yes it shows what is
    missing and records nothing; the exit code is then 1 if something is. Stop the daemon first, and raise the retention
    of the topic, or it happens again.

    \b
    Examples:
      driftline ledger gap -c driftline.yaml
      driftline ledger gap -c driftline.yaml --who ada --why "outage of 20 May, retention 3 d" --yes
    """
    from monitor.adapters.clock import SystemClock
    from monitor.cli.scan import open_existing
    from monitor.daemon.gaps import missing, record

    if yes and not (who and why):
        raise click.UsageError("--yes needs --who and --why: the ledger keeps both.")
    config = load_config(files, overrides)
    log = open_existing(config, embedded, read_only=not yes)
    try:
        if partition is not None and partition >= (there := len(log.end_offsets(config.topics().ledger))):
            raise click.UsageError(f"--partition {partition}: there are {there}, from 0 to {there - 1}.")
        found = [one for one in missing(log, config) if partition in (None, one.partition)]
        for one in found:
            click.echo(sentence(one))
        if not found:
            click.echo("nothing is missing: every record that is needed is in its topic")
            return
        if not yes:
            click.echo("driftline: nothing was recorded; --yes with --who and --why records it", err=True)
            sys.exit(FAILED)
        assert who is not None
        assert why is not None
        appender = log.appender()
        for one in found:
            offset = record(log, appender, config, one, who, why, SystemClock().now_ms())
            click.echo(f"recorded: {config.topics().ledger}[{one.partition}]@{offset}, {one.stream}, by {who}: {why}")
        appender.close()
    finally:
        log.close()


def sentence(one: Missing) -> str:
    """What is missing, for people."""
    where = f"partition {one.partition}, {one.stream}: topic {one.topic!r} begins at offset {one.begin}"
    said = []
    if one.unread:
        said.append(f"offsets [{one.start}, {one.end}) were never read and count as lost")
    if one.floor < one.start and one.floor < one.begin:
        said.append(
            f"a rebuild needs offset {one.floor}, so what the partition holds is given up: {one.pending} predictions and "
            f"{one.waiting} labels that wait"
        )
    return f"{where}; {'; '.join(said)}"
