"""Rows to train and judge on from a dataset version that lies in the store: `pipelines.ports.Data` for `rows: dataset:NAME`.

    archive, recording, topics --`driftline archive dataset`, `driftline dataset create`--> dataset version --> the rows of a run

A version never changes, so it holds nothing that a challenger predicts once it serves or is in the shadow. Where the topics of
the deployment are known (`--alerts driftline.yaml`), those rows are read from them; they have the same columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from monitor.cli.retrain_columns import found_in, names_of, rows_of
from pipelines import rows as r
from pipelines.dataset.archive import names as archives
from pipelines.dataset.errors import DatasetError, ExtraMissing, UnknownDataset
from pipelines.dataset.table import Hashes, Type
from pipelines.errors import ConfigError, NotFound, NotInstalled, StepFailed
from pipelines.meanwhile import meanwhile
from pipelines.suggest import hint, listing
from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.dataset.archive import LogStore
    from pipelines.dataset.redaction import Erased
    from pipelines.dataset.shelf import Shelf, Version
    from pipelines.dataset.table import Table
    from pipelines.missing import Missing
    from pipelines.policy import Policy
    from pipelines.ports import Alive, Data, Dataset, Finding, Store
    from pipelines.quality import Checks
    from pipelines.tables import Row


class VersionData:
    """`pipelines.ports.Data` over dataset versions. `specs`: of each model the name or digest of a version in `held`, whose
    `shelf` it is read from; `store`: where the rows of runs are kept, which may be another; `declared`: what the monitor's
    configuration says of a model's features; `later`: where rows of what serves after a promotion are, if anywhere."""

    def __init__(
        self,
        store: Store,
        held: LogStore,
        shelf: Shelf,
        specs: Mapping[str, str],
        declared: Callable[[str], Checks],
        later: Data | None,
    ) -> None:
        self._store, self._held, self._shelf, self._specs = store, held, shelf, specs
        self._declared, self._later = declared, later
        self._counted: dict[str, tuple[object, int]] = {}  # version and erasures, and the labelled rows in it

    def mature(self, policy: Policy, now_ms: int) -> int:
        """See Data. The rows are read once, and again after an erasure: a version does not change."""
        with self._readable(policy):
            version, erased = self._version(policy), self._shelf.erased()
            key = version.digest, erased.digests
            if self._counted.get(policy.model, (None,))[0] != key:
                count = len(r.labelled(self._rows(policy, version, erased), policy, now_ms))
                self._counted[policy.model] = key, count
            return self._counted[policy.model][1]

    def collect(self, policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        """See Data. What is kept names the version."""

        def fixed() -> Dataset:
            with self._readable(policy):
                version = self._version(policy)
                found = r.labelled(self._rows(policy, version, self._shelf.erased()), policy, until_ms)
            train, test = r.split(found, policy)
            return r.keep(self._store, train, test, until_ms, policy, version.digest)

        return meanwhile(fixed, alive)

    def validate(self, policy: Policy, dataset: Dataset) -> tuple[Finding, ...]:
        """See Data."""
        with self._readable(policy):
            return found_in(self._store, self._shelf, policy, dataset, self._declared(policy.model))

    def missing(self, policy: Policy, dataset: Dataset) -> tuple[Missing, ...]:
        """See Data."""
        return r.missing_in(self._store, dataset, policy)

    def watched(
        self, policy: Policy, names: Collection[str], since_ms: int, until_ms: int, alive: Alive
    ) -> Dataset | None:
        """See Data."""
        if self._later is not None:
            return self._later.watched(policy, names, since_ms, until_ms, alive)
        return self._kept(policy, until_ms, alive, lambda found: r.predicted_by(found, names, since_ms, policy))

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
        if self._later is not None:
            return self._later.compared(policy, served, other, since_ms, until_ms, alive)
        return self._kept(policy, until_ms, alive, lambda found: r.comparable(found, served, other, since_ms, policy))

    def past(self, policy: Policy, from_ms: int, until_ms: int) -> Dataset:
        """See Data."""
        with self._readable(policy):
            version = self._version(policy)
            found = r.of_span(self._rows(policy, version, self._shelf.erased()), policy, from_ms, until_ms)
        return r.keep(self._store, [], found, until_ms, policy, version.digest)

    def seen(self, policy: Policy, names: Collection[str]) -> bool | None:
        """See Data."""
        if self._later is not None:
            return self._later.seen(policy, names)
        with self._readable(policy):
            return r.named(self._rows(policy, self._version(policy), self._shelf.erased()), names)

    def _kept(
        self, policy: Policy, until_ms: int, alive: Alive, choose: Callable[[list[Row]], list[Row]]
    ) -> Dataset | None:
        def fixed() -> Dataset | None:
            with self._readable(policy):
                version = self._version(policy)
                found = r.labelled(self._rows(policy, version, self._shelf.erased()), policy, until_ms)
            rows = choose(found)
            return r.keep(self._store, [], rows, until_ms, policy, version.digest) if rows else None

        return meanwhile(fixed, alive)

    def _version(self, policy: Policy) -> Version:
        """The version, whose columns are those that the policy names. Raises UnknownDataset, ConfigError, NotFound."""
        spec = self._specs[policy.model]
        try:
            version = self._shelf.version(spec)
        except UnknownDataset as error:
            if spec not in archives(self._held):
                raise
            remedy = f"It is an archive: `driftline archive dataset {spec} --name NAME` makes a version of it."
            raise UnknownDataset(error.what, error.why, remedy) from error
        schema = version.manifest.schema
        if any(field.name == "label" and field.type is Type.TEXT for field in schema):
            why = f"are classes in dataset {spec!r}, and gates compare losses of numbers"
            raise ConfigError(f"the labels of {policy.model}", why, "Take it out of the policies.")
        r.need_columns([dict.fromkeys(names_of(schema, policy).values())], policy, f"dataset {spec!r}")
        return version

    def _rows(self, policy: Policy, version: Version, erased: Erased) -> Iterator[Row]:
        """The rows of the policy's model, without those of erased ids. Raises NotFound where there is none of the model."""
        names, models, count = names_of(version.manifest.schema, policy), set[str](), 0
        for table in self._shelf.tables(version.manifest):
            own = _own_rows(table, policy.model, erased)
            models.update(model for model in table.texts("model").texts() if model is not None)
            count += len(own)
            yield from rows_of(own, names)
        if not count and policy.model not in models:
            known = sorted(models)
            why = f"has no row of the model {policy.model!r}{hint(policy.model, known)}"
            raise NotFound(f"dataset {self._specs[policy.model]!r}", why, f"There are: {listing(known)}.")

    @contextmanager
    def _readable(self, policy: Policy) -> Iterator[None]:
        """What the store and the shelf raise, as a run takes it: what is not there ends it, what cannot be read is
        tried again."""
        try:
            yield
        except ExtraMissing as error:
            raise NotInstalled(error.what, error.library, error.extra) from error
        except (ConfigError, StepFailed):
            raise
        except DatasetError as error:
            raise NotFound(f"rows of {policy.model}: {error.what}", error.why, error.remedy) from error
        except RegistryError as error:
            # An erasure may take a segment that is about to be read: the next try finds others.
            what, spec = f"rows of {policy.model}", self._specs[policy.model]
            remedy = f"It is tried again; `driftline dataset verify {spec}` tells what is left of it."
            why = f"in dataset {spec!r} cannot be read: {str(error).rstrip('.')}"
            raise StepFailed(what, why, remedy, again=True) from error


def _own_rows(table: Table, model: str, erased: Erased) -> Table:
    """The rows of a model whose ids were not erased."""
    texts, ids = table.texts("model"), table.columns["id_hash"]
    assert isinstance(ids, Hashes), "ids are hashes"
    codes = [code for code, word in enumerate(texts.words) if word == model]
    return table.take(np.flatnonzero(np.isin(texts.codes, codes) & ~erased.among(ids.values)))
