"""The commands `driftline dataset create | verify | show | diff | list`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option
from monitor.cli.exits import FAILED, UNREACHABLE
from monitor.cli.show import iso_ms
from registry.cli.common import actor_option, now_ms, store_option

if TYPE_CHECKING:
    from monitor.cli.dataset_make import Again
    from pipelines.dataset.diff import Difference
    from pipelines.dataset.manifest import Offsets, Selection
    from pipelines.dataset.redaction import Erased
    from pipelines.dataset.shelf import Integrity, Shelf, Version
    from registry.location import Location

F = TypeVar("F", bound=Callable[..., Any])

_OFFSETS = re.compile(r"(\d{1,9}):(\d{1,18})-(\d{1,18})")


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """As they were added."""
        return list(self.commands)


@click.group("dataset", cls=_InOrder)
def command() -> None:
    """Keep versions of the rows that models are trained and judged on: predictions with their labels, out of the topics.

    A version is made by the decoding and joining of monitoring and never changes: its rows have one digest, its ranges
    of offsets say where they are from, and `verify` makes them again. It lies in a registry: --store DIR, or
    DRIFTLINE_STORE.

    \b
    Examples:
      driftline dataset create -c driftline.yaml --store ./registry --name 2013-01 --from 2013-01-01 --until 2013-02-01
      driftline dataset verify 2013-01 -c driftline.yaml --store ./registry
      driftline dataset list --store ./registry

    Exit codes: 0 fine, 1 failed or not the same, 2 usage, 3 the name is taken, 69 broker unreachable.
    """


def _offsets(text: str) -> Offsets:
    from pipelines.dataset.manifest import Offsets

    found = _OFFSETS.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no range; write PARTITION:START-END, as in 0:1000-2000")
    return Offsets(*map(int, found.groups()))


@command.command("create")
@config_options
@embedded_option
@store_option
@click.option("--name", help="A name for it; names are given once and do not move.")
@click.option("--from", "from_ms", type=iso_ms, metavar="ISO", help="Predictions made at or after this time …")
@click.option("--until", "until_ms", type=iso_ms, metavar="ISO", help="… and before this one (event time).")
@click.option(
    "--offsets",
    multiple=True,
    type=_offsets,
    metavar="P:START-END",
    help="Predictions at these offsets of partition P, END being one past the last; may be repeated.",
)
@click.option("--all", "everything", is_flag=True, help="Everything that the topics hold now.")
@click.option("--model", "models", multiple=True, help="This model only; may be repeated.")
@click.option(
    "--label-cutoff", "cutoff_ms", type=iso_ms, metavar="ISO", help="No label that became known later counts."
)
@click.option(
    "--until-end", is_flag=True, help="Nothing more comes: settle `labels.absent` for all, as `run --until-end`."
)
@click.option("--ids", is_flag=True, help="Keep ids as they are. Without it only their hashes are kept.")
@actor_option
@output_option
def create(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    store: Location,
    name: str | None,
    actor: str,
    output: str,
    **asked: Any,
) -> None:
    """Make a version of a range of the predictions, joined with their labels.

    Rows are what monitoring counts: what it would reject, what came late, twice or was withdrawn is no row and is
    counted by reason. A prediction without a label is a row. The same range again is the same version. Printed is
    its digest.

    \b
    Examples:
      driftline dataset create -c driftline.yaml --name 2013-01 --from 2013-01-01 --until 2013-02-01
      driftline dataset create -c driftline.yaml --from 2013-01-01 --until 2013-02-01 --label-cutoff 2013-02-03
      driftline dataset create -c driftline.yaml --offsets 0:0-20000 --offsets 1:0-20000 --model fraud
    """
    from monitor.cli import dataset_show as shown
    from monitor.cli.dataset_make import make
    from monitor.cli.scan import open_existing
    from pipelines.dataset.shelf import checked_name

    selection = _selection(**asked)
    if name is not None:
        checked_name(name)
    config = load_config(files, overrides)
    shelf = _shelf(store, make=True)
    log = open_existing(config, embedded)
    try:
        manifest = make(config, log, shelf, selection)
    finally:
        log.close()
    digest, new = shelf.add(manifest, name)
    named = name is not None and shelf.name(name, digest, actor, now_ms())
    if output == "json":
        shown.as_json(shelf.version(digest), new=new, new_name=named)
        return
    click.echo(digest)
    shown.made(name or digest, manifest, new)


@command.command("verify")
@click.argument("dataset")
@click.option(
    "-c",
    "--config",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Configuration file: the rows are made again from its topics and compared.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value of the configuration.")
@embedded_option
@store_option
@output_option
def verify(
    dataset: str,
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    store: Location,
    output: str,
) -> None:
    """Read a version back, and with -c make its rows again from the topics: the same bit for bit, or what differs.

    DATASET is a name, a digest or its first digits. Every byte of every segment is compared with the manifest, and the
    digest of the rows is computed from what was read. Exit code 1 when something differs or is gone, 69 when the broker
    cannot be reached.

    \b
    Examples:
      driftline dataset verify 2013-01
      driftline dataset verify 2013-01 -c driftline.yaml
    """
    from monitor.cli import dataset_show as shown

    if not files and (overrides or embedded):
        raise click.UsageError("the topics are read with -c FILE; --set and --embedded need it")
    shelf = _shelf(store)
    version = shelf.version(dataset)
    stored = _check(shelf, version)
    again: Again | None = None
    difference: Difference | None = None
    failure: Exception | None = None
    if files:
        again, failure = _make_again(version, shelf.erased(), files, overrides, embedded)
    if again is not None and not again.same and not stored.faults:
        from pipelines.dataset.diff import compare

        difference = compare(version.manifest, shelf.tables(version.manifest), version.manifest, again.tables)
    shown.verified(version, stored, again, difference, failure, output)
    if failure is not None:
        from monitor.cli.exits import code_of

        sys.exit(code_of(failure) if code_of(failure) == UNREACHABLE else FAILED)
    if stored.faults or (again is not None and not again.same):
        sys.exit(FAILED)


@command.command("show")
@click.argument("dataset")
@store_option
@output_option
def show(dataset: str, store: Location, output: str) -> None:
    """Show a version: its rows and columns, where they are from, what was left out and why. JSON is the manifest.

    \b
    Examples:
      driftline dataset show 2013-01
      driftline dataset show 2013-01 -o json | jq .manifest.excluded
    """
    from monitor.cli import dataset_show as shown

    version = _shelf(store).version(dataset)
    if output == "json":
        shown.as_json(version)
    else:
        shown.table(version)


@command.command("diff")
@click.argument("old")
@click.argument("new")
@store_option
@output_option
def diff(old: str, new: str, store: Location, output: str) -> None:
    """Say what two versions differ in: rows added, removed and changed, by reason. Exit code 0 either way.

    Rows are matched by id, model, version and event time.

    \b
    Examples:
      driftline dataset diff 2013-01 2013-01-corrected
      driftline dataset diff 3f9a1c 77b0e2 -o json | jq .changed
    """
    from monitor.cli import dataset_show as shown
    from pipelines.dataset.diff import compare

    shelf = _shelf(store)
    before, after = shelf.version(old), shelf.version(new)
    tables = shelf.tables(before.manifest), shelf.tables(after.manifest)
    shown.difference(before, after, compare(before.manifest, tables[0], after.manifest, tables[1]), output)


@command.command("list")
@store_option
@output_option
def list_(store: Location, output: str) -> None:
    """List the versions, in order of their naming.

    \b
    Examples:
      driftline dataset list
      driftline dataset list -o json | jq '.datasets[].rows'
    """
    from monitor.cli import dataset_show as shown

    shown.every(_shelf(store).versions(), output)


def _selection(
    *,
    from_ms: int | None,
    until_ms: int | None,
    offsets: tuple[Offsets, ...],
    everything: bool,
    models: tuple[str, ...],
    cutoff_ms: int | None,
    until_end: bool,
    ids: bool,
) -> Selection:
    """What the options ask for. Raises UsageError, BadDataset."""
    from pipelines.dataset.manifest import Selection
    from pipelines.dataset.selection import checked

    narrowed = bool(offsets) or from_ms is not None or until_ms is not None
    if not (everything or narrowed):
        raise click.UsageError("say which predictions: --from ISO --until ISO, or --offsets P:START-END, or --all")
    if everything and narrowed:
        raise click.UsageError("--all is everything; leave the range out, or leave --all out")
    asked = Selection(
        from_ms=from_ms,
        until_ms=until_ms,
        offsets=tuple(sorted(offsets, key=lambda o: (o.partition, o.start, o.end))) or None,
        models=tuple(sorted(set(models))) or None,
        label_cutoff_ms=cutoff_ms,
        ended=until_end,
        ids=ids,
    )
    return checked(asked)


def _shelf(location: Location, *, make: bool = False) -> Shelf:
    """The datasets of a store; only `create` may make one. Raises NotFound."""
    from pipelines.dataset.shelf import Shelf
    from registry.errors import NotFound
    from registry.location import open_location

    store = open_location(location)
    if not store.exists and not make:
        remedy = "`driftline dataset create` makes one; --store or DRIFTLINE_STORE says where it is."
        raise NotFound("registry", f"is not in {str(location)!r}", remedy)
    return Shelf(store)


def _check(shelf: Shelf, version: Version) -> Integrity:
    """Read everything, with progress."""
    from pipelines.dataset.shelf import Integrity
    from registry.cli.common import Copying
    from registry.errors import StoreError

    found, segments = Integrity(), iter(version.manifest.segments)
    with Copying("reading segments", version.manifest.size_bytes) as reading:
        for upto in shelf.check(version.manifest, (StoreError,)):
            found, segment = upto, next(segments, None)
            reading(0 if segment is None else segment.size_bytes)
    return found


def _make_again(
    version: Version, erased: Erased, files: tuple[Path, ...], overrides: tuple[str, ...], embedded: Path | None
) -> tuple[Again | None, Exception | None]:
    """The rows that the topics give now, or why they give none."""
    from monitor.cli.dataset_make import make_again
    from monitor.cli.scan import open_existing
    from monitor.errors import ConfigError, MonitorError

    config = load_config(files, overrides)
    try:
        log = open_existing(config, embedded)
        try:
            return make_again(config, log, version.manifest, erased), None
        finally:
            log.close()
    except ConfigError:
        raise
    except MonitorError as error:
        return None, error
