"""Making a dataset version of two topics, and making its rows again to see whether they are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET

from monitor.cli.dataset_join import Joined, join, state_of
from monitor.cli.dataset_read import Span, Topics
from monitor.cli.scan import ScanProgress
from monitor.config import canonical
from monitor.errors import MonitorError
from monitor.events import Int64s
from pipelines.dataset import manifest as m
from pipelines.dataset.errors import READINGS_MAX, BadDataset, Overtaken
from pipelines.dataset.redaction import NOBODY, REDACTED, Erased
from pipelines.dataset.row_digest import RowDigest
from pipelines.dataset.selection import blocks, checked, wants
from pipelines.dataset.table import Hashes, Schema, Table

if TYPE_CHECKING:
    from monitor.config.types import Config
    from monitor.ports import Log
    from pipelines.dataset.shelf import Shelf

_RULES_OF_TIME = ("horizon", "skew", "lateness", "max_jump")
Spans = list[tuple[int, Span, Span | None]]


class Mismatch(MonitorError):
    """The topics or the configuration are not those that a version was made of."""


def make(
    config: Config, log: Log, shelf: Shelf, selection: m.Selection, alive: Callable[[], None] = lambda: None
) -> m.Manifest:
    """Read, join, keep the segments; the manifest is returned and not kept yet. `alive` is called again and again and may
    raise to end it. Raises BadDataset when there is no row, and Overtaken."""
    from pipelines.dataset import parquet

    parquet.require()
    topics = Topics(config, log, ids=selection.ids)
    spans = _everything(topics, checked(_known_models(topics, selection)))
    for _ in range(READINGS_MAX):
        made = _Making(shelf, erased := shelf.erased())
        for joined in joined_partitions(topics, spans, selection, "making the dataset", alive=alive):
            made.add(joined)
        if shelf.erased() == erased:  # reading takes long: what was asked for meanwhile may not come back
            break
    else:
        raise Overtaken("the dataset", "ids were erased")
    if not made.rows or made.whole is None:
        without = ", ".join(f"{count:,} {name}" for name, count in sorted(made.lost.items())) or "there is no record"
        raise BadDataset("the dataset", f"would have no row: {without}", "Choose a range that has some.")
    labels = topics.labels
    return m.Manifest(
        format=m.FORMAT,
        source=m.Source(
            topics.cluster,
            m.Topic(topics.predictions.name, topics.predictions.topic_id),
            None if labels is None else m.Topic(labels.name, labels.topic_id),
            tuple(made.sources),
        ),
        selection=selection,
        horizon_ms=topics.plan.join.bounds.horizon_ms,
        rules=rules_of(config),
        schema=made.schema,
        segments=tuple(made.segments),
        rows_digest=made.whole.digest(),
        rows=made.rows,
        unlabelled_rows=made.unlabelled,
        records=made.records,
        excluded=made.excluded,
        wrong_type=dict(sorted(made.wrong_type.items())) or UNSET,
    )


def labelled_rows(topics: Topics, selection: m.Selection) -> int:
    """How many rows of a selection have their label. Nothing is kept."""
    spans = _everything(topics, checked(selection))
    counted = joined_partitions(topics, spans, selection, "counting labelled rows")
    return sum(int(joined.table.known("label").sum()) for joined in counted)


class _Making:
    """What is added up over the partitions."""

    def __init__(self, shelf: Shelf | None, erased: Erased) -> None:
        self._shelf, self._erased = shelf, erased
        self.schema: Schema = ()
        self.whole: RowDigest | None = None
        self.segments: list[m.Segment] = []
        self.sources: list[m.PartitionSource] = []
        self.rows = self.unlabelled = 0
        self.records = {"predictions": 0, "labels": 0}
        self.lost: Counter[str] = Counter()
        self.unused: Counter[str] = Counter()
        self.wrong_type: Counter[str] = Counter()

    @property
    def excluded(self) -> m.Counts:
        """Records that are no rows and no labels of rows, by reason; reasons without a record are left out."""
        return m.Counts({k: v for k, v in self.lost.items() if v}, {k: v for k, v in self.unused.items() if v})

    def add(self, joined: Joined) -> None:
        """The rows of the next partition."""
        if joined.source is None:
            return
        table, offsets, lost = without_erased(joined, self._erased)
        if self.whole is None:
            self.schema = table.schema
            self.whole = RowDigest(self.schema)
        self.whole.add(table)
        self.sources.append(joined.source)
        self.rows += len(table)
        self.unlabelled += int((~table.known("label")).sum())
        self.lost += joined.excluded[0] + lost[0]
        self.unused += joined.excluded[1] + lost[1]
        self.wrong_type += joined.wrong_type
        for stream, count in joined.records.items():
            self.records[stream] += count
        if self._shelf is not None:
            for block, places in blocks(offsets):
                self.segments.append(self._shelf.put_segment(table.take(places), joined.source.partition, block))


def without_erased(joined: Joined, erased: Erased) -> tuple[Table, Int64s, tuple[Counter[str], Counter[str]]]:
    """The rows whose ids were not erased, their offsets, and the predictions and labels that are left out for it."""
    column = joined.table.columns["id_hash"]
    assert isinstance(column, Hashes)
    gone = erased.among(column.values)
    if not gone.any():
        return joined.table, joined.offsets, (Counter(), Counter())
    labelled = int((joined.table.known("label") & gone).sum())
    places = np.flatnonzero(~gone)
    lost = Counter({REDACTED: int(gone.sum())}), Counter({REDACTED: labelled} if labelled else {})
    return joined.table.take(places), joined.offsets[places], lost


@dataclass(frozen=True, slots=True)
class Again:
    """The rows that the topics give now."""

    rows: int
    rows_digest: str
    tables: list[Table]
    manifest: m.Manifest

    @property
    def same(self) -> bool:
        """Whether they are the version's, bit for bit."""
        return self.rows_digest == self.manifest.rows_digest


