"""The command `driftline dlq`."""

from __future__ import annotations

import base64
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor.cli.common import config_options, embedded_option, load_config, need_one_of, output_option

if TYPE_CHECKING:
    from monitor.adapters.dead_letters import Letter
    from monitor.config.types import Config
    from monitor.ports import Log

_TABLE_ROWS = 20
_BATCH = 1_000

F = TypeVar("F", bound=Callable[..., Any])

_all_namespaces = click.option(
    "--all-namespaces", is_flag=True, help="Letters that other namespaces wrote about the same topics too."
)


def _choice_options(command: F) -> F:
    command = click.option("--reason", metavar="REASON", help="Only this reason: malformed, future, missing, ….")(
        command
    )
    return click.option("--stream", type=click.Choice(["predictions", "labels"]), help="Only this stream.")(command)


@click.group("dlq")
def command() -> None:
    """List, show or replay dead letters: records that could not be used, kept in TOPIC.dlq.

    A letter is named by where its record was: TOPIC/PARTITION/OFFSET. In a flood of bad records one pointer stands for
    a range of offsets.

    Namespaces that read the same topics share TOPIC.dlq and write a letter each. Those of the configuration's namespace
    are meant, and letters of earlier versions, which do not say whose they are; --all-namespaces takes all.

    \b
    Examples:
      driftline dlq list -c driftline.yaml
      driftline dlq show -c driftline.yaml predictions/0/1234
      driftline dlq replay -c driftline.yaml --reason unknown_model
    """


@command.command("list")
@config_options
@embedded_option
@_choice_options
@_all_namespaces
@click.option("--limit", type=click.IntRange(min=0), help="The last so many; 0 = all.  [default: 20, JSON: all]")
@output_option
def list_letters(
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    stream: str | None,
    reason: str | None,
    all_namespaces: bool,
    limit: int | None,
    output: str,
) -> None:
    """Count dead letters by topic and reason, and list the last, partition by partition.

    JSON: {"reasons": {TOPIC: {REASON: count}}, "letters": [{"letter", "topic", "partition", "offset", "reason",
    "detail", "elements", "pointer", "bytes", "namespace"}]}; `reasons` counts all, `letters` is cut by --limit. `elements`
    are those of a record with an array that were rejected: [{"index", "reason", "detail"}], the first 100.

    \b
    Examples:
      driftline dlq list -c driftline.yaml
      driftline dlq list -c driftline.yaml --stream labels --reason malformed --limit 0
      driftline dlq list -c driftline.yaml -o json | jq .reasons
    """
    from monitor.cli.show import note, print_json

    config = load_config(files, overrides)
    _check_choice(config, stream, reason)
    log = _open(config, embedded)
    most = limit if limit is not None else 0 if output == "json" else _TABLE_ROWS
    counts: dict[str, Counter[str]] = {}
    kept: deque[dict[str, Any]] = deque(maxlen=most or None)
    try:
        for letter in _letters(log, config, stream, reason, all_namespaces):
            counts.setdefault(letter.source[0], Counter()).update(letter.reasons)
            kept.append(_line(letter))
    finally:
        log.close()
    if output == "json":
        print_json(
            {"reasons": {topic: dict(sorted(found.items())) for topic, found in counts.items()}, "letters": list(kept)}
        )
        return
    if not kept:
        note("no dead letters" if all_namespaces else f"no dead letters of namespace {config.namespace}")
        return
    _table(counts, kept, whose=all_namespaces)


