"""The command `driftline config history`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.common import config_options, embedded_option, load_config, output_option

if TYPE_CHECKING:
    from monitor.ledger.generations import GenerationRecord
    from monitor.ledger.roster import Listed, Roster
    from monitor.ports import Log

_HINT = "Has `driftline run` been started with this configuration's `namespace`?"


@click.command("history")
@config_options
@embedded_option
@output_option
def history(files: tuple[Path, ...], overrides: tuple[str, ...], embedded: Path | None, output: str) -> None:
    """Print the configurations whose rules have held in the namespace, oldest first, and what each changed.

    The last one holds. JSON: {"generations": [{"number", "since_ms", "reason", "document", "meaning", "windows_from_ms",
    "models", "changes", "configuration"}]}. "reason" is how the worker that decided it came to it: start, signal or file.
    "windows_from_ms" is the event time from which on its windows begin, null where they are those from before.
    "models" are those that came, [{"name", "changed", "from_ms", "given_up"}], or went, [{"name", "until_ms",
    "counts_until_ms"}]. "changed": the model was there, and what is watched of it is something else. Its windows so start at
    "from_ms" or later: null while it waits for workers that do not count it yet, and where another change took its place before
    ("given_up"). Windows of one that went start before "until_ms", and its records count before "counts_until_ms". "changes" is
    null where the configuration before it is not known.

    \b
    Examples:
      driftline config history -c driftline.yaml
      driftline config history -c driftline.yaml -o json | jq '.generations[-1].configuration.rules'
    """
    from monitor.cli.scan import need_topic, open_existing
    from monitor.cli.show import note, print_json

    config = load_config(files, overrides)
    topic = config.topics().configs
    log = open_existing(config, embedded)
    try:
        need_topic(log, topic, _HINT)
        found = list(generations(log, topic))
    finally:
        log.close()
    if output == "json":
        print_json({"generations": found})
    elif not found:
        note("no generation is recorded yet")
    else:
        _table(found)


def generations(log: Log, topic: str) -> Iterator[dict[str, Any]]:
    """Each generation that is recorded, oldest first, in the form that `history` documents."""
    import orjson
    from msgspec import UNSET

    from monitor.daemon.begun import documents, kept
    from monitor.daemon.counted import newest
    from monitor.daemon.generations import history as recorded

    texts, roster, before = documents(log, topic), newest(kept(log, topic), topic), None
    for record in recorded(log, topic):
        text = texts.get(record.document.encode())
        yield {
            "number": record.number,
            "since_ms": record.since_ms,
            "reason": record.reason,
            "document": record.document,
            "meaning": record.meaning,
            "windows_from_ms": None if record.windows_from_ms is UNSET else record.windows_from_ms,
            "models": _models(record, roster),
            "changes": _changes(record, before, texts),
            "configuration": orjson.loads(text) if text is not None else None,
        }
        before = record


def _models(record: GenerationRecord, roster: Roster | None) -> list[dict[str, Any]]:
    """The models that came or went with a generation, or mean something else."""
    from msgspec import UNSET

    every = roster.models if roster is not None else ()
    number = record.number if record.roster is UNSET else record.roster
    come = [
        {
            "name": one.name,
            "changed": _changed(one, every),
            "from_ms": one.from_ms,
            "given_up": one.from_ms is None and one.left is not None,
        }
        for one in every
        if one.entered == number
    ]
    names = {one["name"] for one in come}
    gone = [
        {"name": one.name, "until_ms": one.until_ms, "counts_until_ms": one.ends_ms}
        for one in every
        if one.left == number and one.from_ms is not None and one.name not in names
    ]
    return come + gone


def _changed(come: Listed, every: Sequence[Listed]) -> bool:
    """Whether a model was there already when it came as it is now."""
    before = (one for one in every if one.name == come.name and one.entered < come.entered)
    return any(one.left is None or come.entered < one.left for one in before)


def _changes(
    record: GenerationRecord, before: GenerationRecord | None, texts: Mapping[bytes, bytes]
) -> list[str] | None:
    from monitor.config import recorded
    from monitor.config.diff import diff

    if before is None or before.number != record.number - 1:
        return [] if record.number == 1 else None
    pair = [texts.get(each.document.encode()) for each in (before, record)]
    then, now = (recorded(text) if text is not None else None for text in pair)
    if then is None or now is None:
        return None
    return [f"{change.path}: {change.what}" for change in diff(then, now)]


def _said(model: Mapping[str, Any]) -> str:
    """What became of a model, for people."""
    from monitor.cli.show import minute

    name = model["name"]
    if "until_ms" in model:
        until, ends = (minute(max(0, model[key])) for key in ("until_ms", "counts_until_ms"))
        return f"{name}: no window begins from {until} on, counted until {ends} (event time)"
    if model["given_up"]:
        return f"{name}: began no window like this before it changed again"
    if model["from_ms"] is None:
        goes_on = ", and goes on as it was" if model["changed"] else ""
        return f"{name}: waits for workers that do not count it yet{goes_on}"
    return (
        f"{name}: windows from {minute(model['from_ms'])} on (event time){' are like this' if model['changed'] else ''}"
    )


def _table(found: list[dict[str, Any]]) -> None:
    from monitor.cli.show import console, minute, plain, table

    made = table(None, "generation", "known since (UTC)", "by", "configuration", "changes", right=("generation",))
    for each in found:
        changes = "not known" if each["changes"] is None else "\n".join(each["changes"]) or "the first"
        if each["windows_from_ms"] is not None:
            changes += f"\nwindows from {minute(each['windows_from_ms'])} on (event time)"
        changes += "".join(f"\n{_said(model)}" for model in each["models"])
        since = minute(each["since_ms"] // 1000 * 1000)
        made.add_row(
            str(each["number"]),
            since,
            plain(each["reason"]),
            each["document"][:19],
            "\n".join(map(plain, changes.split("\n"))),
        )
    console().print(made)
