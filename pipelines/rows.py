"""From rows to the dataset of a run: which rows, split by time, kept as blobs, and what forbids training on them.

Wherever rows come from they are dictionaries: the features, the label (null while it is not known), the time of the prediction in
ms, and if wished when the label became known (`known_ms`) and which version predicted (`version`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from pipelines.codec import canonical_bytes
from pipelines.errors import NotFound
from pipelines.losses import BINARY
from pipelines.missing import RISE_MAX, Missing, lacking, missing
from pipelines.policy import DAY_MS, Policy, ScoredBy
from pipelines.ports import OTHER_SCORE, SERVED_SCORE, Dataset, Finding, Store
from pipelines.quality import Checks, failing_parts
from pipelines.rescaled import CHANGE_MAX, larger, rescaled
from pipelines.stuck import RATIO_MAX, standing, stuck
from pipelines.suggest import hint, listing
from pipelines.tables import Row, numbers, parse_rows, row_bytes, write_rows

KNOWN: Final = "known_ms"
VERSION: Final = "version"
KIND: Final = "driftline-rows"
FORMAT: Final = 1
_TRAIN: Final = "to train on"
_TEST: Final = "to judge by"


def need_columns(rows: Iterable[Row], policy: Policy, where: str, *, anchor: bool = False) -> None:
    """Raises NotFound for columns that the policy names and no row has. Without rows there is nothing to say. `anchor`: only
    those that a model is judged by."""
    known = sorted(set[str]().union(*rows))
    data = policy.data
    named = [
        ("label", data.label), *(("features", name) for name in data.features),
        *([("score", data.score)] if data.score else []), *(("gate.segments", name) for name in policy.gate.segments),
    ]  # fmt: skip
    named += [] if anchor else [
        ("at", data.at), *(("checks", name) for name in data.checks or {}),
        *([("data.reviewed", data.reviewed)] if data.reviewed else []), *([("data.id", data.id)] if data.id else []),
        *([("intake.source", policy.intake.source)] if policy.intake and policy.intake.source else []),
    ]  # fmt: skip
    odd = [(key, name) for key, name in named if name not in known] if known else []
    if odd:
        what = "; ".join(f"{key}: no row has a column {name!r}{hint(name, known)}" for key, name in odd)
        remedy = f"There are: {listing(known)}."
        raise NotFound(f"rows of {policy.model} in {where}", f"are not what its policy says: {what}", remedy)


def need_values(rows: Iterable[Row], policy: Policy, where: str) -> None:
    """Raises NotFound for rows without a time, and for a label or its time that is something else than a number or null: each
    would be left out without a word."""
    at, label = policy.data.at, policy.data.label
    tests: tuple[tuple[str, str, Callable[[object], bool], str], ...] = (
        ("at", at, lambda value: _ms(value) is not None, "a whole number of ms"),
        ("label", label, lambda value: value is None or isinstance(value, int | float), "a number, or null"),
        (KNOWN, KNOWN, lambda value: value is None or _ms(value) is not None, "a whole number of ms, or null"),
    )
    odd: dict[str, list[int]] = {}
    count = 0
    for count, row in enumerate(rows, 1):
        for key, column, fits, _ in tests:
            if not fits(row.get(column)):
                odd.setdefault(key, []).append(count)
    said = [
        f"{key}: {column!r} must be {wanted}, and is not in {len(odd[key]):,} of {count:,} rows, first in row {odd[key][0]:,}"
        for key, column, _, wanted in tests
        if key in odd
    ]
    if said:
        raise NotFound(
            f"rows of {policy.model} in {where}", f"are not what its policy says: {'; '.join(said)}", "Mend them."
        )


def need_past(rows: Iterable[Row], policy: Policy, where: str, now_ms: int) -> None:
    """Raises NotFound for rows, all of whose times are whole numbers, that lie more than a day in the future: they would be left
    out without a word. Times in microseconds are such."""
    at = policy.data.at
    odd = [number for number, row in enumerate(rows, 1) if (_ms(row[at]) or 0) > now_ms + DAY_MS]
    if odd:
        why = f"lie in the future: {at!r} is more than a day ahead in {len(odd):,} rows, first in row {odd[0]:,}"
        raise NotFound(f"rows of {policy.model} in {where}", why, "Write times in ms, or leave these rows out.")


def _ms(value: object) -> int | None:
    """A time in ms, also where it was written as 1760000000000.0; None for what is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _known_ms(row: Row, at: str) -> int | None:
    """When the label became known: with the prediction, where the row does not say. None where it says no time."""
    return _ms(row.get(KNOWN) or row[at])


