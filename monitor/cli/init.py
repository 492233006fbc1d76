"""The command `driftline init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import embedded_option

if TYPE_CHECKING:
    from monitor.cli.scan import Scan
    from monitor.config.infer_columns import Sample
    from monitor.ports import Log


@click.command("init")
@click.option("--from-topic", "predictions", metavar="TOPIC", help="Topic of predictions.")
@click.option("--labels", metavar="TOPIC", help="Topic of labels; without it inputs alone are watched.")
@click.option("--bootstrap", metavar="HOST:PORT", help="Kafka brokers; goes into the configuration.")
@click.option("--property", "properties", multiple=True, metavar="KEY=VALUE", help="Property of the Kafka client.")
@embedded_option
@click.option("--from-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="JSON lines instead.")
@click.option("--labels-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="JSON lines instead.")
@click.option(
    "--sample", type=click.IntRange(min=2), default=2000, show_default=True, help="Records of each to look at."
)
@click.option("--namespace", default="driftline", show_default=True, help="Prefix of the internal topics.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write there instead of standard output."
)
@click.option("--force", is_flag=True, help="Replace the file.")
def command(
    predictions: str | None,
    labels: str | None,
    bootstrap: str | None,
    properties: tuple[str, ...],
    embedded: Path | None,
    from_file: Path | None,
    labels_file: Path | None,
    sample: int,
    namespace: str,
    output: Path | None,
    force: bool,
) -> None:
    """Propose a configuration from what two topics or two files hold.

    Looks at records from the start and the end of every partition, so that labels meet their predictions and the delay
    between them can be seen. CloudEvents and change events of Debezium are told by what they are. Lines marked CHECK are guesses.
    The result passes `driftline check` as it is.
    With files the topics get their names: predictions.jsonl.gz becomes `predictions`.

    \b
    Examples:
      driftline init --bootstrap localhost:9092 --from-topic predictions --labels labels > driftline.yaml
      driftline init --embedded ./data --from-topic predictions --labels labels -o driftline.yaml
      driftline init --from-file predictions.jsonl.gz --labels-file labels.jsonl.gz > driftline.yaml
    """
    from monitor.cli.init_envelope import unwrapped
    from monitor.cli.show import note
    from monitor.config import loads
    from monitor.config.infer import propose

    if output is not None and output.exists() and not force:
        raise click.UsageError(f"{str(output)!r} exists; --force replaces it")
    _check_sources(predictions, labels, bootstrap, embedded, from_file, labels_file)
    if from_file is not None:
        samples = _of_file(from_file, sample)
        label_samples = None if labels_file is None else _of_file(labels_file, sample)
        predictions, labels = _topic_of(from_file), None if labels_file is None else _topic_of(labels_file)
    else:
        assert predictions is not None, "checked"
        samples, label_samples = _of_topics(predictions, labels, bootstrap, properties, embedded, sample)
    (envelope, inside), (label_envelope, labels_inside) = unwrapped(samples), unwrapped(label_samples or ())
    text = propose(
        inside,
        None if label_samples is None else labels_inside,
        predictions_topic=predictions,
        labels_topic=labels,
        bootstrap_servers=bootstrap,
        namespace=namespace,
        envelopes=(envelope, label_envelope),
    )
    # What is proposed loads: a namespace or a topic name that cannot be used is said here, before anything is written.
    loads(text, name=str(output or "the proposal"))
    _write(output, text)
    note(_looked_at(text, len(samples), None if label_samples is None else len(label_samples)))
    if properties:
        note("add the client's properties under kafka.properties; secrets from files, such as sasl.password_file")
    note(_next(output, bootstrap, embedded))


def _next(output: Path | None, bootstrap: str | None, embedded: Path | None) -> str:
    follow = "--live" if bootstrap else f"--live --embedded {embedded}" if embedded else ""
    return f"next: driftline check -c {output or 'FILE'} {follow}".rstrip()


def _looked_at(text: str, predictions: int, labels: int | None) -> str:
    guesses = sum("CHECK:" in line for line in text.splitlines())
    counts = f"{predictions:,} predictions" + ("" if labels is None else f" and {labels:,} labels")
    return f"looked at {counts}; {guesses} lines marked CHECK are guesses"


def _check_sources(
    predictions: str | None,
    labels: str | None,
    bootstrap: str | None,
    embedded: Path | None,
    from_file: Path | None,
    labels_file: Path | None,
) -> None:
    if (predictions is None) == (from_file is None):
        raise click.UsageError("say what to look at: either --from-topic TOPIC or --from-file FILE")
    if from_file is not None:
        if labels is not None or embedded is not None:
            raise click.UsageError("--from-file goes with --labels-file, not with --labels or --embedded")
        return
    if labels_file is not None:
        raise click.UsageError("--labels-file goes with --from-file; a topic of labels is --labels TOPIC")
    if (bootstrap is None) == (embedded is None):
        raise click.UsageError("say where the topics are: either --bootstrap HOST:PORT or --embedded DIR")


def _of_topics(
    predictions: str,
    labels: str | None,
    bootstrap: str | None,
    properties: tuple[str, ...],
    embedded: Path | None,
    sample: int,
) -> tuple[list[Sample], list[Sample] | None]:
    from monitor.cli.common import open_kafka
    from monitor.cli.scan import need_topic, open_embedded_existing

    if embedded is not None:
        log = open_embedded_existing(embedded)
    else:
        wrong = next((pair for pair in properties if "=" not in pair), None)
        if wrong is not None:
            raise click.UsageError(f"--property {wrong!r} is no KEY=VALUE")
        log = open_kafka(str(bootstrap), dict(pair.split("=", 1) for pair in properties))
    try:
        for topic in (predictions, labels):
            if topic is not None:
                need_topic(log, topic, "Is it spelled as the producer spells it?")
        return _of_topic(log, predictions, sample), None if labels is None else _of_topic(log, labels, sample)
    finally:
        log.close()


def _of_topic(log: Log, topic: str, sample: int) -> list[Sample]:
    """Records from both ends of every partition, in the order of the log."""
    from monitor.cli.scan import Scan
    from monitor.config.infer_columns import Sample

    whole = Scan.of(log, topic)
    half = max(1, sample // (2 * max(1, len(whole.ranges))))
    samples: dict[tuple[int, int], Sample] = {}
    for part in _ends(whole, half):
        for batch in part.batches(log, most=min(sample, 2_000)):
            keys, headers = batch.keys or [None] * len(batch), batch.headers or [None] * len(batch)
            places = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), strict=True)
            for (offset, at_ms), key, value, header in zip(places, keys, batch.values, headers, strict=True):
                samples[batch.partition, offset] = Sample(key, value, header or (), at_ms, batch.partition)
    return [one for _, one in sorted(samples.items())]


def _ends(whole: Scan, half: int) -> list[Scan]:
    """The first and the last `half` offsets of every partition, without reading any twice."""
    from monitor.cli.scan import Scan

    first = {where: (start, min(end, start + half)) for where, (start, end) in whole.ranges.items()}
    last = {where: (max(first[where][1], end - half), end) for where, (_, end) in whole.ranges.items()}
    return [Scan(first), Scan(last)]


def _of_file(file: Path, sample: int) -> list[Sample]:
    """The first and the last lines of a file."""
    from collections import deque

    from monitor.cli.scan import lines_of
    from monitor.config.infer_columns import Sample

    half = sample // 2
    first: list[bytes] = []
    last: deque[bytes] = deque(maxlen=sample - half)
    for line in lines_of(file):
        (first if len(first) < half else last).append(line)
    return [Sample(None, line, (), 0) for line in (*first, *last)]


def _topic_of(file: Path) -> str:
    """A topic's name for a file: what it is called, without its endings and odd characters."""
    import re

    return re.sub(r"[^A-Za-z0-9._-]+", "-", file.name.split(".", 1)[0]) or "predictions"


def _write(output: Path | None, text: str) -> None:
    from monitor.errors import MonitorError

    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MonitorError(f"{str(output)!r} cannot be written: {error.strerror}") from error
