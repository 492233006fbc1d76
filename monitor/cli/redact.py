"""The command `driftline redact`."""

from __future__ import annotations

import codecs
import re
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option
from monitor.cli.exits import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.adapters.absence import Finding, Found
    from monitor.cli.redact_places import Line, Place

_RANGES_SHOWN: Final = 8


@click.command("redact")
@click.argument("ids", nargs=-1)
@config_options
@embedded_option
@click.option(
    "--ids-from",
    type=click.File("rb"),
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
@click.option("--mentions", is_flag=True, help="Also records and rows of other ids that hold one of these somewhere.")
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
    ids_from: IO[bytes] | None,
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

    needles = Needles(_given(ids, ids_from))
    if not needles:
        raise click.UsageError("say which ids: driftline redact -c FILE ID..., or --ids-from FILE")
    if yes and search:
        raise click.UsageError("--search changes nothing; leave it or --yes out")
    config = load_config(files, overrides)
    with places_of(config, needles, embedded, asked, writes=yes) as places:
        if search:
            left = not asked["mentions"] and bool(asked["recordings"] or asked["location"])
            _searched(len(needles), (each for place in places for each in place.search()), output, left)
            return
        each = (place.take_out() if yes else place.found() for place in places)
        lines = [line for found in each for line in found]
    _say(len(needles), lines, places, done=yes, output=output)


def _given(ids: tuple[str, ...], file: IO[bytes] | None) -> list[str]:
    """The ids. A file is UTF-8, or UTF-16 where it says so itself, as some editors write it; and it may say that it is UTF-8."""
    from monitor.cli import show

    given = list(ids)
    if file is not None:
        raw = file.read()
        try:
            text = raw.decode("utf-16" if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8")
        except UnicodeDecodeError as error:
            raise click.UsageError(f"--ids-from is no UTF-8, first at byte {error.start:,}: save it as UTF-8") from None
        if "\0" in text:
            raise click.UsageError(
                "--ids-from holds zero bytes: it is no text, or of another encoding; save it as UTF-8"
            )
        given += [line.removeprefix("\ufeff") for line in re.split("\r\n|\n|\r", text)]
    found = [each for each in given if each]
    try:
        "".join(found).encode()
    except UnicodeEncodeError:
        raise click.UsageError("an id in the arguments is no UTF-8: give it with --ids-from") from None
    if odd := sum(each != each.strip() or each[0] in "\"'" for each in found):
        show.note(
            f"{odd:,} of the ids begin with a quote, or begin or end with white space: that is taken as part of them"
        )
    return found


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


def _searched(ids: int, found: Iterator[Finding], output: str, left: bool) -> None:
    from monitor.adapters.absence import Found
    from monitor.cli import show

    findings = list(found)
    if output == "json":
        show.print_json({
            "ids": ids,
            "absent": not findings,
            "found": [{"where": _where(f), "ids": len(f.ids)} for f in findings if isinstance(f, Found)],
            "unsearched": [{"where": f.where, "why": f.why} for f in findings if not isinstance(f, Found)],
        })  # fmt: skip
    else:
        for line in _summary(findings):
            show.note(show.plain(line))
        if left and any(isinstance(each, Found) and each.at is None for each in findings):
            what = "what --yes leaves in recordings and stores is in records and rows of other ids"
            show.note(f"{what}: --yes --mentions takes these out too")
    if findings:
        sys.exit(FAILED)
    if output != "json":
        show.note(f"none of {ids:,} ids is anywhere that was searched, as text or as hash")


def _where(found: Found) -> str:
    return found.where if found.at is None else f"{found.where}, offset {found.at}"


def _summary(findings: list[Finding]) -> Iterator[str]:
    """A line for each place; parts of one file share theirs, and so do records of one partition."""
    from monitor.adapters.absence import Found

    parts: dict[str, list[Found]] = {}
    records: dict[str, list[Found]] = {}
    for finding in findings:
        if not isinstance(finding, Found):
            yield f"{finding.where}: not searched: {finding.why}"
        elif finding.at is None:
            parts.setdefault(finding.whole or finding.where, []).append(finding)
        else:
            records.setdefault(finding.where, []).append(finding)
    for where, held in parts.items():
        more = f" (in {len(held):,} parts: -o json has all)"
        yield f"{held[0].where if len(held) == 1 else where}: {_ids(held)}{more if len(held) > 1 else ''}"
    for where, held in records.items():
        ranges = _ranges(sorted(each.at for each in held if each.at is not None))
        more = f", and in {len(ranges) - _RANGES_SHOWN:,} more ranges (-o json has all)"
        shown = ", ".join(ranges[:_RANGES_SHOWN]) + (more if len(ranges) > _RANGES_SHOWN else "")
        records_at = f"a record, offset {shown}" if len(held) == 1 else f"{len(held):,} records, offsets {shown}"
        yield f"{where}: {_ids(held)} in {records_at}"


def _ids(held: list[Found]) -> str:
    return f"{len(frozenset[int]().union(*(each.ids for each in held))):,} of the ids"


def _ranges(offsets: list[int]) -> list[str]:
    """`5`, `7-9`: offsets one behind the other as one."""
    found: list[tuple[int, int]] = []
    for each in offsets:
        if found and each <= found[-1][1] + 1:
            found[-1] = found[-1][0], each
        else:
            found.append((each, each))
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]
