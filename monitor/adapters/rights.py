"""The rights that a user of a configuration needs on its brokers, and no more: what access control lists have to say.

Write and Read bring Describe with them (Kafka's own rule). A namespace's own topics and groups are named by the prefix
`NAMESPACE.`, so that a topic of a later version needs no other list; where another namespace begins with that prefix, name them
one by one (`literal`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from monitor.adapters.dead_letters import topic_of
from monitor.config.types import Config


@dataclass(frozen=True, slots=True)
class Right:
    """One resource (`topic`, `group` or `transactional-id`), by its name or (`prefixed`) by how it begins, and what may be done
    with it; `why` says what for."""

    resource: str
    name: str
    prefixed: bool
    operations: tuple[str, ...]
    why: str


def rights_of(config: Config, *, create: bool = False, literal: bool = False) -> list[Right]:
    """What `driftline run` needs. `create`: also that it makes its topics itself; `literal`: without prefixes."""
    topics, sources = config.topics(), config.source_topics()
    found = [Right("topic", name, False, ("Read", "DescribeConfigs"), "to read it") for name in sources]
    own = ("Read", "Write", *(("Create",) if create else ()), *(("Delete",) if config.state.trim else ()))
    names = [str(name) for name in astuple(topics)]
    if config.state.snapshots == "topic":
        names.append(f"{config.namespace}.snapshots")
        own = (*own, *(() if "Delete" in own else ("Delete",)))
    prefix = f"{config.namespace}."
    own_names = names if literal else [prefix]
    found += [Right("topic", name, not literal, own, "what it counted and decided") for name in own_names]
    if config.dead_letters.enabled:
        letters = ("Write", *(("Create",) if create else ()))
        found += [Right("topic", topic_of(name), False, letters, "records that cannot be used") for name in sources]
    groups = [f"{prefix}tasks", f"{prefix}evaluator"] if literal else [prefix]
    found += [Right("group", name, not literal, ("Read",), "who owns which partition") for name in groups]
    found.append(Right("group", config.namespace, False, ("Describe",), "the name that its readers go by"))
    return found


def rights_to_rekey(config: Config, stream: str, progress: str, *, create: bool = False) -> list[Right]:
    """What `driftline rekey` needs to copy one stream, `predictions` or `labels`, that is re-keyed. `progress`: the
    topic of how far it got. `create`: also that it makes that and the copy itself."""
    chosen = config.streams.predictions if stream == "predictions" else config.streams.labels
    assert chosen is not None
    assert chosen.rekey is not None
    copy, name = chosen.topic, f"{config.namespace}.rekey.{chosen.topic}"
    own = ("Read", "Write", "DescribeConfigs", *(("Create",) if create else ()))
    found = [Right("topic", chosen.rekey.source, False, ("Read", "DescribeConfigs"), "what is copied")]
    if stream == "labels":
        others = config.streams.predictions.topic
        found.append(Right("topic", others, False, ("Describe", "DescribeConfigs"), "how many partitions the copy has"))
    found += [
        Right("topic", copy, False, own, "the copy"),
        Right("topic", progress, False, own, "how far it got"),
        Right("group", name, False, ("Read",), "who copies"),
        Right("group", config.namespace, False, ("Describe",), "the name that its readers go by"),
        Right("transactional-id", name, False, ("Write",), "to shut out who copied before"),
    ]
    return found


def commands(rights: Sequence[Right], principal: str) -> list[str]:
    """The rights as arguments of Kafka's own `kafka-acls.sh`, a call each."""
    return [
        " ".join(
            [
                "kafka-acls.sh --add --allow-principal",
                f"'{principal}'",
                *(f"--operation {operation}" for operation in right.operations),
                f"--{right.resource} '{right.name}'",
                *(["--resource-pattern-type prefixed"] if right.prefixed else []),
            ]
        )
        for right in rights
    ]
