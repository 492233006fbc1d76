"""The command `driftline`: the composition root, the only place that knows every package.

Commands live one family a file and are imported when they are called, so `driftline --help` loads neither SciPy nor a
Kafka client. Where the registry or the pipelines are not installed, their commands are not there.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping

import click

from monitor.cli.exits import INTERRUPTED, report

_ALL = {
    "run": ("monitor.cli.run", "Run the daemon."),
    "check": ("monitor.cli.check", "Check a configuration, and with --live what it connects to."),
    "init": ("monitor.cli.init", "Propose a configuration from two topics or files."),
    "demo": ("monitor.cli.demo", "Play a month of flights, with an incident."),
    "produce": ("monitor.cli.produce", "Send JSON lines into a topic."),
    "rekey": ("monitor.cli.rekey", "Copy a topic so that its records are where the other stream has their ids."),
    "windows": ("monitor.cli.windows", "Show windows and their metrics."),
    "alerts": ("monitor.cli.alerts", "List alerts, or follow them."),
    "explain": ("monitor.cli.explain", "Work out every number of an alert again, from the topics."),
    "dlq": ("monitor.cli.dlq", "List, show or replay dead letters."),
    "ledger": ("monitor.cli.ledger", "Print or audit the ledger."),
    "record": ("monitor.cli.record", "Copy topics to files, verify or show such a recording."),
    "replay": ("monitor.cli.replay", "Run topics again, or prove that a run was what its topics say."),
    "backtest": ("monitor.cli.backtest", "Tell what would have been told, and compare it."),
    "redact": ("monitor.cli.redact", "Take ids out of what is kept, for an erasure request, and prove it."),
    "power": ("monitor.cli.power", "Tell how soon a drop would be seen, with your traffic and budget."),
    "size": ("monitor.cli.size", "Tell what a configuration needs at a rate: memory, ledger, series, recovery."),
    "reference": ("monitor.cli.reference", "Build, show or compare a reference profile."),
    "dataset": ("monitor.cli.dataset", "Keep versions of the rows that models are trained on."),
    "archive": ("monitor.cli.archive", "Keep joined rows that outlive the retention of the topics."),
    "registry": ("monitor.cli.registry", "Keep model versions and the aliases that say which is served."),
    "retrain": ("monitor.cli.retrain", "Retrain a model when its alerts fire, prove it, promote it."),
    "backtest-policy": ("monitor.cli.backtest_policy", "Tell what a policy of retraining would have done."),
    "lineage": ("monitor.cli.lineage", "Tell what an alert, a version or a dataset came from, and led to."),
    "history": ("monitor.cli.history", "Tell what happened to a model, in order."),
    "train": ("monitor.cli.train", "Train a model on this machine, as a run would."),
    "top": ("monitor.cli.top", "Watch a running daemon."),
    "doctor": ("monitor.cli.doctor", "Look at all that may be wrong, and bundle it for who helps."),
    "config": ("monitor.cli.config", "Show the resolved configuration or its schema."),
    "completion": ("monitor.cli.completion", "Print the shell completion script."),
    "version": ("monitor.cli.version", "Print the version."),
}


_NEEDS = {
    "redact": ("pipelines", "registry"),
    "archive": ("pipelines", "registry"),
    "dataset": ("pipelines", "registry"),
    "registry": ("registry",),
    "retrain": ("pipelines", "registry"),
    "backtest-policy": ("pipelines", "registry"),
    "lineage": ("pipelines", "registry"),
    "history": ("pipelines", "registry"),
    "train": ("pipelines", "registry"),
}


def commands(needs: Mapping[str, tuple[str, ...]] = _NEEDS) -> dict[str, tuple[str, str]]:
    """The commands that can be used here, in the order of the table."""
    absent = {name for names in needs.values() for name in names if importlib.util.find_spec(name) is None}
    return {name: told for name, told in _ALL.items() if not absent & set(needs.get(name, ()))}


_COMMANDS = commands()


class LazyGroup(click.Group):
    """A group whose commands are modules with a `command`, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command."""
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a word that is no command."""
        from monitor.config.suggest import hint

        if args and args[0] in _ALL and args[0] not in _COMMANDS:
            needed = " and ".join(_NEEDS[args[0]])
            ctx.fail(f"the command {args[0]!r} needs {needed} beside the monitor; install the whole of Driftline")
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}{hint(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, self._with_new_flags(ctx, args))

    def _with_new_flags(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments with the names that flags have now; those that were named otherwise are told, or refused."""
        from monitor.cli import renamed

        args, found = renamed.with_new_flags(args, renamed.RENAMED_FLAGS)
        for flag in found:
            if not flag.accepted:
                ctx.fail(str(flag))
            click.echo(f"driftline: {flag}", err=True)
        return args

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table itself: no command is imported to print it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="driftline", prog_name="driftline", message="%(prog)s %(version)s")
def cli() -> None:
    """Driftline tells you, while it happens, whether the models you run in production are still right.

    \b
    Try it now, without a broker:
      driftline demo
    On your own topics:
      driftline init --bootstrap localhost:9092 --from-topic predictions --labels labels > driftline.yaml
      driftline check -c driftline.yaml --live
      driftline run -c driftline.yaml

    Exit codes: 0 fine, 1 failed, 2 usage, 3 a gate said no, 69 server unreachable, 75 not yet, 78 bad config, 130 interrupted.
    """


def main(name: str | None = None) -> None:
    """The console script, and under another name `python -m monitor`. Turns the errors of this project into one sentence and an
    exit code."""
    try:
        code = cli.main(standalone_mode=False, prog_name=name)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001  # `report` raises what is not ours
        sys.exit(report(error))
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
