"""The whole configuration as frozen values: what the rest of the monitor reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, PrivateAttr, StringConstraints, ValidationInfo, model_validator

from monitor.config import canonical, checks
from monitor.config.advisories import Advisory
from monitor.config.base import TOPIC_PATTERN, Count, Flag, Labels, Name, Number, Ratio, Section, Word, problem
from monitor.config.budget import Budget
from monitor.config.drift import Drift
from monitor.config.durations import PositiveDuration
from monitor.config.grouping import Grouping
from monitor.config.kafka import Kafka
from monitor.config.label_feed import LabelFeed
from monitor.config.maintenance import Maintenance
from monitor.config.quality import Quality
from monitor.config.renamed import OldName
from monitor.config.rules import Rule
from monitor.config.schema_registry import SchemaRegistry
from monitor.config.streams import FeatureName, Streams
from monitor.config.tasks import LARGEST_LARGEST, MOST_CLASSES, SMALLEST_LARGEST, ClassName
from monitor.config.times import Time
from monitor.config.windows import Window, WindowField

RECORDED: Mapping[str, bool] = {"recorded": True}
"""Context of the validation of a configuration that was in force already, maybe under an earlier version."""


class Costs(Section):
    """What an answer costs, in any unit; a gain is negative."""

    tp: Number = Field(0.0, description="Called positive, and was.")
    fp: Number = Field(0.0, description="Called positive, and was not.", examples=[1])
    fn: Number = Field(0.0, description="Not called positive, and was.", examples=[25])
    tn: Number = Field(0.0, description="Not called positive, and was not.")


class ModelTemplate(Section):
    """What is done with the predictions of a model."""

    task: Literal["binary", "multiclass", "regression"] = Field(
        "binary",
        description="What the model predicts; the same for all models, since a label does not say whose it is.",
    )
    threshold: Ratio = Field(
        0.5, description="Binary: scores at or above it are the positive class, unless the stream says."
    )
    positive: Number = Field(1.0, description="Binary: the label that counts as positive, after the stream's `values`.")
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=MOST_CLASSES)] | None = Field(
        None,
        description="Multiclass: the classes, as records write them. All others are one class, `other`.",
        examples=[["cat", "dog", "bird"]],
    )
    one_vs_rest: Flag = Field(
        False,
        description="Multiclass: count what areas under ROC curves are made of, of each class against all others: 5.5 KB more "
        "in a window for each class.",
    )
    costs: Costs | None = Field(
        None, description="Binary: what answers cost, right or wrong; windows carry their mean as `cost`."
    )
    largest: Annotated[Number, Field(ge=SMALLEST_LARGEST, le=LARGEST_LARGEST)] | None = Field(
        None,
        description="Regression: the largest size of a prediction or label. Larger ones are counted as overflow; numbers are "
        "resolved to 2.3e-13 of it. Left out, 1000000.",
        examples=[5000],
    )
    features: tuple[FeatureName, ...] = Field(
        default_factory=tuple,
        description="Watched inputs of this model. Default: all features of the stream.",
        examples=[["hour", "origin"]],
    )
    segments: dict[FeatureName, tuple[Word, ...]] = Field(
        default_factory=dict,
        description="Slices to count apart: a categorical feature and its values; all others go to `other`.",
        examples=[{"origin": ["EWR", "LGA", "JFK"]}],
    )
    reference: Name | None = Field(
        None,
        description="File of the reference profile, relative to the config file; PSI and KS compare with it.",
        examples=["fraud.reference.json"],
    )
    quality: Quality | None = Field(None, description="What its data must look like; alerts and retraining go by it.")
    labels: Labels = Field(
        default_factory=dict, description="Goes into every alert about the model.", examples=[{"owner": "team-fraud"}]
    )


class Model(ModelTemplate):
    """A listed model."""

    name: Name = Field(description="As the predictions say it.", examples=["fraud"])


class State(Section):
    """Limits of what a worker holds, and how often it commits."""

    max_rows: Count = Field(
        20_000_000, ge=1_000, description="Predictions held while they wait for labels, per worker."
    )
    memory_rows: Count | None = Field(
        None,
        ge=1_000,
        description="Predictions and labels held in memory, per worker; beyond, the oldest go to files in `directory`. "
        "Default: all are in memory.",
        examples=[5_000_000],
    )
    directory: Word | None = Field(
        None,
        description="Local folder for what does not stay in memory, absolute or relative to the working directory.",
        examples=["/var/lib/driftline"],
    )
    snapshots: Word | None = Field(
        None,
        description="Where snapshots of the join go, which shorten a start: a folder, best one that every process reaches; an "
        "address of an object store, such as s3://BUCKET/PREFIX; or `topic`: the compacted topic NAMESPACE.snapshots. "
        "Default: none are made.",
        examples=["/mnt/shared/driftline"],
    )
    snapshot_records: Count = Field(
        1_000_000, ge=1, description="Records of a partition read between two of its snapshots."
    )
    commit_interval_ms: PositiveDuration = Field(
        500,
        alias="commit_interval",
        description="Longest time between commits; up to eight times as long while there is more to read than can be taken.",
    )
    max_batch_rows: Count = Field(50_000, ge=1, le=1_000_000, description="Records of one commit, at most.")
    checkpoint_records: Count = Field(
        10_000, ge=1, description="Commits read between two checkpoints of the evaluator: what a start reads again."
    )
    trim: Flag = Field(
        False, description="true: records of `ledger` and `evals` below the older of two checkpoints are deleted."
    )
    upgrade_after_ms: PositiveDuration = Field(
        600_000,
        alias="upgrade_after",
        description="After an upgrade: how long all partitions must have been with workers of the new version, and not changed "
        "hands, before the namespace goes over to what that version decides otherwise. Until then one may go back to the earlier "
        "version.",
        examples=["7d"],
    )


class Flood(Section):
    """When bad records become a flood: one pointer record per range instead of copies."""

    ratio: Ratio = Field(0.2, description="Share of bad records.")
    min_records: Count = Field(1_000, ge=1, description="Fewer records than this are never a flood.")


class DeadLetters(Section):
    """What happens to records that cannot be used: they go to TOPIC.dlq with their coordinates."""

    enabled: Flag = Field(True, description="false: they are only counted.")
    payload: Flag = Field(True, description="false: coordinates and reason only, never the bytes.")
    flood: Flood = Field(default_factory=lambda: Flood.model_validate({}))


class Http(Section):
    """Where /metrics, /livez, /readyz, the page and its API listen, and who may read them."""

    host: Name = Field("127.0.0.1", description="Address to bind; loopback unless told otherwise.")
    port: Count = Field(9187, ge=0, le=65_535, description="0 picks a free one.")
    token_file: Word | None = Field(
        None,
        description="File with a token that readers must send (`Authorization: Bearer TOKEN`), relative to the config file; "
        "read again when it changes. /livez and /readyz need none. Without it whoever reaches the port may read.",
    )
    _token_path: str | None = PrivateAttr(None)

    @property
    def token_path(self) -> str | None:
        """Where `token_file` is for this process; documents that are kept have it as it was written."""
        return self._token_path

    def with_token_path(self, path: str) -> Http:
        """The same listener, knowing where the file of its token is."""
        copy = self.model_copy()
        copy._token_path = path
        return copy


@dataclass(frozen=True, slots=True)
class Topics:
    """The internal topics of a namespace."""

    ledger: str
    evals: str
    tasks: str
    windows: str
    alerts: str
    alerts_state: str
    configs: str
    models: str
    checkpoints: str


def _read_unlisted(value: Any) -> Any:
    if value == "reject" or value is None:
        return None
    if isinstance(value, str):
        raise problem(f"{value!r} does not say what to do; allowed: reject, or the keys of a model without its name")
    return value


@dataclass(frozen=True, slots=True)
class ReferenceFile:
    """A reference profile as it was on disk when the config was loaded. What is in it is not looked at here."""

    path: str
    data: bytes = field(repr=False)
    digest: str  # sha256:… of `data`

    @classmethod
    def of(cls, path: str, data: bytes) -> ReferenceFile:
        """The file with its digest."""
        return cls(path, data, canonical.digest_bytes(data))


class Config(Section):
    """Everything a user can say. Made by `load` (files) or `loads` (text); see docs/configuration.md for the keys."""

    namespace: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=TOPIC_PATTERN)] = Field(
        "driftline", description="Prefix of internal topics and of the group, so that two deployments share a broker."
    )
    kafka: Kafka | None = Field(None, description="Left out, only --embedded runs.")
    schema_registry: SchemaRegistry | None = Field(None, description="Left out, records of format avro cannot be read.")
    streams: Streams
    time: Time = Field(default_factory=lambda: Time.model_validate({}))
    models: tuple[Model, ...] = Field((), description="The models to expect.")
    unlisted_models: Annotated[
        ModelTemplate | None,
        BeforeValidator(_read_unlisted),
    ] = Field(None, description="What to do with other models: reject, or the keys of a model without its name.")
    windows: tuple[WindowField, ...] = Field(
        (Window.parse("1d"), Window.parse("1h")),
        description="Spans of event time to count over: durations, {size, slide}, day, month (UTC).",
        min_length=1,
    )
    drift: Drift = Field(default_factory=lambda: Drift.model_validate({}))
    estimates: Flag = Field(
        False,
        description="true: performance windows of binary models say how many labels are to be expected by now, what the "
        "metrics can still become, and what they will probably be.",
    )
    rules: tuple[Rule, ...] = Field((), description="What must not hold.")
    budget: Budget | None = Field(
        None, description="Watch every model against its own beginning, within a budget of false alarms. Left out: not."
    )
    advisories: tuple[Advisory, ...] = Field(
        (),
        description="Drift detectors of river, fed one value for each window of a metric. Advice, which wakes nobody.",
    )
    explanations: Flag = Field(
        False,
        description="true: alerts of rules say which segments became worse, or only more frequent, and which bins moved.",
    )
    grouping: Grouping | None = Field(
        None,
        description="Alerts say which of them most likely have one cause. Left out: not.",
        examples=[{"within": "1d"}],
    )
    maintenance: tuple[Maintenance, ...] = Field(
        (),
        description="Times in which a model is worked on: what was predicted then is not judged.",
        examples=[[{"model": "fraud", "from": "2026-11-26T10:00Z", "until": "2026-11-26T12:00Z"}]],
    )
    label_feed: LabelFeed | None = Field(
        None,
        description="Tell when labels come more slowly than they usually do, and hold verdicts on labelled windows while they "
        "do, or stand still. Left out: not.",
    )
    labels: Labels = Field(
        default_factory=dict,
        description="Goes into every alert; a model's and a rule's labels override.",
        examples=[{"owner": "team-x", "runbook": "https://wiki.example/models"}],
    )
    state: State = Field(default_factory=lambda: State.model_validate({}))
    dead_letters: DeadLetters = Field(default_factory=lambda: DeadLetters.model_validate({}))
    http: Http = Field(default_factory=lambda: Http.model_validate({}))
    series_budget: Count = Field(10_000, ge=1, description="Most Prometheus series of models; the rest is counted.")
    _references: Mapping[str, ReferenceFile] = PrivateAttr(default_factory=dict)
    _old_names: tuple[OldName, ...] = PrivateAttr(())
    _by_file: bool = PrivateAttr(False)

    @model_validator(mode="after")
    def _resolve_and_check(self, info: ValidationInfo) -> Config:
        every = tuple(self.streams.predictions.features)
        # Frozen for everybody else: this is still the making of the value.
        self.__dict__["models"] = tuple(_with_features(model, every) for model in self.models)
        if self.unlisted_models is not None:
            self.__dict__["unlisted_models"] = _with_features(self.unlisted_models, every)
        if found := checks.cross_field(self, recorded=info.context is RECORDED):
            raise checks.as_error(found)
        return self

    def model(self, name: str) -> Model | None:
        """The model of that name: as listed, else from the template, else None (its predictions are rejected)."""
        for model in self.models:
            if model.name == name:
                return model
        if self.unlisted_models is None:
            return None
        template = self.unlisted_models
        given = {info.alias or key: getattr(template, key) for key, info in type(template).model_fields.items()}
        return Model.model_validate({**given, "name": name})

    def topics(self) -> Topics:
        """Names of the internal topics."""
        names = ("ledger", "evals", "tasks", "windows", "alerts", "alerts.state", "configs", "models", "checkpoints")
        return Topics(*(f"{self.namespace}.{name}" for name in names))

    def source_topics(self) -> tuple[str, ...]:
        """Names of the topics that are read: predictions and, unless there are none, labels."""
        predictions, labels = self.streams.predictions, self.streams.labels
        return (predictions.topic,) if labels is None else (predictions.topic, labels.topic)

    @property
    def references(self) -> Mapping[str, ReferenceFile]:
        """Model name -> its reference file as loaded; `*` for the template's. Empty unless made by `load`."""
        return self._references

    @property
    def reference_digests(self) -> Mapping[str, str]:
        """Model name -> `sha256:…` of the bytes of its reference file; `*` for the template's."""
        return {name: file.digest for name, file in self._references.items()}

    def reference(self, model: str) -> ReferenceFile | None:
        """The reference file of a model, listed or not; None when it has none."""
        listed = any(known.name == model for known in self.models)
        return self._references.get(model if listed else "*")

    def with_references(self, files: Mapping[str, ReferenceFile]) -> Config:
        """The same config, knowing the reference files it names."""
        copy = self.model_copy()
        copy._references = dict(sorted(files.items()))
        return copy

    @property
    def by_file(self) -> bool:
        """See `in_order_of_file`."""
        return self._by_file

    def in_order_of_file(self) -> Config:
        """The same config, for a namespace whose segments are in the order of its file."""
        copy = self.model_copy()
        copy._by_file = True
        return copy

    def segments_of(self, model: ModelTemplate) -> list[tuple[str, tuple[str, ...]]]:
        """The dimensions of a model with their values, in the order in which rows are counted under them: of their names, since
        the digest does not tell the order of a file."""
        return list(model.segments.items()) if self._by_file else sorted(model.segments.items())

    @property
    def old_names(self) -> tuple[OldName, ...]:
        """Keys that were written under names which they had in earlier releases, to be told."""
        return self._old_names

    def with_old_names(self, found: tuple[OldName, ...]) -> Config:
        """The same config, knowing where it was written in old names."""
        copy = self.model_copy()
        copy._old_names = found
        return copy

    def document(self) -> str:
        """Canonical JSON of everything, without secrets, with every default in full. `loads` reads it back."""
        return canonical.dumps(canonical.everything(self))

    @property
    def digest(self) -> str:
        """`sha256:…` of the part that gives numbers their meaning: streams, time, models, windows, references."""
        return canonical.digest(canonical.meaning(self))

    @property
    def digest_with_idle_after(self) -> str:
        """The digest as it was when `time.idle_after` was a part of it."""
        return canonical.digest(canonical.meaning(self, canonical.everything(self)["time"]["idle_after"]))


AnyModel = TypeVar("AnyModel", bound=ModelTemplate)


def _with_features(model: AnyModel, every: tuple[str, ...]) -> AnyModel:
    if "features" in model.model_fields_set:
        return model
    return model.model_copy(update={"features": every})
