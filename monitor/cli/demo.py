"""The command `driftline demo`."""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Group

    from monitor.cli.observer import Observer
    from monitor.config.types import Config
    from monitor.daemon.worker import Worker
    from monitor.demo import Sent
    from monitor.evaluator import TickOutput
    from monitor.ports import Appender, Log

_LINE_EVERY_S = 3.0
_SHOW_EVERY_S = 0.25
_HOUR_MS = 3_600_000


@click.command("demo")
@click.option(
    "--incident", default="bad-release", show_default=True, type=click.Choice(["bad-release", "quality", "none"])
)
@click.option(
    "--speed",
    default=12,
    show_default=True,
    type=click.IntRange(1, 1_000),
    help="Hours of flights played in a second.",
)
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the embedded log in this directory."
)
def command(incident: str, speed: int, keep: Path | None) -> None:
    """Play January 2013's flights out of New York as two topics, and watch a model being watched.

    A model says at departure whether a flight will be late; the truth comes when it lands. From the tenth day on, for three
    days, an upstream release breaks an input: bad-release sends a wrong hour, and the truth shows it; quality sends kilometres
    for miles and no carrier, and the data shows it before any truth. Nothing else needs to run: the log is a temporary file.
    Without a terminal it prints a line now and then, and alerts as JSON lines on standard output.

    \b
    Examples:
      driftline demo
      driftline demo --incident quality
      driftline demo --incident none
      driftline demo --speed 48 | jq .data.summary
    """
    from monitor.adapters.embedded import EmbeddedLog
    from monitor.cli.logs import set_up

    set_up("text", "WARNING")
    with tempfile.TemporaryDirectory(prefix="driftline-demo-") as temporary:
        log = EmbeddedLog(keep or Path(temporary))
        try:
            _Demo(log, incident, speed).run()
        finally:
            log.close()


def demo_config() -> Config:
    """The demo's configuration, as shipped."""
    from monitor.config import load

    data = files("monitor.demo")
    return load([Path(str(data / "flights.yaml")), Path(str(data / "demo.yaml"))])


class _Demo:
    """Feeds the script from inside the worker's loop, and shows what the worker knows."""

    def __init__(self, log: Log, incident: str, speed: int) -> None:
        from monitor.demo import FIRST_MS, INCIDENTS, script
        from monitor.ports import TopicSpec

        self._log, self._speed = log, speed
        self._config = demo_config()
        streams = self._config.streams
        assert streams.labels is not None
        self._topics = {"predictions": streams.predictions.topic, "labels": streams.labels.topic}
        for topic in self._topics.values():
            log.ensure(TopicSpec(topic, 2))
        self._script: Iterator[Sent] = script(_lines("predictions"), _lines("labels"), INCIDENTS[incident])
        self._next: Sent | None = next(self._script, None)
        self._now_ms = FIRST_MS
        self._appender: Appender
        self._screen = _Screen(self._config)
        self._began = 0.0
        self._done = False

    def run(self) -> None:
        """Play, settle, say what happened."""
        from monitor.adapters import dead_letters
        from monitor.adapters.clock import SystemClock
        from monitor.cli.observer import Observer, base_view
        from monitor.cli.run import Signals
        from monitor.cli.version import release
        from monitor.daemon.worker import Worker, WorkerOptions
        from monitor.plan import plan_of

        clock, plan = SystemClock(), plan_of(self._config)
        observer = Observer(plan, base_view(self._config, release(), clock.now_ms()), clock)

        def on_tick(output: TickOutput) -> None:
            observer.on_tick(output)
            self._screen.on_events(output.events)

        def tell(worker: Worker) -> None:
            self._feed(worker)
            observer.tell(worker)
            self._screen.show(observer, self._now_ms)

        self._appender = self._log.appender()
        worker = Worker(self._log, self._config, plan, clock, dead_letters, WorkerOptions(), on_tick, tell)
        self._began = time.monotonic()
        try:
            with Signals(worker), self._screen:
                worker.run()
                observer.refresh(worker)
        finally:
            self._appender.close()
        self._screen.close(observer, worker)

    def _feed(self, worker: Worker) -> None:
        """Send everything that has happened by now, `speed` hours a second."""
        from monitor.demo import FIRST_MS, LAST_LABEL_MS

        played_ms = int((time.monotonic() - self._began) * self._speed * _HOUR_MS)
        self._now_ms = min(FIRST_MS + played_ms, LAST_LABEL_MS)
        if self._done:
            return
        from monitor.ports import OutRecord

        while self._next is not None and self._next.at_ms <= self._now_ms:
            record = self._next
            self._appender.send(self._topics[record.stream], OutRecord(record.value, record.key))
            self._next = next(self._script, None)
        self._appender.flush(10_000)
        if self._next is None:
            self._done = True
            worker.end_when_read()


