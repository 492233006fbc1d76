"""The command `driftline config acls`."""

from __future__ import annotations

from pathlib import Path

import click

from monitor.cli.common import config_options, load_config, output_option


@click.command("acls")
@config_options
@click.option("--principal", metavar="USER", help="As commands of kafka-acls.sh for this user, as in User:driftline.")
@click.option("--create", is_flag=True, help="Let it make its topics itself.")
@click.option(
    "--literal",
    is_flag=True,
    help="Name each topic and group, for a namespace that another one begins with, as `shop` and `shop.eu`.",
)
@output_option
def command(
    files: tuple[Path, ...], overrides: tuple[str, ...], principal: str | None, create: bool, literal: bool, output: str
) -> None:
    """Print the rights that its user needs on the brokers, and no more. Nothing is connected to.

    Topics that are there already need no Create. Commands other than `run` need less; `produce`, `dlq replay` and `registry
    publish` write into topics of yours, and need Write there.

    JSON: [{"resource", "name", "pattern", "operations", "why"}], pattern `literal` or `prefixed`.

    \b
    Examples:
      driftline config acls -c driftline.yaml
      driftline config acls -c driftline.yaml --principal User:driftline | sed 's/$/ --bootstrap-server localhost:9092/' | sh
      driftline config acls -c driftline.yaml -o json
    """
    from monitor.adapters.rights import commands, rights_of
    from monitor.cli.show import print_json

    rights = rights_of(load_config(files, overrides), create=create, literal=literal)
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
