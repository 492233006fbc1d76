"""`driftline backtest-policy`: what a policy would have done, against never, weekly and daily retraining."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pipelines.cli.common import (
    F,
    need_versions,
    note,
    output_option,
    print_json,
    print_table,
    versions_option,
    when,
    wired,
)
from pipelines.cli.mistakes import duration_ms
from pipelines.cli.policies import load
from pipelines.errors import ConfigError, StepFailed
from pipelines.exits import REFUSED
from pipelines.filesteps import FileSteps
from pipelines.local import Location, Places, Wired, wire
from pipelines.local_data import FileAnchors
from pipelines.past import Backtest, Inline, Span, Told
from pipelines.policy import Policy
from pipelines.ports import Store
from pipelines.subprocesses import Subprocesses
from pipelines.tables import Row, parse_rows

Events = Callable[[Path | None, Path | None], list[bytes]]
"""All alerts that were ever told, from what --alerts and --embedded name."""
FAR_MS: Final = 2**51
LINE_EVERY_SECS: Final = 10.0
WAYS: Final = {
    "weekly": "weekly retraining (1 of 3)",
    "always": "daily retraining (2 of 3)",
    "policy": "the policy (3 of 3)",
}
BEGIN_RATIO: Final = 0.25
"""Of the rows, before the backtest begins unless it is said when: what the first model is trained on."""


def file_events(path: Path | None, _: Path | None) -> list[bytes]:
    """From a file of CloudEvents, a line each."""
    if path is None:
        return []
    if not path.is_file():
        raise ConfigError(f"file {str(path)!r}", "is not there", "`driftline alerts list -o json` prints such lines.")
    return path.read_bytes().splitlines()


def make(wiring: Callable[[Places], Wired], events: Events) -> click.Command:
    """The command over a wiring. `events`: see Events."""

    @click.command("backtest-policy", context_settings={"help_option_names": ["-h", "--help"], "obj": wiring})
    @_options
    @click.option(
        "--false-promotions-max",
        type=click.IntRange(0),
        metavar="N",
        help="Exit code 3 when later truth calls more promotions of the policy wrong.",
    )
    @output_option
    @click.pass_context
    def command(ctx: click.Context, /, false_promotions_max: int | None, output: str, **asked: Any) -> None:
        """Tell what a policy would have done in the past, against never, weekly and daily retraining.

        The rows and alerts of that time go through the loop of production, round for round: trigger, training, gate, shadow,
        probation, rollback. A label counts from when it became known. Everybody who is asked agrees at once; all begin with
        one model, of what was known at the start. A promotion is false when the model that it replaced would have been
        better, or as good, by all labels that came later. Nothing is kept.

        \b
        Examples:
          driftline backtest-policy -c retrain.yaml --alerts driftline.yaml
          driftline backtest-policy -c retrain.yaml --alerts alerts.jsonl --from 2026-07-01 --to 2026-10-01 -o json
          driftline backtest-policy -c retrain.yaml --alerts alerts.jsonl --false-promotions-max 0
        """
        policy, span, found = _compared(ctx, _Asked(**asked), events)
        _print(policy, span, found, output)
        if false_promotions_max is not None and found[0].false > false_promotions_max:
            ctx.exit(REFUSED)

    return command  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options, as they were given."""

    file: Path
    model: str | None
    alerts: Path | None
    embedded: Path | None
    store: Location | None
    begin: str | None
    end: str | None
    every: str


def _options(command: F) -> F:
    """Those of _Asked."""
    for option in reversed((
        click.option(
            "-c", "--config", "file", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Policies, YAML.",
        ),
        click.option("--model", metavar="NAME", help="Which policy of the file; needed when it has several."),
        click.option(
            "--alerts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
            help="All alerts that were told: CloudEvents, one a line, or a configuration of the monitor, whose topic is read.",
        ),
        click.option(
            "--embedded", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
            help="Where --alerts or `rows` name a configuration of the monitor: read the embedded log in DIR, not Kafka.",
        ),
        click.option("--from", "begin", metavar="TIME", help="Begin here, ISO 8601; a quarter into the rows unless given."),
        click.option("--to", "end", metavar="TIME", help="End here; after the newest row unless given."),
        click.option("--every", default="6h", show_default=True, metavar="DURATION", help="Between two rounds of the loop."),
    )):  # fmt: skip
        command = option(command)
    return versions_option(command)


class Progress:
    """A line on standard error every ten seconds: which way of retraining is gone through, how far, and when that will have been.
    Each way has a pace of its own, from where it began, and rounds in which something is trained or scored take longer than
    others."""

    def __init__(self, span: Span, clock: Callable[[], float] = time.monotonic) -> None:
        self._span, self._clock = span, clock
        self._name, self._begun, self._from, self._due = "", 0.0, 0.0, clock() + LINE_EVERY_SECS

    def show(self, name: str, at_ms: int) -> None:
        """See `pipelines.past.Headway`."""
        now = self._clock()
        share = (at_ms - self._span.from_ms) / (self._span.until_ms - self._span.from_ms)
        if name != self._name:
            self._name, self._begun, self._from = name, now, share
        if now < self._due:
            return
        self._due = now + LINE_EVERY_SECS
        done, took = share - self._from, now - self._begun
        left = f", about {timedelta(seconds=round(took / done * (1 - share)))} left" if done > 0 else ""
        note(f"{WAYS[name]}: at {when(at_ms)}, {share:.0%}{left}")


