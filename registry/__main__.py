"""`python -m registry`: the commands of the registry without the rest of Driftline."""

from __future__ import annotations

import sys

import click

from registry.cli import command
from registry.cli.exits import FAILED, code_of
from registry.errors import RegistryError


def main() -> None:
    """Turns the errors of the registry into one sentence and an exit code."""
    try:
        command.main(prog_name="python -m registry", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RegistryError as error:
        click.echo(f"driftline: {error}", err=True)
        sys.exit(code_of(error))
    except BrokenPipeError:
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
