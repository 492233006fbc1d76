"""The durable formats: what was written stays readable, what is written now is what was written then, and what is newer is
refused with advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from registry.aliases import Aliases
from registry.catalog import Catalog
from registry.directory import DirectoryStore
from registry.errors import FormatError
from registry.fsck import fsck
from registry.manifest import decode_entry, decode_manifest
from registry.moves import Move, decode_move
from registry.probe import decode_probe
from registry.publication import current_state, decode_state, example_state, state_record, state_schema
from tests.registry.golden import GOLDEN, files, restore, write

ROOT = Path(__file__).parents[2]
KEPT: dict[str, str] = json.loads(GOLDEN.read_text())


def bodies() -> dict[str, bytes]:
    """The JSON of each entry and document, without its seal, and of each blob."""
    return {
        name: text.partition("\n")[2].encode() if text.startswith("driftline-sealed") else text.encode()
        for name, text in KEPT.items()
    }


def test_what_is_written_now_is_what_was_written_then(tmp_path: Path) -> None:
    write(DirectoryStore(tmp_path / "store"))
    assert files(tmp_path / "store") == KEPT


def test_what_was_written_in_format_1_is_read(tmp_path: Path) -> None:
    store = restore(tmp_path / "store")
    assert [found for found in fsck(store) if found.damage] == []
    catalog = Catalog(store)
    aliases = Aliases(catalog)
    first, second = catalog.versions("fraud")
    assert (first.entry.run, second.entry.registered_by) == ("run-7", "bob")
    manifest = catalog.manifest(first)
    assert manifest.params == {"depth": 6, "rate": 0.05, "names": ["é", None, True]}
    probe = catalog.probe(manifest)
    assert probe is not None
    assert probe.outputs["y"].values == ("no", "yes")
    assert {step.verdict for step in aliases.history("fraud")} == {"accepted"}
    state = aliases.state("fraud")
    champion = state.alias("champion")
    assert (champion.trail, champion.frozen, champion.required, sorted(state.retired)) == ((1,), False, 1, [2])
    published = store.document("published/fraud.champion")
    assert published is not None
    now = current_state(aliases, catalog, "fraud", "champion")
    assert now is not None
    assert decode_state(published) == now
    assert state_record(now).value == published


def test_every_kind_of_move_is_kept() -> None:
    kinds = {
        json.loads(body)["kind"] for name, body in bodies().items() if "/moves/" in name and name.endswith(".entry")
    }
    assert kinds == {kind.__name__.lower() for kind in Move.__args__}


def _newer() -> dict[str, tuple[Any, bytes]]:
    found: dict[str, tuple[Any, bytes]] = {}
    for name, body in bodies().items():
        document = json.loads(body) if body.startswith(b"{") else {}
        decoder: Any = None
        if name.endswith(".entry"):
            decoder = decode_move if "/moves/" in name else decode_entry
        elif name.startswith("documents/published"):
            decoder = decode_state
        elif "environment" in document:
            decoder = decode_manifest
        elif "inputs" in document:
            decoder = decode_probe
        if decoder is not None:
            found[name] = decoder, body
    return found


NEWER = _newer()


def test_each_format_is_among_them() -> None:
    assert {decoder for decoder, _ in NEWER.values()} == {
        decode_move,
        decode_entry,
        decode_state,
        decode_manifest,
        decode_probe,
    }


@pytest.mark.parametrize("name", NEWER)
def test_a_newer_format_is_refused_with_advice(name: str) -> None:
    decoder, body = NEWER[name]
    decoder(body, "it")
    newer = json.dumps({**json.loads(body), "format": 2, "more": 1}).encode()
    with pytest.raises(
        FormatError, match=r"it has format 2, this version of Driftline reads up to 1\. Run the version"
    ):
        decoder(newer, "it")


@pytest.mark.parametrize("name", NEWER)
def test_no_document_that_was_cut_or_added_to_is_read(name: str) -> None:
    decoder, body = NEWER[name]
    for end in range(0, len(body), 7):
        with pytest.raises(FormatError):
            decoder(body[:end], "it")
    others: list[Any] = [
        {**json.loads(body), "more": 1},
        {k: v for k, v in json.loads(body).items() if k != "format"},
        [],
    ]
    for other in others:
        with pytest.raises(FormatError):
            decoder(json.dumps(other).encode(), "it")


# ------------------------------------------------------------------------------------------------- published schema


def test_the_published_schema_is_that_of_the_type() -> None:
    published = ROOT / "registry" / "model_state.schema.json"
    assert json.loads(published.read_text()) == json.loads(json.dumps(state_schema()))


def test_states_fit_the_schema_and_others_do_not() -> None:
    validator = jsonschema.Draft202012Validator(state_schema())
    validator.check_schema(state_schema())
    published = json.loads(bodies()["documents/published/fraud.champion.document"])
    example = json.loads(state_record(example_state()).value)
    for document in (published, example):
        validator.validate(document)
        assert not validator.is_valid({**document, "more": 1})
        assert not validator.is_valid({**document, "version": "3"})
