"""What came of what: alerts, runs, rows, data versions and model versions, as a graph that is walked both ways.

    dataset version <- rows <- run <- version <- alert <- run <- version ...

Every arrow is an id inside a record that is kept anyway: the causes of an admission, the facts of a journal, the manifest of
a version. Nothing is written for it, so it cannot be out of date; what was removed from the store is a node that says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from pipelines.book import Book
from pipelines.codec import PREFIX
from pipelines.dataset.errors import DatasetError
from pipelines.dataset.manifest import decode_manifest
from pipelines.dataset.ports import Store as DatasetStore
from pipelines.dataset.redaction import Replaced, redactions, successors
from pipelines.dataset.shelf import VERSIONS, Shelf
from pipelines.errors import NotFound
from pipelines.firing import Firing
from pipelines.journal import Approved, Cancel, Declined, Moved, RunView
from pipelines.ports import Models, Registered, Store
from pipelines.runs import Admission
from pipelines.states import WAITING, State, terminal
from pipelines.suggest import listing
from pipelines.switch import Switch

PREFIX_LETTERS_MIN: Final = 4


class What(StrEnum):
    """What a node is."""

    ALERT = "alert"
    RUN = "run"
    VERSION = "version"
    ROWS = "rows"  # those of one run, to train on and to judge by
    DATASET = "dataset"  # a data version


@dataclass(frozen=True, slots=True)
class Node:
    """One thing. `names`: what it may be asked for by; `at_ms`: when it came to be, None where nobody knows."""

    what: What
    id: str
    said: str
    at_ms: int | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A node on the way from another, and why it is there. `again`: it was shown before, with what is beyond it."""

    depth: int
    why: str
    node: Node
    again: bool = False


@dataclass
class Graph:
    """Nodes by id, and for each what it was made from or because of, with a word for it."""

    nodes: dict[str, Node] = field(default_factory=dict)
    origins: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    effects: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        """Add a node; the first word about it stands."""
        self.nodes.setdefault(node.id, node)

    def call(self, id_: str, names: Iterable[str]) -> None:
        """More that a node may be asked for by."""
        node = self.nodes[id_]
        self.nodes[id_] = replace(node, names=tuple(dict.fromkeys((*node.names, *names))))

    def link(self, effect: str, why: str, origin: str, led: str) -> None:
        """`effect` was made from, or because of, `origin`: `why` seen from the effect, `led` from the origin."""
        if (why, origin) not in self.origins.setdefault(effect, []):
            self.origins[effect].append((why, origin))
            self.effects.setdefault(origin, []).append((led, effect))

    def walk(self, start: str, back: bool) -> list[Step]:
        """Everything that a node came from (`back`), or that came of it, depth first."""
        arrows, seen = self.origins if back else self.effects, {start}
        found: list[Step] = []
        ahead = [(1, *arrow) for arrow in reversed(arrows.get(start, []))]
        while ahead:
            depth, why, key = ahead.pop()
            again = key in seen
            found.append(Step(depth, why, self.nodes[key], again))
            if not again:
                seen.add(key)
                ahead += [(depth + 1, *arrow) for arrow in reversed(arrows.get(key, []))]
        return found

    def find(self, asked: str) -> Node:
        """The node that is called so: a digest, an episode, `MODEL@3`, or the beginning of one id. Raises NotFound."""
        exact = [node for node in self.nodes.values() if asked in (node.id, *node.names)]
        if len(exact) == 1:
            return exact[0]
        near = exact or [
            node
            for node in self.nodes.values()
            if len(asked) >= PREFIX_LETTERS_MIN
            and any(name.removeprefix(PREFIX).startswith(asked.removeprefix(PREFIX)) for name in (node.id, *node.names))
        ]
        if len(near) == 1:
            return near[0]
        if near:
            why = f"may be {listing(f'{node.what} {node.id}' for node in near)}"
            raise NotFound(repr(asked), why, "Write more of it.")
        remedy = "Name an alert by episode, fingerprint or id (with --alerts), a version as MODEL@3, a dataset by name or digest."
        raise NotFound(repr(asked), "is no alert, run, version or dataset that is known here", remedy)


