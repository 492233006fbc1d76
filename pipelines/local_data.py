"""Rows from one file per model: predictions that were joined with their labels, a row each, in any order.

A row has the features, the label (null while it is not known), the time of the prediction in ms, and if wished when the label
became known (`known_ms`). A dataset is fixed by writing its rows as blobs: sorted, split by time, the newest held out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pipelines.codec import canonical_bytes
from pipelines.errors import NotFound
from pipelines.policy import Policy
from pipelines.ports import Alive, Dataset, Finding, Store
from pipelines.quality import Checks, failing
from pipelines.tables import Row, numbers, parse_rows, read_rows, write_rows

KNOWN = "known_ms"


class FileData:
    """`pipelines.ports.Data` over files. `paths`: the file of each model. `declared`: what the monitor's configuration says
    of a model's features; a policy's own checks come before it."""

    def __init__(
        self, store: Store, paths: Mapping[str, Path], declared: Callable[[str], Checks] = lambda _: {}
    ) -> None:
        self._store, self._paths, self._declared = store, paths, declared

    def mature(self, policy: Policy, now_ms: int) -> int:
        """See Data."""
        return len(self._labelled(policy, now_ms))

    def collect(self, policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        """See Data."""
        rows = self._labelled(policy, until_ms)
        train, test = split(rows, policy)
        return self._kept(train, test, until_ms, policy)

    def validate(self, policy: Policy, dataset: Dataset) -> tuple[Finding, ...]:
        """See Data. Declared quality, in rows to train on and to judge by; missing features, a label of one kind, rows that
        are there twice."""
        rows = parse_rows(b"".join(self._store.blob(dataset.train)), "the training rows")
        later = parse_rows(b"".join(self._store.blob(dataset.test)), "the rows to judge by")
        found = [Finding("quality", sentence) for sentence in failing([*rows, *later], self._checks(policy))]
        for name in policy.data.features:
            missing = sum(row.get(name) is None for row in rows) / len(rows)
            if missing > policy.data.missing_ratio_max:
                found.append(Finding("missing", f"{name} is missing in {missing:.0%} of the rows"))
        if len(np.unique(numbers(rows, policy.data.label))) < 2:
            found.append(Finding("label", "all labels are the same"))
        same = len(rows) - len({canonical_bytes(row) for row in rows})
        if same > len(rows) / 10:
            found.append(Finding("duplicates", f"{same:,} of {len(rows):,} rows are there more than once"))
        return tuple(found)

    def _checks(self, policy: Policy) -> Checks:
        """Of features that are not columns of the policy the monitor's declarations say nothing here."""
        declared = {n: c for n, c in self._declared(policy.model).items() if n in policy.data.features}
        return {**declared, **(policy.data.checks or {})}

    def watched(self, policy: Policy, since_ms: int, until_ms: int) -> Dataset | None:
        """See Data."""
        rows = [row for row in self._labelled(policy, until_ms) if row[policy.data.at] >= since_ms]
        return self._kept([], rows, until_ms, policy) if rows else None

    def _labelled(self, policy: Policy, until_ms: int) -> list[Row]:
        """Rows of the window whose label was known by then, in order of time."""
        if policy.model not in self._paths:
            raise NotFound(f"rows of {policy.model}", "are not configured", "Name a file: `rows: joined.jsonl`.")
        at, label = policy.data.at, policy.data.label
        rows = [
            row
            for row in read_rows(self._paths[policy.model])
            if isinstance(row.get(at), int) and isinstance(row.get(label), int | float)
            if int(row.get(KNOWN) or row[at]) <= until_ms and row[at] <= until_ms
        ]
        newest = max((row[at] for row in rows), default=0)
        rows = [row for row in rows if row[at] > newest - policy.data.window_ms]
        return sorted(rows, key=lambda row: (row[at], canonical_bytes(row)))

    def _kept(self, train: list[Row], test: list[Row], until_ms: int, policy: Policy) -> Dataset:
        parts = [self._store.put_blob([write_rows(rows)]).digest for rows in (train, test)]
        manifest = {
            "format": 1, "kind": "driftline-rows", "train": parts[0], "test": parts[1], "train_rows": len(train),
            "test_rows": len(test), "until_ms": until_ms, "data": msgspec.to_builtins(policy.data),
        }  # fmt: skip
        digest = self._store.put_blob([canonical_bytes(manifest)]).digest
        return Dataset(digest, parts[0], parts[1], len(train), len(test), until_ms)


def split(rows: list[Row], policy: Policy) -> tuple[list[Row], list[Row]]:
    """(older rows, newer rows), with a gap of time between them; rows of one instant are never split."""
    if not rows:
        return [], []
    at = policy.data.at
    start: Any = rows[min(len(rows) - 1, int(len(rows) * (1 - policy.data.test_ratio)))][at]
    before = start - policy.data.gap_ms
    return [row for row in rows if row[at] < start and row[at] <= before], [row for row in rows if row[at] >= start]
