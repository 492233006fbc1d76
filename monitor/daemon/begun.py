"""What a namespace was begun with, against the configuration that wants to go on with it.

Rows mean what the configuration says that the namespace was begun with. Windows are made of panes, and are no part of what
a row means as long as they are made of the same panes: they may be others, and the evaluator decides since when
(`rules_in_force`). Models may come and go, and what is watched of them may change (`counted`). Everything else that gives rows
a meaning is decided row by row by the owners of partitions, who do not wait for each other: a namespace keeps it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from monitor.config import Config, recorded
from monitor.config.canonical import digest_bytes
from monitor.config.diff import diff
from monitor.config.panes import grid_ms
from monitor.config.types import Topics
from monitor.config.windows import Window
from monitor.daemon import references
from monitor.daemon.checkpoints import of_ledger
from monitor.daemon.tail import read_range
from monitor.editions import number_of
from monitor.errors import ConfigError, NewerVersion, OffsetLost
from monitor.ledger import announcements, generations, roster
from monitor.ledger.records import Genesis
from monitor.ports import Appender, Log, OutRecord

_log = logging.getLogger("driftline.config")

ANOTHER_MEANING = (
    "Take that back, or choose another `namespace`: it counts again whatever both topics hold. Rules, labels and sinks may "
    "change freely, windows that are made of the same panes may, models may come and go, and so may what is watched of them."
)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a namespace goes by: its digest, its panes, and the configuration it was begun with, as far as it means anything."""

    digest: str
    pane_ms: int
    config: Config
    source: Config
    """The configuration, kept or the worker's own, in which its models stand."""
    edition: int
    """That it was begun with."""


def begun_as(log: Log, config: Config) -> Begun | None:
    """How the namespace was begun, if this configuration can go on with it; None where it cannot, or nothing was begun.

    Four differences are none in what a row means: earlier versions counted `time.idle_after` into the digest, windows may
    be others than those at the beginning when whole panes make them up, and so may models and what is watched of them. The
    namespace keeps its digest and its panes: its commits carry the one and count in the other.
    """
    genesis, topic = begun(log, config.topics()), config.topics().configs
    if genesis is None:
        return None
    edition = number_of(genesis.edition)
    if genesis.config in (config.digest, config.digest_with_idle_after):
        return Begun(genesis.config, grid_ms(config.windows), config, config, edition)
    there = kept(log, topic) if log.topic(topic) is not None else {}
    for document, held in _configurations(there):
        files = references.of(there, document, held, config)
        first = _as_before(config, held).with_references(files)
        for then in (config.model_copy(update={"windows": held.windows}), first):
            if genesis.config in (then.digest, then.digest_with_idle_after) and _by_template_alike(config, then):
                pane_ms = grid_ms(held.windows)
                return Begun(genesis.config, pane_ms, then, held, edition) if fit(config.windows, pane_ms) else None
    return None


def _as_before(config: Config, held: Config) -> Config:
    """The configuration with everything that may change at a pane as another one has it."""
    mapped = held.streams.predictions.features
    predictions = config.streams.predictions.model_copy(update={"features": mapped})
    update = {
        "windows": held.windows,
        "models": held.models,
        "drift": held.drift,
        "estimates": held.estimates,
        "streams": config.streams.model_copy(update={"predictions": predictions}),
    }
    return config.model_copy(update=update)


def _by_template_alike(config: Config, then: Config) -> bool:
    """Whether no template counts models that one of the two lacks, or otherwise than it did."""
    if config.unlisted_models is None:
        return True
    own, first = ({model.name for model in each.models} for each in (config, then))
    return own == first and (config.drift, config.estimates) == (then.drift, then.estimates)


def fit(windows: Sequence[Window], pane_ms: int) -> bool:
    """Whether all windows are made of whole panes."""
    return grid_ms(windows) % pane_ms == 0


def begun(log: Log, topics: Topics) -> Genesis | None:
    """How the namespace began: the genesis of one of its partitions, None where there is none."""
    info = log.topic(topics.ledger)
    found = (_genesis(log, topics, partition) for partition in range(0 if info is None else info.partitions))
    return next((genesis for genesis in found if genesis is not None), None)