def _lines(name: str) -> Iterator[bytes]:
    with (files("monitor.demo") / "flights" / f"{name}.jsonl.gz").open("rb") as raw, gzip.open(raw) as stream:
        for line in stream:
            yield line.rstrip(b"\n")


class _Screen:
    """A live table on a terminal; lines and JSON everywhere else."""

    def __init__(self, config: Config) -> None:
        from rich.console import Console
        from rich.live import Live

        self._people = sys.stdout.isatty()
        self._console = Console() if self._people else Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._people else None
        self._due = 0.0
        self._said: list[str] = []
        self._window = config.windows[0].name
        self.fired = 0

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def on_events(self, events: object) -> None:
        """Alerts: JSON lines for machines, a list under the table for people."""
        from monitor.alerts import cloudevents
        from monitor.alerts.event import AlertEvent

        assert isinstance(events, list)
        for event in events:
            assert isinstance(event, AlertEvent)
            self.fired += event.type.endswith("firing.v1")
            if self._people:
                self._said.append(f"{event.time}  {event.data.summary}")
            else:
                click.echo(cloudevents.encode(event))

    def show(self, observer: Observer, now_ms: int) -> None:
        """Refresh when it is due."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (_SHOW_EVERY_S if self._people else _LINE_EVERY_S)
        if self._live is not None:
            self._live.update(self._picture(observer, now_ms), refresh=True)
        elif (line := self._line(observer, now_ms)) is not None:
            print(line, file=sys.stderr, flush=True)

    def _picture(self, observer: Observer, now_ms: int) -> Group:
        from rich.console import Group
        from rich.table import Table

        table = Table("day", "rows", "labelled", "accuracy", "recall", "psi:hour", title=_day(now_ms), expand=True)
        for row in self._rows(observer):
            table.add_row(*row)
        return Group(table, *self._said[-6:])

    def _rows(self, observer: Observer) -> list[tuple[str, ...]]:
        from monitor.windows.view import Kind

        drift = {v.key.start_ms: v for v in observer.recent(self._window, Kind.INPUT)}
        rows: list[tuple[str, ...]] = []
        for view in observer.recent(self._window, Kind.PERFORMANCE):
            beside = drift.get(view.key.start_ms)
            psi = beside.metrics.get("psi:hour") if beside else None
            rows.append(
                (
                    f"{_date(view.key.start_ms)}{' final' if view.final else ''}",
                    str(view.seen),
                    "-" if view.coverage is None else f"{100 * view.coverage:.0f} %",
                    _metric(view.metrics["accuracy"]),
                    _metric(view.metrics["recall"]),
                    "-" if psi is None else _metric(psi),
                )
            )
        return rows

    def _line(self, observer: Observer, now_ms: int) -> str | None:
        rows = self._rows(observer)
        if not rows:
            return f"driftline: {_day(now_ms)}  no window yet"
        said = [
            f"{window}: {seen} predictions, {labelled} labelled, accuracy {accuracy}, psi:hour {psi}"
            for window, seen, labelled, accuracy, _, psi in rows[-2:]
        ]
        return f"driftline: {_day(now_ms)} | " + " | ".join(said)

    def close(self, observer: Observer, worker: Worker) -> None:
        """What happened, in a line."""
        read = sum(worker.statistics.consumed.values())
        print(
            f"driftline: {read} records joined, {observer.view.counters.windows_published} revisions of windows, "
            f"{self.fired} alerts fired, {len(observer.view.alerts)} still open",
            file=sys.stderr,
        )


def _metric(estimate: object) -> str:
    from monitor.windows.view import Estimate

    assert isinstance(estimate, Estimate)
    if estimate.value is None:
        return f"- ({estimate.undefined})"
    if estimate.lower is None or estimate.upper is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.lower:.3f}, {estimate.upper:.3f}]"


def _date(at_ms: int) -> str:
    return time.strftime("%d %b", time.gmtime(at_ms / 1000))


def _day(at_ms: int) -> str:
    return time.strftime("%d %b %Hh", time.gmtime(at_ms / 1000))
