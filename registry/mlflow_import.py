"""Taking versions over from MLflow, each once.

    1. ask what there is                     versions in order of number; what is here already is passed over
    2. look at the names of its files        what is refused by its name alone is not even fetched
    3. fetch its files                       into a scratch directory, with limits, hashed
    4. add the version                       as `registry add` does; its `run` names the version there, so it is added once
    5. keep what was found                   one document: the last step, after which nothing is asked of this version again

Who is killed before step 5 does the same again, and step 4 gives the version that is there. A version that is refused has a
document too, with everything but files, and is not fetched again unless that is asked. Aliases are read and kept; moving
them is a decision of its own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from registry import codec
from registry.catalog import Catalog, Draft
from registry.digest import PREFIX
from registry.errors import BadName, BundleRefused, FormatError, NotFound
from registry.formats.bundle import by_name
from registry.formats.finding import Finding, Refusal
from registry.local_bundle import LocalBundle
from registry.manifest import TEXT_CHARS_MAX, Card
from registry.mlflow import (
    FORMAT,
    Described,
    Imported,
    KeptFile,
    ModelVersion,
    RegisteredModel,
    RunData,
    bare,
    decode_imported,
    described,
    document_name,
    identity,
    is_model_file,
    measured,
    requirements,
    run_of,
)
from registry.mlflow_server import MlflowServer, RemoteFile
from registry.names import colliding, path_fault
from registry.store import ENTRY_BYTES_MAX

BYTES_MAX: Final = 8 << 30
"""Files of one version, unless more is allowed."""
DESCRIPTION_BYTES_MAX: Final = 1 << 20
"""Of an `MLmodel` or a `requirements.txt`."""


class Outcome(StrEnum):
    """What became of a version there."""

    IMPORTED = "imported"
    PRESENT = "present"  # it was imported before
    REFUSED = "refused"  # its files are no model that this registry takes: only what is known of it was kept
    NOT_READY = "not_ready"  # MLflow has not got all of it: nothing was kept, the next import looks again


@dataclass(frozen=True, slots=True)
class Taken:
    """One version there: what became of it, its number here, and why it has none."""

    version: str
    outcome: Outcome
    number: int | None = None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What is known of a version but for its fate."""

    said: Described
    environment: dict[str, str]
    files: tuple[KeptFile, ...]
    findings: tuple[Finding, ...]


