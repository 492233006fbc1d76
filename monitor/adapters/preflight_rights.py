"""Whether this user may do on the brokers what `driftline run` does there, and `driftline rekey` where streams are re-keyed.

Nothing is tried: the brokers are asked. What may be done with a transactional id, which `rekey` has, they do not tell.

Rights on topics that begin with the namespace are given by prefix (`driftline config acls`), so the cluster's own rights do not
tell whether a topic may be created; a request to create it that the brokers only validate does. All that is missing is told
at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Protocol, runtime_checkable

from monitor.adapters.dead_letters import topic_of
from monitor.adapters.findings import Finding, Level
from monitor.config.streams import LabelStream, PredictionStream, progress_topic
from monitor.config.types import Config

_READ: Final = ("READ", "DESCRIBE")
_SEND: Final = ("WRITE", "DESCRIBE")
_WRITE: Final = ("READ", "WRITE", "DESCRIBE")
_TRIM: Final = (*_WRITE, "DELETE")
_GRANT: Final = "Grant them to this user: `driftline config acls` prints all that it needs."
_TRIMS: Final = (
    "`state.trim` and `state.snapshots: topic` delete what is not needed any more; without it the topic grows. "
)
_REKEYS: Final = (
    "`driftline rekey` needs them. If this user runs it, grant them: `driftline config acls --for rekey` prints all that it "
    "needs."
)
_MAKE: Final = (
    "Make them as docs/operating.md lists them, or let this user make them: `driftline config acls --create` prints the rights "
    "for that."
)


@runtime_checkable
class KnowsRights(Protocol):
    """A log that can say what this client may do (Kafka). Operations go by Kafka's names, as READ."""

    def rights(self, topic: str) -> frozenset[str] | None:
        """What may be done on a topic: nothing where the topic is hidden, None where it may be seen and is not there."""

    def group_rights(self, group: str) -> frozenset[str] | None:
        """What may be done on a consumer group: nothing where it is hidden, None where the brokers do not tell."""

    def creatable(self, topics: Collection[str]) -> frozenset[str]:
        """Those of some absent topics that this client may create. Nothing is created."""


def look_at_rights(log: KnowsRights, config: Config, sources: Collection[str]) -> Iterator[Finding]:
    """What is missing, a finding for each topic and group, and one for all topics that somebody else has to make.

    `sources`: those of the source topics that are there, or hidden.
    """
    absent, refused = [], False
    for name, needed in _wanted(config, sources):
        allowed = log.rights(name)
        if allowed is None:
            absent.append(name)
        elif lacking := _lacking(needed, allowed):
            refused = True
            room = lacking == ["DELETE"]  # `run` does without: it says so, and the topic grows
            level, hint = (Level.WARNING, _TRIMS + _GRANT) if room else (Level.ERROR, _GRANT)
            yield Finding(level, f"rights on topic {name}", f"not allowed: {', '.join(lacking)}", hint)
    ns = config.namespace
    for group, needed in ((f"{ns}.tasks", _READ), (f"{ns}.evaluator", _READ), (ns, ("DESCRIBE",))):
        allowed = log.group_rights(group)
        if allowed is not None and (lacking := _lacking(needed, allowed)):
            refused = True
            yield Finding(Level.ERROR, f"rights on group {group}", f"not allowed: {', '.join(lacking)}", _GRANT)
    creatable = log.creatable(absent)
    if by_hand := [name for name in absent if name not in creatable]:
        value = f"not there, and this user may not create them: {', '.join(by_hand)}"
        yield Finding(Level.WARNING, "topics that somebody else must make", value, _MAKE)
    if not refused:
        yield Finding(Level.OK, "rights", "all that are needed")


def look_at_rights_to_rekey(
    log: KnowsRights, config: Config, stream: PredictionStream | LabelStream
) -> Iterator[Finding]:
    """What `driftline rekey` lacks to copy a stream that is re-keyed, as advice: often another user runs it."""
    if stream.rekey is None:
        return
    others, copy, progress = config.streams.predictions.topic, stream.topic, progress_topic(stream.topic)
    wanted = {stream.rekey.source: _READ, copy: _WRITE, progress: _WRITE}
    if copy != others:
        wanted[others] = ("DESCRIBE",)
    allowed = {name: log.rights(name) for name in wanted}
    group = f"{config.namespace}.rekey.{copy}"
    found = [(f"topic {name}", needed, allowed[name]) for name, needed in wanted.items()]
    found.append((f"group {group}", _READ, log.group_rights(group)))
    complete = True
    for what, needed, has in found:
        if has is not None and (lacking := _lacking(needed, has)):
            complete = False
            yield Finding(Level.ADVICE, f"rights of rekey on {what}", f"not allowed: {', '.join(lacking)}", _REKEYS)
    absent = [name for name in (copy, progress) if allowed[name] is None]
    creatable = log.creatable(absent)
    if by_hand := [name for name in absent if name not in creatable]:
        complete = False
        value = f"not there, and this user may not create them: {', '.join(by_hand)}"
        yield Finding(Level.ADVICE, "rights of rekey", value, f"{_REKEYS} `--create` prints those to create them too.")
    if complete:
        yield Finding(Level.OK, f"rights of rekey for {copy}", "all that are needed")


def _wanted(config: Config, sources: Collection[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Topics and what is done on them, sources first."""
    topics = config.topics()
    yield from ((name, _READ) for name in sources)
    yield topics.tasks, _READ
    for name in (topics.windows, topics.alerts, topics.alerts_state, topics.configs):
        yield name, _WRITE
    for name in (topics.ledger, topics.evals, topics.checkpoints):
        yield name, _TRIM if config.state.trim else _WRITE
    if config.state.snapshots == "topic":
        yield f"{config.namespace}.snapshots", _TRIM
    if config.dead_letters.enabled:  # who reads them is somebody with `driftline dlq`, not the daemon
        yield from ((topic_of(name), _SEND) for name in sources)


def _lacking(needed: tuple[str, ...], allowed: frozenset[str]) -> list[str]:
    return [] if "ALL" in allowed else [operation for operation in needed if operation not in allowed]
