"""The command `driftline completion`."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      source <(driftline completion bash)
      driftline completion zsh > "${fpath[1]}/_driftline"
      driftline completion fish > ~/.config/fish/completions/driftline.fish
    """
    from click.shell_completion import get_completion_class

    from monitor.cli.app import cli

    made = get_completion_class(shell)
    assert made is not None, "click knows the three shells of the choice"
    complete = made(cli, {}, "driftline", "_DRIFTLINE_COMPLETE")
    # `source` of bash starts a bash to ask for its version, which the script itself does not need.
    click.echo(complete.source_template % complete.source_vars())