def _compared(ctx: click.Context, asked: _Asked, events: Events) -> tuple[Policy, Span, tuple[Told, ...]]:
    policy, places = _policy(asked)
    with tempfile.TemporaryDirectory(prefix="driftline-backtest-") as scratch:
        here = Path(scratch)
        note(f"reading the rows of {policy.model}")
        rows = _rows(ctx, policy, _in(places, here))
        note(f"{len(rows):,} labelled rows; going through that time three times, and once without retraining")
        span = _span(policy, rows, asked.begin, asked.end, asked.every)
        test = Backtest(
            policy, rows, events(asked.alerts, asked.embedded), lambda store: FileAnchors(store, places.anchors), here,
            lambda store: _steps(policy, store, here), Progress(span).show,
        )  # fmt: skip
        return policy, span, test.compare(span)


def _policy(asked: _Asked) -> tuple[Policy, Places]:
    policies, files = load(asked.file)
    chosen = [policy for policy in policies if asked.model in (None, policy.model)]
    if len(chosen) != 1:
        known = ", ".join(policy.model for policy in policies)
        raise ConfigError("the policy", f"is not clear: the file has {known}", "Name one with --model.")
    need_versions(chosen[0].model, files.datasets.get(chosen[0].model), asked.store)
    return chosen[0], Places(
        Path(), asked.alerts, files.rows, Path.cwd(), Path(), asked.embedded, files.anchors, datasets=files.datasets,
        versions=asked.store,
    )  # fmt: skip


def _in(places: Places, directory: Path) -> Places:
    """The same with a store of its own: nothing of a backtest is kept."""
    return replace(places, store=directory / "rows", alerts=None, work=directory / "work", executors={})


def _rows(ctx: click.Context, policy: Policy, places: Places) -> list[Row]:
    ports = wired(ctx, places)
    dataset = ports.data.past(policy, 0, FAR_MS)
    rows = parse_rows(b"".join(ports.store.blob(dataset.test)), "the rows")
    if not rows:
        raise StepFailed("the rows", "have no label", "Name a file, or topics, with labelled rows.")
    return rows


def _steps(policy: Policy, store: Store, directory: Path) -> FileSteps:
    own = policy.train.function or policy.train.command or policy.train.score_function or policy.train.score_command
    work = directory / "work"
    return Subprocesses(store, work, Path.cwd()) if own else FileSteps(store, work, Inline())


def _span(policy: Policy, rows: list[Row], begin: str | None, end: str | None, every: str) -> Span:
    times = [row[policy.data.at] for row in rows]
    first, last = min(times), max(times)
    from_ms = _time("--from", begin) if begin else int(first + (last - first) * BEGIN_RATIO)
    until_ms = _time("--to", end) if end else last + 1
    every_ms = duration_ms(every)
    if not every_ms:
        raise click.BadParameter(f"{every!r} is no duration; write 90m, 6h or 1d", param_hint="--every")
    if from_ms >= until_ms:
        raise click.BadParameter(f"{when(from_ms)} is not before {when(until_ms)}", param_hint="--from")
    return Span(from_ms, until_ms, every_ms)


def _time(option: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; write 2026-10-03 or 2026-10-03T12:00Z", param_hint=option
        ) from None
    return int(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)


def _print(policy: Policy, span: Span, found: tuple[Told, ...], output: str) -> None:
    if output == "json":
        for told in found:
            print_json({"model": policy.model, **msgspec.to_builtins(span), **_document(told)})
        return
    note(f"{policy.model}, from {when(span.from_ms)} to {when(span.until_ms)}, {found[0].rows:,} labelled rows")
    columns = (
        "retraining",
        "promotions",
        "false",
        "rolled back",
        "trainings",
        "rows trained",
        f"mean {policy.gate.loss.name}",
    )
    print_table(columns, [_row(told) for told in found])
    for each in found[0].promotions:
        truth = (
            "too little truth" if each.better is None else f"{each.better:+.4g} by later truth, on {each.rows:,} rows"
        )
        back = "" if each.back_ms is None else f"; rolled back {when(each.back_ms)}"
        click.echo(f"{when(each.at_ms)} version {each.version} promoted: {truth}{back}")
    if not found[0].promotions:
        why = ", ".join(f"{name} {count}" for name, count in found[0].why.items())
        ends = ", ".join(f"{name} {count}" for name, count in found[0].ends.items()) or "none"
        click.echo(f"the policy promoted nothing; runs: {ends}; rounds that began nothing: {why}")


def _row(told: Told) -> tuple[str, ...]:
    return (
        told.name, str(len(told.promotions)), str(told.false), str(told.rolled_back), f"{told.trainings:,}",
        f"{told.rows_trained:,}", f"{told.loss:.5g}",
    )  # fmt: skip


def _document(told: Told) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(told), "false_promotions": told.false, "rolled_back": told.rolled_back,
        "promotions": [{**msgspec.to_builtins(each), "false": each.false} for each in told.promotions],
    }  # fmt: skip


command = make(wire, file_events)
