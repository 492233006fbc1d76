"""Rows to train and judge on from the topics of a deployment: `pipelines.ports.Data` over dataset versions.

    topics --decode, join--> dataset version --labelled rows, split by time--> the rows of a run

What is in a row says `monitor.cli.retrain_columns`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import structs

from monitor.cli.retrain_columns import COLUMNS, FEATURE, ID_HASH, found_in, names_of, own, rows_of
from monitor.errors import LogError, MonitorError
from pipelines import rows as r
from pipelines.dataset.errors import BadDataset
from pipelines.errors import ConfigError, StepFailed
from pipelines.meanwhile import meanwhile

if TYPE_CHECKING:
    from monitor.cli.dataset_read import Topics
    from pipelines.dataset.manifest import Selection
    from pipelines.dataset.shelf import Shelf
    from pipelines.missing import Missing
    from pipelines.policy import Policy
    from pipelines.ports import Alive, Data, Dataset, Finding, Store
    from pipelines.tables import Row

TAIL_RECORDS: Final = 1_000
"""Of each partition, looked at for the newest event time. An older one in the topic would be `disorder` by much."""
_FAR_MS: Final = 2**52
"""Later than any label."""


class TopicData:
    """`pipelines.ports.Data` over topics. `configs`: the monitor's configuration that each model is in; `embedded`: the
    directory of an embedded log, None for Kafka; `store` must also be the registry's, where dataset versions lie."""

    def __init__(self, store: Store, shelf: Shelf, configs: Mapping[str, Path], embedded: Path | None) -> None:
        self._store, self._shelf, self._configs, self._embedded = store, shelf, configs, embedded
        self._counted: dict[str, tuple[object, int]] = {}  # what the topics held, and the labelled rows in it

    def mature(self, policy: Policy, now_ms: int) -> int:
        """See Data. The topics are read only when they hold something that they did not when they were last asked."""
        from monitor.cli.dataset_make import labelled_rows

        with self._topics(policy) as topics:
            held = topics.held()
            if policy.model in self._counted and self._counted[policy.model][0] == held:
                return self._counted[policy.model][1]
            selection = _selection(topics, policy, now_ms)
            count = 0 if selection is None else labelled_rows(topics, selection)
            self._counted[policy.model] = held, count
            return count

    def collect(self, policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        """See Data. What the journal keeps is fixed by a dataset version, so it can be made again from the topics."""
        digest, found = self._version(policy, until_ms, alive)
        train, test = r.split(found, policy)
        return meanwhile(lambda: r.keep(self._store, train, test, until_ms, policy, digest), alive)

    def validate(self, policy: Policy, dataset: Dataset) -> tuple[Finding, ...]:
        """See Data. Rows are held to what the configuration that they are read by declares of the model."""
        from monitor.cli.retrain_checks import DeclaredChecks

        return found_in(
            self._store, self._shelf, policy, dataset, DeclaredChecks(self._configs[policy.model])(policy.model)
        )

    def missing(self, policy: Policy, dataset: Dataset) -> tuple[Missing, ...]:
        """See Data."""
        return r.missing_in(self._store, dataset, policy)

    def watched(
        self, policy: Policy, names: Collection[str], since_ms: int, until_ms: int, alive: Alive
    ) -> Dataset | None:
        """See Data. What is looked at again and again is no version to be kept."""
        _, found = self._version(policy, until_ms, alive, keep=False)
        found = r.predicted_by(found, names, since_ms, policy)
        return meanwhile(lambda: r.keep(self._store, [], found, until_ms, policy), alive) if found else None

    def compared(
        self,
        policy: Policy,
        served: Collection[str],
        other: Collection[str],
        since_ms: int,
        until_ms: int,
        alive: Alive,
    ) -> Dataset | None:
        """See Data. What is looked at again and again is no version to be kept."""
        _, found = self._version(policy, until_ms, alive, keep=False)
        rows = r.comparable(found, served, other, since_ms, policy)
        return meanwhile(lambda: r.keep(self._store, [], rows, until_ms, policy), alive) if rows else None

    def past(self, policy: Policy, from_ms: int, until_ms: int) -> Dataset:
        """See Data."""
        whole = structs.replace(policy, data=structs.replace(policy.data, window_ms=_FAR_MS // 2))
        _, found = self._version(whole, _FAR_MS, lambda: None, keep=False)
        return r.keep(self._store, [], r.of_span(found, policy, from_ms, until_ms), until_ms, policy)

    def seen(self, policy: Policy, names: Collection[str]) -> bool | None:
        """See Data. Windows tell, as they are published: labels are not waited for, and topics not read."""
        from monitor.cli.common import load_config
        from monitor.cli.registry_seen import seen_in

        try:
            found = seen_in(load_config((self._configs[policy.model],), ()), self._embedded, policy.model)
        except (LogError, MonitorError):
            return None
        return any(each.now and each.version in names for each in found) if found else None

    def _version(
        self, policy: Policy, until_ms: int, alive: Alive, *, keep: bool = True
    ) -> tuple[str | None, list[Row]]:
        """The dataset version of the policy's window, and its labelled rows; no version where there is no row, or where none
        is to be kept."""
        from monitor.cli.dataset_make import make

        with self._topics(policy) as topics:
            selection = _selection(topics, policy, until_ms)
            if selection is None:
                return None, []
            try:
                manifest = make(topics.config, topics.log, self._shelf, selection, alive)
            except BadDataset:
                return None, []
        digest = self._shelf.add(manifest)[0] if keep else None
        names = names_of(manifest.schema, policy)
        found = (row for table in self._shelf.tables(manifest) for row in rows_of(table, names))
        return digest, meanwhile(lambda: r.labelled(found, policy, until_ms), alive)

    @contextmanager
    def _topics(self, policy: Policy) -> Iterator[Topics]:
        """The topics of a model. Raises StepFailed, to be tried again, while they cannot be read."""
        from monitor.cli.common import load_config
        from monitor.cli.dataset_read import Topics
        from monitor.cli.scan import open_existing

        path = self._configs[policy.model]
        config = load_config((path,), ())
        try:
            log = open_existing(config, self._embedded)
            try:
                yield _checked(Topics(config, log, ids=False), policy)
            finally:
                log.close()
        except (LogError, MonitorError) as error:
            raise StepFailed(
                f"the topics of {str(path)!r}",
                f"cannot be read: {str(error).rstrip('.?')}",
                "It is tried again.",
                again=True,
            ) from error


@dataclass(frozen=True, slots=True)
class EitherData:
    """Topics or dataset versions for some models, files for the others: `pipelines.ports.Data`."""

    files: Data
    others: Mapping[str, Data]

    def mature(self, policy: Policy, now_ms: int) -> int:
        """See Data."""
        return self._of(policy).mature(policy, now_ms)

    def collect(self, policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        """See Data."""
        return self._of(policy).collect(policy, until_ms, alive)

    def validate(self, policy: Policy, dataset: Dataset) -> tuple[Finding, ...]:
        """See Data."""
        return self._of(policy).validate(policy, dataset)

    def missing(self, policy: Policy, dataset: Dataset) -> tuple[Missing, ...]:
        """See Data."""
        return self._of(policy).missing(policy, dataset)

    def watched(
        self, policy: Policy, names: Collection[str], since_ms: int, until_ms: int, alive: Alive
    ) -> Dataset | None:
        """See Data."""
        return self._of(policy).watched(policy, names, since_ms, until_ms, alive)

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
        return self._of(policy).compared(policy, served, other, since_ms, until_ms, alive)

    def past(self, policy: Policy, from_ms: int, until_ms: int) -> Dataset:
        """See Data."""
        return self._of(policy).past(policy, from_ms, until_ms)

    def seen(self, policy: Policy, names: Collection[str]) -> bool | None:
        """See Data."""
        return self._of(policy).seen(policy, names)

    def _of(self, policy: Policy) -> Data:
        return self.others.get(policy.model, self.files)


def _selection(topics: Topics, policy: Policy, until_ms: int) -> Selection | None:
    """The policy's window, which ends with the newest prediction; no label counts that became known later than `until_ms`.
    None where there is no prediction."""
    from pipelines.dataset.manifest import Selection

    newest_ms = _newest_ms(topics, until_ms)
    if newest_ms is None:
        return None
    return Selection(
        from_ms=newest_ms - policy.data.window_ms + 1,
        until_ms=newest_ms + 1,
        models=(policy.model,),
        label_cutoff_ms=until_ms,
    )


def _newest_ms(topics: Topics, until_ms: int) -> int | None:
    """The newest event time at the ends of the partitions, not after `until_ms`."""
    from monitor.cli.dataset_read import Span

    newest: list[int] = []
    for partition, (begin, end) in enumerate(topics.held()[0]):
        span = Span(max(begin, end - TAIL_RECORDS), end)
        if span.start == span.end:
            continue
        tail = topics.read(topics.scan([(partition, span, None)]), partition, span, None, lambda: None)
        times = [part.at_ms[part.at_ms <= until_ms] for part in tail.predictions.parts]
        newest += [int(part.max()) for part in times if part.size]
    return max(newest, default=None)


def _checked(topics: Topics, policy: Policy) -> Topics:
    """The topics themselves. Raises ConfigError for a model or column that the configuration does not have, and for a task that
    gates cannot judge."""
    from monitor.config.suggest import hint, listing
    from monitor.config.tasks import task_name

    def need(what: str, given: str, known: Collection[str]) -> None:
        if given not in known:
            names = sorted(known)
            raise ConfigError(
                f"{what} {given!r}",
                f"is none of the configuration's{hint(given, names)}",
                f"There are: {listing(names)}.",
            )

    if topics.plan.template is None:
        need("the model", policy.model, topics.plan.models)
    if task_name(topics.config) == "multiclass":
        raise ConfigError(
            f"the model {policy.model!r}",
            "is a multiclass model, and gates compare losses of numbers",
            "Take it out of the policies: Driftline watches it, and does not retrain it.",
        )
    features = set(topics.config.streams.predictions.features)
    segments = {f"segment.{each.name}" for model in topics.plan.all_models for each in model.dimensions}
    columns = {own(f"{FEATURE}{name}", set(COLUMNS.values()) | segments) for name in features}
    for name in policy.data.features:
        need("the feature", name, columns | segments | {"score", "prediction"})
    for name in policy.data.checks or ():
        need("the checked column", name, columns | segments | set(COLUMNS.values()))
    for name in policy.gate.segments:
        need("the segment", name, columns | segments | {"version"})
    for what, column in (("the reviewed column", policy.data.reviewed), ("the source of labels", _source(policy))):
        if column:
            need(what, column, columns | segments)
    if policy.data.id:
        need("the column of ids", policy.data.id, {ID_HASH})
    need("the label column", policy.data.label, {"label"})
    need("the time column", policy.data.at, {"at_ms"})
    return topics


def _source(policy: Policy) -> str | None:
    return policy.intake.source if policy.intake else None
