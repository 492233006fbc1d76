"""Manifests of every released format are read; what is newer or foreign is refused with advice."""

from __future__ import annotations

import json

import pytest

from pipelines.dataset import manifest as m
from pipelines.dataset.errors import UnreadableDataset
from tests.pipelines.dataset.golden import FILE, MANIFEST, NAMING

GOLDEN = json.loads(FILE.read_text())


def test_documents_of_format_1_are_read_as_they_were_written() -> None:
    assert m.decode_manifest(GOLDEN["manifest"].encode(), "it") == MANIFEST
    assert m.decode_naming(GOLDEN["naming"].encode(), "it") == NAMING


def test_equal_documents_have_the_bytes_they_always_had() -> None:
    assert m.encode(MANIFEST).decode() == GOLDEN["manifest"]
    assert m.encode(NAMING).decode() == GOLDEN["naming"]
    assert m.digest_of_manifest(MANIFEST) == GOLDEN["manifest_digest"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 3}, "has format 3, this version of Driftline reads up to 2. Run the version"),
        ({"format": 0}, "says no format version"),
        ({"format": True}, "says no format version"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"rows": "8103"}, "Expected `int`"),
        ({"schema": [{"name": "x", "type": "decimal"}]}, "Invalid enum value 'decimal'"),
    ],
)
def test_what_is_newer_or_foreign_is_refused(change: dict[str, object], said: str) -> None:
    raw = json.dumps({**json.loads(GOLDEN["manifest"]), **change}).encode()
    with pytest.raises(UnreadableDataset) as refused:
        m.decode_manifest(raw, "dataset x")
    assert said in str(refused.value)
    assert str(refused.value).startswith("dataset x ")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_document_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableDataset):
        m.decode_naming(raw, "name x")
