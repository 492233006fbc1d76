"""The command `driftline backtest`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option, processes_option
from monitor.cli.ranges import BOUND_HELP

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.ports import Log


@click.command("backtest")
@config_options
@embedded_option
@click.option(
    "--recording",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read this recording (`driftline record`) instead of live topics.",
)
@click.option("--from", "starts", multiple=True, metavar="BOUND", help=BOUND_HELP)
@click.option("--until", "ends", multiple=True, metavar="BOUND", help="Likewise, the first that is left out.")
@click.option(
    "--against",
    "others",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Another configuration over the same records, to be compared with; repeat it to layer files.",
)
@click.option("--against-set", "other_overrides", multiple=True, metavar="KEY=VALUE", help="--set of the other one.")
@click.option(
    "--versions",
    nargs=2,
    metavar="OLD NEW",
    help="Compare what is told of two versions of the models that answered these records.",
)
@click.option(
    "--incidents",
    "known",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What is known to have gone wrong (YAML or JSON): alerts are scored against it.",
)
@click.option(
    "--sweep", "sweeps", multiple=True, metavar="KEY=V1,V2", help="Judge with each of these values of a rule."
)
@click.option("--fail-on", "gates", multiple=True, metavar="GATE", help="Exit with 3 if this holds, e.g. 'pages > 3'.")
@click.option(
    "--min-rows",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Rows that the metric of a gate must rest on: smaller windows are not judged.",
)
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), help="Leave files here.")
@click.option(
    "--report",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write a page that needs nothing else, and beside it FILE.json and FILE.openmetrics.",
)
@click.option("--show-values", is_flag=True, help="Let the report name categories and edges of features.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the backtest in --to DIR if one was interrupted there; begin it if there is none.",
)
@processes_option
@output_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    recording: Path | None,
    starts: tuple[str, ...],
    ends: tuple[str, ...],
    others: tuple[Path, ...],
    other_overrides: tuple[str, ...],
    versions: tuple[str, str] | None,
    known: Path | None,
    sweeps: tuple[str, ...],
    gates: tuple[str, ...],
    min_rows: int,
    directory: Path | None,
    page: Path | None,
    show_values: bool,
    resume: bool,
    processes: int | None,
    output: str,
    quiet: bool,
) -> None:
    """What would have been told, by the engine of production, over records that are there already.

    Alerts with their times, the difference to another configuration (--against) or between two versions of the models
    (--versions), to known incidents (--incidents: delay, lead time, misses, false alarms) and to other values of rules
    (--sweep: records are read and joined once). Gates (--fail-on) are counts (alerts, pages, tickets, amended, missed,
    false_alarms, delay_hours) or metrics of final windows on --min-rows rows (recall@1d); one that holds ends the command
    with 3. Nothing is written but into --to and beside --report.

    \b
    Examples:
      driftline backtest -c driftline.yaml
      driftline backtest -c driftline.yaml --against stricter.yaml --report compared.html
      driftline backtest -c driftline.yaml --incidents incidents.yaml --fail-on 'missed > 0' --fail-on 'pages > 3'
      driftline backtest -c driftline.yaml --sweep rules.low-recall.threshold=0.6,0.65,0.7 --incidents incidents.yaml
      driftline backtest -c driftline.yaml --against-set models.fraud.reference=february.json
      driftline backtest -c driftline.yaml --versions 7 8
    """
    from monitor.cli import backtest_run
    from monitor.cli.logs import set_up
    from monitor.cli.replay_processes import origin_of

    set_up("text", "WARNING")
    inputs = [path for path in (*files, *others, known, directory) if path is not None]
    _refuse_what_does_not_go_together(directory, page, inputs, resume=resume, show_values=show_values)
    config, other = _config(files, overrides), _other(files, others, other_overrides, versions)
    again = embedded, recording, processes
    origin, theirs = origin_of(files, overrides, *again), origin_of(others or files, other_overrides, *again)
    wanted = backtest_run.Wanted(
        starts, ends, resume, output, quiet, kept=directory is not None, what="backtest", origin=origin
    )
    incidents = backtest_run.incidents_in(known, [config] if other is None else [config, other])
    variants = backtest_run.variants_of(files, overrides, sweeps, config)
    conditions = backtest_run.gates_of(gates, config, scored=known is not None)
    asked = backtest_run.Asked(
        config, other, incidents, variants, conditions, page, show_values, versions, theirs, min_rows
    )
    with closing(_source(config, recording, embedded)) as source:
        backtest_run.run(source, asked, directory, wanted)


def _config(files: tuple[Path, ...], overrides: tuple[str, ...]) -> Config:
    """The configuration. Raises ConfigError, which names --sweep where --set was given its values."""
    from monitor.cli.backtest_checks import hint_at_against
    from monitor.errors import ConfigError

    try:
        config = load_config(files, overrides)
    except ConfigError as error:
        several = {f"--set {key}:" for key, _, values in (o.partition("=") for o in overrides) if "," in values}
        problems = [
            f"{told}; several values of a rule are for --sweep" if any(map(told.startswith, several)) else told
            for told in error.problems
        ]
        raise ConfigError(problems) from None
    hint_at_against(files)
    return config


def _other(
    files: tuple[Path, ...], others: tuple[Path, ...], overrides: tuple[str, ...], versions: tuple[str, str] | None
) -> Config | None:
    """The configuration to compare with, if one was asked for. Raises UsageError for --versions that do not go with it."""
    from monitor.cli.backtest_checks import refuse_versions

    refuse_versions(versions, with_another=bool(others or overrides))
    return load_config(others or files, overrides) if others or overrides else None


def _refuse_what_does_not_go_together(
    directory: Path | None, page: Path | None, inputs: list[Path], *, resume: bool, show_values: bool
) -> None:
    from monitor.cli.report.write import refuse_what_is_read

    if resume and directory is None:
        raise click.UsageError("--resume needs --to DIR: nothing else is kept")
    if show_values and page is None:
        raise click.UsageError("--show-values says what the report shows: give --report FILE.html")
    if page is not None:
        refuse_what_is_read(inputs, page)


def _source(config: Config, recording: Path | None, embedded: Path | None) -> Log:
    from monitor.cli.scan import open_existing

    if recording is not None and embedded is not None:
        raise click.UsageError("--recording and --embedded both say what is run again: give one of them")
    if recording is None:
        return open_existing(config, embedded, read_only=True)
    from monitor.adapters.recording import RecordedLog

    return RecordedLog(recording)
