"""Decoders and interners: made once per process and shared by its partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from monitor.coding import Coder
from monitor.config.tasks import coded_classes, task_name
from monitor.config.types import Config, ModelTemplate
from monitor.drift.checked import CheckedCategorical
from monitor.groups import Groups
from monitor.ingest.decode_labels import LabelDecoder
from monitor.ingest.decode_predictions import PredictionDecoder
from monitor.ingest.mapping import known_classes
from monitor.join.memory import Memory
from monitor.ledger.roster import Roster
from monitor.partition import Shared
from monitor.plan import Plan
from monitor.ports import SegmentStore, SnapshotStore


def make_shared(
    config: Config,
    plan: Plan,
    segments: SegmentStore | None = None,
    snapshots: SnapshotStore | None = None,
    roster: Roster | None = None,
) -> Shared:
    """Decoders and interners for one process. With `segments` and `state.memory_rows` its joins share that budget. `roster`:
    since when each model counts, where they changed."""
    predictions, labels = decoders(config, named_values(plan))
    groups = Groups()
    coder = Coder(plan, groups, predictions.models, predictions.versions, predictions.categories, roster)
    limit = config.state.memory_rows
    memory = Memory(limit, segments) if segments is not None and limit is not None else None
    return Shared(plan, predictions, labels, groups, coder, memory, snapshots, roster)


def decoders(
    config: Config, named: Mapping[str, Sequence[str]] | None = None
) -> tuple[PredictionDecoder, LabelDecoder | None]:
    """Those of predictions and of labels, where there are any. `named`: values of features that are told apart besides those
    that its models name."""
    time = config.time
    kinds = (*config.models, *((config.unlisted_models,) if config.unlisted_models else ()))
    declared = declared_values(kinds)
    for name, values in (named or {}).items():
        declared.setdefault(name, []).extend(values)
    predictions = PredictionDecoder(
        config.streams.predictions, config.models, config.unlisted_models, time.skew_ms, declared
    )
    stream = config.streams.labels
    labels = None
    if stream is not None:
        task = task_name(config)
        known = known_classes(stream.values, [kind.positive for kind in kinds]) if task == "binary" else None
        labels = LabelDecoder(stream, time.skew_ms, known, coded_classes(config) if task == "multiclass" else None)
    return predictions, labels


def named_values(plan: Plan) -> dict[str, list[str]]:
    """The values that segments, and what is declared of quality, name of each column, in whatever sense of a model."""
    found: dict[str, list[str]] = {}
    for model in plan.senses.values():
        for dimension in model.dimensions:
            found.setdefault(dimension.column, []).extend(dimension.values)
        for feature in model.features:
            if isinstance(feature.binning, CheckedCategorical) and feature.binning.values is not None:
                found.setdefault(feature.column, []).extend(sorted(feature.binning.values))
    return found


def declared_values(models: Iterable[ModelTemplate]) -> dict[str, list[str]]:
    """The values that models declare to be right, by feature: they are told apart however many others come."""
    found: dict[str, list[str]] = {}
    for model in models:
        for name, declared in model.quality.features.items() if model.quality is not None else ():
            found.setdefault(name, []).extend(declared.values or ())
    return found
