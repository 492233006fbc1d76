"""What a namespace was begun with, against the configuration that wants to go on with it."""

from __future__ import annotations

from dataclasses import replace

from monitor.config import Config, loads
from monitor.config.diff import diff
from monitor.config.types import Topics
from monitor.daemon.checkpoints import of_ledger
from monitor.daemon.tail import read_range
from monitor.ledger.generations import PREFIX
from monitor.ledger.records import Genesis
from monitor.plan import Plan
from monitor.ports import Log


def as_begun(log: Log, config: Config, plan: Plan) -> Plan:
    """The plan under the digest that the namespace goes by.

    Earlier versions counted `time.idle_after` into the digest. A namespace that one of them began with this very
    configuration keeps its digest: its windows carry it, and they are decided again.
    """
    info = log.topic(config.topics().ledger)
    for partition in range(0 if info is None else info.partitions):
        genesis = _genesis(log, config.topics(), partition)
        if genesis is not None and genesis.config == config.digest_with_idle_after:
            return replace(plan, config_digest=genesis.config)
    return plan


def _genesis(log: Log, topics: Topics, partition: int) -> Genesis | None:
    """How a ledger partition began: its first record, or where that was trimmed what a checkpoint keeps of it."""
    topic = topics.ledger
    begin, end = log.begin_offsets(topic)[partition], log.end_offsets(topic)[partition]
    if begin > 0:
        found = of_ledger(log, topics.checkpoints, partition).look()
        return found[0].manifest.fold.genesis if found else None
    for stored in read_range(log, topic, partition, begin, min(begin + 1, end)):
        if isinstance(stored.record, Genesis):
            return stored.record
    return None


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


def what_differs(log: Log, config: Config) -> str:
    """What gives rows another meaning than the namespace has, as far as its own configurations tell: for a refusal."""
    topic = config.topics().configs
    known = list(documents(log, topic).values()) if log.topic(topic) is not None else []
    if not known:
        return "streams, time, models, windows or a reference"
    then, now = (loads(text, require_references=False) for text in (known[-1].decode(), config.document()))
    found = [f"{change.path} ({change.what})" for change in diff(then, now) if change.gives_meaning]
    return ", ".join(found) if found else "a reference"
