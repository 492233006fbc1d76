"""What a worker counts by: the models of the namespace's roster, whatever its own files list.

A worker's files and the roster differ while a change is on its way, and where a model was taken out whose windows are not all
final. Sections stand in the configurations that the namespace keeps, references beside them, so every worker can count what
any of them counts. A configuration under whose sections a listed model would count otherwise cannot go on with the namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from monitor.config import Config, canonical
from monitor.config.diff import labels_alike
from monitor.config.types import Model, ReferenceFile
from monitor.daemon import references
from monitor.daemon.begun import Begun, begun_as, kept, of_document
from monitor.errors import LedgerError, MonitorError
from monitor.ingest.clocks import NEVER
from monitor.ledger import roster as rosters
from monitor.ledger.roster import Listed, Roster
from monitor.plan import Plan, plan_of
from monitor.ports import Appender, Log, OutRecord


@dataclass(frozen=True, slots=True)
class Counted:
    """The roster, and the configuration and plan of its models: everything else in them is the worker's own."""

    config: Config
    plan: Plan
    roster: Roster
    source: Config
    """Where the sections of the models stand that the namespace was begun with."""

    def counts_otherwise(self, config: Config) -> list[str]:
        """The models that a configuration lists and that the roster knows with another meaning."""
        own, known = canonical.sections(config), {one.name: one.section for one in self.roster.models}
        return sorted(name for name, section in own.items() if known.get(name, section) != section)


class OlderRoster(MonitorError):
    """Others count by a newer roster than this process has. It reads that one and opens again."""

    def __init__(self, where: str, theirs: int, ours: int) -> None:
        super().__init__(
            f"{where} counts by roster {theirs}, this process has {ours}; it waits until it has read that one"
        )
        self.where, self.theirs, self.ours = where, theirs, ours


def alone(config: Config, plan: Plan) -> Counted:
    """What a configuration counts by itself."""
    return Counted(config, plan, beginning(config, config), config)


def listed(config: Config, source: Config) -> list[Listed]:
    """The models of a configuration as a roster lists them when they come; their sections stand in the document of `source`."""
    digests, document = config.reference_digests, canonical.digest_bytes(source.document().encode())
    return [
        Listed(name, section, document, digests.get(name), 0, None)
        for name, section in sorted(canonical.sections(config).items())
    ]


def beginning(config: Config, source: Config) -> Roster:
    """The roster of a namespace that was begun with this configuration; `source` as in `listed`."""
    return Roster(0, tuple(msgspec.structs.replace(one, from_ms=NEVER) for one in listed(config, source)))


def newest(there: Mapping[bytes, bytes], topic: str) -> Roster | None:
    """The newest roster that a topic of configurations holds; None where models never changed."""
    found = [
        rosters.decode(value, f"{topic} key {key.decode('utf-8', 'replace')}")
        for key, value in there.items()
        if key.startswith(rosters.PREFIX)
    ]
    return max(found, key=lambda one: one.order, default=None)


def remember(log: Log, appender: Appender, topic: str, roster: Roster) -> None:
    """Keep a copy of a roster for owners and for people, where it is not kept already."""
    key = rosters.key_of(roster)
    if key not in kept(log, topic):
        appender.append(topic, 0, OutRecord(rosters.encode(roster), key))


def counted(log: Log, config: Config, plan: Plan) -> Counted:
    """What a worker with this configuration, whose plan is given, counts by.

    A configuration that cannot go on with the namespace counts by itself, and is refused when its first partition is opened.
    Raises LedgerError where a reference that is needed was not kept.
    """
    there, found = _goes_on_with(log, config)
    if found is None:
        return alone(config, plan)
    begun, roster = found
    union = _union(config, roster, there)
    if not labels_alike(union, union.model_copy(update={"models": (*union.models, *config.models)})):
        return alone(config, plan)
    compiled = replace(plan_of(union), config_digest=begun.digest, pane_ms=begun.pane_ms)
    return Counted(union, compiled, roster, begun.source)


def as_begun(log: Log, config: Config, plan: Plan) -> Plan:
    """The plan of a configuration under the digest, and with the panes, that the namespace goes by, where it can go on with
    it. Its models are those of the configuration."""
    _, found = _goes_on_with(log, config)
    return plan if found is None else replace(plan, config_digest=found[0].digest, pane_ms=found[0].pane_ms)


def _goes_on_with(log: Log, config: Config) -> tuple[Mapping[bytes, bytes], tuple[Begun, Roster] | None]:
    """What the topic of configurations holds; how the namespace was begun and its roster, None where nothing was begun, or
    the configuration gives rows another meaning."""
    topic, begun = config.topics().configs, begun_as(log, config)
    if begun is None:
        return {}, None
    there = kept(log, topic) if log.topic(topic) is not None else {}
    roster = newest(there, topic) or beginning(begun.config, begun.source)
    return there, (begun, roster) if _goes_on(config, roster) else None


def _goes_on(config: Config, roster: Roster) -> bool:
    """Whether the models that both list mean the same in both, and no template counts those that one of them lacks."""
    own = canonical.sections(config)
    if config.unlisted_models is not None and own.keys() != {one.name for one in roster.listed}:
        return False
    return all(own.get(one.name, one.section) == one.section for one in roster.models)


def _union(config: Config, roster: Roster, there: Mapping[bytes, bytes]) -> Config:
    """The configuration with the models of the roster, those that were taken out among them."""
    texts = {one.document: there.get(one.document.encode()) for one in roster.models}
    kept_texts = {document: text for document, text in texts.items() if text is not None}
    held = {document: of_document(text, document, config.namespace) for document, text in kept_texts.items()}
    models: dict[str, Model] = {}
    files: dict[str, ReferenceFile] = {"*": config.references["*"]} if "*" in config.references else {}
    for one in roster.models:
        source = config if config.model(one.name) is not None else held.get(one.document)
        model = next((m for m in source.models if m.name == one.name), None) if source is not None else None
        if source is None or model is None:
            raise _not_kept(config, f"configuration {one.document[:19]} with the section of model {one.name!r}")
        models[one.name] = model
        if one.reference is not None:
            known = config.references.get(one.name) or references.of(there, one.document, source, config).get(one.name)
            if known is None or known.digest != one.reference:
                raise _not_kept(config, f"reference {one.reference[:19]} of model {one.name!r}")
            files[one.name] = known
    return config.model_copy(update={"models": tuple(models.values())}).with_references(files)


def _not_kept(config: Config, what: str) -> LedgerError:
    return LedgerError(
        f"the {what}, which namespace {config.namespace!r} counts, is not in topic {config.topics().configs!r}",
        "List the model in the configuration of this worker as it was, or choose another `namespace`.",
    )


def named(models: Iterable[Listed]) -> str:
    """Their names, for people."""
    return ", ".join(repr(one.name) for one in models)
