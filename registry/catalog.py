"""Model versions in a store: added once, numbered densely, read with every byte verified.

    1. look at every file            nothing is loaded; a refusal names every reason
    2. put files and attachments     by digest; what is there already is not written again
    3. put the manifest              by digest
    4. create the version's entry    create-if-absent of the next number; the last step, and the only one that counts

A process that ends before step 4 has added nothing; what it put is found by `gc` later. Adding the same content again,
or another result of the same run, gives the version that is there: a retry is not a second version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from registry import chained, codec
from registry.digest import digest_of, digest_of_chunks
from registry.errors import BundleRefused, Damaged, FormatError, Missing, NotFound, RegistryError
from registry.formats.bundle import inspect
from registry.formats.finding import Finding, Refusal
from registry.manifest import (
    ATTACHMENT_BYTES_MAX,
    FORMAT,
    MANIFEST_BYTES_MAX,
    Attachment,
    Card,
    Manifest,
    ModelFile,
    ModelFormat,
    VersionEntry,
    decode_entry,
    decode_manifest,
    versions_log,
)
from registry.names import checked_model
from registry.probe import Probe, decode_probe
from registry.signing import Entry, Kind
from registry.store import CHUNK_BYTES, Store, read_blob

RACES_MAX: Final = 10_000
"""Races for a number that are lost in a row before giving up."""

Sign = Callable[[Store, Entry], object]
"""Keeps a signature beside an entry of a store."""
Progress = Callable[[int], None]
"""Told how many more bytes were copied."""


class Bundle(Protocol):
    """The files of a model, wherever they lie. Views are of the bytes, not copies of them."""

    @property
    def files(self) -> Mapping[str, memoryview]:
        """By path within the bundle."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was refused already, because it could not even be opened: links, devices."""


class MemoryBundle:
    """A bundle of bytes that are in memory already."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = {path: memoryview(body) for path, body in files.items()}
        self.findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A model version before it has a number. Attachments are JSON documents as bytes."""

    model: str
    bundle: Bundle
    dataset: str | None = None
    run: str | None = None
    code_revision: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    probe: bytes | None = None
    reference: bytes | None = None
    gate_reports: tuple[bytes, ...] = ()
    card: Card = Card()  # noqa: RUF009  # frozen


@dataclass(frozen=True, slots=True)
class Version:
    """One version as its entry has it."""

    model: str
    entry: VersionEntry

    @property
    def number(self) -> int:
        """1, 2, 3 and so on."""
        return self.entry.number

    @property
    def digest(self) -> str:
        """Of its manifest: what machines call it."""
        return self.entry.manifest

    def __str__(self) -> str:
        return f"{self.model}@{self.number}"