class Importing:
    """From one model of a server to one model of a catalog."""

    def __init__(
        self, server: MlflowServer, catalog: Catalog, model: str, by: str, *, bytes_max: int = BYTES_MAX
    ) -> None:
        self._server, self._catalog, self._model, self._by, self._bytes_max = server, catalog, model, by, bytes_max

    def all(
        self, there: RegisteredModel, versions: list[ModelVersion], at_ms: int, *, refused_again: bool = False
    ) -> Iterator[Taken]:
        """Each version in turn. Raises SourceError, StoreError."""
        for version in versions:
            yield self._known(version, refused_again=refused_again) or self._take(there, version, at_ms)

    def number_of(self, version: ModelVersion) -> int | None:
        """The number here of a version there, None where it has none."""
        known = self._known(version, refused_again=True)
        return None if known is None else known.number

    # ------------------------------------------------------------------------------------------------------- within

    def _known(self, version: ModelVersion, *, refused_again: bool) -> Taken | None:
        known_by = self._identity(version)
        for refused in (False,) if refused_again else (False, True):
            name = document_name(known_by, refused=refused)
            if (body := self._catalog.store.document(name)) is not None:
                found = decode_imported(body, f"document {name!r}")
                outcome = Outcome.REFUSED if refused else Outcome.PRESENT
                return Taken(version.version, outcome, found.number, found.findings)
        return None

    def _identity(self, version: ModelVersion) -> str:
        return f"{self._model}/{identity(self._server.where, version)}"

    def _take(self, there: RegisteredModel, version: ModelVersion, at_ms: int) -> Taken:
        if version.status != "READY":
            return Taken(version.version, Outcome.NOT_READY, None, (f"MLflow says that it is {version.status}",))
        run = self._server.run(version.run_id) if version.run_id else RunData()
        scratch = Path(tempfile.mkdtemp(prefix="driftline-mlflow-"))
        try:
            fetched = self._fetch(version, scratch)
            return self._add(there, version, run, fetched, scratch, at_ms)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _fetch(self, version: ModelVersion, scratch: Path) -> _Fetched:
        address = self._server.address(version)
        found = self._server.files(address)
        if found is None:
            why = f"its files are at {bare(address)}, which this server does not give out: fetch and add them by hand"
            return _Fetched(Described(), {}, (), (Finding(".", Refusal.EMPTY, why),))
        small = {
            file.path: self._small(address, file, scratch)
            for file in found
            if file.path in ("MLmodel", "requirements.txt") and file.size_bytes <= DESCRIPTION_BYTES_MAX
        }
        said = described(small.get("MLmodel", b""))
        parts = [file for file in found if is_model_file(file.path, said)]
        findings = [finding for file in parts if (finding := by_name(file.path)) is not None]
        findings += [Finding(f.path, Refusal.PATH, f"the path {fault}") for f in parts if (fault := path_fault(f.path))]
        twins = colliding(f.path for f in parts)
        findings += [
            Finding(path, Refusal.PATH, "another path differs from it in case only, or is a folder") for path in twins
        ]
        if (total := sum(file.size_bytes for file in parts)) > self._bytes_max:
            why = f"the files have {total:,} bytes, more than {self._bytes_max:,}; --bytes-max allows more"
            findings.append(Finding(".", Refusal.TOO_LARGE, why))
        hexes: dict[str, str] = {}
        if not findings:
            for file in parts:
                target = scratch / "model" / file.path
                target.parent.mkdir(parents=True, exist_ok=True)
                hexes[file.path] = self._server.fetch(address, file, target, self._bytes_max)
        files = tuple(KeptFile(f.path, f.size_bytes, hexes.get(f.path)) for f in found)
        return _Fetched(said, requirements(small.get("requirements.txt", b"")), files, tuple(findings))

    def _small(self, address: str, file: RemoteFile, scratch: Path) -> bytes:
        target = scratch / "description"
        self._server.fetch(address, file, target, DESCRIPTION_BYTES_MAX)
        return target.read_bytes()

    def _add(
        self,
        there: RegisteredModel,
        version: ModelVersion,
        run: RunData,
        fetched: _Fetched,
        scratch: Path,
        at_ms: int,
    ) -> Taken:
        known_by = self._identity(version)
        record = self._record(there, version, run, fetched, at_ms)
        findings = tuple(str(each) for each in fetched.findings)
        if not findings:
            draft = _draft(self._model, version, there, record, fetched, run_of(known_by.rpartition("/")[2], version))
            (scratch / "model").mkdir(exist_ok=True)
            try:
                with LocalBundle([scratch / "model"]) as bundle:
                    added, _ = self._catalog.add(replace(draft, bundle=bundle), self._by, at_ms)
            except BundleRefused as error:
                findings = tuple(str(each) for each in error.findings)
            except (BadName, FormatError) as error:
                findings = (str(error),)
            else:
                kept = self._keep(known_by, record, added.number, added.digest.removeprefix(PREFIX), ())
                return Taken(version.version, Outcome.IMPORTED, added.number, kept)
        return Taken(version.version, Outcome.REFUSED, None, self._keep(known_by, record, None, None, findings))

    def _keep(
        self, known_by: str, record: Imported, number: int | None, manifest: str | None, why: tuple[str, ...]
    ) -> tuple[str, ...]:
        from msgspec.structs import replace as with_fields

        body = codec.encode(with_fields(record, number=number, manifest=manifest, findings=why))
        if len(body) > ENTRY_BYTES_MAX:  # the version is what counts, and those behind it
            more = (
                f"what MLflow knows of it has {len(body):,} bytes; its parameters, metrics, tags and files are not kept"
            )
            why = (*why, more)
            few = with_fields(
                record, number=number, manifest=manifest, findings=why, description="", tags={}, params={},
                metrics={}, run_tags={}, signature={}, flavors=(), files=(),
            )  # fmt: skip
            body = codec.encode(few)
        self._catalog.store.create_document(document_name(known_by, refused=number is None), body)
        return why

    def _record(
        self, there: RegisteredModel, version: ModelVersion, run: RunData, fetched: _Fetched, at_ms: int
    ) -> Imported:
        return Imported(
            format=FORMAT,
            server=self._server.where,
            model=version.name,
            version=version.version,
            run=version.run_id,
            source=bare(version.source),
            created_ms=version.creation_timestamp,
            stage=version.current_stage,
            aliases=tuple(sorted(each.alias for each in there.aliases if each.version == version.version)),
            description=version.description,
            tags={each.key: each.value for each in version.tags},
            params={each.key: each.value for each in run.params},
            metrics=measured(run.metrics),
            run_tags={each.key: each.value for each in run.tags if not each.key.startswith("mlflow.")},
            flavors=fetched.said.flavors,
            signature=fetched.said.signature,
            mlflow=fetched.said.mlflow_version,
            files=fetched.files,
            number=None,
            manifest=None,
            findings=(),
            at_ms=at_ms,
            by=self._by,
        )


def imported(catalog: Catalog, model: str, number: int) -> Imported | None:
    """What is kept of the version of MLflow that a version here was; None where it was none."""
    version = catalog.version(model, number)
    parts = (version.entry.run or "").split(":")
    if parts[0] != "mlflow" or len(parts) < 3:
        return None
    name = document_name(f"{model}/{parts[-1]}", refused=False)
    body = catalog.store.document(name)
    return None if body is None else decode_imported(body, f"document {name!r}")


def alias_target(there: RegisteredModel, alias: str, versions: list[ModelVersion]) -> ModelVersion:
    """The version that an alias points at there. Raises NotFound."""
    pointing = {each.alias: each.version for each in there.aliases}
    by_number = {each.version: each for each in versions}
    if alias not in pointing or pointing[alias] not in by_number:
        known = ", ".join(sorted(pointing)) or "none"
        raise NotFound(
            f"alias {alias!r}", f"points at no version of {there.name!r} in MLflow; it has: {known}", "Name another."
        )
    return by_number[pointing[alias]]


def _draft(
    model: str, version: ModelVersion, there: RegisteredModel, record: Imported, fetched: _Fetched, run: str
) -> Draft:
    from registry.catalog import MemoryBundle

    facts = {
        "mlflow.server": record.server, "mlflow.model": record.model, "mlflow.version": record.version,
        "mlflow.run": record.run, "mlflow.source": record.source, "mlflow.flavors": ", ".join(record.flavors),
    }  # fmt: skip
    return Draft(
        model,
        MemoryBundle({}),
        run=run,
        environment={**fetched.environment, **{key: value for key, value in facts.items() if value}},
        params=dict(record.params),
        card=Card(description=(version.description or there.description)[:TEXT_CHARS_MAX]),
    )
