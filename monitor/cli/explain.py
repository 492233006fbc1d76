"""The command `driftline explain`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option

if TYPE_CHECKING:
    from monitor.alerts.event import AlertEvent
    from monitor.alerts.recompute import Line
    from monitor.cli.explain_features import Feature, Known
    from monitor.cli.explain_numbers import Kept
    from monitor.config.types import Config
    from monitor.daemon.counted import Counted
    from monitor.daemon.worker import Worker
    from monitor.plan import Plan
    from monitor.ports import Log
    from registry.location import Location

_HINT = "Has `driftline run` been started with this configuration's `namespace`?"
_DIFFERS = 3
_MOST_INPUTS = 12
"""Inputs of one number in the table; `-o json` has all."""


def _location(text: str) -> Location:
    """Where a registry is. The monitor alone has none: it is asked for when somebody names one."""
    from registry.cli.common import written_location

    return written_location(text)


@click.command("explain")
@click.argument("alert")
@config_options
@embedded_option
@click.option("--no-replay", is_flag=True, help="Only the arithmetic: do not read the topics again.")
@click.option(
    "--store",
    metavar="LOCATION",
    type=_location,
    help="A registry: its permutation importance of the version stands beside the features.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@output_option
def command(
    alert: str,
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    no_replay: bool,
    store: Location | None,
    quiet: bool,
    output: str,
) -> None:
    """Work out every number of an alert again, from the topics: formula, inputs, result.

    ALERT is the `id` of an event, or the first letters of it. The engine runs over the source topics again, up to the alert,
    and the event that it tells is compared with the published one, field by field; then its numbers are worked out one by one
    of what that run was given (counts of windows and of the reference, beats of a budget, values of a detector); a count or a
    time is counted again. Exit code 3 when something differs. Alerts about the daemon itself (a stalled feed) come from recorded
    decisions and not from the topics; `driftline replay --verify` proves those.

    The rules are those under which it was decided: every configuration that held in the namespace is tried, the newest first
    (`driftline config history`).

    With --store the features of the alert are told in the order of their expected harm, then of their importance to the
    model: the parameter `permutation_importance` of the version in the registry, by feature (`driftline registry add --param
    'permutation_importance={"hour": 0.12}'`).

    JSON: {"event", "replayed": true | false | null, "differs": [field], "numbers": [{"name", "formula", "inputs", "result",
    "published", "path", "agrees"}], "generation": number | null, "features": [{"feature", "harm", "share", "importance"}] |
    null}; replayed is null with --no-replay, and false when no run told the alert; path: where a number stands in the event's
    data; inputs are empty of what is counted again, of which there is nothing with --no-replay; generation is that of the
    configuration it was told under, null where none is kept; features is null without --store, their importance where the
    registry has none.

    \b
    Examples:
      driftline explain 3d604b7b -c driftline.yaml
      driftline explain 3d604b7b -c driftline.yaml --store registry
      driftline explain 3d604b7b -c driftline.yaml --no-replay -o json | jq '.numbers[] | select(.agrees | not)'
    """
    from monitor.cli.logs import set_up
    from monitor.cli.scan import open_existing

    set_up("text", "WARNING")
    config = load_config(files, overrides)
    log = open_existing(config, embedded)
    try:
        event = _found(log, config, alert)
        no_replay = no_replay or _of_the_daemon(event)
        found = _Again() if no_replay else _told_again(log, config, event, quiet=quiet)
    finally:
        log.close()
    if _tell(event, found, store, output, replayed=not no_replay):
        sys.exit(_DIFFERS)


def _tell(event: AlertEvent, found: _Again, store: Location | None, output: str, *, replayed: bool) -> bool:
    """Print it all; whether something differs."""
    from monitor.cli.explain_features import known_of
    from monitor.cli.explain_numbers import all_lines
    from monitor.cli.show import print_json

    again = found.event
    numbers = all_lines(event, found.kept, found.config, found.plan)
    features = None if store is None else known_of(store, event)
    differs = _differing(event, again) if again is not None else []
    if output == "json":
        told: dict[str, Any] = {"replayed": again is not None if replayed else None, "differs": differs}
        told |= {"generation": found.generation, "recorded": found.recorded}
        print_json({**_document(event, numbers, None if features is None else features.features), **told})
    else:
        _print(event, numbers, found, differs, replayed=replayed)
        if features is not None:
            _print_features(features)
    return bool(differs) or (again is None and replayed) or not all(line.agrees for line in numbers)


def _found(log: Log, config: Config, alert: str) -> AlertEvent:
    """The event of that id. Raises UsageError when there is none, or several."""
    from monitor.alerts import cloudevents
    from monitor.cli.scan import need_topic, read_all

    topic = config.topics().alerts
    need_topic(log, topic, _HINT)
    found: dict[str, AlertEvent] = {}
    for record in read_all(log, topic, "reading alerts"):
        if record.value is not None:
            event = cloudevents.parse(record.value)
            if event.id.startswith(alert):
                found[event.id] = event
    if len(found) != 1:
        many = (
            f"{len(found)} alerts begin so: give more letters"
            if found
            else "none is there; `driftline alerts list --all -o json` with the same -c (and --embedded) says which are"
        )
        raise click.UsageError(f"ALERT {alert!r} names no single event of topic {topic!r}: {many}")
    return next(iter(found.values()))


def _of_the_daemon(event: AlertEvent) -> bool:
    """Whether it comes from a recorded decision, which no run makes again."""
    from monitor.alerts.event import OperationalAlert
    from monitor.alerts.label_hold import LABELS_SLOW
    from monitor.alerts.traffic import BY_TICKS

    return isinstance(event.data, OperationalAlert) and event.data.condition not in (*BY_TICKS, LABELS_SLOW)


@dataclass(frozen=True, slots=True)
class _Again:
    """What a run over the topics kept of an alert, and the configuration that it ran under with its generation.

    `recorded`: it was no run of its own, but the recorded evaluations, each under what was in force then.
    """

    generation: int | None = None
    kept: Kept | None = None
    config: Config | None = None
    plan: Plan | None = None
    recorded: bool = False

    @property
    def event(self) -> AlertEvent | None:
        """As the run told it; None where it did not."""
        return None if self.kept is None else self.kept.told


def _told_again(source: Log, config: Config, event: AlertEvent, *, quiet: bool) -> _Again:
    """The event as a run over the topics tells it: the first that tells the same; else as the recorded evaluations do, made
    again; else the first run that tells it at all."""
    from monitor.daemon.counted import counted
    from monitor.plan import plan_of

    # With the models that were taken out since, and each window under the configuration that held where it starts.
    own = counted(source, config, plan_of(config))
    by = own.hindsight()
    best, every = _Again(), list(_held(source, config))
    for number, _, held in every:
        for edition in editions_of(source, config, by.plan):
            under = replace(by, plan=by.plan.of_edition(edition))
            again = _Again(number, _again(source, held, under, event, quiet=quiet), held, under.plan)
            if again.event is not None and not _differing(event, again.event):
                return again
            if best.event is None:
                best = again
    again = _as_recorded(source, config, own.plan, event, every, quiet=quiet)
    return best if again.event is None or (best.event is not None and _differing(event, again.event)) else again


def _as_recorded(
    source: Log, config: Config, plan: Plan, event: AlertEvent, held: Sequence[_Held], *, quiet: bool
) -> _Again:
    from monitor.cli.explain_recorded import decided_again

    found = decided_again(source, config, plan, event, quiet=quiet)
    if found is None:
        return _Again()
    kept, digest = found
    number, under = next(((number, one) for number, document, one in held if document == digest), (None, config))
    return _Again(number, kept, under, plan, recorded=True)


def editions_of(source: Log, config: Config, plan: Plan) -> list[int]:
    """The editions that the namespace went by, the newest first, as far as this version knows them."""
    from monitor.daemon.begun import begun, kept
    from monitor.editions import number_of
    from monitor.ledger.announcements import newest

    topic, first = config.topics().configs, begun(source, config.topics())
    begin = plan.edition if first is None else number_of(first.edition)
    last = max(begin, newest(kept(source, topic), topic)) if source.topic(topic) is not None else begin
    return list(range(min(last, plan.edition), min(begin, plan.edition) - 1, -1))


_Held = tuple[int | None, str, "Config"]
"""Number, digest and contents of a configuration."""


def _held(source: Log, config: Config) -> Iterator[_Held]:
    """The configurations that held, the newest first; the given one, without number and digest, where none is kept."""
    from monitor.adapters.schema_registry import with_schemas
    from monitor.config import recorded
    from monitor.daemon.begun import documents
    from monitor.daemon.generations import history

    topic = config.topics().configs
    texts = documents(source, topic) if source.topic(topic) is not None else {}
    kept = list(history(source, topic)) if texts else []
    tried = set()
    for record in reversed(kept):
        text = texts.get(record.document.encode())
        if text is not None and record.document not in tried:
            tried.add(record.document)
            held = recorded(text)
            own = {"kafka": config.kafka, "schema_registry": config.schema_registry}
            yield record.number, record.document, with_schemas(held.model_copy(update=own))
    if not tried:
        yield None, "", config


def _again(source: Log, config: Config, by: Counted, event: AlertEvent, *, quiet: bool) -> Kept:
    """What a run over the source topics was given up to the event, and the event where it tells it."""
    from monitor.adapters import dead_letters
    from monitor.adapters.clock import SystemClock
    from monitor.adapters.embedded import EmbeddedLog
    from monitor.cli.explain_numbers import Kept
    from monitor.cli.progress import RunProgress
    from monitor.cli.ranges import spans_of
    from monitor.cli.run import Signals
    from monitor.daemon.replay.rerun import rerun
    from monitor.daemon.sources import source_topics

    kept = Kept(event)
    bar = None if quiet else RunProgress()

    def tell(worker: Worker) -> None:
        if bar is not None:
            bar.show(worker)
        if kept.told is not None:
            worker.stop()

    spans = spans_of(source, source_topics(source, config).names, (), ())
    with tempfile.TemporaryDirectory(prefix="driftline-explain-") as folder:
        own = EmbeddedLog(Path(folder))
        try:
            worker = rerun(source, own, config, by.plan, spans, SystemClock(), dead_letters, kept.observe, tell, by=by)
            with Signals(worker):
                worker.run()
            if bar is not None:
                bar.close(worker)
        finally:
            own.close()
    return kept


def _differing(event: AlertEvent, again: AlertEvent) -> list[str]:
    """Fields of the data that are not the same."""
    import msgspec

    one, other = msgspec.to_builtins(event.data), msgspec.to_builtins(again.data)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _document(event: AlertEvent, numbers: list[Line], features: list[Feature] | None) -> dict[str, Any]:
    """The event, its numbers and its features, as they go into JSON."""
    from dataclasses import asdict

    import msgspec

    told = [{**asdict(line), "agrees": line.agrees} for line in numbers]
    known = None if features is None else [asdict(one) for one in features]
    return {"event": msgspec.to_builtins(event), "numbers": told, "features": known}


def _print(
    event: AlertEvent,
    numbers: list[Line],
    found: _Again,
    differs: list[str],
    *,
    replayed: bool,
) -> None:
    click.echo(event.data.summary)
    made = [line for line in numbers if line.inputs or not line.path]
    if made:
        _print_numbers(made)
    if counted := [line for line in numbers if line not in made]:
        _print_counted(counted)
    if not replayed:
        return
    if found.event is None:
        click.echo(
            "NOT TOLD AGAIN: neither a run over the topics as they are, under any configuration that is kept (`driftline config "
            "history`), nor the recorded evaluations raise this alert. Were records trimmed? `driftline replay --verify` says."
        )
        return
    what = "the recorded evaluations, made again from the ledger," if found.recorded else "a run over the source topics"
    verb = "tell" if found.recorded else "tells"
    if differs:
        click.echo(f"DIFFERS: {what} {verb} other {', '.join(differs)}")
        return
    under = "" if found.generation is None else f" under generation {found.generation} of the configuration"
    click.echo(f"{what}{under} {verb} the same alert, field by field")


def _print_features(known: Known) -> None:
    from monitor.cli import show

    features = known.features
    if known.lacking is not None:
        click.echo(f"no permutation_importance: {known.lacking}")
    if not features:
        return
    made = show.table(
        None, "feature", "expected harm", "of the evidence", "importance", right=("expected harm", "importance")
    )
    for one in features:
        made.add_row(
            show.plain(one.feature), *("" if v is None else _number(v) for v in (one.harm, one.share, one.importance))
        )
    show.console().print(made)


def _print_numbers(numbers: list[Line]) -> None:
    """Each number with what it is made of; formulas stand below, and inputs once for all that are made of the same."""
    from monitor.cli import show

    formulas = {formula: str(place) for place, formula in enumerate(dict.fromkeys(line.formula for line in numbers), 1)}
    made = show.table(None, "number", "gives", "by", "of", right=("gives", "by"))
    before = ""
    for line in numbers:
        inputs = _inputs(line.inputs)
        verdict = "" if line.agrees else f" DIFFERS: published {_number(line.published)}"
        made.add_row(
            show.plain(line.name),
            f"{_number(line.result)}{verdict}",
            formulas[line.formula],
            "as above" if inputs == before else show.plain(inputs),
        )
        before = inputs
    show.console().print(made)
    for formula, place in formulas.items():
        click.echo(f"{place:>2}  {formula}")


def _inputs(inputs: Mapping[str, float | bool | None]) -> str:
    """What a number is made of; of many the first and the last."""
    told = [f"{name} {_number(value)}" for name, value in inputs.items()]
    if len(told) <= _MOST_INPUTS:
        return ", ".join(told)
    half = _MOST_INPUTS // 2
    return ", ".join([*told[:half], f".. {len(told) - 2 * half} more with -o json ..", *told[-half:]])


def _print_counted(counted: list[Line]) -> None:
    """Numbers that are no formula of others: those that a run over the topics counted, and those where it counted otherwise."""
    from textwrap import fill

    differing = [line for line in counted if not line.agrees]
    click.echo(f"and counted again, {len(counted) - len(differing)} numbers:")
    told = (f"{line.name} {_number(line.result)}" for line in counted if line.agrees)
    click.echo(fill(", ".join(told), 118, initial_indent="  ", subsequent_indent="  ", break_long_words=False))
    for line in differing:
        click.echo(f"  DIFFERS: {line.name} {_number(line.result)}, published {_number(line.published)}")


def _number(value: float | bool | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
