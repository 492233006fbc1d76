"""The command `driftline run`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

import click

from monitor.cli.common import config_options, embedded_option, load_config

if TYPE_CHECKING:
    from monitor.cli.observer import Observer
    from monitor.config.types import Config
    from monitor.daemon.reload import ConfigSource
    from monitor.daemon.worker import Worker
    from monitor.evaluator import TickOutput
    from monitor.ports import Log, SegmentStore, SnapshotStore


@click.command("run")
@config_options
@embedded_option
@click.option(
    "--until-end",
    is_flag=True,
    help="Read to the end of both topics as they are now, settle everything, exit. Listens on a free port unless http.port "
    "is set.",
)
@click.option("--no-http", is_flag=True, help="Do not listen for Prometheus and probes.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="More log lines.")
@click.option("-q", "--quiet", is_flag=True, help="Warnings and errors only; no progress.")
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    until_end: bool,
    no_http: bool,
    log_format: str,
    verbose: bool,
    quiet: bool,
) -> None:
    """Run the daemon: join, count, evaluate, alert, until it is stopped.

    SIGTERM and Ctrl-C finish what is in hand and stop within 20 seconds; what was not committed is read again at the
    next start. Start it as often as there are partitions: the processes share the work.

    SIGHUP, and a change of the files, has the configuration read again: rules and labels may change while it runs.

    \b
    Examples:
      driftline run -c driftline.yaml
      driftline run -c driftline.yaml --embedded ./data
      driftline run -c driftline.yaml --until-end
      driftline run -c base.yaml -c prod.yaml --set http.port=0
    """
    from monitor.adapters.config_files import ConfigFiles
    from monitor.cli.logs import set_up
    from monitor.cli.scan import open_existing

    set_up(log_format, "WARNING" if quiet else "DEBUG" if verbose else "INFO")
    source = ConfigFiles(files, overrides, os.environ)
    found = source.fingerprint()  # before it is read: what changes in between is seen
    config = load_config(files, overrides, tell=logging.getLogger("driftline.config").warning)
    log = open_existing(config, embedded, read_only=False)
    try:
        log.cluster_id()  # a log that is not there is said before anything is listened on
        run(config, log, (source, found), until_end=until_end, http=not no_http, progress=until_end and not quiet)
    finally:
        log.close()


def run(
    config: Config, log: Log, source: tuple[ConfigSource, bytes], *, until_end: bool, http: bool, progress: bool
) -> None:
    """Run a worker in this process, with signals, listener and progress. Returns when it was stopped or has settled.

    `source`: where the configuration is read again, and the fingerprint that it had before it was read first."""
    from monitor.adapters import dead_letters
    from monitor.adapters.allocator import keep_freed_memory
    from monitor.adapters.clock import SystemClock
    from monitor.cli.alert_lines import AlertLines
    from monitor.cli.observer import Observer, base_view
    from monitor.cli.progress import RunProgress
    from monitor.cli.version import release
    from monitor.daemon.counted import counted
    from monitor.daemon.reload import Reloads
    from monitor.daemon.worker import Worker, WorkerOptions
    from monitor.plan import plan_of

    keep_freed_memory()
    clock, by = SystemClock(), counted(log, config, plan_of(config))
    observer = Observer(by.plan, base_view(config, release(), clock.now_ms()), clock)
    reloads = Reloads(*source, clock)
    bar, lines = RunProgress() if progress else None, AlertLines(clock, config.topics().alerts)

    def on_tick(output: TickOutput) -> None:
        observer.on_tick(output)
        if worker.judge is None:
            lines.tell_opening(output)
        else:
            lines.tell(output.events)

    def tell(worker: Worker) -> None:
        observer.tell(worker)
        if worker.judge is not None:
            lines.opened(worker.judge)
        if bar is not None:
            bar.show(worker)

    options = WorkerOptions(until_end=until_end)
    with ExitStack() as closing:
        segments = _segments(config, closing)
        kept = segments, _snapshots(config, log)
        worker = Worker(log, config, by.plan, clock, dead_letters, options, on_tick, tell, *kept, reloads, by)
        observer.show_start()
        signals = closing.enter_context(Signals(worker))
        closing.enter_context(_Listener(config, observer, http, passing=until_end))
        worker.run()
    lines.sum_up()
    if bar is not None:
        bar.close(worker, published=observer.published)
    if until_end and not worker.finished and signals.number:
        name = signal.Signals(signals.number).name
        click.echo(f"driftline: {name} came before the end was reached; run it again to go on from here", err=True)
        sys.exit(128 + signals.number)  # as a shell would say it: a script must not take this for a run to the end


def _segments(config: Config, closing: ExitStack) -> SegmentStore | None:
    """Where rows go that do not stay in memory; None where all do. Raises SpillRefused when nothing can be written there."""
    state = config.state
    if state.memory_rows is None or state.directory is None:
        return None
    from monitor.adapters.segments import SegmentDirectory

    segments = SegmentDirectory(Path(state.directory))
    closing.callback(segments.close)
    return segments


def _snapshots(config: Config, log: Log) -> SnapshotStore | None:
    """Where joins are saved; None where they are not."""
    if config.state.snapshots is None:
        return None
    if config.state.snapshots == "topic":
        from monitor.adapters.snapshot_topic import SnapshotTopic

        return SnapshotTopic(log, config.namespace)
    from monitor.adapters.snapshot_objects import SnapshotObjects, is_address
    from monitor.adapters.snapshots import SnapshotDirectory

    kept: SnapshotDirectory | SnapshotObjects
    if is_address(config.state.snapshots):
        kept = SnapshotObjects(config.state.snapshots, config.namespace)
    else:
        kept = SnapshotDirectory(Path(config.state.snapshots), config.namespace)
    if problem := kept.problem():
        # No reason not to start: no number depends on a snapshot. But a start without one reads the sources again.
        logging.getLogger("driftline.snapshots").warning(
            "no snapshot can be written (state.snapshots): %s. Make it a place that this process may write to; until "
            "then each start reads its predictions again",
            problem,
        )
    return kept


class Signals:
    """SIGTERM and SIGINT ask the worker to stop, SIGHUP to read its configuration again. The handlers set a flag and nothing
    else: an exception raised in one would throw away records that the client has already handed over."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.number = 0
        """The signal that came, 0 while none did."""

    def __enter__(self) -> Self:
        self._before = {s: signal.signal(s, self._on_signal) for s in (signal.SIGTERM, signal.SIGINT)}
        if self._worker.reloads is not None:  # a replay has nothing to read again: a closed terminal ends it
            self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._on_reload)
        return self

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        if self._worker.reloads is not None:
            self._worker.reloads.ask()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._worker.stop()

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class _Listener:
    """The HTTP listener for as long as the worker runs. A run that is `passing` (to the end of a recording) listens on a free
    port unless the configuration names one: the default may be that of a daemon beside it."""

    def __init__(self, config: Config, observer: Observer, wanted: bool, *, passing: bool) -> None:
        self._config, self._observer, self._wanted, self._passing = config, observer, wanted, passing

    def __enter__(self) -> None:
        self._server = None
        if not self._wanted:
            return
        from monitor.adapters.http import HttpServer
        from monitor.adapters.http_token import TokenFile

        http, observer = self._config.http, self._observer
        token = TokenFile(http.token_path) if http.token_path is not None else None
        port = 0 if self._passing and "port" not in http.model_fields_set else http.port
        self._server = HttpServer(http.host, port, lambda: observer.snapshot, observer.heartbeat_age_ms, token=token)
        self._server.start()
        click.echo(f"driftline: metrics and probes on {self._server.url}, the page on {self._server.url}/ui/", err=True)
        if self._server.reached_by_all:
            said = f"whoever reaches {self._server.url} may read there; http.token_file asks them for a token"
            click.echo(f"driftline: {said}", err=True)

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()
