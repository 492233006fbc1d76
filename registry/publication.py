"""What the compacted `models` topic says: the current state of an alias, not an event.

A record's key is `model/alias`, its value a JSON document with everything a server needs to fetch and check the version:
manifest, files and probe set by digest. A missed record heals with the next one. The value is a pure function of the log
of moves and the manifest; epoch and sequence, by which readers keep the newest, are in the headers as well. The store is the
truth: a reader checks the document against it before it swaps (`registry.reader`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, Final

import msgspec

from registry import codec
from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.digest import checked_digest
from registry.fold import MovesState
from registry.manifest import Manifest, ModelFile
from registry.names import checked_alias, checked_model

FORMAT: Final = 1
SCHEMA_ID: Final = "urn:driftline:schema:model-state:v1"
EPOCH: Final = "driftline-epoch"
SEQUENCE: Final = "driftline-sequence"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class ModelState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an alias stands.

    `sequence` and `move` are number and digest of the last record of the model's log that concerns it. `version` is null
    until something is promoted; then so are `manifest`, `probe` and `dataset`, and there are no files. `retired` lists
    versions that are never to be served again.
    """

    format: int
    model: str
    alias: str
    sequence: int
    move: str
    version: int | None
    manifest: str | None
    files: tuple[ModelFile, ...]
    probe: str | None
    dataset: str | None
    replaced: int | None  # the version it pointed at before
    frozen: bool
    retired: tuple[int, ...]
    changed_ms: int

    def __post_init__(self) -> None:
        """Raises BadName."""
        checked_model(self.model)
        checked_alias(self.alias)
        checked_digest(self.move)

    @property
    def key(self) -> str:
        """The record's key."""
        return f"{self.model}/{self.alias}"


@dataclass(frozen=True, slots=True)
class StateRecord:
    """A record of the `models` topic. Header values are text, as the other topics of Driftline have them. An empty value
    stands for none: somebody deleted the key."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def rank(self) -> tuple[int, int]:
        """Epoch and sequence: of two records of a key the higher one is newer, whichever came last. Below all others
        without headers that are numbers."""
        said = dict(self.headers)
        found = [said.get(name, b"") for name in (EPOCH, SEQUENCE)]
        epoch, sequence = (int(text) if text.isdigit() and len(text) < 20 else -1 for text in found)
        return epoch, sequence


def model_state(model: str, alias: str, moves: MovesState, manifest: Manifest | None) -> ModelState:
    """The state of an alias that has been moved at least once. `manifest` is that of the version it points at."""
    at = moves.alias(alias)
    assert (manifest is None) == (at.version is None)
    assert at.changed_sequence, "nobody has touched this alias"
    return ModelState(
        format=FORMAT,
        model=model,
        alias=alias,
        sequence=at.changed_sequence,
        move=at.changed_digest,
        version=at.version,
        manifest=at.manifest,
        files=() if manifest is None else manifest.files,
        probe=None if manifest is None or manifest.probe is None else manifest.probe.digest,
        dataset=None if manifest is None else manifest.dataset,
        replaced=None if at.moved is None else at.moved.replaces,
        frozen=at.frozen,
        retired=tuple(sorted(moves.retired)),
        changed_ms=at.changed_ms,
    )


def state_record(state: ModelState, epoch: int = 0) -> StateRecord:
    """The record of a state. `sequence` rises with each move; `epoch` only where somebody overrules what the topic holds."""
    headers = ((EPOCH, b"%d" % epoch), (SEQUENCE, b"%d" % state.sequence))
    return StateRecord(state.key.encode(), codec.encode(state), headers)


def decode_state(raw: bytes, where: str = "the state of a model") -> ModelState:
    """Raises FormatError for what is no such document, or of a newer format."""
    found: ModelState = codec.decode(ModelState, raw, where, FORMAT)
    return found


def current_state(aliases: Aliases, catalog: Catalog, model: str, alias: str) -> ModelState | None:
    """The state of an alias now, None when nobody has touched it."""
    moves = aliases.state(model)
    at = moves.alias(alias)
    if not at.changed_sequence:
        return None
    manifest = None if at.version is None else catalog.manifest(catalog.version(model, at.version))
    return model_state(model, alias, moves, manifest)


def current_states(aliases: Aliases, catalog: Catalog, models: Iterable[str] | None = None) -> list[ModelState]:
    """The state of every alias: what a topic that was lost, or forged, is written from again."""
    found = []
    for model in catalog.models() if models is None else models:
        for alias in sorted(aliases.state(model).aliases):
            state = current_state(aliases, catalog, model, alias)
            assert state is not None
            found.append(state)
    return found


def state_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the record's value, with an example."""
    schema = msgspec.json.schema(ModelState)
    for definition in schema["$defs"].values():
        if "description" in definition:
            definition["description"] = cleandoc(definition["description"])  # Python 3.13 does so by itself
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        "title": "The state of an alias of a model in a Driftline registry",
        "$comment": "What has another format is of a newer version: refuse it.",
        "examples": [msgspec.to_builtins(example_state())],
        **schema,
    }


def example_state() -> ModelState:
    """A champion."""
    from registry.manifest import ModelFormat

    return ModelState(
        format=FORMAT,
        model="fraud",
        alias="champion",
        sequence=12,
        move="sha256:" + "a1" * 32,
        version=3,
        manifest="sha256:" + "b2" * 32,
        files=(ModelFile("model.onnx", 48_213, "sha256:" + "c3" * 32, ModelFormat.ONNX),),
        probe="sha256:" + "d4" * 32,
        dataset="sha256:" + "e5" * 32,
        replaced=2,
        frozen=False,
        retired=(1,),
        changed_ms=1_762_300_800_000,
    )