def _version(row: Row) -> str | None:
    """Who predicted the row, as predictions say it: 2 is "2"."""
    said = row.get(VERSION)
    return None if said is None else str(_ms(said) if isinstance(said, float) and said.is_integer() else said)


def labelled(rows: Iterable[Row], policy: Policy, until_ms: int, *, ordered: bool = False) -> list[Row]:
    """Rows of the policy's window, which ends with the newest one, whose label was known by then, in order of time.
    `ordered`: the rows are in this order already."""
    at, label = policy.data.at, policy.data.label
    known = [
        row
        for row in rows
        if _ms(row.get(at)) is not None and isinstance(row.get(label), int | float)
        if (known_ms := _known_ms(row, at)) is not None and known_ms <= until_ms and row[at] <= until_ms
    ]
    newest = max((row[at] for row in known), default=0)
    inside = (row for row in known if row[at] > newest - policy.data.window_ms)
    return list(inside) if ordered else sorted(inside, key=lambda row: (row[at], row_bytes(row)))


def of_span(rows: Iterable[Row], policy: Policy, from_ms: int, until_ms: int) -> list[Row]:
    """See Data.past."""
    at, label = policy.data.at, policy.data.label
    found = [
        row
        for row in rows
        if _ms(row.get(at)) is not None and from_ms <= row[at] < until_ms and isinstance(row.get(label), int | float)
    ]
    return sorted(found, key=lambda row: (row[at], row_bytes(row)))


def predicted_by(rows: Iterable[Row], names: Collection[str], since_ms: int, policy: Policy) -> list[Row]:
    """Rows that a version predicted. Rows that do not say their version are taken for its own from `since_ms` on."""
    said = ((row, _version(row)) for row in rows)
    found = [row for row, version in said if (row[policy.data.at] >= since_ms if version is None else version in names)]
    return _as_labels_came(judgeable(found, policy), policy)


def named(rows: Iterable[Row], names: Collection[str]) -> bool | None:
    """Whether a version that is called one of `names` predicted any of the rows; None where no row says its version."""
    said = {version for row in rows if (version := _version(row)) is not None}
    return not said.isdisjoint(names) if said else None


def comparable(
    rows: Iterable[Row], served: Collection[str], other: Collection[str], since_ms: int, policy: Policy
) -> list[Row]:
    """See Data.compared. Of two rows of one version with the same id the first counts."""
    at = policy.data.at
    later = [row for row in rows if row[at] >= since_ms]
    shadow = policy.shadow
    if shadow is UNSET or shadow.scored_by is ScoredBy.DRIFTLINE:
        found = [row for row in later if (version := _version(row)) is None or version in served]
        return _as_labels_came(judgeable(found, policy), policy)
    key, score = str(policy.data.id), str(policy.data.score)
    theirs: dict[object, Row] = {}
    for row in later:
        if _version(row) in other and row.get(key) is not None:
            theirs.setdefault(row[key], row)
    pairs: dict[object, Row] = {}
    for row in later:
        if _version(row) in served and row.get(key) in theirs:
            scores = {SERVED_SCORE: row.get(score), OTHER_SCORE: theirs[row[key]].get(score)}
            pairs.setdefault(row[key], {**row, **scores})
    return _as_labels_came(judgeable(list(pairs.values()), policy), policy)


def _as_labels_came(rows: list[Row], policy: Policy) -> list[Row]:
    """In the order in which a look at them could first have seen them: each look extends the one before."""
    at = policy.data.at
    return sorted(rows, key=lambda row: (_known_ms(row, at) or 0, row[at], row_bytes(row)))


def judgeable(rows: list[Row], policy: Policy) -> list[Row]:
    """The rows that a model may be judged by: all, or those that were reviewed by lot."""
    column = policy.data.reviewed
    return rows if column is UNSET else [row for row in rows if str(row.get(column)).lower() in ("true", "1", "1.0")]


def split(rows: list[Row], policy: Policy) -> tuple[list[Row], list[Row]]:
    """(older rows, newer rows), with a gap of time between them; rows of one instant are never split."""
    if not rows:
        return [], []
    at = policy.data.at
    start: Any = rows[min(len(rows) - 1, int(len(rows) * (1 - policy.data.test_ratio)))][at]
    before = start - policy.data.gap_ms
    newer = [row for row in rows if row[at] >= start]
    return [row for row in rows if row[at] < start and row[at] <= before], judgeable(newer, policy)