class Catalog:
    """The model versions in a store."""

    def __init__(self, store: Store, sign: Sign | None = None) -> None:
        """`sign`: what signs each entry that is added here."""
        self.store, self._sign = store, sign

    # ------------------------------------------------------------------------------------------------------ reading

    def models(self) -> list[str]:
        """Names of all models, sorted."""
        logs = (log.split("/") for log in self.store.logs("models"))
        return [parts[1] for parts in logs if len(parts) == 3 and parts[2] == "versions"]

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, in order. Raises NotFound when there is none."""
        found = [version for version, _ in self._read(model)]
        if not found:
            from difflib import get_close_matches

            near = get_close_matches(model, self.models(), 1)
            remedy = f"Did you mean {near[0]!r}?" if near else "`driftline registry list` shows what there is."
            raise NotFound(f"model {model!r}", "is not in this registry", remedy)
        return found

    def version(self, model: str, number: int) -> Version:
        """One version. Raises NotFound."""
        versions = self.versions(model)
        if not 1 <= number <= len(versions):
            raise NotFound(
                f"version {model}@{number}", "is not in this registry", f"It has versions 1 to {len(versions)}."
            )
        return versions[number - 1]

    def manifest(self, version: Version) -> Manifest:
        """The manifest of a version. Raises Missing, Damaged, FormatError."""
        where = f"manifest {version.digest} of {version}"
        return decode_manifest(read_blob(self.store, version.digest, MANIFEST_BYTES_MAX), where)

    def attachment(self, attachment: Attachment) -> bytes:
        """A JSON document beside a model, verified."""
        return read_blob(self.store, attachment.digest, ATTACHMENT_BYTES_MAX)

    def probe(self, manifest: Manifest) -> Probe | None:
        """The probe set of a version, None when it has none."""
        if manifest.probe is None:
            return None
        return decode_probe(self.attachment(manifest.probe), f"probe set {manifest.probe.digest}")

    def verify(self, version: Version) -> list[RegistryError]:
        """Read every byte of a version; what is wrong, one error for each thing."""
        try:
            manifest = self.manifest(version)
        except RegistryError as error:
            return [error]
        found: list[RegistryError] = []
        for part in manifest.parts():
            name = part.path if isinstance(part, ModelFile) else "an attachment"
            try:
                size = sum(map(len, self.store.blob(part.digest)))
                if size != part.size_bytes:
                    found.append(Damaged(f"{version}: {name}", f"it has {size:,} bytes instead of {part.size_bytes:,}"))
            except (Missing, Damaged) as error:
                error.args = (f"{version}: {name}: {error}",)
                found.append(error)
        return found

    def _signed(self, version: Version, raw: bytes) -> None:
        if self._sign is not None:
            self._sign(self.store, Entry(version.model, Kind.VERSION, version.number, raw))

    def _read(self, model: str) -> list[tuple[Version, bytes]]:
        log = versions_log(model)
        return list(entries(model, chained.read_log(self.store, log)))

    # ------------------------------------------------------------------------------------------------------- adding

    def add(
        self, draft: Draft, registered_by: str, at_ms: int, progress: Progress | None = None
    ) -> tuple[Version, bool]:
        """Add a version; (the version, whether it is new). Raises BundleRefused with every reason, BadName, StoreError."""
        checked_model(draft.model)
        digests = {path: digest_of_chunks(_chunks(view)) for path, view in sorted(draft.bundle.files.items())}
        formats = _checked(draft)
        attachments = [*_attachments(draft)]
        manifest = Manifest(
            format=FORMAT,
            model=draft.model,
            files=tuple(
                ModelFile(path, len(draft.bundle.files[path]), digest, formats[path])
                for path, digest in digests.items()
            ),
            dataset=draft.dataset,
            run=draft.run,
            code_revision=draft.code_revision,
            environment=dict(draft.environment),
            params=dict(draft.params),
            probe=_attached(draft.probe),
            reference=_attached(draft.reference),
            gate_reports=tuple(Attachment(digest_of(report), len(report)) for report in draft.gate_reports),
            card=draft.card,
        )
        for path, view in sorted(draft.bundle.files.items()):
            self.store.put_blob(_chunks(view, progress), digests[path])
        for body in attachments:
            self.store.put_blob([body], digest_of(body))
        return self.register(manifest, registered_by, at_ms)

    def register(self, manifest: Manifest, registered_by: str, at_ms: int) -> tuple[Version, bool]:
        """Give a manifest, whose blobs were put before, the next number; (the version, whether it is new).

        The same manifest again, or another one of the same run, gives the version that is there. Times never go back: a clock
        that is behind that of the last writer writes the time of the last version.
        """
        body = codec.encode(manifest)
        if len(body) > MANIFEST_BYTES_MAX:
            remedy = "Put what is large into files of the model."
            raise FormatError(f"the manifest of {manifest.model!r}", f"has {len(body):,} bytes", remedy)
        digest = self.store.put_blob([body]).digest
        for blob, size_bytes in {**manifest.blobs(), digest: len(body)}.items():
            if (found := self.store.blob_size(blob)) != size_bytes:
                what = (
                    "it is not in the store" if found is None else f"it has {found:,} bytes instead of {size_bytes:,}"
                )
                raise Missing(f"blob {blob}", what)
        for _ in range(RACES_MAX):
            known = self._read(manifest.model)
            for version, raw in known:
                if version.digest == digest or (manifest.run is not None and version.entry.run == manifest.run):
                    if version.digest == digest:  # whoever registered it may have ended before he signed
                        self._signed(version, raw)
                    return version, False
            previous = digest_of(known[-1][1]) if known else None
            made_ms = max(at_ms, *(version.entry.at_ms for version, _ in known), 0)
            entry = VersionEntry(FORMAT, len(known) + 1, previous, digest, manifest.run, registered_by, made_ms)
            raw_entry = codec.encode(entry)
            if chained.append(self.store, versions_log(manifest.model), [raw for _, raw in known], raw_entry):
                self._signed(Version(manifest.model, entry), raw_entry)
                return Version(manifest.model, entry), True
        raise Damaged(f"log {versions_log(manifest.model)!r}", f"{RACES_MAX:,} races for its next number were lost")


def entries(model: str, bodies: list[bytes]) -> Iterator[tuple[Version, bytes]]:
    """The entries of a versions log with the bytes they came in. Raises Damaged when they are no chain, FormatError."""
    previous: str | None = None
    for number, body in enumerate(bodies, 1):
        where = f"entry {number} of {versions_log(model)!r}"
        entry = decode_entry(body, where)
        if (entry.number, entry.previous) != (number, previous):
            raise Damaged(where, f"it does not continue entry {number - 1}")
        previous = digest_of(body)
        yield Version(model, entry), body


def _checked(draft: Draft) -> Mapping[str, ModelFormat]:
    inspection = inspect(draft.bundle.files)
    findings = [*draft.bundle.findings, *inspection.findings]
    if draft.dataset is None:
        for path, kind in inspection.formats.items():
            if kind is ModelFormat.RIVER:
                why = "a recipe is a model only with the dataset that is replayed through it; name its digest"
                findings.append(Finding(path, Refusal.RECIPE, why))
    if findings:
        raise BundleRefused(f"model {draft.model!r}", sorted(findings))
    return inspection.formats


def _attachments(draft: Draft) -> Iterator[bytes]:
    """The attachments, each checked to be what it is taken for. Raises FormatError."""
    if draft.probe is not None:
        decode_probe(draft.probe, "the probe set")
        yield draft.probe
    reports = [("gate report", report) for report in draft.gate_reports]
    for name, body in [("reference summary", draft.reference), *reports]:
        if body is None:
            continue
        if len(body) > ATTACHMENT_BYTES_MAX:
            raise FormatError(
                f"the {name}", f"has {len(body):,} bytes, more than {ATTACHMENT_BYTES_MAX:,}", "Sum it up."
            )
        codec.strict_json(body, f"the {name}")
        yield body


def _attached(body: bytes | None) -> Attachment | None:
    return None if body is None else Attachment(digest_of(body), len(body))


def _chunks(view: memoryview, progress: Progress | None = None) -> Iterator[bytes]:
    for start in range(0, len(view), CHUNK_BYTES):
        chunk = bytes(view[start : start + CHUNK_BYTES])
        if progress is not None:
            progress(len(chunk))
        yield chunk
