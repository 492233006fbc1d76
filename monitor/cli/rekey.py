"""The command `driftline rekey`."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, load_config

if TYPE_CHECKING:
    from monitor.adapters.http import HttpServer
    from monitor.config.streams import LabelStream, PredictionStream
    from monitor.config.types import Config
    from monitor.daemon.rekey import Rekeying, Standing
    from monitor.ports import Log

_SAY_EVERY_MS = 10_000
_PORTS = {"labels": 9188, "predictions": 9189}
"""One process for each stream, on one machine as often as not."""


@click.command("rekey")
@config_options
@embedded_option
@click.option(
    "--stream", type=click.Choice(["predictions", "labels"]), help="Which one, where the configuration re-keys both."
)
@click.option("--until-end", is_flag=True, help="Copy what the topic holds now, then exit.")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Go on where the topic begins now, when it has forgotten records that were not copied.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="Of metrics and probes; 0 picks a free one.  [default: 9188 for labels, 9189 for predictions]",
)
@click.option("--no-http", is_flag=True, help="Do not listen for Prometheus and probes.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="Warnings and errors only; no progress.")
def command(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    stream: str | None,
    until_end: bool,
    accept_loss: bool,
    port: int | None,
    no_http: bool,
    log_format: str,
    quiet: bool,
) -> None:
    """Copy a topic so that each record is in the partition of its id.

    For labels (or predictions) that are keyed by something else than the other stream, or are in another number of
    partitions: `streams.labels.rekey: {from: outcomes}` says which topic, `streams.labels.topic` names the copy, which
    is made with as many partitions as the predictions have. The daemon reads the copy.

    Each record is copied once, across crashes and restarts; value, headers and time stay as they are, and so does the
    order of an id within a partition. The key becomes the id, unless a field is read from the key. Start a second one to
    stand by: one of them copies.

    \b
    Examples:
      driftline rekey -c driftline.yaml
      driftline rekey -c driftline.yaml --until-end
      driftline rekey -c driftline.yaml --stream predictions
    """
    from monitor.adapters.clock import SystemClock
    from monitor.cli.logs import set_up
    from monitor.cli.scan import open_existing
    from monitor.daemon.rekey import Rekeying

    set_up(log_format, "WARNING" if quiet else "INFO")
    config = load_config(files, overrides)
    name, chosen = _chosen(config, stream)
    log = open_existing(config, embedded, read_only=False)
    try:
        log.cluster_id()
        partitions = _partitions(log, config, name)
        clock = SystemClock()
        shown = _Shown(config, name, clock, quiet=quiet)
        copying = Rekeying(
            log, config.namespace, chosen, partitions, _places(chosen), clock,
            until_end=until_end, accept_loss=accept_loss, tell=shown.tell,
        )  # fmt: skip
        if port is None:
            port = 0 if until_end else _PORTS[name]
        server = None if no_http else shown.listen(copying, port)
        caught = _stop_on_signals(copying)
        try:
            copying.run()
        finally:
            if server is not None:
                server.stop()
        shown.end(copying.standing)
        if until_end and not copying.standing.finished and caught:
            sys.exit(128 + caught[0])
    finally:
        log.close()


def _chosen(config: Config, stream: str | None) -> tuple[str, PredictionStream | LabelStream]:
    """The stream that is meant. Raises UsageError where there is none, or more than one."""
    streams = {"predictions": config.streams.predictions, "labels": config.streams.labels}
    found = {name: held for name, held in streams.items() if held is not None and held.rekey is not None}
    if stream is not None:
        if stream not in found:
            raise click.UsageError(f"streams.{stream}.rekey is not configured, so there is nothing to copy")
        return stream, found[stream]
    if not found:
        raise click.UsageError(
            "no stream has `rekey`, so there is nothing to copy. Where labels are not in the partitions of their predictions: "
            "streams.labels.rekey: {from: TOPIC}, and a new name as streams.labels.topic"
        )
    if len(found) > 1:
        raise click.UsageError("both streams have `rekey`: say which with --stream, and start one process for each")
    return next(iter(found.items()))


def _partitions(log: Log, config: Config, name: str) -> int | None:
    """How many the copy has: as many as the topic of the predictions, where that is not the copy itself."""
    if name == "predictions":
        return None
    other = log.topic(config.streams.predictions.topic)
    if other is None:
        from monitor.errors import MonitorError

        raise MonitorError(
            f"there is no topic {config.streams.predictions.topic!r}: the copy has as many partitions as the predictions have. "
            "Create it, or let `driftline rekey --stream predictions` make it first where it is a copy itself."
        )
    return other.partitions


def _places(stream: PredictionStream | LabelStream) -> Any:
    from monitor.adapters.partitioner import crc32_partition, murmur2_partitions

    assert stream.rekey is not None
    if stream.rekey.partitioner == "crc32":
        return lambda keys, n: [crc32_partition(key, n) for key in keys]
    return murmur2_partitions


def _stop_on_signals(copying: Rekeying) -> list[int]:
    """SIGTERM and SIGINT ask it to stop; the number of the one that came."""
    caught: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        caught.append(number)
        copying.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return caught


class _Shown:
    """Progress in the log, and metrics for whoever asks."""

    def __init__(self, config: Config, name: str, clock: Any, *, quiet: bool) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge

        self._clock, self._quiet, self._http = clock, quiet, config.http
        self._log = logging.getLogger("driftline.rekey")
        self._registry = CollectorRegistry()
        labels = {"driftline_namespace": config.namespace, "stream": name}

        def made(kind: Any, family: str, said: str, *more: str) -> Any:
            found = kind(family, said, (*labels, *more), registry=self._registry)
            return found if more else found.labels(**labels)

        self._labels = labels
        self._copied = made(Counter, "driftline_rekey_copied", "Records that were copied since the start.")
        self._unplaced = made(
            Counter, "driftline_rekey_unplaced", "Records of which no id can be read, copied all the same."
        )
        self._known = made(
            Counter, "driftline_rekey_known", "Copies that were there already when they were to be made."
        )
        self._lag = made(Gauge, "driftline_rekey_lag_records", "Records that are not copied yet.", "partition")
        self._newest = made(
            Gauge, "driftline_rekey_newest_timestamp_seconds", "The log's time of the newest copied record."
        )
        self._active = made(Gauge, "driftline_rekey_active", "1 while this process copies, 0 while it stands by.")
        self._before = (0, 0, 0)
        self._said_ms, self._said = clock.monotonic_ms(), 0

    def tell(self, standing: Standing) -> None:
        """Take over where it is; say so every ten seconds."""
        now = (standing.copied, standing.unplaced, standing.known)
        for counter, before, after in zip((self._copied, self._unplaced, self._known), self._before, now, strict=True):
            counter.inc(after - before)
        self._before = now
        for partition, lag in standing.lag.items():
            self._lag.labels(**self._labels, partition=str(partition)).set(lag)
        self._newest.set(standing.newest_ms / 1_000)
        self._active.set(standing.active)
        at = self._clock.monotonic_ms()
        if at - self._said_ms >= _SAY_EVERY_MS:
            rate = 1_000 * (standing.read - self._said) / (at - self._said_ms)
            self._said_ms, self._said = at, standing.read
            if standing.active and not self._quiet:
                self._log.info(
                    "%d copied, %.0f records a second, %d behind", standing.copied, rate, sum(standing.lag.values())
                )

    def end(self, standing: Standing) -> None:
        """What was done."""
        if not self._quiet:
            known = f", {standing.known:,} were there already" if standing.known else ""
            unplaced = f", {standing.unplaced:,} without an id that can be read" if standing.unplaced else ""
            left = sum(standing.lag.values())
            click.echo(f"driftline: {standing.copied:,} records copied{known}{unplaced}, {left:,} behind", err=True)

    def listen(self, copying: Rekeying, port: int) -> HttpServer:
        """Metrics and probes, as the daemon has them."""
        from prometheus_client import exposition
        from prometheus_client.openmetrics import exposition as openmetrics

        from monitor.adapters.exposition import Exposition
        from monitor.adapters.http import HttpServer
        from monitor.adapters.http_answers import Snapshot
        from monitor.adapters.http_token import TokenFile
        from monitor.readiness import Check

        def snapshot() -> Snapshot:
            standing = copying.standing
            text = exposition.generate_latest(self._registry)
            own: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            told = "copies" if standing.active else "stands by"
            checks = (
                Check("log", standing.unanswered is None, standing.unanswered or "answers"),
                Check("copy", True, told),
            )
            return Snapshot(Exposition(text, own, 0, 0), b"{}", checks)

        token = TokenFile(self._http.token_path) if self._http.token_path is not None else None
        age = lambda: self._clock.monotonic_ms() - copying.heartbeat_ms  # noqa: E731
        server = HttpServer(self._http.host, port, snapshot, age, token=token, port_from="--port")
        server.start()
        click.echo(f"driftline: metrics and probes on {server.url}", err=True)
        return server