def keep(
    store: Store, train: list[Row], test: list[Row], until_ms: int, policy: Policy, source: str | None = None
) -> Dataset:
    """Fix rows as blobs. `source`: digest of the dataset version that they are taken from."""
    parts = [store.put_blob([write_rows(rows)]).digest for rows in (train, test)]
    manifest = {
        "format": FORMAT, "kind": KIND, "train": parts[0], "test": parts[1], "train_rows": len(train),
        "test_rows": len(test), "until_ms": until_ms, "data": msgspec.to_builtins(policy.data),
        **({} if source is None else {"source": source}),
    }  # fmt: skip
    digest = store.put_blob([canonical_bytes(manifest)]).digest
    return Dataset(digest, parts[0], parts[1], len(train), len(test), until_ms)


def findings(store: Store, dataset: Dataset, policy: Policy, declared: Checks) -> tuple[Finding, ...]:
    """Declared quality, in rows to train on and to judge by, each; features that are missing, or missing since, that stand still
    or have another unit since; labels of one kind or of no class, rows that are there twice. `declared`: what the monitor's
    configuration says of features; a policy's own checks come before it, and of what are no features of the policy it says
    nothing here."""
    parts = _parts(store, dataset)
    checks = {name: check for name, check in declared.items() if name in policy.data.features}
    checks |= policy.data.checks or {}
    found = [Finding("quality", sentence) for sentence in failing_parts(parts, checks)]
    rise_max = RISE_MAX if policy.data.missing_rise_max is UNSET else policy.data.missing_rise_max
    lacks = lacking(missing(parts[_TRAIN], parts[_TEST], policy.data.features), policy.data.missing_ratio_max, rise_max)
    found += [Finding("missing", sentence) for sentence in lacks]
    found += _changed(parts, policy)
    found += [Finding("label", sentence) for sentence in _odd_labels(parts, policy)]
    for name, rows in parts.items():
        same = len(rows) - len({row_bytes(row) for row in rows})
        if same > len(rows) / 10:
            found.append(Finding("duplicates", f"{same:,} of {len(rows):,} rows {name} are there more than once"))
    return tuple(found)


def _changed(parts: dict[str, list[Row]], policy: Policy) -> Iterator[Finding]:
    """Features that stand still, or whose unit is another, in the newest rows."""
    data = policy.data
    ratio_max = RATIO_MAX if data.stuck_ratio_max is UNSET else data.stuck_ratio_max
    change_max = CHANGE_MAX if data.scale_change_max is UNSET else data.scale_change_max
    for sentence in standing(stuck(parts[_TRAIN], parts[_TEST], data.features), ratio_max):
        yield Finding("stuck", sentence)
    for sentence in larger(rescaled(parts[_TRAIN], parts[_TEST], data.features), change_max):
        yield Finding("scale", sentence)


def _odd_labels(parts: Mapping[str, list[Row]], policy: Policy) -> Iterator[str]:
    """Labels that are all the same, and those of a third class where the loss is for two: training would fail over one, or its
    rows be judged as if they were of the class that is nearer. Never a value."""
    labels = {name: numbers(rows, policy.data.label) for name, rows in parts.items()}
    if policy.gate.loss.name in BINARY:
        for name, values in labels.items():
            if odd := int(np.count_nonzero((values != 0) & (values != 1))):
                share = f"{odd:,} of {values.size:,} rows {name} ({odd / values.size:.1%})"
                wanted = f"and the loss {policy.gate.loss.name} is for two classes"
                yield f"{policy.data.label!r} is neither 0 nor 1 in {share}, {wanted}"
    if len(np.unique(labels[_TRAIN])) < 2:
        yield "all labels are the same"


def missing_in(store: Store, dataset: Dataset, policy: Policy) -> tuple[Missing, ...]:
    """See Data.missing."""
    parts = _parts(store, dataset)
    return missing(parts[_TRAIN], parts[_TEST], policy.data.features)


def _parts(store: Store, dataset: Dataset) -> dict[str, list[Row]]:
    """The rows to train on, then those to judge by."""
    return {
        _TRAIN: parse_rows(b"".join(store.blob(dataset.train)), "the training rows"),
        _TEST: parse_rows(b"".join(store.blob(dataset.test)), "the rows to judge by"),
    }
