"""The command `driftline produce`."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import embedded_option, open_embedded, open_kafka
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.ports import Appender

_FLUSH_EVERY = 5_000
_FLUSH_MS = 30_000


@click.command("produce")
@click.argument("topic")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--bootstrap", metavar="HOST:PORT", help="Kafka brokers.")
@embedded_option
@click.option("--key", "key_field", default="id", show_default=True, help="Field of the record that becomes its key.")
@click.option("--no-key", is_flag=True, help="Send records without a key, spread over the partitions.")
@click.option(
    "--partitions", type=int, default=6, show_default=True, help="Partitions, should the topic have to be made."
)
@click.option("--rate", type=float, help="Records a second; default as fast as it goes.")
@click.option("--limit", type=int, help="Stop after so many records.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    topic: str,
    file: Path,
    bootstrap: str | None,
    embedded: Path | None,
    key_field: str,
    no_key: bool,
    partitions: int,
    rate: float | None,
    limit: int | None,
    quiet: bool,
) -> None:
    """Send the lines of FILE (JSON lines, plain or .gz, - for standard input) into TOPIC, one record a line.

    Lines are sent as they are, valid or not: a malformed line is how a malformed record is tried out. A line without
    the key field is sent without a key.

    \b
    Examples:
      driftline produce predictions predictions.jsonl.gz --embedded ./data
      driftline produce labels labels.jsonl --bootstrap localhost:9092 --rate 500
    """
    if (bootstrap is None) == (embedded is None):
        raise click.UsageError("say where to: either --bootstrap HOST:PORT or --embedded DIR")
    from monitor.ports import TopicSpec

    log = open_embedded(embedded) if embedded is not None else open_kafka(str(bootstrap))
    try:
        # Never expiring: event times may lie years back, and a broker would delete such records at once.
        log.ensure(TopicSpec(topic, partitions))
        appender = log.appender()
        try:
            sent = _send(appender, topic, _lines(file), None if no_key else key_field, rate, limit, quiet)
        finally:
            appender.close()
    finally:
        log.close()
    if not quiet:
        click.echo(f"driftline: {sent} records sent to {topic}", err=True)


def _send(
    appender: Appender,
    topic: str,
    lines: Iterator[bytes],
    key_field: str | None,
    rate: float | None,
    limit: int | None,
    quiet: bool,
) -> int:
    from monitor.ports import OutRecord

    began = said = time.monotonic()
    sent = 0
    for line in lines:
        if limit is not None and sent >= limit:
            break
        appender.send(topic, OutRecord(line, key_of(line, key_field)))
        sent += 1
        if rate is not None:
            ahead = began + sent / rate - time.monotonic()
            if ahead > 0.005:
                appender.flush(_FLUSH_MS)
                time.sleep(ahead)
        elif sent % _FLUSH_EVERY == 0:
            appender.flush(_FLUSH_MS)
        now = time.monotonic()
        if not quiet and now - said > 5:
            said = now
            print(f"driftline: {sent} records sent, {sent / (now - began):.0f}/s", file=sys.stderr)
    appender.flush(_FLUSH_MS)
    return sent


def key_of(line: bytes, field: str | None) -> bytes | None:
    """The key of a record: the text of one of its fields, None where it has none."""
    import orjson

    if field is None:
        return None
    try:
        value = orjson.loads(line)
        for part in field.removeprefix("$.").split("."):
            value = value[part]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    return value.encode() if isinstance(value, str) else orjson.dumps(value)


def _lines(file: Path) -> Iterator[bytes]:
    if str(file) == "-":
        yield from _stripped(sys.stdin.buffer)
        return
    try:
        with file.open("rb") as raw:
            yield from _stripped(gzip.GzipFile(fileobj=raw) if file.suffix == ".gz" else raw)
    except (OSError, EOFError) as error:
        raise MonitorError(f"{file}: {error}. Give a file of JSON lines, plain or gzip.") from error


def _stripped(stream: Iterable[bytes]) -> Iterator[bytes]:
    for line in stream:
        if text := line.rstrip(b"\r\n"):
            yield text
