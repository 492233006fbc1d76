"""What the commands share: where the registry is, who is asking, how to print."""

from __future__ import annotations

import getpass
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import click

from registry.location import Location, OpenedStore, location_of, open_location

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from registry.aliases import Aliases
    from registry.catalog import Catalog, Sign, Version
    from registry.signing import PrivateKey

F = TypeVar("F", bound=Callable[..., Any])

_KEY: Final = "DRIFTLINE_SIGNING_KEY"
_PASSPHRASE: Final = "DRIFTLINE_SIGNING_PASSPHRASE_FILE"  # noqa: S105  # the name of a variable
PIPE_COLUMNS: Final = 200
"""Width of tables that go into a file or a pipe, where nobody's window can be asked."""
_SHORT: Final = 19  # sha256: and twelve digits


def store_option(command: F) -> F:
    """`--store LOCATION`."""
    return click.option(
        "--store",
        envvar="DRIFTLINE_STORE",
        required=True,
        show_envvar=True,
        metavar="LOCATION",
        type=written_location,
        help="Where the registry is: a directory, or an address such as s3://BUCKET/PREFIX.",
    )(command)


def written_location(text: str) -> Location:
    """A directory, or an address of an object store, as somebody wrote it."""
    found = location_of(text)
    if isinstance(found, Path) and found.is_file():
        raise click.BadParameter(f"{text!r} is a file; name a directory, or an address such as s3://BUCKET/PREFIX")
    return found


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
        "--actor",
        envvar="DRIFTLINE_ACTOR",
        default=_user,
        show_envvar=True,
        metavar="NAME",
        help="Who does it; the user of this machine unless given.",
    )(command)


