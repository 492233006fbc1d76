"""The command `driftline alerts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import config_options, embedded_option, interactive, load_config, output_option

if TYPE_CHECKING:
    from monitor.alerts.event import AlertEvent, Evidence
    from monitor.cli.scan import Found, Scan
    from monitor.ports import Log

_HINT = "Has `driftline run` been started with this configuration's `namespace`?"
_POLL_MS = 500
_UNKNOWN = "unknown"
"""For a time of 0: what began before there was any event time, as told by earlier versions."""


@click.group("alerts")
def command() -> None:
    """List alerts, or follow them.

    \b
    Examples:
      driftline alerts list -c driftline.yaml
      driftline alerts tail -c driftline.yaml -o json | jq .data.summary
    """


@command.command("list")
@config_options
@embedded_option
@click.option("--firing", is_flag=True, help="Only what fires now.")
@click.option("--all", "everything", is_flag=True, help="Every event there was, not only the current state.")
@output_option
def list_alerts(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    firing: bool,
    everything: bool,
    output: str,
) -> None:
    """Print the current state of every alert, firing ones first; with --all every event, oldest first.

    The value is that of the newest event: of an alert that resolved the one it resolved at, and its limit says `not < 0.9`.

    JSON: the newest CloudEvent of each alert (with --all each event once) as a line, exactly as published.

    \b
    Examples:
      driftline alerts list -c driftline.yaml
      driftline alerts list -c driftline.yaml --firing -o json | jq -r .data.summary
      driftline alerts list -c driftline.yaml --all
    """
    from monitor.cli.scan import need_topic, newest_of_each_key, open_existing, read_all
    from monitor.cli.show import note

    if firing and everything:
        raise click.UsageError("--firing asks for the state as it is now, --all for everything there was: choose one")
    config = load_config(files, overrides)
    topic = config.topics().alerts if everything else config.topics().alerts_state
    log = open_existing(config, embedded)
    try:
        need_topic(log, topic, _HINT)
        found = read_all(log, topic, "reading alerts")
        chosen = list(found) if everything else list(newest_of_each_key(found).values())
    finally:
        log.close()
    events = [event for _, event in _events(chosen)]
    if everything:
        events.sort(key=lambda event: event.data.tick_ms)
    else:
        events = [event for event in events if not firing or event.data.state == "firing"]
        events.sort(key=lambda event: (event.data.state != "firing", -event.data.fired_ms, event.subject))
    if output == "json":
        _json(events)
    elif not events:
        note("nothing fires" if firing else "no alert has fired yet")
    elif everything:
        for event in events:
            click.echo(_line(event))
    else:
        _table(events)


@command.command("tail")
@config_options
@embedded_option
@click.option("-n", "last", type=click.IntRange(min=0), default=10, show_default=True, help="Print the last so many.")
@click.option("--from-start", is_flag=True, help="Print all there are first.")
@click.option("--no-follow", is_flag=True, help="Print and exit, do not wait for more.")
@output_option
def tail_alerts(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    last: int,
    from_start: bool,
    no_follow: bool,
    output: str,
) -> None:
    """Print alerts as they come, each event once, until it is stopped.

    JSON: CloudEvents as lines, exactly as published.

    \b
    Examples:
      driftline alerts tail -c driftline.yaml
      driftline alerts tail -c driftline.yaml -n 0 -o json | while read -r event; do notify "$event"; done
      driftline alerts tail -c driftline.yaml --from-start --no-follow -o json > alerts.jsonl
    """
    from monitor.cli.scan import Scan, need_topic, open_existing, records
    from monitor.cli.show import note

    config = load_config(files, overrides)
    topic = config.topics().alerts
    log = open_existing(config, embedded)
    try:
        need_topic(log, topic, _HINT)
        scan = Scan.of(log, topic)
        found = [one for batch in scan.batches(log) for one in records(batch)]
        told: set[str] = set()
        events = sorted((event for _, event in _events(found, told)), key=lambda event: event.data.tick_ms)
        for event in events if from_start else events[len(events) - min(last, len(events)) :]:
            _print(event, output)
        if not no_follow:
            if interactive():
                note("waiting for alerts; Ctrl-C ends it")
            for event in _follow(log, scan, told):
                _print(event, output)
    finally:
        log.close()


def _follow(log: Log, scan: Scan, told: set[str]) -> Iterator[AlertEvent]:
    """Events that come after what `scan` read, for ever."""
    from monitor.cli.scan import CHUNK, records

    reader = log.reader()
    try:
        reader.assign({where: end for where, (_, end) in scan.ranges.items()})
        while True:
            for batch in reader.poll(CHUNK, _POLL_MS):
                yield from (event for _, event in _events(records(batch), told))
    finally:
        reader.close()


def _events(found: Iterable[Found], told: set[str] | None = None) -> Iterator[tuple[Found, AlertEvent]]:
    """The events of records, each id once: after a crash the last ones are published again."""
    from monitor.alerts import cloudevents

    told = set() if told is None else told
    for one in found:
        if one.value is None:
            continue
        event = cloudevents.parse(one.value)
        if event.id not in told:
            told.add(event.id)
            yield one, event


def _json(events: Iterable[AlertEvent]) -> None:
    for event in events:
        _print(event, "json")


def _print(event: AlertEvent, output: str) -> None:
    from monitor.alerts import cloudevents

    click.echo(cloudevents.encode(event) if output == "json" else _line(event))


def _line(event: AlertEvent) -> str:
    at = event.time if event.data.tick_ms > 0 else _UNKNOWN
    id_ = _visible(event.id[:_LETTERS])
    return f"{at:<24}  {id_:<{_LETTERS}}  {event.data.severity:<6}  {_visible(event.data.summary)}"


def _when(at_ms: int) -> str:
    from monitor.cli import show

    return show.minute(at_ms) if at_ms > 0 else _UNKNOWN


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _limit(evidence: Evidence) -> str:
    """How the value stands to the threshold: of an alert that resolved it is the value that no longer breaks the rule."""
    return f"{'not ' if evidence.broken is False else ''}{evidence.op} {evidence.threshold:g}"


_LETTERS = 8
"""Of an id, in a table: enough for `driftline explain`."""


def _table(events: list[AlertEvent]) -> None:
    from monitor.alerts.event import AdvisoryAlert, BudgetAlert, OperationalAlert, RuleAlert
    from monitor.cli import show

    columns = (
        "id",
        "state",
        "severity",
        "rule",
        "model",
        "version",
        "segment",
        "value",
        "limit",
        "rows",
        "fired",
        "resolved",
    )
    made = show.table("alerts (event times, UTC)", *columns, right=("value", "limit", "rows"))
    for event in events:
        data = event.data
        resolved = "" if data.resolved_ms is None else _when(data.resolved_ms)
        when, id_ = (_when(data.fired_ms), resolved), show.plain(event.id[:_LETTERS])
        if isinstance(data, OperationalAlert):
            made.add_row(
                id_, data.state, data.severity, data.condition, "", "", show.plain(data.scope), "", "", "", *when
            )
            continue
        evidence = data.evidence if isinstance(data, RuleAlert) else None
        numbers = ("", "", "")
        if isinstance(data, AdvisoryAlert):
            before = "" if data.mean is None else f"was {show.number(data.mean)}"
            numbers = (f"{data.metric} {show.number(data.value)}", before, f"{data.rows:,}")
        if isinstance(data, BudgetAlert):
            first = data.causes[0]
            what = show.plain(f"{first.channel}, {first.question} {first.mean:.4g}")
            numbers = (what, f"> {first.limit:.4g}", f"{first.rows:,}")
        elif evidence is not None:
            value = f"- ({evidence.undefined})" if evidence.value is None else show.number(evidence.value)
            numbers = (f"{evidence.metric} {value}", _limit(evidence), f"{evidence.rows:,}")
        series = (show.plain(text) for text in (data.model, data.version, data.segment))
        made.add_row(id_, data.state, data.severity, data.rule, *series, *numbers, *when)
    show.console().print(made)
