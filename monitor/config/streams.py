"""The two streams as configured: topics, where each field is found, watched inputs, words that stand for numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from monitor.config.base import Name, Number, Section, Topic
from monitor.config.durations import PositiveDuration, Size
from monitor.config.envelopes import ArrayField, EnvelopeField
from monitor.config.sources import FeatureField, SourceField, TimeSource, format_path
from monitor.config.tasks import ClassName, LabelValue
from monitor.ports import Schemas

FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\s:=$,][^\s:=,]*$")]
"""A feature's name becomes part of metric names (`psi:NAME`) and segments (`NAME=value`)."""


class Rekey(Section):
    """`topic` is a copy that `driftline rekey` makes of another topic, in which each record is where the other stream has its
    id."""

    source: Topic = Field(alias="from", description="The topic that is copied.", examples=["outcomes"])
    by: SourceField | None = Field(
        None,
        description="What the partition of the copy follows from; what the other topic is keyed by. Default: the id.",
        examples=["$.customer"],
    )
    partitioner: Literal["murmur2", "crc32"] = Field(
        "murmur2",
        description="The hash that places it: murmur2 as Java's producers do and Driftline, crc32 as librdkafka's by default.",
    )


def progress_topic(copy: str) -> str:
    """Where `driftline rekey` keeps how far a copy got."""
    return f"{copy}.progress"


ValueFormat = Literal["json", "avro", "json-schema"]
_FORMAT = Field(
    None,
    description="json: as it is. avro, json-schema: in the framing of a schema registry; avro needs `schema_registry`. "
    "Default: json.",
    examples=["avro"],
)


class Decoded(Section):
    """A stream whose values may need their schemas; `schemas` says where they are, and is no part of the configuration."""

    _schemas: Schemas | None = PrivateAttr(None)

    @property
    def schemas(self) -> Schemas | None:
        """Where the schemas of its records are; None where nobody said."""
        return self._schemas

    def read_with(self, schemas: Schemas) -> None:
        """Whoever decodes this stream from here on asks there."""
        self._schemas = schemas


_REKEY = Field(
    None,
    description="Left out, the topic is read as its producers write it.",
    examples=[{"from": "outcomes"}],
)


class PredictionFields(Section):
    """Where the fields of a prediction are found."""

    id: SourceField = Field(description="What identifies the prediction; its label has the same.", examples=["$.id"])
    model: SourceField = Field(description="Name of the model that answered.", examples=["$.model", {"const": "fraud"}])
    version: SourceField = Field(description="Version of the model that answered.", examples=["$.version"])
    at: TimeSource = Field(
        description="When the prediction was made. A plain place means milliseconds since 1970.",
        examples=["$.at", {"from": "$.ts", "unit": "s"}, {"from": "$.time", "unit": "iso"}],
    )
    score: SourceField | None = Field(
        None,
        description="The model's probability of the positive class, 0 to 1 (multiclass: of the class it answered). "
        "One of score and prediction is needed.",
    )
    prediction: SourceField | None = Field(
        None,
        description="The class the model answered, or its number. Left out, it is score >= threshold of the model.",
    )
    scores: dict[ClassName, SourceField] | None = Field(
        None,
        description="Multiclass: where the probability of each class stands, 0 to 1; log loss needs them.",
        examples=[{"cat": "$.p.cat", "dog": "$.p.dog"}],
    )
    withdrawn: SourceField | None = Field(None, description="A true boolean here takes the prediction back.")

    @model_validator(mode="before")
    @classmethod
    def _scores_in_order(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("scores"), dict):
            return value
        # Sorted: two orders of the same classes are the same config, and give the same columns.
        return {**value, "scores": dict(sorted(value["scores"].items(), key=lambda item: str(item[0])))}


class PredictionStream(Decoded):
    """The topic of predictions and how it is read."""

    topic: Topic = Field(description="Kafka topic of the predictions.", examples=["predictions"])
    max_bytes: Size = Field(1 << 20, description="Longer records are rejected as oversized.")
    envelope: EnvelopeField | None = Field(
        None,
        description="What the records are wrapped in: cloudevents or debezium, or {format: ..., ...}. "
        "Left out, the value is the prediction itself.",
        examples=["cloudevents", {"format": "debezium", "deletes": "ignore"}],
    )
    each: ArrayField | None = Field(
        None,
        description="The array whose elements are predictions, up to 10000 of them a record; `$.…` is then a place in an "
        "element, `outer:$.…` one beside the array.",
        examples=["$.predictions"],
    )
    format: ValueFormat | None = _FORMAT
    rekey: Rekey | None = _REKEY
    fields: PredictionFields
    features: dict[FeatureName, FeatureField] = Field(
        default_factory=dict,
        description="Inputs to watch, by name: numeric, categorical, or {from: place, type: ...}. "
        "Without a place it is $.features.NAME.",
        examples=[{"hour": "numeric", "origin": {"from": "$.origin", "type": "categorical"}}],
    )
    values: dict[Name, Number] = Field(
        default_factory=dict,
        description="Numbers for the words found in `prediction`.",
        examples=[{"late": 1, "ontime": 0}],
    )

    @model_validator(mode="before")
    @classmethod
    def _features_in_full(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("features"), dict):
            return value
        # Sorted: two orders of the same features are the same config, and give the same layout of cells.
        features = {name: _feature_in_full(name, item) for name, item in sorted(value["features"].items())}
        return {**value, "features": features}


def _feature_in_full(name: str, item: Any) -> Any:
    place = format_path(("features", name))
    if item in ("numeric", "categorical"):
        return {"from": place, "type": item}
    return {"from": place, **item} if isinstance(item, dict) else item


class LabelFields(Section):
    """Where the fields of a label are found."""

    id: SourceField = Field(description="The id of the prediction that the label is about.", examples=["$.id"])
    at: TimeSource = Field(description="When the label became known (not when the fact happened).", examples=["$.at"])
    label: SourceField = Field(
        description="The true class or number. A null with a time takes the label back.", examples=["$.label"]
    )


class Absent(Section):
    """What it means when no label comes."""

    value: LabelValue = Field(
        description="The label that counts when none has come; for multiclass models a class.", examples=[0, "cat"]
    )
    after_ms: PositiveDuration = Field(
        alias="after", description="How long after the prediction. At most time.horizon.", examples=["7d"]
    )


class LabelStream(Decoded):
    """The topic of labels and how it is read."""

    topic: Topic = Field(description="Kafka topic of the labels.", examples=["labels"])
    max_bytes: Size = Field(1 << 20, description="Longer records are rejected as oversized.")
    envelope: EnvelopeField | None = Field(
        None,
        description="What the records are wrapped in: cloudevents or debezium, or {format: ..., ...}. "
        "Left out, the value is the label itself.",
        examples=["cloudevents", {"format": "debezium", "deletes": "ignore"}],
    )
    each: ArrayField | None = Field(
        None,
        description="The array whose elements are labels, up to 10000 of them a record; `$.…` is then a place in an "
        "element, `outer:$.…` one beside the array.",
        examples=["$.labels"],
    )
    format: ValueFormat | None = _FORMAT
    rekey: Rekey | None = _REKEY
    fields: LabelFields
    values: dict[Name, Number] = Field(
        default_factory=dict,
        description="Numbers for the words found in `label`.",
        examples=[{"chargeback": 1, "ok": 0}],
    )
    absent: Absent | None = Field(None, description="Left out, a missing label means nothing.")


class Streams(Section):
    """What is read."""

    predictions: PredictionStream
    labels: LabelStream | None = Field(None, description="Left out, only inputs and scores are watched.")
