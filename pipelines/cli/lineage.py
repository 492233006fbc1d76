"""`driftline lineage` and `driftline history`: where something came from, and what happened to a model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from pipelines.cli.common import SHORT, opened, output_option, print_json, print_table, store_option, when, wired
from pipelines.dataset.ports import Store as DatasetStore
from pipelines.errors import ConfigError
from pipelines.lineage import Node, Step, What, data_versions, graph, history
from pipelines.local import Location, Places, Wired, wire
from pipelines.ports import Told


@click.command("lineage", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("what", metavar="ALERT|VERSION|DATASET")
@click.option(
    "--alerts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="What fires now, beside the alerts that began a run: as of `driftline retrain run`.",
)  # fmt: skip
@click.option(
    "--embedded", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Where --alerts names a configuration of the monitor: read the embedded log in DIR, not Kafka.",
)  # fmt: skip
@store_option
@output_option
@click.pass_context
def lineage(
    ctx: click.Context, what: str, alerts: Path | None, embedded: Path | None, store: Location, output: str
) -> None:
    """Tell what an alert, a version or a dataset came from, and what came of it.

    An alert is named by its episode or fingerprint, with --alerts also by the id that `driftline alerts list` prints; a version
    as MODEL@3 or by its digest, a dataset by its name or digest, a run by its id. The beginning of an id is enough where it is
    clear. Which data made the model behind this alert, and which models were made from this data, are the same walk in two
    directions.

    \b
    Examples:
      driftline lineage flights@3 --store ./store
      driftline lineage sha256:5f1c --store ./store -o json
      driftline lineage january --store ./store
      driftline lineage 8ab13c --alerts driftline.yaml --store ./store
    """
    if isinstance(store, Path) and not store.is_dir():
        raise ConfigError(f"store {str(store)!r}", "is not there", "--store or DRIFTLINE_STORE says where it is.")
    ports = wired(ctx, Places(store, alerts, {}, Path.cwd(), Path.cwd(), embedded))
    fires = ports.alerts.firing() if alerts is not None else ()
    told = ports.alerts.events() if alerts is not None and isinstance(ports.alerts, Told) else {}
    held = ports.store
    made = graph(held, ports.models, fires, data_versions(held) if isinstance(held, DatasetStore) else None, told)
    node = made.find(what)
    back, forth = made.walk(node.id, back=True), made.walk(node.id, back=False)
    if output == "json":
        came, led = ([_document(step) for step in steps] for steps in (back, forth))
        print_json({**_node(node), "came_from": came, "led_to": led})
        return
    click.echo(_line(node))
    for title, steps in (("came from", back), ("led to", forth)):
        click.echo(f"  {title}" + ("" if steps else " nothing that is known here"))
        for step in steps:
            more = " (as above)" if step.again else ""
            click.echo(f"  {'  ' * step.depth}{step.why} {_line(step.node)}{more}")


@click.command("history", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@store_option
@output_option
@click.pass_context
def history_(ctx: click.Context, model: str, store: Location, output: str) -> None:
    """Tell what happened to a model, in order: runs and why they ended, versions, moves of aliases, approvals, stops.

    \b
    Examples:
      driftline history flights --store ./store
      driftline history flights --store ./store -o json | jq 'select(.what | contains("champion"))'
    """
    ports = opened(ctx, store)
    events = history(ports.store, ports.models, model)
    if output == "json":
        for event in events:
            print_json({**msgspec.to_builtins(event), "at": when(event.at_ms)})
        return
    print_table(
        ("at", "by", "what", "detail"),
        [(when(event.at_ms), event.actor, event.what, event.detail) for event in events],
    )


def over(command: click.Command, wiring: Callable[[Places], Wired]) -> click.Command:
    """The same command over another wiring."""
    made = copy.copy(command)
    made.context_settings = {**command.context_settings, "obj": wiring}
    return made


COMMANDS = tuple(over(command, wire) for command in (lineage, history_))


def _line(node: Node) -> str:
    name = node.id
    if node.what is What.RUN and ":" not in name:  # what another system calls a run is not cut
        name = name[:SHORT]
    at = "" if node.at_ms is None else f", {when(node.at_ms)}"
    return f"{node.what} {name}{at}{f': {node.said}' if node.said else ''}"


def _node(node: Node) -> dict[str, object]:
    return {"what": node.what, "id": node.id, "at_ms": node.at_ms, "said": node.said}


def _document(step: Step) -> dict[str, object]:
    return {"depth": step.depth, "why": step.why, **_node(step.node)}