def _user() -> str:
    """The user of this machine; in a container nobody may have given him a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def key_options(command: F) -> F:
    """`--key FILE` and `--passphrase-file FILE`: what `signer` finds in the context of the command."""
    command = click.option(
        "--passphrase-file", envvar=_PASSPHRASE, show_envvar=True, metavar="FILE", expose_value=False, callback=_noted,
        type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The passphrase of the key, where it has one.",
    )(command)  # fmt: skip
    return click.option(
        "--key", envvar=_KEY, show_envvar=True, metavar="FILE", expose_value=False, callback=_noted,
        type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Sign with this key; `registry keygen` makes one.",
    )(command)  # fmt: skip


def _noted(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
    ctx.meta[f"driftline.{param.name}"] = value


def signer() -> Sign | None:
    """What signs for the command that runs, None where it was given no key. Raises SigningError, NotInstalled."""
    ctx = click.get_current_context(silent=True)
    said = {} if ctx is None else ctx.meta
    key = said.get("driftline.key")
    return None if key is None else signing_with(read_key(key, said.get("driftline.passphrase_file")))


def signer_of_surroundings() -> Sign | None:
    """What signs for a process that moves by itself: the key that DRIFTLINE_SIGNING_KEY names. Raises SigningError,
    NotInstalled."""
    key, passphrase = os.environ.get(_KEY), os.environ.get(_PASSPHRASE)
    return signing_with(read_key(Path(key), Path(passphrase) if passphrase else None)) if key else None


def read_key(path: Path, passphrase_file: Path | None) -> PrivateKey:
    """Raises SigningError, NotInstalled."""
    from registry.errors import SigningError
    from registry.signing import PrivateKey

    try:
        passphrase = None if passphrase_file is None else passphrase_file.read_bytes().rstrip(b"\r\n")
        return PrivateKey.of(path.read_bytes(), f"key {str(path)!r}", passphrase)
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
        raise SigningError(f"key {str(path)!r}", why, "--key or DRIFTLINE_SIGNING_KEY says where it is.") from None


def signing_with(key: PrivateKey) -> Sign:
    """What keeps a signature by a key beside an entry."""
    from registry.trust import sign_in

    return lambda store, entry: sign_in(store, entry, key.sign(entry))


def open_store(location: Location, *, make: bool = False) -> OpenedStore:
    """The store; only `add` may make one. Raises NotFound."""
    from registry.errors import NotFound

    store = open_location(location)
    if not store.exists and not make:
        remedy = "`driftline registry add` makes one; --store or DRIFTLINE_STORE says where it is."
        raise NotFound("registry", f"is not in {str(location)!r}", remedy)
    return store


def open_registry(location: Location) -> tuple[Catalog, Aliases]:
    """Versions and aliases of an existing registry. Raises NotFound, StoreError."""
    from registry.aliases import Aliases
    from registry.catalog import Catalog

    sign = signer()
    catalog = Catalog(known_models(open_store(location)), sign)
    return catalog, Aliases(catalog, sign)


def known_models(store: OpenedStore) -> OpenedStore:
    """The store itself. Raises StoreError where models are kept in it that the registry has no version of: `python -m pipelines`
    alone keeps them in `retraining/MODEL/versions`, and a registry that looked away would forget their champion."""
    from registry.catalog import Catalog
    from registry.errors import StoreError

    parts = (log.split("/") for log in store.logs("retraining"))
    alone = {part[1] for part in parts if len(part) == 3 and part[2] == "versions"}
    if unknown := sorted(alone - set(Catalog(store).models())):
        what = f"this store's models were kept without the registry: {', '.join(unknown)} in {store.where!r}"
        remedy = "Go on with `python -m pipelines`, or name another --store and add the models there anew."
        raise StoreError(what, "has no version or alias that the registry knows", remedy)
    return store


def parted(spec: str) -> tuple[str, str | None]:
    """`fraud@3` and `fraud@champion` as two; `fraud` alone has no second part."""
    model, _, what = spec.partition("@")
    return model, what or None


def one_version(aliases: Aliases, spec: str) -> Version:
    """The version that `fraud@3` or `fraud@champion` names. Raises NotFound."""
    model, what = parted(spec)
    if what is None:
        raise click.UsageError(f"say which version of {model}: {model}@3, or {model}@champion")
    return aliases.resolve(model, what)


def numbered(spec: str) -> tuple[str, int]:
    """`fraud@3` as ("fraud", 3): where an alias would be a moving target."""
    model, what = parted(spec)
    if what is None or not what.isdecimal():
        raise click.UsageError(f"{spec!r} names no version by number; write {model}@3")
    return model, int(what)


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


# ------------------------------------------------------------------------------------------------------------- values


def iso_ms(text: str) -> int:
    """An instant on the command line, as ms: `2013-01-05`, `2013-01-05T06:00`, with an offset or else in UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time; write 2013-01-05 or 2013-01-05T06:00:00Z") from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def duration_ms(text: str) -> int:
    """`15m`, `36h`, `7d` as ms."""
    found = re.fullmatch(r"(\d{1,6})(s|m|h|d)", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no duration; write 90m, 36h or 7d")
    return int(found[1]) * {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[found[2]]


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.BadParameter(f"{text!r} is no KEY=VALUE")
    return key, value


# ------------------------------------------------------------------------------------------------------------- output


def note(sentence: str) -> None:
    """A line for people, on standard error."""
    click.echo(f"driftline: {sentence}", err=True)


def print_json(document: Any) -> None:
    """One JSON document as one line on standard output."""
    import orjson

    click.echo(orjson.dumps(document))


def print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], right: tuple[str, ...] = ()) -> None:
    """A table on standard output; `right` names the columns that are numbers. Cells are text, never markup."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False).print(table)


def plain(text: str) -> str:
    """Text from outside without control characters."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def when(ms: int) -> str:
    """`2013-01-05 06:00:00`, in UTC."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(ms, 253_402_300_799_999))
    return at.strftime("%Y-%m-%d %H:%M:%S")


def faults(count: int) -> str:
    """`whole`, `1 fault`, `3 faults`."""
    return "whole" if not count else f"{count} fault{'s' * (count > 1)}"


def short(digest: str | None) -> str:
    """Enough of a digest to tell two apart."""
    return "-" if digest is None else digest[:_SHORT]


def size(count: int) -> str:
    """`48.2 KiB`."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{count} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


class Copying:
    """Progress over bytes: a bar for people when there is much to do, a line every ten seconds for everything else."""

    BAR_FROM_BYTES: Final = 32 * 2**20
    LINE_EVERY_S: Final = 10.0

    def __init__(self, verb: str, total_bytes: int) -> None:
        self._verb, self._total, self._done = verb, total_bytes, 0
        self._due = time.monotonic() + self.LINE_EVERY_S
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and self._total >= self.BAR_FROM_BYTES:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn(self._verb), BarColumn(), DownloadColumn(), TextColumn("ETA"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._verb, total=self._total)
        return self

    def __call__(self, more_bytes: int) -> None:
        """Told how many more bytes are done."""
        self._done += more_bytes
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done)
        elif (now := time.monotonic()) >= self._due:
            self._due = now + self.LINE_EVERY_S
            note(f"{self._verb} {size(self._done)} of {size(self._total)}")

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            with suppress(Exception):
                self._bar.stop()
