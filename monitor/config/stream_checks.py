"""Mistakes in what is read: topics that are in each other's way, places that are nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.config import task_checks
from monitor.config.durations import format_duration
from monitor.config.problems import Path, Problem
from monitor.config.sources import Source, TimeField

if TYPE_CHECKING:
    from monitor.config.streams import LabelStream, PredictionStream
    from monitor.config.types import Config


def streams(config: Config) -> Iterator[Problem]:
    """Mistakes of `streams`."""
    predictions, labels = config.streams.predictions, config.streams.labels
    fields: Path = ("streams", "predictions", "fields")
    if predictions.fields.score is None and predictions.fields.prediction is None:
        sentence = "neither score nor prediction is set; at least one of them is needed, as in score: $.score"
        yield Problem(fields, sentence, ((*fields, "score"), (*fields, "prediction")))
    yield from task_checks.streams(config)
    yield from _places(config)
    yield from _rekeyed(config)
    yield from _formats(config)
    internal = {name: part for part, name in _internal(config)}
    for name, stream in (("predictions", predictions), ("labels", labels)):
        at = ("streams", name, "topic")
        if stream is not None and stream.topic in internal:
            yield Problem(
                at, f"{stream.topic!r} is an internal topic of namespace {config.namespace!r}", (("namespace",),)
            )
    if labels is not None and labels.topic == predictions.topic:
        other = ("streams", "predictions", "topic")
        yield Problem(
            ("streams", "labels", "topic"),
            f"{labels.topic!r} is also the topic of the predictions; the two must differ",
            (other,),
        )
    elif labels is not None and labels.topic == f"{predictions.topic}.dlq":
        yield Problem(("streams", "labels", "topic"), f"{labels.topic!r} is where rejected predictions go")
    elif labels is not None and predictions.topic == f"{labels.topic}.dlq":
        yield Problem(("streams", "predictions", "topic"), f"{predictions.topic!r} is where rejected labels go")
    if labels is None or labels.absent is None:
        return
    if labels.absent.after_ms > config.time.horizon_ms:
        yield Problem(
            ("streams", "labels", "absent", "after"),
            f"{format_duration(labels.absent.after_ms)} is longer than time.horizon "
            f"({format_duration(config.time.horizon_ms)}); a label is not waited for beyond the horizon",
            (("time", "horizon"),),
        )


def _internal(config: Config) -> list[tuple[str, str]]:
    topics = config.topics()
    return [(part, str(getattr(topics, part))) for part in topics.__slots__]


def sources(stream: PredictionStream | LabelStream) -> Iterator[tuple[Path, Source]]:
    """Every place that a stream is read from, with its key below the stream."""
    for name in type(stream.fields).model_fields:
        found = getattr(stream.fields, name)
        if isinstance(found, TimeField):
            yield ("fields", name), found.source
        elif isinstance(found, Source):
            yield ("fields", name), found
    for name, source in (getattr(stream.fields, "scores", None) or {}).items():
        yield ("fields", "scores", name), source
    for name, feature in getattr(stream, "features", {}).items():
        yield ("features", name), feature.source


def _places(config: Config) -> Iterator[Problem]:
    """Places around a row where there is nothing around it, and rows of one record that could not be told apart."""
    for name, stream in (("predictions", config.streams.predictions), ("labels", config.streams.labels)):
        if stream is None:
            continue
        at = ("streams", name)
        for key, source in ((key, place) for key, mapped in sources(stream) for place in mapped.places):
            if source.kind == "outer" and stream.each is None:
                sentence = "is beside an array, and `each` names none; set it, or write $.… for a place in the value"
                yield Problem((*at, *key), f"{source.text()!r} {sentence}", ((*at, "each"),))
            elif source.kind == "envelope" and stream.envelope is None:
                sentence = "is in an envelope, and `envelope` names none; set it, or write $.… for a place in the value"
                yield Problem((*at, *key), f"{source.text()!r} {sentence}", ((*at, "envelope"),))
        if stream.each is not None and any(place.kind != "value" for place in stream.fields.id.places):
            yield Problem(
                (*at, "fields", "id"),
                f"{stream.fields.id.text()!r} is the same for all elements of {stream.each.text()} (`each`); each needs an id "
                "of its own, at a place in the element, as in $.id",
                ((*at, "each"),),
            )


def _rekeyed(config: Config) -> Iterator[Problem]:
    """Copies of topics that are read already, and places that a copy would not have."""
    read = {"predictions": config.streams.predictions, "labels": config.streams.labels}
    for name, stream in read.items():
        if stream is None or stream.rekey is None:
            continue
        at = ("streams", name, "rekey")
        for other, held in read.items():
            if held is not None and stream.rekey.source == held.topic:
                sentence = f"{held.topic!r} is the topic of streams.{other} itself; a copy has a name of its own"
                yield Problem((*at, "from"), sentence, (("streams", other, "topic"),))
        by = stream.rekey.by
        if by is not None and by.kind == "const":
            yield Problem(
                (*at, "by"), "a constant puts all records into one partition; name a place that tells them apart"
            )


def _formats(config: Config) -> Iterator[Problem]:
    """Records that need a registry where none is named, and arrays that cannot be taken apart."""
    for name, stream in (("predictions", config.streams.predictions), ("labels", config.streams.labels)):
        if stream is None or stream.format != "avro":
            continue
        at = ("streams", name)
        if config.schema_registry is None:
            sentence = "'avro' needs to know where schemas are: set schema_registry.url"
            yield Problem((*at, "format"), sentence, (("schema_registry",),))
        if stream.rekey is not None and stream.each is not None:
            sentence = "an array in Avro cannot be taken apart into several records; let its producers key it by the id"
            yield Problem((*at, "rekey"), sentence, ((*at, "each"), (*at, "format")))
