"""The model card: a manifest as a page for people. Rendered, never edited: what it says are facts of the manifest, and
the words of its owner under their own headings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from registry.catalog import Version
from registry.manifest import Manifest, ModelFormat

_FORMATS = {
    ModelFormat.ONNX: "ONNX",
    ModelFormat.ONNX_DATA: "tensors of the ONNX file",
    ModelFormat.SAFETENSORS: "safetensors",
    ModelFormat.JSON: "JSON",
    ModelFormat.RIVER: "river recipe, replayed over its dataset",
}


def model_card(version: Version, manifest: Manifest) -> str:
    """Markdown. The same manifest and entry give the same text."""
    return "\n".join(_lines(version, manifest)) + "\n"


def _lines(version: Version, manifest: Manifest) -> Iterator[str]:
    card = manifest.card
    yield f"# {_text(version.model)}, version {version.number}"
    yield ""
    yield _text(card.description) if card.description else "No description was given."
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| Manifest | `{version.digest}` |"
    yield f"| Registered | {_time(version.entry.at_ms)} by {_text(version.entry.registered_by)} |"
    yield f"| Owner | {_text(card.owner) or 'not stated'} |"
    yield f"| Licence | {_text(card.licence) or 'not stated'} |"
    yield f"| Trained on | {_code(manifest.dataset) if manifest.dataset else 'a dataset that is not recorded'} |"
    yield f"| Made by run | {_code(manifest.run) if manifest.run else 'none: added by hand'} |"
    yield f"| Code | {_code(manifest.code_revision) if manifest.code_revision else 'not recorded'} |"
    yield f"| Probe set | {_code(manifest.probe.digest) if manifest.probe else 'none: its behaviour cannot be checked'} |"
    yield f"| Reference | {_code(manifest.reference.digest) if manifest.reference else 'none'} |"
    for heading, words in (("Intended use", card.intended_use), ("Limitations", card.limitations)):
        yield ""
        yield f"## {heading}"
        yield ""
        yield _text(words) if words else "Not stated."
    yield from _table("Files", ("path", "format", "bytes", "digest"), [
        (_code(f.path), _FORMATS[f.format], f"{f.size_bytes:,}", _code(f.digest)) for f in manifest.files
    ])  # fmt: skip
    yield from _table("Evidence", ("gate report", "bytes"), [
        (_code(a.digest), f"{a.size_bytes:,}") for a in manifest.gate_reports
    ])  # fmt: skip
    yield from _table("Parameters", ("parameter", "value"), [
        (_code(name), _code(_json(value))) for name, value in sorted(manifest.params.items())
    ])  # fmt: skip
    yield from _table("Environment", ("what", "value"), [
        (_code(name), _code(value)) for name, value in sorted(manifest.environment.items())
    ])  # fmt: skip


def _table(heading: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield ""
    yield f"## {heading}"
    yield ""
    if not rows:
        yield "None recorded."
        return
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _text(words: str) -> str:
    """Words of people: one line of a table, and no markup, link or tag in it."""
    escaped = "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+-!|~&$" else c for c in words)
    return " ".join(escaped.split())


def _code(value: str) -> str:
    """A value as code, within a table."""
    plain = " ".join(value.replace("`", "'").split()).replace("|", "\\|")
    return f"`{plain}`" if plain else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _time(at_ms: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(at_ms, 253_402_300_799_999))
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
