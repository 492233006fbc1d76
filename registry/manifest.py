"""What a model version is: an immutable manifest, and the numbered entry that says which manifest is which version.

A manifest names its files by digest, the data, code and environment they were made from, the probe set that a server
checks before it swaps, and the evidence (reference summary, gate reports). It holds no version number, no time and no
name of who registered it: equal content is an equal digest, whoever adds it when. Those are in the entry, which is
written last: if the entry is there, everything it names is there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from registry import codec
from registry.digest import checked_digest
from registry.errors import BadName
from registry.names import checked_actor, checked_model, colliding, path_fault

FORMAT: Final = 1
"""Version of the two documents in this file."""
MANIFEST_BYTES_MAX: Final = 1 << 20
ATTACHMENT_BYTES_MAX: Final = 64 << 20
TEXT_CHARS_MAX: Final = 20_000


class ModelFormat(StrEnum):
    """Formats that can be read without running anything that is in them."""

    ONNX = "onnx"
    ONNX_DATA = "onnx_data"  # tensors that an ONNX file beside it refers to
    SAFETENSORS = "safetensors"
    JSON = "json"
    RIVER = "river"  # a recipe to replay


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model, by digest. `path` is relative to the bundle."""

    path: str
    size_bytes: int
    digest: str
    format: ModelFormat


class Attachment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON document beside the model: its probe set, its reference summary, a gate report."""

    digest: str
    size_bytes: int


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people say about a model. Everything else in a model card is rendered from facts."""

    owner: str = ""
    description: str = ""
    intended_use: str = ""
    limitations: str = ""
    licence: str = ""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model version, but for its number. `files` are in order of path."""

    format: int
    model: str
    files: tuple[ModelFile, ...]
    dataset: str | None  # digest of the dataset version it was trained on
    run: str | None  # id of the run that made it
    code_revision: str | None
    environment: dict[str, str]
    params: dict[str, Any]
    probe: Attachment | None
    reference: Attachment | None
    gate_reports: tuple[Attachment, ...]
    card: Card

    def __post_init__(self) -> None:
        """Raises BadName for what no manifest may say."""
        checked_model(self.model)
        paths = [file.path for file in self.files]
        if not paths or paths != sorted(set(paths)):
            raise BadName("list of files", ", ".join(paths), "Name at least one file, each once, in order of path.")
        for path in paths:
            if (fault := path_fault(path)) is not None:
                raise BadName("path", path, f"It {fault}.")
        if twins := colliding(paths):
            raise BadName("path", twins[0], "It differs from another path in case only, or is a folder there.")
        for digest in self.digests():
            checked_digest(digest)
        if min(part.size_bytes for part in self.parts()) < 0:
            raise BadName("size", "below zero", "Sizes are numbers of bytes.")

    def attachments(self) -> tuple[Attachment, ...]:
        """Probe set, reference and gate reports, those that there are."""
        return tuple(a for a in (self.probe, self.reference, *self.gate_reports) if a is not None)

    def parts(self) -> tuple[ModelFile | Attachment, ...]:
        """Everything of it that is a blob."""
        return (*self.files, *self.attachments())

    def digests(self) -> tuple[str, ...]:
        """Everything it refers to by digest. The dataset is kept by whoever made it."""
        return (*(part.digest for part in self.parts()), *(() if self.dataset is None else (self.dataset,)))

    def blobs(self) -> dict[str, int]:
        """Digest and size of each blob it needs."""
        return {part.digest: part.size_bytes for part in self.parts()}


class VersionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entry `number` of `models/NAME/versions`: this manifest is that version. Numbers are dense and never used again."""

    format: int
    number: int
    previous: str | None  # digest of the entry before
    manifest: str
    run: str | None
    registered_by: str
    at_ms: int

    def __post_init__(self) -> None:
        """Raises BadName."""
        checked_digest(self.manifest)
        checked_actor(self.registered_by)


def versions_log(model: str) -> str:
    """Where the versions of a model are entered."""
    return f"models/{checked_model(model)}/versions"


def decode_manifest(raw: bytes, where: str) -> Manifest:
    """Raises FormatError."""
    found: Manifest = codec.decode(Manifest, raw, where, FORMAT)
    return found


def decode_entry(raw: bytes, where: str) -> VersionEntry:
    """Raises FormatError."""
    found: VersionEntry = codec.decode(VersionEntry, raw, where, FORMAT)
    return found