@dataclass(frozen=True, slots=True)
class DataVersions:
    """The data versions of a store: what each that lost rows to an erasure is now, and the names of each by its digest."""

    now: Mapping[str, Replaced] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def data_versions(store: DatasetStore) -> DataVersions:
    """See DataVersions. Raises UnreadableDataset."""
    every = [PREFIX + each.removeprefix(f"{VERSIONS}/") for each in store.documents(VERSIONS)]
    now, named = successors(redactions(store)), Shelf(store).names()
    found = {
        digest: tuple(name for name, _ in named.get(digest, ())) for digest in every if _now(now, digest) == digest
    }
    return DataVersions(now, found)


def _now(now: Mapping[str, Replaced], digest: str) -> str:
    """What a data version is now; itself where no row of it was left."""
    return digest if (replaced := now.get(digest)) is None else replaced.successor or digest


def graph(
    store: Store,
    models: Models,
    fires: Iterable[Firing] = (),
    data: DataVersions | None = None,
    told: Mapping[str, Firing] | None = None,
) -> Graph:
    """All that the store knows, and what fires now. `told`: alerts by the ids of their events, those that are over too."""
    data = data or DataVersions()
    book, made = Book(store), Graph()
    names = sorted({*book.models(), *models.models()})
    called: dict[tuple[str, str], str] = {}
    for model in names:
        for version in models.registered(model):
            _version(made, version, store, data)
            called |= {(model, name): _of(version) for name in version.names}
    for model in names:
        for admission in book.admissions(model):
            _run(made, admission, book.journal(admission.run).view, store, data)
            for cause in admission.causes:
                _alert(made, cause, called)
                made.link(admission.run, "because of", cause.episode, "began")
    for digest in [*data.names, *data.now]:
        _dataset(made, digest, store, data)
    for alert in fires:
        _alert(made, alert, called)
    for event, alert in (told or {}).items():
        _alert(made, alert, called)
        made.call(alert.episode, (event,))
    return made


def _version(made: Graph, version: Registered, store: Store, data: DataVersions) -> None:
    key = _of(version)
    made.add(Node(What.VERSION, key, f"registered by {version.by}", version.at_ms, version.names[3:]))
    if version.run is not None:
        made.add(Node(What.RUN, version.run, "its journal is not in this store"))
        made.link(key, "made by", version.run, "made")
    elif version.dataset is not None:
        made.link(key, "trained on", _rows(made, version.dataset, store, data), "trained")


def _run(made: Graph, admission: Admission, view: RunView, store: Store, data: DataVersions) -> None:
    version = view.facts.get("version")
    said = f"{view.state} ({view.reason or 'new'}), {admission.mode}, asked for by {admission.requested_by}"
    made.nodes[admission.run] = Node(What.RUN, admission.run, said, admission.at_ms)
    if version is not None:
        key = f"{admission.model}@{version}"
        made.add(Node(What.VERSION, key, "is not in this registry"))
        made.link(key, "made by", admission.run, "made")
    if (dataset := view.facts.get("dataset")) is not None:
        counted = f"{dataset['train_rows']:,} rows to train on, {dataset['test_rows']:,} to judge by"
        made.link(admission.run, "took", _rows(made, dataset["digest"], store, data, counted), "taken by")


def _rows(made: Graph, digest: str, store: Store, data: DataVersions, said: str = "") -> str:
    """A node for the rows of a run and for the data version that they are from; or for a data version itself."""
    if store.document(f"{VERSIONS}/{digest.removeprefix(PREFIX)}") is not None:
        return _dataset(made, digest, store, data)
    made.add(Node(What.ROWS, digest, said))
    if store.blob_size(digest) is None:
        made.nodes[digest] = Node(What.ROWS, digest, f"{said}; not in this store any more".removeprefix("; "))
        return digest
    try:
        document = json.loads(b"".join(store.blob(digest)))
    except ValueError:
        return digest  # named by hand, and no list of rows
    if isinstance(document, dict) and isinstance(source := document.get("source"), str):
        made.link(digest, "taken from", _dataset(made, source, store, data), "gave")
    return digest


