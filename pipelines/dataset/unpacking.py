"""What an archive gives back: dataset versions, and counts by window, when the topics no longer hold the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from pipelines.dataset import archive as a
from pipelines.dataset import manifest as m
from pipelines.dataset.errors import READINGS_MAX, BadDataset, Overtaken
from pipelines.dataset.redaction import Erased
from pipelines.dataset.row_digest import RowDigest
from pipelines.dataset.selection import blocks
from pipelines.dataset.shelf import Shelf
from pipelines.dataset.table import Column, Hashes, Schema, Table, Texts


def rows(
    archive: a.Archive, state: a.State, selection: m.Selection, erased: Erased
) -> Iterator[tuple[int, Table, list[m.PartitionSource]]]:
    """Partition by partition: the rows of a range of event time in order of their offsets, with the offsets, and where the
    segments that they are of are from. Raises what the store raises for damage."""
    low, high = selection.from_ms, selection.until_ms
    for partition in sorted({partition for partition, _ in state.current}):
        parts, sources = [], []
        for (owner, _), (_, schema, segment) in sorted(state.current.items()):
            outside = (low is not None and segment.until_ms <= low) or (high is not None and segment.from_ms >= high)
            if owner != partition or segment.digest is None or outside:
                continue
            table = _chosen(archive.table(schema, segment.digest), selection, erased)
            if len(table):
                parts.append(table)
                sources.append(segment.source)
        if parts:
            table = _joined(parts)
            yield partition, table.take(np.argsort(table.ints(a.OFFSET).values, kind="stable")), sources


def dataset(archive: a.Archive, state: a.State, shelf: Shelf, selection: m.Selection) -> m.Manifest:
    """The manifest of a version of archived rows, whose segments are kept; its digest of rows is that of a version made of the
    topics while they held them. Raises BadDataset where there is no row, and Overtaken."""
    for _ in range(READINGS_MAX):
        erased = shelf.erased()
        try:
            made = _dataset(archive, state, shelf, selection, erased)
            if shelf.erased() == erased:
                return made
        except Exception:
            if archive.state().last == state.last:
                raise
        state = archive.state()  # an erasure came meanwhile: its rows may not come back, and blobs of them are gone
    raise Overtaken("the dataset", "ids were erased")


def _dataset(archive: a.Archive, state: a.State, shelf: Shelf, selection: m.Selection, erased: Erased) -> m.Manifest:
    begun, whole, segments, sources = state.begun, None, [], []
    unlabelled = labels = 0
    schema: Schema = ()
    for partition, table, held in rows(archive, state, selection, erased):
        offsets = table.ints(a.OFFSET).values
        plain = Table({name: column for name, column in table.columns.items() if name != a.OFFSET})
        if whole is None:
            whole, schema = RowDigest(plain.schema), plain.schema
        whole.add(plain)
        sources.append(_hull(held))
        unlabelled += int((~plain.known("label")).sum())
        labels += int(plain.known("label_at_ms").sum())
        segments += [shelf.put_segment(plain.take(places), partition, block) for block, places in blocks(offsets)]
    if whole is None:
        raise BadDataset("the dataset", "would have no row", "`driftline archive show` tells which panes there are.")
    return m.Manifest(
        format=m.FORMAT,
        source=m.Source(begun.cluster, begun.predictions, begun.labels, tuple(sources)),
        selection=structs.replace(selection, ids=begun.ids),
        horizon_ms=begun.horizon_ms,
        rules=begun.rules,
        schema=schema,
        segments=tuple(segments),
        rows_digest=whole.digest(),
        rows=whole.rows,
        unlabelled_rows=unlabelled,
        records={"predictions": whole.rows, "labels": labels},
        excluded=m.Counts({}, {}),
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Counts of one window of one model, version and segment (`all`, or `NAME=VALUE`). `cells` by (label, prediction) of rows
    whose label is known, where both are classes or 0 and 1."""

    start_ms: int
    model: str | None
    version: str | None
    segment: str
    seen: int
    labelled: int
    cells: dict[tuple[str, str], int]


