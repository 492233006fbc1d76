"""`driftline registry seen`: which versions the predictions name, as the monitor counted them.

That is the acknowledgement of a promotion: not that somebody published it, nor that a server says it loaded it, but that
predictions come with its number. The source is the topic of windows; nothing else has to run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import config_options, embedded_option
from registry.cli.common import open_registry, output_option, print_json, print_table, store_option, when
from registry.cli.exits import FAILED

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.windows.view import WindowView
    from registry.catalog import Version
    from registry.location import Location


@dataclass(frozen=True, slots=True)
class Sighting:
    """One version in the predictions of a model: how many are in the newest window that has any of it, which ends at `end_ms`
    of event time. `now`: no window of the model is newer."""

    version: str
    window: str
    start_ms: int
    end_ms: int
    rows: int
    now: bool


def sightings(views: Iterable[WindowView], model: str) -> list[Sighting]:
    """The versions of a model in published windows, by their names there. Of the configured windows the shortest decides;
    each holds all predictions, whether they have labels or not."""
    from monitor.windows.view import Kind

    mine = [
        v
        for v in views
        if v.kind is Kind.INPUT and v.key.series.model == model and v.key.series.segment == "all" and v.seen
    ]
    if not mine:
        return []
    shortest = min(mine, key=lambda v: (v.key.end_ms - v.key.start_ms, v.key.window)).key.window
    newest: dict[str, WindowView] = {}
    for view in sorted((v for v in mine if v.key.window == shortest), key=lambda v: v.key.start_ms):
        newest[view.key.series.version] = view
    last_ms = max(view.key.start_ms for view in newest.values())
    return [
        Sighting(name, shortest, v.key.start_ms, v.key.end_ms, v.seen, v.key.start_ms == last_ms)
        for name, v in sorted(newest.items())
    ]


def seen_in(config: Config, embedded: Path | None, model: str) -> list[Sighting]:
    """What the topic of windows of a deployment says now. Raises LogError, MonitorError."""
    from monitor.cli.scan import need_topic, newest_of_each_key, open_existing, read_all
    from monitor.windows import payload

    log = open_existing(config, embedded)
    try:
        topic = config.topics().windows
        need_topic(log, topic, "Has `driftline run` been started with this configuration's `namespace`?")
        newest = newest_of_each_key(read_all(log, topic, "reading windows")).values()
    finally:
        log.close()
    return sightings((payload.parse(one.value, one.headers) for one in newest if one.value is not None), model)


def names_of(version: Version) -> tuple[str, ...]:
    """What predictions may call a version."""
    from pipelines.ports import Serving

    return Serving.of(version.model, version.number, {}, version.digest).names


@click.command("seen")
@click.argument("name")
@click.option("--alias", default="champion", show_default=True, help="Which alias should be seen.")
@config_options
@embedded_option
@store_option
@output_option
def command(
    name: str, alias: str, files: tuple[Path, ...], overrides: tuple[str, ...], embedded: Path | None, store: Location,
    output: str,
) -> None:  # fmt: skip
    """Say which versions of a model its predictions name, and whether the one that an alias points at is among them. Exit code
    1 when it is not.

    It is, when the newest window with predictions of the model has some of it; of a promotion within that window, the
    version before is in it too. Predictions name a version by number (3, v3, fraud@3) or by the digest of its manifest.

    \b
    Examples:
      driftline registry seen fraud -c driftline.yaml
      driftline registry seen fraud -c driftline.yaml -o json | jq .acknowledged
    """
    from monitor.cli.common import load_config

    catalog, aliases = open_registry(store)
    numbers = {called: version.number for version in catalog.versions(name) for called in names_of(version)}
    at = aliases.state(name).alias(alias).version
    found = seen_in(load_config(files, overrides), embedded, name)
    acknowledged = any(each.now and numbers.get(each.version) == at for each in found)
    if output == "json":
        lines = [
            {"called": e.version, "version": numbers.get(e.version), "window": e.window, "start_ms": e.start_ms,
             "end_ms": e.end_ms, "rows": e.rows, "now": e.now}
            for e in found
        ]  # fmt: skip
        print_json({"model": name, "alias": alias, "version": at, "acknowledged": acknowledged, "seen": lines})
    else:
        rows = [
            (e.version, _known(numbers.get(e.version), at, alias), f"{when(e.start_ms)} ({e.window})", f"{e.rows:,}",
             "yes" if e.now else "no")
            for e in found
        ]  # fmt: skip
        print_table(
            ("in predictions", "version", "newest window with it", "rows", "in the newest"), rows, right=("rows",)
        )
        points = "points at nothing" if at is None else f"is version {at}"
        click.echo(
            f"{name}/{alias} {points}, {'and' if acknowledged else 'which'} is {'' if acknowledged else 'not '}seen"
        )
    click.get_current_context().exit(0 if acknowledged else FAILED)


def _known(number: int | None, at: int | None, alias: str) -> str:
    if number is None:
        return "not in the registry"
    return f"{number} ({alias})" if number == at else str(number)
