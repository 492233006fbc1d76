"""Rows of a run from the columns of a dataset version, wherever that was made of: topics, or an archive.

A row has the features by their configured names, `segment.<name>`, `at_ms`, `known_ms` (when its label became known), `label`,
`score`, `prediction` and `version`. A feature that is called like one of these is `feature.<name>`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import UnsetType

from pipelines import rows as r

if TYPE_CHECKING:
    from pipelines.dataset.shelf import Shelf
    from pipelines.dataset.table import Column, Schema, Table
    from pipelines.policy import Policy
    from pipelines.ports import Dataset, Finding, Store
    from pipelines.quality import Check
    from pipelines.tables import Row

COLUMNS: Final = {
    "at_ms": "at_ms", "label_at_ms": r.KNOWN, "version": r.VERSION, "score": "score", "prediction": "prediction",
    "label": "label",
}  # fmt: skip
"""Of a dataset version, and what they are called in a row."""
ID_HASH: Final = "id_hash"
"""In rows only where a policy pairs predictions by it."""
FEATURE: Final = "feature."
SEGMENT: Final = "segment."


def names_of(schema: Schema, policy: Policy) -> dict[str, str]:
    """The name of each column of a dataset version in the rows of a policy; those that are not in them are left out."""
    columns = {field.name for field in schema}
    segments = {name for name in columns if name.startswith(SEGMENT)}
    taken = set(COLUMNS.values()) | segments
    features = {name: own(name, taken) for name in columns if name.startswith(FEATURE)}
    ids = {ID_HASH: ID_HASH} if policy.data.id else {}
    plain = {name: called for name, called in COLUMNS.items() if name in columns}  # of numbers there is no score
    return {**plain, **{name: name for name in segments}, **features, **ids}


def own(column: str, taken: Collection[str]) -> str:
    """The name of a feature's column in a row."""
    name = column.removeprefix(FEATURE)
    return column if name in taken else name


def found_in(
    store: Store, shelf: Shelf, policy: Policy, dataset: Dataset, declared: Mapping[str, Check]
) -> tuple[Finding, ...]:
    """What forbids training on rows that were taken from a dataset version. `declared`: what the monitor's configuration says of
    features, by their configured names."""
    taken = set(COLUMNS.values())
    checks = {own(f"{FEATURE}{name}", taken): check for name, check in declared.items()}
    found = r.findings(store, dataset, policy, checks)
    return (*_wrong_types(store, shelf, policy, dataset, {**checks, **(policy.data.checks or {})}), *found)


def _wrong_types(
    store: Store, shelf: Shelf, policy: Policy, dataset: Dataset, checks: Mapping[str, Check]
) -> Iterator[Finding]:
    """Values of a wrong type are null in the rows; how many there were is in the dataset version that they are from."""
    from pipelines.ports import Finding
    from pipelines.quality import Check, exceeding

    source = json.loads(b"".join(store.blob(dataset.digest))).get("source")
    if source is None:
        return
    manifest = shelf.version(source).manifest
    wrong = {} if isinstance(manifest.wrong_type, UnsetType) else manifest.wrong_type
    for feature, count in wrong.items():
        column = own(f"{FEATURE}{feature}", set(COLUMNS.values()))
        if column in policy.data.features or column in checks:
            sentence = exceeding("wrong_type", column, count, manifest.rows, checks.get(column, Check()))
            if sentence is not None:
                yield Finding("quality", sentence)


def rows_of(table: Table, names: Mapping[str, str]) -> Iterator[Row]:
    """Rows as dictionaries; what is not there is null."""
    columns = {name: _values(table.columns[column]) for column, name in names.items()}
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _values(column: Column) -> list[Any]:
    from pipelines.dataset.table import Floats, Hashes, Ints, Texts

    match column:
        case Ints():
            return [None if null else value for value, null in zip(column.values.tolist(), column.null, strict=True)]
        case Floats():
            return [None if math.isnan(value) else value for value in column.values.tolist()]
        case Texts():
            return column.texts()
        case Hashes():
            return [f"{high:016x}{low:016x}" for high, low in column.values.tolist()]
    raise AssertionError(f"a column of {type(column).__name__} is no part of a row")
