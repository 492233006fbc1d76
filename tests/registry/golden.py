"""One store with every durable format in it, the same bytes whenever it is made. `python -m tests.registry.golden`
writes it anew: only for a new format version, beside the old one, never over it."""

from __future__ import annotations

import json
from pathlib import Path

from registry import codec
from registry.aliases import Aliases
from registry.catalog import Catalog, Draft, MemoryBundle
from registry.directory import DirectoryStore
from registry.manifest import Card
from registry.probe import probe_of
from registry.publication import current_state, state_record
from registry.store import Store
from tests.registry import models
from tests.registry.stories import BORN_MS, by

GOLDEN = Path(__file__).parents[1] / "golden" / "registry-v1.json"


def write(store: Store) -> None:
    """Every kind of entry, document and blob, and a published state among them as a blob of its own."""
    import numpy as np

    catalog = Catalog(store)
    aliases = Aliases(catalog)
    probe = probe_of(
        {"x": np.array([[0.1, np.nan], [1, 2]], np.float32)}, {"y": np.array(["no", "yes"])}, relative=1e-6
    )
    whole = Draft(
        "fraud",
        MemoryBundle({"model.json": models.json_model(0.1, 2), "sub/recipe.json": models.recipe()}),
        dataset="sha256:" + "d5" * 32,
        run="run-7",
        code_revision="9f1c2e",
        environment={"python": "3.11.7"},
        params={"depth": 6, "rate": 0.05, "names": ["é", None, True]},
        probe=codec.encode(probe),
        reference=b'{"format":1}',
        gate_reports=(b'{"verdict":"pass"}',),
        card=Card("team-fraud", "Scores payments.", "Cards.", "Not transfers.", "Apache-2.0"),
    )
    catalog.add(whole, "ada", BORN_MS)
    catalog.add(Draft("fraud", MemoryBundle({"model.json": models.json_model(3)})), "bob", BORN_MS + 1)
    aliases.promote("fraud", "champion", 1, by("ada", 10, "first"))
    aliases.protect("fraud", "champion", 1, by("ada", 20, "cards"))
    aliases.approve("fraud", "champion", 2, by("eve", 30, "fine"))
    aliases.promote("fraud", "champion", 2, by("pipelines", 40, "gate passed", automatic=True), replaces=1, required=1)
    aliases.freeze("fraud", "champion", by("breaker", 50, "two alerts", automatic=True))
    aliases.rollback("fraud", "champion", by("ada", 60, "worse in DE"))
    aliases.unfreeze("fraud", "champion", by("ada", 70, "done"))
    aliases.retire("fraud", 2, by("ada", 80, "leaked labels"))
    state = current_state(aliases, catalog, "fraud", "champion")
    assert state is not None
    store.create_document("published/fraud.champion", state_record(state).value)


def files(directory: Path) -> dict[str, str]:
    """Every file of a store as text: all of this one is."""
    found = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_text() for path in found}


def restore(directory: Path) -> DirectoryStore:
    """The store that was kept."""
    for name, text in json.loads(GOLDEN.read_text()).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return DirectoryStore(directory)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        write(DirectoryStore(scratch))
        GOLDEN.write_text(json.dumps(files(Path(scratch)), indent=1, ensure_ascii=False) + "\n")