@command.command("show")
@click.argument("letter")
@config_options
@embedded_option
@_all_namespaces
@output_option
def show_letter(
    letter: str,
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    all_namespaces: bool,
    output: str,
) -> None:
    """Print one letter whole: where it was, why it could not be used, and the record itself.

    LETTER is TOPIC/PARTITION/OFFSET, as `dlq list` prints it. JSON adds `key`, `value` and `headers`: as text, or as
    {"base64": …} for what is not UTF-8; null where there is none.

    \b
    Examples:
      driftline dlq show -c driftline.yaml predictions/0/1234
      driftline dlq show -c driftline.yaml predictions/0/1234 -o json | jq -r .value
    """
    from monitor.cli.show import print_json

    config = load_config(files, overrides)
    log = _open(config, embedded)
    try:
        found = _named(log, config, [letter], all_namespaces)[0]
    finally:
        log.close()
    if output == "json":
        headers = [[name, _readable(value)] for name, value in found.headers]
        print_json({**_line(found), "key": _readable(found.key), "value": _readable(found.value), "headers": headers})
        return
    click.echo(f"letter   {_name(found)}")
    for told in _told(found):
        click.echo(f"reason   {_visible(told)}")
    for name, value in [("key", found.key), *((f"header {name}", value) for name, value in found.headers)]:
        click.echo(f"{_visible(name):<8} {_printed(value)}")
    click.echo(f"value    {_printed(found.value)}")


@command.command("replay")
@click.argument("letters", nargs=-1, metavar="[LETTER]...")
@config_options
@embedded_option
@_choice_options
@_all_namespaces
@click.option("--all", "everything", is_flag=True, help="Every letter.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, send nothing.")
@output_option
def replay_letters(
    letters: tuple[str, ...],
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    embedded: Path | None,
    stream: str | None,
    reason: str | None,
    all_namespaces: bool,
    everything: bool,
    dry_run: bool,
    output: str,
) -> None:
    """Send records back to the topic and partition they came from, after what was wrong has been put right.

    They are read again like any record: what is still wrong is put aside again, what is counted already counts as a
    duplicate, the other elements of a record with an array too. A pointer sends its whole range. Records that are older
    than `time.lateness` are late. JSON:
    {"letters": n, "sent": n}.

    \b
    Examples:
      driftline dlq replay -c driftline.yaml --reason unknown_model --dry-run
      driftline dlq replay -c driftline.yaml predictions/0/1234 predictions/0/1240
      driftline dlq replay -c driftline.yaml --stream labels --all
    """
    from monitor.adapters.dead_letters import replay
    from monitor.cli.scan import open_existing
    from monitor.cli.show import note, print_json

    if not letters and reason is None and not everything:
        raise click.UsageError("say which: LETTER..., or --reason REASON, or --all")
    if letters and (reason is not None or everything or stream is not None):
        raise click.UsageError("name letters, or choose them by --stream, --reason and --all, not both")
    config = load_config(files, overrides)
    _check_choice(config, stream, reason)
    log = open_existing(config, embedded, read_only=dry_run)
    try:
        if letters:
            found_letters = _named(log, config, letters, all_namespaces)
        else:
            found_letters = _once(_letters(log, config, stream, reason, all_namespaces))
        found, sent = len(found_letters), 0
        if not dry_run:
            appender = log.appender()
            try:
                sent = sum(replay(log, appender, part) for part in _parts(found_letters))
            finally:
                appender.close()
    finally:
        log.close()
    if output == "json":
        print_json({"letters": found, "sent": sent})
    else:
        note(
            f"{found:,} letters, nothing sent: a dry run"
            if dry_run
            else f"{found:,} letters, {sent:,} records sent back"
        )


def _parts(letters: list[Letter]) -> Iterator[list[Letter]]:
    for start in range(0, len(letters), _BATCH):
        yield letters[start : start + _BATCH]


def _check_choice(config: Config, stream: str | None, reason: str | None) -> None:
    """Raises UsageError for a reason that no letter can have, and for a stream that the configuration has not."""
    from monitor.adapters.dead_letters import FLOOD
    from monitor.events import Reason

    if reason is not None:
        need_one_of("reason", reason, [*map(str, Reason), FLOOD])
    if stream == "labels" and config.streams.labels is None:
        raise click.UsageError("the configuration has no labels, so there are letters of --stream predictions only")


def _open(config: Config, embedded: Path | None) -> Log:
    from monitor.cli.scan import open_existing

    return open_existing(config, embedded)


