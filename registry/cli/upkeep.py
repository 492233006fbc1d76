"""`driftline registry state | fsck | gc`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli.common import (
    Copying,
    duration_ms,
    faults,
    note,
    now_ms,
    open_registry,
    open_store,
    output_option,
    parted,
    print_json,
    print_table,
    size,
    store_option,
)
from registry.cli.exits import FAILED

if TYPE_CHECKING:
    from registry.location import Location
    from registry.others import Others


@click.command("state")
@click.argument("spec", metavar="NAME@ALIAS")
@store_option
def state(spec: str, store: Location) -> None:
    """Print the document that the `models` topic carries for an alias. Kept elsewhere, it is a witness for `fsck --state`.

    \b
    Example:
      driftline registry state fraud@champion > champion.json
    """
    from registry.errors import NotFound
    from registry.publication import current_state, state_record

    model, alias = parted(spec)
    if alias is None:
        raise click.UsageError("say which alias: fraud@champion")
    catalog, aliases = open_registry(store)
    catalog.versions(model)
    found = current_state(aliases, catalog, model, alias)
    if found is None:
        raise NotFound(
            f"alias {model}@{alias}", "has never been moved", f"`driftline registry list {model}` shows the aliases."
        )
    click.echo(state_record(found).value)


def fsck_command(others: Others | None) -> click.Command:
    """`fsck`, told what the things of other packages in the store need."""

    @click.command("fsck")
    @click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="A state that was published: the log must still hold what it says.",
    )
    @store_option
    @output_option
    def fsck(states: tuple[Path, ...], store: Location, output: str) -> None:
        """Read every byte of the registry, follow every reference, fold every log; name whatever is wrong. Exit code 1 when
        something is.

        \b
        Examples:
          driftline registry fsck
          driftline registry fsck --state champion.json -o json
        """
        from registry.fsck import fsck as check
        from registry.publication import decode_state

        kept = open_store(store)
        witnesses = tuple(decode_state(path.read_bytes().strip(), str(path)) for path in states)
        with Copying("reading", sum(blob.size_bytes for blob in kept.blobs())) as reading:
            found = list(check(kept, witnesses, reading, others))
        damage = [each for each in found if each.damage]
        if output == "json":
            lines = [{"what": f.what, "fault": str(f.fault), "damage": f.damage, "detail": f.detail} for f in found]
            print_json({"whole": not damage, "findings": lines})
        else:
            if found:
                rows = [(str(f.fault) if f.damage else f"({f.fault})", f.what, f.detail) for f in found]
                print_table(("fault", "what", "detail"), rows)
            click.echo(faults(len(damage)))
        if damage:
            sys.exit(FAILED)

    return fsck


@click.command("gc")
@click.option("--delete", is_flag=True, help="Remove it; without this, only say what would go.")
@click.option(
    "--grace",
    type=duration_ms,
    default="7d",
    show_default=True,
    metavar="DURATION",
    help="Keep what was written since, whatever it is.",
)
@store_option
@output_option
def gc(delete: bool, grace: int, store: Location, output: str) -> None:
    """Say what nothing refers to, and with --delete remove it. Versions and whatever an alias ever pointed at stay.

    \b
    Examples:
      driftline registry gc
      driftline registry gc --delete --grace 36h
    """
    from registry.gc import collect, plan

    kept, before_ms = open_store(store), now_ms() - grace
    planned = plan(kept, before_ms)
    removed = collect(kept, planned, before_ms) if delete else None
    if output == "json":
        print_json({
            "kept": planned.kept,
            "kept_bytes": planned.kept_bytes,
            "young": len(planned.young),
            "removable": [blob.digest for blob in planned.removable],
            "removable_bytes": planned.removable_bytes,
            "leftovers": planned.leftovers,
            "leftover_bytes": planned.leftover_bytes,
            "removed": None if removed is None else {"blobs": removed.blobs, "spared": removed.spared},
        })  # fmt: skip
        return
    rows = [
        ("kept: something refers to it", f"{planned.kept:,}", size(planned.kept_bytes)),
        ("too young to judge", f"{len(planned.young):,}", size(sum(blob.size_bytes for blob in planned.young))),
        ("nothing refers to it", f"{len(planned.removable):,}", size(planned.removable_bytes)),
        ("unfinished writes", f"{planned.leftovers:,}", size(planned.leftover_bytes)),
    ]
    print_table(("blobs", "number", "size"), rows, right=("number", "size"))
    if removed is not None:
        note(f"{removed.blobs:,} blobs and {size(removed.blob_bytes + removed.leftover_bytes)} removed")
    elif planned.removable or planned.leftovers:
        note("nothing was removed; --delete does it")
