"""The command `driftline config acls`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import config_options, load_config, output_option

if TYPE_CHECKING:
    from monitor.adapters.rights import Right
    from monitor.config.types import Config


@click.command("acls")
@config_options
@click.option("--principal", metavar="USER", help="As commands of kafka-acls.sh for this user, as in User:driftline.")
@click.option(
    "--for",
    "of",
    type=click.Choice(["run", "rekey"]),
    default="run",
    show_default=True,
    help="Of which command; `rekey` for every stream that is re-keyed.",
)
@click.option("--create", is_flag=True, help="Let it make its topics itself.")
@click.option(
    "--literal",
    is_flag=True,
    help="Name each topic and group, for a namespace that another one begins with, as `shop` and `shop.eu`.",
)
@output_option
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    principal: str | None,
    of: str,
    create: bool,
    literal: bool,
    output: str,
) -> None:
    """Print the rights that its user needs on the brokers, and no more. Nothing is connected to.

    Topics that are there already need no Create. `rekey` has rights of its own (`--for rekey`). Other commands need less
    than `run`; `produce`, `dlq replay` and `registry publish` write into topics of yours, and need Write there.

    JSON: [{"resource", "name", "pattern", "operations", "why"}], pattern `literal` or `prefixed`.

    \b
    Examples:
      driftline config acls -c driftline.yaml
      driftline config acls -c driftline.yaml --principal User:driftline | sed 's/$/ --bootstrap-server localhost:9092/' | sh
      driftline config acls -c driftline.yaml --for rekey --create
      driftline config acls -c driftline.yaml -o json
    """
    from monitor.adapters.rights import commands
    from monitor.cli.show import print_json

    rights = _rights(load_config(files, overrides), of, create=create, literal=literal)
    if output == "json":
        print_json(
            [
                {
                    "resource": right.resource,
                    "name": right.name,
                    "pattern": "prefixed" if right.prefixed else "literal",
                    "operations": right.operations,
                    "why": right.why,
                }
                for right in rights
            ]
        )
    elif principal is not None:
        for line in commands(rights, principal):
            click.echo(line)
    else:
        for right in rights:
            pattern = "prefixed" if right.prefixed else "literal"
            click.echo(
                f"{right.resource:<6} {right.name:<32} {pattern:<9} {', '.join(right.operations):<24} {right.why}"
            )


def _rights(config: Config, of: str, *, create: bool, literal: bool) -> list[Right]:
    from monitor.adapters.rights import rights_of, rights_to_rekey
    from monitor.config.streams import progress_topic

    if of == "run":
        return rights_of(config, create=create, literal=literal)
    streams = {"predictions": config.streams.predictions, "labels": config.streams.labels}
    copies = {name: held.topic for name, held in streams.items() if held is not None and held.rekey is not None}
    if not copies:
        raise click.UsageError(
            "no stream has `rekey`, so `driftline rekey` has nothing to copy. Where it has: streams.labels.rekey: {from: TOPIC}"
        )
    asked = (rights_to_rekey(config, name, progress_topic(copy), create=create) for name, copy in copies.items())
    return list(dict.fromkeys(right for rights in asked for right in rights))
