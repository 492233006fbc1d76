"""The command `driftline replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option, processes_option
from monitor.cli.ranges import BOUND_HELP

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.ports import Log


@click.command("replay")
@config_options
@embedded_option
@click.option(
    "--recording",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Read this recording (`driftline record`) instead of live topics.",
)
@click.option("--verify", is_flag=True, help="Prove that the recorded run of the namespace is what its topics say.")
@click.option("--without-decisions", is_flag=True, help="With --verify: run again, compare final windows and alerts.")
@click.option("--to", "directory", type=click.Path(path_type=Path, file_okay=False), help="Leave files here.")
@click.option("--to-topics", is_flag=True, help="Publish to the topics of --namespace, which must be one of its own.")
@click.option("--namespace", metavar="NAME", help="With --to-topics: prefix of the replay's own topics.")
@click.option("--from", "starts", multiple=True, metavar="BOUND", help=f"{BOUND_HELP} With --verify a time, or held.")
@click.option("--until", "ends", multiple=True, metavar="BOUND", help="Likewise, the first that is left out.")
@click.option("--resume", is_flag=True, help="Go on with a replay to files or topics that was interrupted.")
@processes_option
@output_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    recording: Path | None,
    verify: bool,
    without_decisions: bool,
    directory: Path | None,
    to_topics: bool,
    namespace: str | None,
    starts: tuple[str, ...],
    ends: tuple[str, ...],
    resume: bool,
    processes: int | None,
    output: str,
    quiet: bool,
) -> None:
    """Run the production engine again over topics that are there already: to the end, then everything is settled.

    Without --to or --to-topics nothing is kept but the summary. Live topics are never written to. With --verify the
    commits, evaluations, windows and alerts that a live run recorded are made again and compared byte by byte; exit code
    3 when something differs, and what differs first is named.

    \b
    Examples:
      driftline replay -c driftline.yaml --verify
      driftline replay -c driftline.yaml --recording monday --verify -o json
      driftline replay -c driftline.yaml --to out --from 2013-01-07 --until 2013-01-08
      driftline replay -c changed.yaml --embedded ./data --to-topics --namespace what-if
    """
    from monitor.cli import replay_run, replay_verify
    from monitor.cli.logs import set_up
    from monitor.cli.replay_processes import origin_of

    _refuse_mixtures(verify, without_decisions, directory, to_topics, namespace, ends, resume)
    if processes is not None and (verify or to_topics):
        raise click.UsageError("--processes is for a replay into files, or into nothing")
    set_up("text", "WARNING")
    config = load_config(files, overrides)
    source = _source(config, embedded, recording, read_only=not to_topics)
    try:
        if verify:
            replay_verify.run(source, config, without_decisions, starts, output, quiet=quiet)
            return
        origin = origin_of(files, overrides, embedded, recording, processes)
        plan = replay_run.Wanted(starts, ends, resume, output, quiet, origin=origin)
        if to_topics:
            assert namespace is not None
            target = source if recording is None else _target(config, embedded)
            try:
                replay_run.to_topics(source, target, config, namespace, plan)
            finally:
                target.close()
        else:
            replay_run.to_files(source, config, directory, plan)
    finally:
        source.close()


def _refuse_mixtures(
    verify: bool,
    without_decisions: bool,
    directory: Path | None,
    to_topics: bool,
    namespace: str | None,
    ends: tuple[str, ...],
    resume: bool,
) -> None:
    import re

    from monitor.config.base import TOPIC_PATTERN

    if verify and (directory is not None or to_topics or ends or resume):
        raise click.UsageError("--verify compares a whole recorded run and keeps nothing: no --to, --until, --resume")
    if without_decisions and not verify:
        raise click.UsageError("--without-decisions says how --verify compares; any other replay decides anew")
    if directory is not None and to_topics:
        raise click.UsageError("say either --to DIR or --to-topics")
    if to_topics != (namespace is not None):
        raise click.UsageError("--to-topics and --namespace NAME belong together")
    if namespace is not None and not (len(namespace) <= 200 and re.match(TOPIC_PATTERN, namespace)):
        raise click.UsageError(
            f"--namespace {namespace!r} names no topics; allowed are at most 200 letters, digits, '.', '_' and '-'"
        )
    if resume and directory is None and not to_topics:
        raise click.UsageError("--resume needs --to DIR or --to-topics: nothing else is kept")


def _source(config: Config, embedded: Path | None, recording: Path | None, *, read_only: bool) -> Log:
    from monitor.cli.scan import open_existing

    if recording is None:
        return open_existing(config, embedded, read_only=read_only)
    from monitor.adapters.recording import RecordedLog

    return RecordedLog(recording)


def _target(config: Config, embedded: Path | None) -> Log:
    from monitor.cli.common import open_embedded, open_log

    return open_log(config) if embedded is None else open_embedded(embedded)