def _once(letters: Iterable[Letter]) -> list[Letter]:
    """One letter of each record or range: several namespaces may have put it aside."""
    found: dict[object, Letter] = {}
    for letter in letters:
        found.setdefault((letter.source, letter.is_pointer), letter)
    return list(found.values())


def _letters(
    log: Log, config: Config, stream: str | None, reason: str | None, all_namespaces: bool
) -> Iterator[Letter]:
    """The letters of one stream or both; a topic without a dead-letter topic has none."""
    from monitor.adapters.dead_letters import read, topic_of

    streams = config.streams
    named = {"predictions": streams.predictions.topic, "labels": streams.labels.topic if streams.labels else None}
    for name, topic in named.items():
        if topic is None or stream not in (None, name) or log.topic(topic_of(topic)) is None:
            continue
        for letter in read(log, topic, None if all_namespaces else config.namespace):
            if reason is None or reason in letter.reasons:
                yield letter


def _named(log: Log, config: Config, names: Iterable[str], all_namespaces: bool) -> list[Letter]:
    """The letters of these names, in the order given. Raises MonitorError for one that is not there."""
    from monitor.errors import MonitorError

    streams = config.streams
    topics = [streams.predictions.topic, *([streams.labels.topic] if streams.labels else [])]
    wanted = dict.fromkeys(names)
    for name in wanted:
        parts = name.rsplit("/", 2)
        if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
            raise click.UsageError(f"{name!r} names no letter; write TOPIC/PARTITION/OFFSET, as `dlq list` does")
        need_one_of("topic", parts[0], topics)
    every = _letters(log, config, None, None, all_namespaces)
    found = {_name(letter): letter for letter in every if _name(letter) in wanted}
    for name in wanted:
        if name not in found:
            raise MonitorError(f"there is no dead letter {name!r}; `driftline dlq list --limit 0` lists all")
    return [found[name] for name in wanted]


def _name(letter: Letter) -> str:
    return "/".join(map(str, letter.source))


def _line(letter: Letter) -> dict[str, Any]:
    topic, partition, offset = letter.source
    return {
        "letter": _name(letter),
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "elements": [{"index": each.index, "reason": each.reason, "detail": each.detail} for each in letter.elements],
        "pointer": letter.is_pointer,
        "bytes": None if letter.value is None else len(letter.value),
        "namespace": letter.namespace,
    }


def _told(letter: Letter) -> list[str]:
    """What was wrong, a line each: of the record, or of each element."""
    if not letter.elements:
        return [f"{letter.reason}: {letter.detail}"]
    told = [f"#{each.index} {each.reason}: {each.detail}" for each in letter.elements]
    more = letter.rejected - len(told)
    return [*told, f"{more:,} more elements"] if more > 0 else told


def _short(line: dict[str, Any]) -> str:
    """What was wrong, for a cell: of the elements the first."""
    if not line["elements"]:
        return str(line["detail"])
    first, more = line["elements"][0], len(line["elements"]) - 1
    return f"#{first['index']}: {first['detail']}" + (f"; {more} more" if more else "")


def _readable(data: bytes | None) -> Any:
    """Text, or base64 marked as such."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _printed(data: bytes | None) -> str:
    return "(none)" if data is None else _visible(data.decode(errors="backslashreplace"))


def _visible(text: str) -> str:
    """Without what could move the cursor: the records are anybody's."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _table(counts: dict[str, Counter[str]], kept: Iterable[dict[str, Any]], *, whose: bool) -> None:
    from monitor.cli import show

    summary = show.table("by reason", "topic", "reason", "letters", right=("letters",))
    for topic, found in counts.items():
        for reason, count in found.most_common():
            summary.add_row(show.plain(topic), show.plain(reason), f"{count:,}")
    names = ("letter", "reason", "detail", *(["namespace"] if whose else []))
    last = show.table("last", *names, "bytes", right=("bytes",))
    for line in kept:
        size = "-" if line["bytes"] is None else f"{line['bytes']:,}"
        last.add_row(
            *(show.plain((_short(line) if name == "detail" else str(line[name] or "-")) or "-") for name in names), size
        )
    out = show.console()
    out.print(summary)
    out.print(last)