def _dataset(made: Graph, asked: str, store: Store, data: DataVersions) -> str:
    digest = _now(data.now, asked)
    name = f"{VERSIONS}/{digest.removeprefix(PREFIX)}"
    said = "is not in this store"
    if (body := store.document(name)) is not None:
        try:
            manifest = decode_manifest(body, name)
            ranges = ", ".join(
                f"{part.partition}: [{part.predictions.start}, {part.predictions.end})"
                for part in manifest.source.partitions
            )
            said = f"{manifest.rows:,} rows of {manifest.source.predictions.name}, offsets {ranges}"
            if digest in data.now:
                said = "no row is left after an erasure"
        except DatasetError as error:
            said = str(error)
    made.add(Node(What.DATASET, digest, said))
    made.call(digest, [*data.names.get(digest, ()), *([asked] if asked != digest else [])])
    return digest


def _alert(made: Graph, alert: Firing, called: dict[tuple[str, str], str]) -> None:
    said = f"{alert.name} ({alert.kind}): {alert.summary}"
    made.add(Node(What.ALERT, alert.episode, said, alert.fired_ms, (alert.fingerprint,)))
    about = called.get((alert.model or "", alert.version or ""))
    if about is not None:
        made.link(alert.episode, "about", about, "told of by")


def _of(version: Registered) -> str:
    return f"{version.model}@{version.number}"


# ------------------------------------------------------------------------------------------------------------ history


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a model."""

    at_ms: int
    actor: str
    what: str
    detail: str


_TOLD: Final = WAITING | {State.REGISTERED}


def history(store: Store, models: Models, model: str) -> list[Event]:
    """All that happened to a model, in order of time: runs, versions, moves of aliases, approvals, stops. Raises NotFound."""
    book = Book(store)
    found = [*_of_runs(book, model), *_of_registry(models, model), *_of_switch(Switch(store), model)]
    if model not in {*book.models(), *models.models()}:
        known = listing(sorted({*book.models(), *models.models()}))
        raise NotFound(f"model {model!r}", "has no history here", f"There are: {known}.")
    return sorted(found, key=lambda event: event.at_ms)


def _of_runs(book: Book, model: str) -> Iterator[Event]:
    for admission in book.admissions(model):
        run = f"run {admission.run[:12]}"
        yield Event(admission.at_ms, admission.requested_by, f"{run} begins", admission.why)
        for record, _ in book.history(admission.run):
            if isinstance(record, Moved) and (record.to in _TOLD or terminal(record.to)):
                yield Event(record.at_ms, record.actor, f"{run} is {record.to}", f"{record.reason}: {record.detail}")
            elif isinstance(record, Approved | Declined | Cancel):
                verb = {Approved: "approved", Declined: "declined", Cancel: "to be cancelled"}[type(record)]
                yield Event(record.at_ms, record.actor, f"{run} {verb}", record.reason)


def _of_registry(models: Models, model: str) -> Iterator[Event]:
    for version in models.registered(model):
        by_run = f"by run {version.run[:12]}" if version.run else "by hand"
        yield Event(version.at_ms, version.by, f"{_of(version)} registered", by_run)
    for move in models.moved(model):
        yield Event(move.at_ms, move.actor, move.said, move.reason)


def _of_switch(switch: Switch, model: str) -> Iterator[Event]:
    for turned in switch.entries():
        if turned.model in (None, model):
            yield Event(turned.at_ms, turned.actor, f"{turned.turn} of {turned.model or 'all models'}", turned.reason)
