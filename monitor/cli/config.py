"""The command `driftline config`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from monitor.cli.common import config_options, load_config, output_option
from monitor.cli.config_acls import command as acls
from monitor.cli.config_history import history
from monitor.cli.exits import GATE

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("config")
def command() -> None:
    """Show the configuration as it is in force, its schema, what differs between two, what a namespace went by, or the rights
    that it needs.

    \b
    Examples:
      driftline config show -c base.yaml -c prod.yaml
      driftline config schema > driftline.schema.json
      driftline config diff old.yaml new.yaml
      driftline config history -c driftline.yaml
      driftline config acls -c driftline.yaml
    """


command.add_command(history)
command.add_command(acls)


@command.command("show")
@config_options
@output_option
def show_config(files: tuple[Path, ...], overrides: tuple[str, ...], output: str) -> None:
    """Print the configuration with all layers applied and every default in full. Secrets are masked.

    JSON is the canonical document: sorted keys, durations in milliseconds, no connection properties that are secret.

    \b
    Examples:
      driftline config show -c driftline.yaml
      driftline config show -c base.yaml -c prod.yaml --set time.horizon=2d -o json | jq .time
    """
    config = load_config(files, overrides)
    if output == "json":
        click.echo(config.document(), nl=not config.document().endswith("\n"))
        return
    from monitor.config.render import render

    click.echo(render(config), nl=False)


@command.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of the configuration, for editors.

    \b
    Example:
      driftline config schema > driftline.schema.json
      # first line of the YAML file, for editors with a YAML language server:
      # yaml-language-server: $schema=driftline.schema.json
    """
    from monitor.config.schema import schema_text

    click.echo(schema_text(), nl=False)


@command.command("diff")
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("--exit-code", is_flag=True, help="End with exit code 3 when anything differs.")
@output_option
def diff_configs(old: Path, new: Path, exit_code: bool, output: str) -> None:
    """Say what differs in meaning between the files OLD and NEW, and when each difference takes effect.

    Spelling and order are no difference. JSON: {"changes": [{"path", "old", "new", "effect"}]}, null for what is not
    there.

    \b
    Examples:
      driftline config diff old.yaml new.yaml
      driftline config diff old.yaml new.yaml --exit-code -o json | jq -r '.changes[].path'
    """
    from monitor.cli.show import note, print_json
    from monitor.config.diff import diff

    changes = diff(load_config((old,), ()), load_config((new,), ()))
    if output == "json":
        fields = ("path", "old", "new", "effect")
        print_json({"changes": [{name: getattr(change, name) for name in fields} for change in changes]})
    else:
        for change in changes:
            click.echo(str(change))
        if not changes:
            note("no difference in meaning")
    if changes and exit_code:
        sys.exit(GATE)