def windows(archive: a.Archive, state: a.State, selection: m.Selection, window_ms: int, erased: Erased) -> list[Window]:
    """Rows counted again by fixed windows of the prediction's event time, which begin at multiples of their length."""
    seen: Counter[tuple[int, str | None, str | None, str]] = Counter()
    labelled: Counter[tuple[int, str | None, str | None, str]] = Counter()
    cells: dict[tuple[int, str | None, str | None, str], Counter[tuple[str, str]]] = {}
    for _, table, _ in rows(archive, state, selection, erased):
        starts = (table.ints("at_ms").values // window_ms * window_ms).tolist()
        names = zip(starts, table.texts("model").texts(), table.texts("version").texts(), strict=True)
        known = table.known("label").tolist()
        truth = list(zip(_words(table.columns["label"]), _words(table.columns["prediction"]), strict=True))
        groups = {name.removeprefix("segment."): table.texts(name).texts()
                  for name in table.columns if name.startswith("segment.")}  # fmt: skip
        for place, (start, model, version) in enumerate(names):
            in_segments = ["all", *(f"{name}={of[place]}" for name, of in groups.items() if of[place] is not None)]
            for segment in in_segments:
                key = start, model, version, segment
                seen[key] += 1
                labelled[key] += known[place]
                if known[place]:
                    cells.setdefault(key, Counter())[truth[place]] += 1
    order = sorted(seen, key=lambda key: tuple(map(str, key)))
    return [Window(*key, seen[key], labelled[key], dict(sorted(cells.get(key, Counter()).items()))) for key in order]


def _words(column: Column) -> list[str]:
    if isinstance(column, Texts):
        return [str(each) for each in column.texts()]
    assert not isinstance(column, Hashes), "an answer is no hash"
    return [f"{each:g}" for each in column.values.tolist()]


def _chosen(table: Table, selection: m.Selection, erased: Erased) -> Table:
    at = table.ints("at_ms").values
    mask = np.ones(len(table), np.bool_)
    if selection.from_ms is not None:
        mask &= at >= selection.from_ms
    if selection.until_ms is not None:
        mask &= at < selection.until_ms
    if selection.models is not None:
        mask &= np.array([name in selection.models for name in table.texts("model").texts()], np.bool_)
    ids = table.columns["id_hash"]
    assert isinstance(ids, Hashes)
    mask &= ~erased.among(ids.values)
    return table.take(np.flatnonzero(mask))


def _joined(parts: list[Table]) -> Table:
    """Tables of the same columns end to end."""
    columns: dict[str, Column] = {}
    for name in parts[0].columns:
        held = [part.columns[name] for part in parts]
        if isinstance(held[0], Texts):
            words = [each.texts() for each in held if isinstance(each, Texts)]
            known = {
                word: code for code, word in enumerate(dict.fromkeys(w for own in words for w in own if w is not None))
            }
            codes = [-1 if word is None else known[word] for own in words for word in own]
            columns[name] = Texts(np.array(codes, np.int32), list(known))
            continue
        fields = [field for field in ("values", "null") if hasattr(held[0], field)]
        columns[name] = type(held[0])(*(np.concatenate([getattr(each, field) for each in held]) for field in fields))
    return Table(columns)


def _hull(sources: list[m.PartitionSource]) -> m.PartitionSource:
    """The shortest range that holds several of one partition, with the clock of the first."""
    first = min(sources, key=lambda each: each.predictions.start)
    last = max(sources, key=lambda each: each.predictions.end)
    predictions = structs.replace(first.predictions, end=last.predictions.end)
    labels = [each.labels for each in sources if each.labels is not None]
    if not labels:
        return m.PartitionSource(first.partition, predictions)
    begin = min(labels, key=lambda each: each.start)
    held = structs.replace(begin, end=max(each.end for each in labels))
    return m.PartitionSource(first.partition, predictions, held, last.label_clock_ms)
