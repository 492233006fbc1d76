"""Which blobs the pipelines' own things in a store need, by the fields that name them: for `driftline registry fsck`.

Other digests in them are no blobs: of the record before, of rows, of a policy. None: not a thing of the pipelines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from pipelines import codec, local_models
from pipelines.dataset import archive, redaction
from pipelines.dataset.manifest import decode_manifest, decode_naming
from pipelines.dataset.shelf import NAMES, VERSIONS
from pipelines.dataset.shelf import where as place
from pipelines.errors import FormatError
from pipelines.handoffs import FORMAT as HANDOFF_FORMAT
from pipelines.handoffs import RESULTS, Record
from pipelines.handoffs import ROOT as HANDOFFS
from pipelines.journal import Moved, Noted, decode_record
from pipelines.looks import ROOT as LOOKS
from pipelines.looks import decode_look
from pipelines.places import FORMAT as PLACE_FORMAT
from pipelines.places import ROOT as PLACES
from pipelines.places import Record as PlaceRecord
from pipelines.ports import Artifact, Dataset
from pipelines.rows import FORMAT as ROWS_FORMAT
from pipelines.rows import KIND
from pipelines.switch import LOG as SWITCH

_SILENT: Final = frozenset({"runs", "alias"})  # admissions and moves name no blob


class Reference(NamedTuple):
    """A blob that is needed, as what; a document of the name `document` will do as well. `opens`: see `of_blob`."""

    part: str
    digest: str
    document: str | None = None
    opens: bool = False


def of_entry(log: str, body: bytes, where: str) -> list[Reference] | None:
    """What an entry needs. Raises FormatError."""
    parts = log.split("/")
    if log == SWITCH:
        return []
    if parts[0] == HANDOFFS:  # digests without their prefix, on purpose: they keep nothing
        codec.decode(Record, body, where, HANDOFF_FORMAT)
        return []
    if parts[0] == PLACES:
        codec.decode(PlaceRecord, body, where, PLACE_FORMAT)
        return []
    if parts[0] == LOOKS:
        decode_look(body, where)
        return []
    if len(parts) == 2 and parts[0] == "runs":
        record = decode_record(body, where)
        return list(_facts(record.facts, where)) if isinstance(record, Noted | Moved) else []
    if len(parts) == 2 and parts[0] == archive.LOGS:
        found = archive.decode(body, where)
        segments = found.segments if isinstance(found, archive.Commit) else ()
        return [Reference(f"pane {each.from_ms}", each.digest) for each in segments if each.digest is not None]
    if len(parts) != 3 or parts[0] != "retraining":
        return None
    if parts[2] in _SILENT:
        return []
    return list(_version(body, where)) if parts[2] == "versions" else None


def of_document(name: str, body: bytes, where: str) -> list[Reference] | None:
    """What a document needs: a dataset version its segments, a name its version, a redaction
    the versions that it made. Raises DatasetError."""
    if name.startswith(f"{VERSIONS}/"):
        return [Reference(place(segment), segment.digest) for segment in decode_manifest(body, where).segments]
    if name.startswith(f"{NAMES}/"):
        return [_dataset_version(decode_naming(body, where).dataset)]
    if name == redaction.KEY or name.startswith(RESULTS):  # of steps: what was of use is kept by what came of it
        return []
    if name.startswith(f"{redaction.REDACTIONS}/"):
        held = redaction.decode(body, where).versions
        return [_dataset_version(each.successor) for each in held if each.successor is not None]
    return None


def removed_by(name: str, body: bytes, where: str) -> list[str]:
    """The blobs that a redaction removed: those who name them do not miss them. Raises DatasetError."""
    if not name.startswith(f"{redaction.REDACTIONS}/") or name == redaction.KEY:
        return []
    return [codec.PREFIX + digits for digits in redaction.decode(body, where).removed]


def of_blob(body: bytes, where: str) -> list[Reference] | None:
    """What the dataset of a run needs: its rows, and the dataset version that they were taken from. Raises FormatError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return None
    if document.get("format") != ROWS_FORMAT:
        _unread(where, f"has format {document.get('format')}, this version of Driftline reads {ROWS_FORMAT}")
    try:
        rows = [Reference("rows to train on", document["train"]), Reference("rows to judge by", document["test"])]
    except KeyError as error:
        _unread(where, f"names no {error}")
    return [*rows, *([_dataset_version(document["source"])] if "source" in document else [])]


def _facts(facts: dict[str, Any], where: str) -> Iterator[Reference]:
    try:
        if "dataset" in facts:
            dataset = msgspec.convert(facts["dataset"], Dataset)
            yield Reference("dataset", dataset.digest, opens=True)
            yield Reference("rows to train on", dataset.train)
            yield Reference("rows to judge by", dataset.test)
        if "artifact" in facts:
            yield from _files(msgspec.convert(facts["artifact"], Artifact))
        for name in ("gate", "shadow"):
            if name in facts:
                yield Reference(f"{name} report", facts[name]["report"])
                yield Reference(f"{name} page", facts[name]["page"])
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        _unread(where, f"has facts that cannot be read: {error}")


def _version(body: bytes, where: str) -> Iterator[Reference]:
    draft = codec.decode(local_models.LocalVersion, body, where, local_models.FORMAT).draft
    yield Reference("dataset", draft.dataset, opens=True)
    yield from _files(draft.artifact)
    yield Reference("gate report", draft.gate_report)


def _files(artifact: Artifact) -> Iterator[Reference]:
    return (Reference(f"file {path!r}", file.digest) for path, file in sorted(artifact.files.items()))


def _dataset_version(digest: str) -> Reference:
    return Reference("dataset version", digest, f"{VERSIONS}/{digest.removeprefix(codec.PREFIX)}")


def _unread(where: str, why: str) -> NoReturn:
    raise FormatError(where, why, "Run the version of Driftline that wrote it, or a newer one.") from None