def make_again(config: Config, log: Log, manifest: m.Manifest, erased: Erased = NOBODY) -> Again:
    """Read the ranges of a version again, without the ids that were erased. Raises Mismatch, and OffsetLost when retention
    took some of it."""
    differing = sorted(k for k, v in rules_of(config).items() if manifest.rules.get(k) != v)
    if differing or config.streams.predictions.topic != manifest.source.predictions.name:
        raise Mismatch(
            f"the configuration differs in {', '.join(differing)} from the one that the dataset was made with, so the rows "
            "cannot be made again. Use that one; `driftline dataset show -o json` prints its rules."
        )
    topics = Topics(config, log, ids=manifest.selection.ids)
    _same_topics(topics, manifest.source)
    spans: Spans = []
    for one in manifest.source.partitions:
        labels = None if one.labels is None else _span(one.labels)
        topics.need(topics.predictions.name, one.partition, _span(one.predictions))
        if labels is not None and topics.labels is not None:
            topics.need(topics.labels.name, one.partition, labels)
        spans.append((one.partition, _span(one.predictions), labels))
    made, tables = _Making(None, erased), []
    clocks = {one.partition: one.label_clock_ms for one in manifest.source.partitions}
    for joined in joined_partitions(topics, spans, manifest.selection, "reading the topics again", clocks):
        made.add(joined)
        tables.append(without_erased(joined, erased)[0])
    digest = made.whole.digest() if made.whole is not None else RowDigest(manifest.schema).digest()
    return Again(made.rows, digest, tables, manifest)


def joined_partitions(
    topics: Topics,
    spans: Spans,
    selection: m.Selection,
    what: str,
    label_clocks: dict[int, int | None] | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Iterator[Joined]:
    """Partition after partition, each read whole: what one holds is what has to fit into memory."""
    whole = topics.scan(spans)
    with ScanProgress(whole, what) as progress:

        def show() -> None:
            progress.show()
            alive()

        for partition, predictions, labels in spans:
            read = topics.read(whole, partition, predictions, labels, show)
            known = (label_clocks or {}).get(partition)
            yield join(topics, read, selection, known)


def rules_of(config: Config) -> dict[str, Any]:
    """The part of the configuration that decides what a row is. Windows, rules and disorder do not."""
    meaning = canonical.meaning(config)
    return {
        "streams": meaning["streams"],
        "time": {name: meaning["time"][name] for name in _RULES_OF_TIME if name in meaning["time"]},
        "models": meaning["models"],
        "unlisted_models": meaning["unlisted_models"],
    }


def _everything(topics: Topics, selection: m.Selection) -> Spans:
    """What the topics hold now, of every partition that can have a row. Raises BadDataset for offsets that they do not."""
    predictions, labels = topics.held()
    for part in selection.offsets or ():
        known = part.partition < len(predictions)
        begin, end = predictions[part.partition] if known else (0, 0)
        if not known or part.start < begin or part.end > end:
            what = f"offsets {part.start}-{part.end} of partition {part.partition}"
            why = (
                f"are not all in the topic, which holds [{begin}, {end}) of it"
                if known
                else "are of no partition there is"
            )
            raise BadDataset(what, why, f"There are partitions 0 to {len(predictions) - 1}.")
    return [
        (partition, Span(*held), None if labels is None else Span(*labels[partition]))
        for partition, held in enumerate(predictions)
        if wants(selection, partition)
    ]


def _known_models(topics: Topics, selection: m.Selection) -> m.Selection:
    from monitor.config.suggest import hint

    listed = list(topics.plan.models)
    for name in selection.models or ():
        if name not in listed and topics.plan.template is None:
            why = f"is none of the configuration's{hint(name, listed)}"
            raise BadDataset(f"the model {name!r}", why, f"It lists: {', '.join(listed)}.")
    return selection


def _span(part: m.Range) -> Span:
    return Span(part.start, part.end, state_of(part.clock))


def _same_topics(topics: Topics, source: m.Source) -> None:
    """Raises Mismatch."""
    if topics.cluster != source.cluster:
        raise Mismatch(
            f"the dataset was made of cluster {source.cluster!r}, and this is {topics.cluster!r}. Connect to that one."
        )
    for found, made in ((topics.predictions, source.predictions), (topics.labels, source.labels)):
        if found is not None and made is not None and found.topic_id != made.topic_id:
            raise Mismatch(
                f"topic {made.name!r} was deleted and made again since: its records are others. The stored rows are all "
                "that is left; verify without -c reads those."
            )