def _genesis(log: Log, topics: Topics, partition: int) -> Genesis | None:
    """How a ledger partition began: its first record, or where that was trimmed what a checkpoint keeps of it."""
    topic = topics.ledger
    begin, end = log.begin_offsets(topic)[partition], log.end_offsets(topic)[partition]
    if begin > 0:
        found = of_ledger(log, topics.checkpoints, partition).look()
        return found[0].manifest.fold.genesis if found else None
    try:
        for stored in read_range(log, topic, partition, begin, min(begin + 1, end)):
            if isinstance(stored.record, Genesis):
                return stored.record
    except OffsetLost:  # trimmed since it was asked where the topic begins: a checkpoint has it now
        return _genesis(log, topics, partition)
    return None


def of_document(text: bytes, digest: str, namespace: str) -> Config:
    """A configuration that was in force, as it is kept. Raises NewerVersion for one with keys that this version does not
    know."""
    try:
        return recorded(text)
    except ConfigError as error:
        raise NewerVersion(
            f"the configuration {digest[:19]}, which namespace {namespace!r} goes by, says what this version of Driftline does "
            f"not know ({error.problems[0]})"
        ) from error


def _configurations(there: Mapping[bytes, bytes]) -> Iterator[tuple[str, Config]]:
    """Every configuration that is kept with its digest, the first one first."""
    for key, text in there.items():
        if not key.startswith(NO_DOCUMENTS):
            with suppress(ConfigError):  # of a version whose configurations this one does not read
                yield key.decode(), recorded(text)


def documents(log: Log, topic: str) -> dict[bytes, bytes]:
    """The configurations of a namespace by the digest of their document, in the order in which they were first used."""
    return {key: value for key, value in kept(log, topic).items() if not key.startswith(NO_DOCUMENTS)}


NO_DOCUMENTS = (announcements.PREFIX, generations.PREFIX, roster.PREFIX, references.BYTES, references.NAMES)
"""Beginnings of keys in the topic of configurations that are of something else."""


def kept(log: Log, topic: str) -> dict[bytes, bytes]:
    """What the topic of configurations holds, by key."""
    found: dict[bytes, bytes] = {}
    reader = log.reader(headers=False)
    try:
        position, end = log.begin_offsets(topic)[0], log.end_offsets(topic)[0]
        reader.assign({(topic, 0): position})
        while position < end:
            for batch in reader.poll(1_000, 200):
                assert batch.keys is not None
                pairs = zip(batch.keys, batch.values, strict=True)
                found.update((key, value) for key, value in pairs if key is not None and value is not None)
                position = batch.next_offset
    finally:
        reader.close()
    return found


def keep(log: Log, appender: Appender, topic: str, key: bytes, value: bytes) -> None:
    """Put something into the topic of configurations, where there is nothing under its key."""
    if key not in kept(log, topic):
        appender.append(topic, 0, OutRecord(value, key))


def _keep_all(log: Log, appender: Appender, topic: str, found: Mapping[bytes, bytes], config: Config) -> None:
    there = kept(log, topic) if found else {}
    # Of a reference all parts or none: those of a writer who died, or had another zlib, do not fit to ours.
    files = config.references.values()
    torn = references.records_of(file for file in files if not references.is_kept(there, file))
    for key, value in found.items():
        if key not in there or key in torn:
            appender.append(topic, 0, OutRecord(value, key))


def keep_references(log: Log, appender: Appender, config: Config) -> None:
    """Keep the references of a configuration, so that its models can be counted by who does not list them."""
    _keep_all(log, appender, config.topics().configs, references.records_of(config.references.values()), config)


def keep_document(log: Log, appender: Appender, config: Config) -> None:
    """Keep the document of a configuration by its digest, so that what it decided can be decided again."""
    document, topic = config.document().encode(), config.topics().configs
    digest = digest_bytes(document)
    _keep_all(log, appender, topic, references.to_keep(config, digest), config)
    keep(log, appender, topic, digest.encode(), document)


def what_differs(log: Log, config: Config) -> str:
    """What gives rows another meaning than the namespace has, as far as its own configurations tell: for a refusal."""
    topic, own = config.topics().configs, config.document()
    known = [text.decode() for text in documents(log, topic).values()] if log.topic(topic) is not None else []
    known = [text for text in known if text != own]
    if not known:
        return "streams, time, models, windows or a reference"
    then, now = (recorded(text.encode()) for text in (known[-1], own))
    found = [f"{change.path} ({change.what})" for change in diff(then, now) if change.gives_meaning]
    return ", ".join(found) if found else "a reference"
