"""What a worker counts by: the models of the namespace's roster, in all their senses, whatever its own files list.

A worker's files and the roster differ while a change is on its way, and where a model was taken out, or became another sense,
whose windows are not all final. Sections stand in the configurations that the namespace keeps, references beside them, so every
worker can count what any of them counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from monitor.config import Config, canonical
from monitor.config.diff import labels_alike
from monitor.config.types import ReferenceFile
from monitor.daemon import references, senses
from monitor.daemon.begun import Begun, begun_as, kept, of_document
from monitor.daemon.senses import Section
from monitor.editions import LASTING
from monitor.errors import LedgerError, MonitorError
from monitor.ingest.clocks import NEVER
from monitor.ledger import roster as rosters
from monitor.ledger.roster import Listed, Roster
from monitor.plan import Plan
from monitor.ports import Appender, Log, OutRecord


@dataclass(frozen=True, slots=True)
class Counted:
    """The roster, and the configuration and plan of its models: everything else in them is the worker's own."""

    config: Config
    plan: Plan
    roster: Roster
    source: Config
    """Where the sections of the models stand that the namespace was begun with."""
    first: Config
    """What the namespace was begun with, as far as it means anything."""
    in_hindsight: bool = False
    """Whether the roster holds from the beginning, as where a run that is over is made again: nothing changes it."""

    def hindsight(self) -> Counted:
        """The same for a run over everything from the beginning: windows are of the senses that they were of."""
        return replace(self, roster=self.roster.in_hindsight(), in_hindsight=True)

    def counts_otherwise(self, config: Config) -> list[str]:
        """The models that a configuration lists and that answer another question than the roster knows them for."""
        known = {model.name: model for model in self.config.models}
        return sorted(
            model.name
            for model in config.models
            if (one := known.get(model.name)) is not None and (one.task, one.positive) != (model.task, model.positive)
        )


class OlderRoster(MonitorError):
    """Others count by a newer roster than this process has. It reads that one and opens again."""

    def __init__(self, where: str, theirs: int, ours: int) -> None:
        super().__init__(
            f"{where} counts by roster {theirs}, this process has {ours}; it waits until it has read that one"
        )
        self.where, self.theirs, self.ours = where, theirs, ours


def alone(config: Config, plan: Plan) -> Counted:
    """What a configuration counts by itself."""
    return Counted(config, plan, beginning(config, config), config, config)


def listed(config: Config, source: Config, first: Config) -> list[Listed]:
    """The models of a configuration as a roster lists them when they come; their sections stand in the document of `source`, and
    the namespace was begun with `first`."""
    digests, document = config.reference_digests, canonical.digest_bytes(source.document().encode())
    return [
        Listed(name, section, document, digests.get(name), 0, None)
        for name, section in sorted(canonical.sections(config, first).items())
    ]


def beginning(config: Config, source: Config) -> Roster:
    """The roster of a namespace that was begun with this configuration; `source` as in `listed`."""
    return Roster(0, tuple(msgspec.structs.replace(one, from_ms=NEVER) for one in listed(config, source, config)))


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
    Raises LedgerError where a section or a reference that is needed was not kept.
    """
    there, found = _goes_on_with(log, config)
    if found is None:
        return alone(config, plan)
    begun, roster = found
    by = _counts(config, begun, roster, there)
    if not labels_alike(by.config, by.config.model_copy(update={"models": (*by.config.models, *config.models)})):
        return alone(config, plan)
    return alone(config, plan) if by.counts_otherwise(config) else by


def answers_otherwise(log: Log, config: Config) -> list[str]:
    """The models that a configuration lists and that answer another question than the namespace knows them for."""
    there, found = _goes_on_with(log, config)
    return [] if found is None else _counts(config, *found, there).counts_otherwise(config)


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
    """Whether no template counts models that the configuration or the roster lacks."""
    names = {model.name for model in config.models}
    return config.unlisted_models is None or names == {one.name for one in roster.listed}


def _counts(config: Config, begun: Begun, roster: Roster, there: Mapping[bytes, bytes]) -> Counted:
    config = config.in_order_of_file() if begun.edition < LASTING else config
    sections = list(_sections(config, begun.config, roster, there))
    newest_of = {one.name: sense for one, sense in zip(roster.models, roster.senses, strict=True)}
    union = senses.union(config, begun.config, sections)
    plan = senses.compiled(union, begun.config, sections, newest_of)
    plan = replace(plan, config_digest=begun.digest, pane_ms=begun.pane_ms)
    return Counted(union, plan, roster, begun.source, begun.config)


def _sections(config: Config, first: Config, roster: Roster, there: Mapping[bytes, bytes]) -> Iterator[Section]:
    """What every sense is, those among them of models that were taken out: as the worker's own configuration has it, else as
    one that was kept."""
    texts = {one.document: there.get(one.document.encode()) for one in roster.models}
    kept_texts = {document: text for document, text in texts.items() if text is not None}
    held = {document: of_document(text, document, config.namespace) for document, text in kept_texts.items()}
    own, seen = canonical.sections(config, first), set[str]()
    for one, sense in zip(roster.models, roster.senses, strict=True):
        if sense in seen:
            continue
        seen.add(sense)
        source = config if own.get(one.name) == one.section else held.get(one.document)
        model = next((m for m in source.models if m.name == one.name), None) if source is not None else None
        if source is None or model is None:
            raise _not_kept(config, f"configuration {one.document[:19]} with the section of model {one.name!r}")
        digest = None if sense == one.name else one.document
        yield Section(sense, model, source, _reference(config, one, source, there), digest)


def _reference(config: Config, one: Listed, source: Config, there: Mapping[bytes, bytes]) -> ReferenceFile | None:
    if one.reference is None:
        return None
    known = config.references.get(one.name)
    if known is None or known.digest != one.reference:
        known = references.of(there, one.document, source, config).get(one.name)
    if known is None or known.digest != one.reference:
        raise _not_kept(config, f"reference {one.reference[:19]} of model {one.name!r}")
    return known


def _not_kept(config: Config, what: str) -> LedgerError:
    return LedgerError(
        f"the {what}, which namespace {config.namespace!r} counts, is not in topic {config.topics().configs!r}",
        "List the model in the configuration of this worker as it was, or choose another `namespace`.",
    )


def named(models: Iterable[Listed]) -> str:
    """Their names, for people."""
    return ", ".join(repr(one.name) for one in models)
