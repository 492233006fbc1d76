"""`python -m pipelines`: retrain and train without the rest of Driftline."""

from __future__ import annotations

import sys

import click

from pipelines.cli import command as retrain
from pipelines.cli.lineage import COMMANDS
from pipelines.cli.past import command as backtest_policy
from pipelines.cli.train import command as train
from pipelines.errors import PipelineError
from pipelines.exits import FAILED, code_of


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The pipelines of Driftline, alone: everything is in one directory and in files."""


cli.add_command(retrain)
cli.add_command(train)
for command in (*COMMANDS, backtest_policy):
    cli.add_command(command)


def main() -> None:
    """Turns the errors of the pipelines into one sentence and an exit code."""
    try:
        code = cli.main(prog_name="python -m pipelines", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PipelineError as error:
        click.echo(f"driftline: {error}", err=True)
        sys.exit(code_of(error))
    except BrokenPipeError:
        sys.exit(FAILED)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
