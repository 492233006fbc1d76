"""What the commands share: where things are, who is asking, how to print."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from pipelines.beside import UNPAIRED
from pipelines.errors import ConfigError
from pipelines.journal import RunView
from pipelines.local import Location, Places, Wired
from pipelines.looks import moment

F = TypeVar("F", bound=Callable[..., Any])

PIPE_COLUMNS: Final = 200
SHORT: Final = 12


def store_option(command: F) -> F:
    """`--store LOCATION`."""
    return click.option(
        "--store", envvar="DRIFTLINE_STORE", required=True, show_envvar=True, metavar="LOCATION", type=written_location,
        help="Where journals and models are: a directory, or an address such as s3://BUCKET/PREFIX.",
    )(command)  # fmt: skip


def written_location(text: str) -> Location:
    """A directory, or an address of an object store, as somebody wrote it."""
    found = text if "://" in text else Path(text)
    if isinstance(found, Path) and found.is_file():
        raise click.BadParameter(f"{text!r} is a file; name a directory, or an address such as s3://BUCKET/PREFIX")
    return found


def policy_options(command: F) -> F:
    """`-c FILE`, `--alerts FILE`, `--embedded DIR` and `--work DIR`."""
    command = click.option(
        "--work", type=click.Path(path_type=Path, file_okay=False), default=".driftline-work", show_default=True,
        metavar="DIR", help="Where steps run; what failed stays there to be looked at.",
    )(command)  # fmt: skip
    command = click.option(
        "--embedded", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
        help="Where --alerts or `rows` name a configuration of the monitor: read the embedded log in DIR, not Kafka.",
    )(command)  # fmt: skip
    command = click.option(
        "--alerts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
        help="What fires: CloudEvents, one a line, as `driftline alerts list -o json` prints them, or a configuration of the "
        "monitor (.yaml), whose topic is read. Read anew each round.",
    )(command)  # fmt: skip
    return click.option(
        "-c", "--config", "file", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Policies, YAML.",
    )(command)  # fmt: skip


def output_option(command: F) -> F:
    """`-o table|json`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="What to print.",
    )(command)


def actor_option(command: F) -> F:
    """`--actor NAME`."""
    return click.option(
        "--actor", envvar="DRIFTLINE_ACTOR", default=getpass.getuser, show_envvar=True, metavar="NAME",
        help="Who does it; the user of this machine unless given.",
    )(command)  # fmt: skip


def worded(ctx: click.Context, param: click.Parameter, reason: str | None) -> str | None:
    """The callback of `--reason`: a reason without a word is none."""
    if reason is not None and not reason.strip():
        raise click.BadParameter("it has no words: say why, it is kept in the journal", ctx, param)
    return reason


def reason_option(command: F) -> F:
    """`--reason TEXT`."""
    return click.option("--reason", required=True, callback=worded, help="Why; kept in the journal.")(command)


def opened(ctx: click.Context, store: Location) -> Wired:
    """The ports for a command that only reads the store. Raises ConfigError where there is none."""
    if isinstance(store, Path) and not store.is_dir():
        raise ConfigError(f"store {str(store)!r}", "is not there", "--store or DRIFTLINE_STORE says where it is.")
    # Commands that only look and decide run no step, so nothing is made in the folder of steps.
    return wired(ctx, Places(store, None, {}, Path.cwd(), Path.cwd()))


def wired(ctx: click.Context, places: Places) -> Wired:
    """The ports, as whoever made the group wires them."""
    made: Wired = ctx.obj(places)
    return made


def note(sentence: str) -> None:
    """A line for people, on standard error."""
    click.echo(f"driftline: {sentence}", err=True)


def print_json(document: Any) -> None:
    """One JSON document as one line on standard output."""
    import orjson

    click.echo(orjson.dumps(document))


def print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on standard output. Cells are text, never markup."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("".join(c if c.isprintable() else " " for c in cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False).print(table)


def waits(view: RunView, now_ms: int, ours: str | None = None) -> str | None:
    """What a run waits for that is not its state: `held by vm-9153 until …`, `tried again from … on: …`, `without a
    comparison: …`. None where it does not. `ours`: the owner who asks."""
    if view.ended:
        return None
    said = view.facts.get(UNPAIRED)
    lacks = [] if said is None else [f"without a comparison: {said}"]
    if view.lease is not None and view.lease.owner != ours and now_ms < view.lease.until_ms:
        lacks.insert(0, f"held by {view.lease.owner} until {when(view.lease.until_ms)}")
    elif now_ms < view.not_before_ms:
        lacks.insert(0, f"tried again from {when(view.not_before_ms)} on: {view.tried}")
    return "; ".join(lacks) or None


def when(ms: int | None) -> str:
    """`2013-01-05 06:00:00`, in UTC."""
    if ms is None:
        return "-"
    return moment(ms)
