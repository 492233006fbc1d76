"""The command `driftline demo`."""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.console import Group

    from monitor.cli.demo_loop import Loop, PlayClock
    from monitor.cli.observer import Observer
    from monitor.config.types import Config
    from monitor.daemon.worker import Worker
    from monitor.demo.incidents import Incident
    from monitor.evaluator import TickOutput
    from monitor.ports import Log

_LINE_EVERY_S = 3.0
_SHOW_EVERY_S = 0.25
_FILES = ("demo.yaml", "watch.yaml", "retrain.yaml", "flights.reference.json")


@click.command("demo")
@click.option(
    "--incident",
    default="concept-change",
    show_default=True,
    type=click.Choice(["concept-change", "quality", "none", "unit-bug", "stalled-labels", "slice", "harmless"]),
    help="The world changes; upstream breaks the data for three days; nothing. The others only with dealt flights, see below.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Deal what happened anew over all flights, and only watch; decides when and where the incident strikes. "
    "Default: none, or 1 with unit-bug, stalled-labels, slice and harmless.",
)
@click.option(
    "--speed",
    default=12,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Hours of flights played in a second.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep log, models and configuration in this directory.",
)
@click.option("--no-retraining", is_flag=True, help="Only watch.")
def command(incident: str, seed: int | None, speed: int, keep: Path | None, no_retraining: bool) -> None:
    """Play the flights out of New York of January and February 2013, and watch a model being watched, and replaced.

    January is history: the first model learns from it. From February on a model says at departure whether a flight will be
    late; the truth comes when it lands. On the fifth day the world changes: an alert pages, a challenger is trained, proves
    itself on later flights, is approved, promoted and served, and the alert resolves. Nothing else needs to run: the log is
    a temporary file. Without a terminal it prints a line now and then, and alerts as JSON lines on standard output.

    With `--incident quality` an upstream release sends kilometres for miles and no carrier, which the data shows before any
    truth: two pages name the features, and nothing is trained on it.

    Scripted incidents are watched, not mended: what happened is dealt anew over all flights by --seed, so that nothing but the
    incident changes, and a budget of false alarms tells what does. `unit-bug`: kilometres for miles in one feature, a page that
    names it. `stalled-labels`: for three days hardly a label, one ticket and no page. `slice`: one airport changes, one page that
    names it and since when. `harmless`: another mix of carriers, no page. `none`: silence.

    \b
    Examples:
      driftline demo
      driftline demo --incident quality
      driftline demo --incident slice --seed 7
      driftline demo --incident none
      driftline demo --speed 48 | jq .data.summary
    """
    from monitor.cli.logs import set_up
    from monitor.demo import INCIDENTS
    from monitor.demo.scripted import SCRIPTED

    if seed is None and incident not in INCIDENTS:
        seed = 1
    if seed is not None and incident not in SCRIPTED:
        raise click.UsageError(
            f"--seed goes with one of {', '.join(SCRIPTED)}; {incident} is played over the flights as they were"
        )
    chosen = INCIDENTS[incident] if seed is None else SCRIPTED[incident](seed)
    set_up("text", "WARNING")
    with tempfile.TemporaryDirectory(prefix="driftline-demo-") as temporary:
        play(chosen, speed, keep or Path(temporary), retrain=not no_retraining and seed is None, seed=seed)


def play(incident: Incident, speed: int, folder: Path, *, retrain: bool = True, seed: int | None = None) -> Loop | None:
    """Play it once, in a folder that then holds the log, the models and the configuration. What was retrained is returned. With
    a seed what happened is dealt anew over the flights."""
    from monitor.adapters.embedded import EmbeddedLog
    from monitor.cli import demo_loop
    from monitor.config import load
    from monitor.demo import FIRST_MS

    _prepare(folder)
    if retrain and (remedy := demo_loop.missing()) is not None:
        print(f"driftline: nothing is retrained: some libraries are not installed. {remedy}", file=sys.stderr)
        retrain = False
    clock = demo_loop.PlayClock(FIRST_MS)
    log = EmbeddedLog(folder)
    try:
        config = load([folder / name for name in _FILES[: 1 if retrain else 2]])
        with ExitStack() as stack:
            screen = stack.enter_context(_Screen(config))
            loop = stack.enter_context(demo_loop.Loop(folder, clock, screen.say)) if retrain else None
            _Demo(log, config, incident, speed, clock, loop, screen, seed).run()
        return loop
    finally:
        log.close()


