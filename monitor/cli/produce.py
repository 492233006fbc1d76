"""The command `driftline produce`."""

from __future__ import annotations

import gzip
import os
import shlex
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from monitor.cli.common import embedded_option, open_embedded, open_kafka
from monitor.errors import MonitorError

if TYPE_CHECKING:
    from monitor.ports import Appender

_FLUSH_EVERY = 5_000
_FLUSH_MS = 30_000
_SAY_EVERY_S = 5.0


@click.command("produce")
@click.argument("topic")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--bootstrap", metavar="HOST:PORT", help="Kafka brokers.")
@embedded_option
@click.option("--key", "key_field", default="id", show_default=True, help="Field of the record that becomes its key.")
@click.option("--no-key", is_flag=True, help="Send records without a key, spread over the partitions.")
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    default=6,
    show_default=True,
    help="Partitions, should the topic have to be made.",
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Records a second; default as fast as it goes."
)
@click.option("--limit", type=click.IntRange(min=0), help="Stop after so many records.")
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
    the key field is sent without a key, and may lie in another partition than its counterpart.

    \b
    Examples:
      driftline produce predictions predictions.jsonl.gz --embedded ./data
      driftline produce labels labels.jsonl --bootstrap localhost:9092 --rate 500
      driftline produce scores scores.jsonl --bootstrap localhost:9092 --key request.uid
    """
    import re

    from monitor.cli.show import note
    from monitor.config.base import TOPIC_PATTERN
    from monitor.errors import LogError
    from monitor.ports import TopicSpec

    if (bootstrap is None) == (embedded is None):
        raise click.UsageError("say where to: either --bootstrap HOST:PORT or --embedded DIR")
    if not re.match(TOPIC_PATTERN, topic):
        raise click.UsageError(f"{topic!r} is no name of a topic; allowed are letters, digits, '.', '_' and '-'")
    log = open_embedded(embedded) if embedded is not None else open_kafka(str(bootstrap))
    try:
        # Never expiring: event times may lie years back, and a broker would delete such records at once.
        log.ensure(TopicSpec(topic, partitions))
        appender = log.appender()
        sending = _Sending(file, limit, quiet)
        try:
            sending.run(appender, topic, None if no_key else key_field, rate)
        except LogError:
            note(sending.how_to_go_on())
            raise
        finally:
            appender.close()
    finally:
        log.close()
    if not quiet:
        note(f"{sending.sent:,} records sent to {topic}")
    if sending.keyless and not no_key:
        note(
            f"{sending.keyless:,} of them have no field {key_field!r} and went without a key, to any partition: "
            "--key names the field that predictions and labels share"
        )


class _Sending:
    """The lines of a file on their way, and how far they are."""

    def __init__(self, file: Path, limit: int | None, quiet: bool) -> None:
        self._file, self._limit, self._quiet = file, limit, quiet
        self._raw: IO[bytes] | None = None
        self._began = self._said = time.monotonic()
        self.sent = self.keyless = self._answered = 0

    def run(self, appender: Appender, topic: str, key_field: str | None, rate: float | None) -> None:
        """Send them all, or as many as the limit says."""
        from monitor.ports import OutRecord

        for line in self._lines():
            if self._limit is not None and self.sent >= self._limit:
                break
            key = key_of(line, key_field)
            appender.send(topic, OutRecord(line, key))
            self.sent += 1
            self.keyless += key is None
            if rate is not None:
                ahead = self._began + self.sent / rate - time.monotonic()
                if ahead > 0.005:
                    self._flush(appender)
                    time.sleep(ahead)
            elif self.sent % _FLUSH_EVERY == 0:
                self._flush(appender)
            self._say()
        self._flush(appender)

    def how_to_go_on(self) -> str:
        """What is known of a sending that was broken off."""
        file, unsure = shlex.quote(str(self._file)), self.sent - self._answered
        cat = "zcat" if self._file.suffix == ".gz" else "cat"
        told = f"the first {self._answered:,} records are in the topic; of the next {unsure:,} it is not known"
        if str(self._file) == "-":
            return told
        rest = f"{cat} {file} | grep . | tail -n +{self._answered + 1}"
        return f"{told}. To send from there on: {rest} | driftline produce TOPIC - ..."

    def _flush(self, appender: Appender) -> None:
        appender.flush(_FLUSH_MS)
        self._answered = self.sent

    def _say(self) -> None:
        now = time.monotonic()
        if self._quiet or now - self._said < _SAY_EVERY_S:
            return
        self._said = now
        text = f"driftline: {self.sent:,} records sent, {self.sent / (now - self._began):,.0f}/s"
        if share := self._share():
            text += f", {100 * share:.0f} %, ETA {(now - self._began) * (1 - share) / share:.0f} s"
        print(text, file=sys.stderr)

    def _share(self) -> float | None:
        """How much of it is done; None for standard input. A compressed file is as far as its bytes are read."""
        shares = [self.sent / self._limit] if self._limit else []
        if self._raw is not None:
            shares.append(self._raw.tell() / max(1, os.fstat(self._raw.fileno()).st_size))
        return max(shares, default=None)

    def _lines(self) -> Iterator[bytes]:
        if str(self._file) == "-":
            yield from _stripped(sys.stdin.buffer)
            return
        try:
            with self._file.open("rb") as self._raw:
                packed = self._file.suffix == ".gz"
                yield from _stripped(gzip.GzipFile(fileobj=self._raw) if packed else iter(self._raw.readline, b""))
        except (OSError, EOFError, zlib.error) as error:
            raise MonitorError(
                f"{str(self._file)!r} cannot be read: {error}. Give a file of JSON lines, plain or gzip."
            ) from error
        finally:
            self._raw = None


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


def _stripped(stream: Iterable[bytes]) -> Iterator[bytes]:
    for line in stream:
        if text := line.rstrip(b"\r\n"):
            yield text
