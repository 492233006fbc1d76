"""Rows from one file per model: predictions that were joined with their labels, a row each, in any order (`pipelines.rows`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from msgspec import UNSET

from pipelines.codec import digest_of
from pipelines.errors import NotFound
from pipelines.meanwhile import meanwhile
from pipelines.missing import Missing
from pipelines.policy import Policy
from pipelines.ports import Alive, Dataset, Finding, Store
from pipelines.quality import Checks
from pipelines.rows import (
    comparable,
    findings,
    keep,
    labelled,
    missing_in,
    named,
    need_columns,
    need_past,
    need_values,
    of_span,
    predicted_by,
    split,
)
from pipelines.tables import Row, read_rows


class FileAnchors:
    """`pipelines.ports.Anchors` over a file per model: JSON lines or Parquet, held to the digest that the policy names."""

    def __init__(self, store: Store, paths: Mapping[str, Path]) -> None:
        self._store, self._paths = store, paths

    def anchor(self, policy: Policy) -> Dataset:
        """See Anchors."""
        asked, path = policy.gate.anchor, self._paths.get(policy.model)
        assert asked is not UNSET
        what = f"the anchor set of {policy.model}"
        if path is None:
            raise NotFound(what, "has no file", "Name it beside `rows`: `anchor: anchors.jsonl`.")
        if not path.is_file():
            raise NotFound(what, f"is not there: {str(path)!r}", "Restore it, or name another.")
        if (found := digest_of(path.read_bytes())) != asked.digest:
            why = f"in {str(path)!r} is {found}, and the policy names {asked.digest}"
            raise NotFound(what, why, "Restore the file, or let the policy name the new one.")
        rows = read_rows(path)
        need_columns(rows, policy, repr(str(path)), anchor=True)
        return keep(self._store, [], rows, 0, policy)


class FileData:
    """`pipelines.ports.Data` over files. `paths`: the file of each model."""

    def __init__(
        self, store: Store, paths: Mapping[str, Path], declared: Callable[[str], Checks] = lambda _: {}
    ) -> None:
        """`declared`: what the monitor's configuration says of a model's features."""
        self._store, self._paths, self._declared = store, paths, declared

    def mature(self, policy: Policy, now_ms: int) -> int:
        """See Data."""
        return len(self._labelled(policy, now_ms, whole=True))

    def collect(self, policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        """See Data."""

        def fixed() -> Dataset:
            train, test = split(self._labelled(policy, until_ms, whole=True), policy)
            return keep(self._store, train, test, until_ms, policy)

        return meanwhile(fixed, alive)

    def validate(self, policy: Policy, dataset: Dataset) -> tuple[Finding, ...]:
        """See Data."""
        return findings(self._store, dataset, policy, self._declared(policy.model))

    def missing(self, policy: Policy, dataset: Dataset) -> tuple[Missing, ...]:
        """See Data."""
        return missing_in(self._store, dataset, policy)

    def watched(
        self, policy: Policy, names: Collection[str], since_ms: int, until_ms: int, alive: Alive
    ) -> Dataset | None:
        """See Data."""

        def fixed() -> Dataset | None:
            rows = predicted_by(self._labelled(policy, until_ms), names, since_ms, policy)
            return keep(self._store, [], rows, until_ms, policy) if rows else None

        return meanwhile(fixed, alive)

    def compared(
        self,
        policy: Policy,
        served: Collection[str],
        other: Collection[str],
        since_ms: int,
        until_ms: int,
        alive: Alive,
    ) -> Dataset | None:
        """See Data."""

        def fixed() -> Dataset | None:
            rows = comparable(self._labelled(policy, until_ms), served, other, since_ms, policy)
            return keep(self._store, [], rows, until_ms, policy) if rows else None

        return meanwhile(fixed, alive)

    def past(self, policy: Policy, from_ms: int, until_ms: int) -> Dataset:
        """See Data."""
        path = self._path(policy)
        rows = read_rows(path)
        need_columns(rows, policy, repr(str(path)))
        need_values(rows, policy, repr(str(path)))
        return keep(self._store, [], of_span(rows, policy, from_ms, until_ms), until_ms, policy)

    def seen(self, policy: Policy, names: Collection[str]) -> bool | None:
        """See Data."""
        rows = read_rows(self._path(policy))
        return named(rows, names)

    def _labelled(self, policy: Policy, until_ms: int, *, whole: bool = False) -> list[Row]:
        """`whole`: every column of the policy has to be there. A version on probation is watched on what is there."""
        path = self._path(policy)
        rows = read_rows(path)
        if whole:
            need_columns(rows, policy, repr(str(path)))
            need_values(rows, policy, repr(str(path)))
            need_past(rows, policy, repr(str(path)), until_ms)
        return labelled(rows, policy, until_ms)

    def _path(self, policy: Policy) -> Path:
        if policy.model not in self._paths:
            raise NotFound(f"rows of {policy.model}", "are not configured", "Name a file: `rows: joined.jsonl`.")
        path = self._paths[policy.model]
        if path.suffix in (".yaml", ".yml"):
            raise NotFound(
                f"rows of {policy.model}",
                f"are to be read from the topics of {str(path)!r}, which this package alone cannot",
                "Use `driftline retrain`, or name a file of rows.",
            )
        return path
