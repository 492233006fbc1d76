"""The command `driftline redact`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option
from monitor.cli.exits import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.adapters.absence import Finding
    from monitor.cli.redact_places import Line, Place


@click.command("redact")
@click.argument("ids", nargs=-1)
@config_options
@embedded_option
@click.option(
    "--ids-from",
    type=click.File("r", encoding="utf-8"),
    help="A file with an id a line, or - for standard input: ids in arguments are seen by others of this machine.",
)
@click.option(
    "--recording",
    "recordings",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A recording; may be repeated.",
)
@click.option("--store", "location", envvar="DRIFTLINE_STORE", show_envvar=True, metavar="LOCATION",
              help="The registry whose datasets and rows of runs are meant.")  # fmt: skip
@click.option(
    "--outputs",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Files that were made of the topics, and folders of them (reports, backtests, replays, run folders): those that "
    "hold an id are removed whole. May be repeated.",
)
@click.option(
    "--no-topics", is_flag=True, help="Do not look into the topics. They are never changed, but for the next."
)
@click.option("--trim-dead-letters", is_flag=True, help="Delete dead letters up to the last one that holds an id.")
@click.option("--mentions", is_flag=True, help="Also records of other ids that hold one of these somewhere.")
@click.option("--reason", default="erasure request", show_default=True, help="Kept with the redaction.")
@click.option("--actor", envvar="DRIFTLINE_ACTOR", show_envvar=True, metavar="NAME", help="Who asks; kept likewise.")
@click.option("--yes", is_flag=True, help="Do it. Without it nothing is changed, and what would be is counted.")
@click.option("--search", is_flag=True, help="Change nothing; search every byte for the ids. Exit code 1 where one is.")
@output_option
def command(
    ids: tuple[str, ...],
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    ids_from: IO[str] | None,
    yes: bool,
    search: bool,
    output: str,
    **asked: object,
) -> None:
    """Take ids out of everything that Driftline keeps, for an erasure request, and prove that they are gone.

    The records of the ids leave recordings; their rows leave the datasets of a store, and the rows of runs that hold them are
    removed; snapshots are deleted (`state.snapshots`; they only shorten a start); files that were made of the topics
    (--outputs) are removed. Topics are yours: what is in them is told, with what to do about it. Killed at any point, the
    same command goes on; done twice, it does nothing.

    \b
    Examples:
      driftline redact -c driftline.yaml --ids-from ids.txt --recording monday --store ./registry
      driftline redact -c driftline.yaml --ids-from ids.txt --recording monday --store ./registry --yes
      driftline redact -c driftline.yaml --ids-from ids.txt --recording monday --store ./registry --search

    Exit codes: 0 done, or nothing is there; 1 with --search when an id is somewhere or something could not be searched.
    """
    from monitor.adapters.needles import Needles
    from monitor.cli.redact_places import places_of

    given = [*ids, *(line.rstrip("\r\n") for line in ids_from or ())]
    needles = Needles(each for each in given if each)
    if not needles:
        raise click.UsageError("say which ids: driftline redact -c FILE ID..., or --ids-from FILE")
    if yes and search:
        raise click.UsageError("--search changes nothing; leave it or --yes out")
    config = load_config(files, overrides)
    with places_of(config, needles, embedded, asked, writes=yes) as places:
        if search:
            _searched(len(needles), (each for place in places for each in place.search()), output)
            return
        each = (place.take_out() if yes else place.found() for place in places)
        lines = [line for found in each for line in found]
    _say(len(needles), lines, places, done=yes, output=output)


def _say(ids: int, lines: list[Line], places: list[Place], *, done: bool, output: str) -> None:
    from monitor.cli import show

    if output == "json":
        found = [{"where": x.where, "what": x.what, "count": x.count, "then": x.then} for x in lines]
        show.print_json({"done": done, "ids": ids, "looked_at": [each.where for each in places], "found": found})
        return
    table = show.table(None, "where", "what", "count", "", right=("count",))
    for line in lines:
        table.add_row(show.plain(line.where), show.plain(line.what), f"{line.count:,}", show.plain(line.then))
    if lines:
        show.console().print(table)
    where = ", ".join(each.where for each in places) or "nowhere"
    if not lines:
        show.note(f"nothing of {ids:,} ids is in: {where}")
    elif done:
        show.note("done; --search in place of --yes proves it. Copies and backups are not known here")
    else:
        show.note("nothing was changed; --yes does it")


def _searched(ids: int, found: Iterator[Finding], output: str) -> None:
    from monitor.adapters.absence import Found
    from monitor.cli import show

    findings = list(found)
    if output == "json":
        show.print_json({
            "ids": ids,
            "absent": not findings,
            "found": [{"where": f.where, "ids": len(f.ids)} for f in findings if isinstance(f, Found)],
            "unsearched": [{"where": f.where, "why": f.why} for f in findings if not isinstance(f, Found)],
        })  # fmt: skip
    for finding in findings:
        told = f"{len(finding.ids):,} of the ids" if isinstance(finding, Found) else f"not searched: {finding.why}"
        show.note(f"{finding.where}: {told}")
    if findings:
        sys.exit(FAILED)
    if output != "json":
        show.note(f"none of {ids:,} ids is anywhere that was searched, as text or as hash")
