"""What a namespace was begun with, against the configuration that wants to go on with it.

Rows mean what the configuration says that the namespace was begun with. Windows are made of panes, and are no part of what
a row means as long as they are made of the same panes: they may be others, and the evaluator decides since when
(`rules_in_force`). Everything else that gives rows a meaning is decided row by row by the owners of partitions, who do not
wait for each other: no moment could be named at which all of them change, so a namespace keeps it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from monitor.config import Config, recorded
from monitor.config.canonical import digest_bytes
from monitor.config.diff import diff
from monitor.config.panes import grid_ms
from monitor.config.types import Topics
from monitor.config.windows import Window
from monitor.daemon.checkpoints import of_ledger
from monitor.daemon.tail import read_range
from monitor.errors import ConfigError, LogError, OffsetLost, UnknownOutcome
from monitor.ledger.generations import PREFIX
from monitor.ledger.records import Genesis
from monitor.plan import Plan
from monitor.ports import Appender, Log, OutRecord

_log = logging.getLogger("driftline.config")

ANOTHER_MEANING = (
    "Take that back, or choose another `namespace`: it counts again whatever both topics hold. Rules, labels and sinks may "
    "change freely, and so may windows that are made of the same panes."
)


def as_begun(log: Log, config: Config, plan: Plan) -> Plan:
    """The plan under the digest, and with the panes, that the namespace goes by.

    Two differences are none in what a row means: earlier versions counted `time.idle_after` into the digest, and windows
    may be others than those at the beginning when whole panes make them up. The namespace keeps its digest and its panes:
    its commits carry the one and count in the other.
    """
    genesis = begun(log, config.topics())
    if genesis is None or genesis.config == config.digest:
        return plan
    if genesis.config == config.digest_with_idle_after:
        return replace(plan, config_digest=genesis.config)
    for windows in _windows_of(log, config.topics().configs):
        then = config.model_copy(update={"windows": windows})
        pane_ms = grid_ms(windows)
        if genesis.config in (then.digest, then.digest_with_idle_after) and fit(config.windows, pane_ms):
            return replace(plan, config_digest=genesis.config, pane_ms=pane_ms)
    return plan


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


def _windows_of(log: Log, topic: str) -> list[tuple[Window, ...]]:
    """The windows of every configuration that is kept, the first one's first."""
    if log.topic(topic) is None:
        return []
    found = []
    for text in documents(log, topic).values():
        try:
            found.append(recorded(text).windows)
        except ConfigError:  # of a version whose configurations this one does not read
            continue
    return found


def documents(log: Log, topic: str) -> dict[bytes, bytes]:
    """The configurations of a namespace by the digest of their document, in the order in which they were first used."""
    return {key: value for key, value in kept(log, topic).items() if not key.startswith(PREFIX)}


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


def keep_document(log: Log, appender: Appender, config: Config) -> None:
    """Keep the document of a configuration by its digest, so that what it decided can be decided again."""
    document = config.document().encode()
    keep(log, appender, config.topics().configs, digest_bytes(document).encode(), document)


def keep_the_first(log: Log, config: Config) -> None:
    """Keep the configuration that a namespace is about to be begun with: by it later ones are told what they differ in. Who
    evaluates keeps it as well, so an append whose outcome is not known is let be."""
    if begun(log, config.topics()) is not None:
        return
    appender = log.appender()
    try:
        keep_document(log, appender, config)
    except UnknownOutcome as error:
        _log.warning("%s; the evaluator will keep the configuration", error)
    finally:
        with suppress(LogError):
            appender.close()


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