def _prepare(folder: Path) -> None:
    """Put the configuration there. Raises UsageError for a folder that cannot be had, or that a demo was played in before."""
    if (folder / "log.db").exists():
        raise click.UsageError(
            f"{str(folder)!r} already holds the log of a demo; name another directory, or remove this one."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            (folder / name).write_bytes((files("monitor.demo") / name).read_bytes())
    except OSError as error:
        raise click.UsageError(f"nothing can be kept in {str(folder)!r}: {error}; name another directory.") from error


class _Demo:
    """Runs the worker with the play inside its loop, and shows what the worker knows."""

    def __init__(
        self,
        log: Log,
        config: Config,
        incident: Incident,
        speed: int,
        clock: PlayClock,
        loop: Loop | None,
        screen: _Screen,
        seed: int | None,
    ) -> None:
        from monitor.cli.demo_play import Play
        from monitor.demo import Script
        from monitor.demo.scripted import dealt
        from monitor.ports import TopicSpec

        self._log, self._config, self._screen = log, config, screen
        streams = config.streams
        assert streams.labels is not None
        topics = {"predictions": streams.predictions.topic, "labels": streams.labels.topic}
        for topic in topics.values():
            log.ensure(TopicSpec(topic, 2))
        self._appender = log.appender()
        recorded = _lines("predictions"), _lines("labels")
        predictions, labels = recorded if seed is None else dealt(*recorded, seed)
        script = Script(predictions, labels, incident)
        self._play = Play(script, topics, self._appender, clock, loop, speed)

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
            self._play.ticked()
            observer.on_tick(output)
            self._screen.on_events(output.events)

        def tell(worker: Worker) -> None:
            self._play.turn(worker)
            observer.tell(worker)
            self._screen.show(observer, self._play.now_ms)

        worker = Worker(self._log, self._config, plan, clock, dead_letters, WorkerOptions(), on_tick, tell)
        try:
            with Signals(worker) as signals:
                worker.run()
                observer.refresh(worker)
        finally:
            self._appender.close()
        self._screen.close(observer, worker)
        if signals.number and not worker.finished:
            sys.exit(128 + signals.number)


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
        self._printed: str | None = None
        self._window = config.windows[0].name
        self.fired = 0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

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

    def say(self, sentence: str) -> None:
        """A step of the loop."""
        if self._people:
            self._said.append(sentence)
        else:
            print(f"driftline: {sentence}", file=sys.stderr, flush=True)

    def show(self, observer: Observer, now_ms: int) -> None:
        """Refresh when it is due."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (_SHOW_EVERY_S if self._people else _LINE_EVERY_S)
        if self._live is not None:
            self._live.update(self._picture(observer, now_ms), refresh=True)
        elif (line := self._line(observer, now_ms)) not in (
            None,
            self._printed,
        ):  # while a model is trained time stands
            self._printed = line
            print(line, file=sys.stderr, flush=True)

    def _picture(self, observer: Observer, now_ms: int) -> Group:
        from rich.console import Group
        from rich.table import Table

        table = Table(
            "day", "version", "rows", "labelled", "accuracy", "recall", "psi:hour", title=_day(now_ms), expand=True
        )
        for row in self._rows(observer):
            table.add_row(*row)
        return Group(table, *self._said[-6:])

    def _rows(self, observer: Observer) -> list[tuple[str, ...]]:
        from monitor.windows.view import Kind

        drift = {(v.key.start_ms, v.key.series): v for v in observer.recent(self._window, Kind.INPUT)}
        rows: list[tuple[str, ...]] = []
        for view in observer.recent(self._window, Kind.PERFORMANCE):
            beside = drift.get((view.key.start_ms, view.key.series))
            psi = beside.metrics.get("psi:hour") if beside else None
            rows.append(
                (
                    f"{_date(view.key.start_ms)}{' final' if view.final else ''}",
                    view.key.series.version,
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
            f"{window} v{version}: {seen} predictions, {labelled} labelled, accuracy {accuracy}, psi:hour {psi}"
            for window, version, seen, labelled, accuracy, _, psi in rows[-2:]
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
