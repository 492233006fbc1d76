"""What several tests start from: a store with versions in it, and people who move aliases."""

from __future__ import annotations

from registry.aliases import Aliases, By
from registry.catalog import Catalog, Draft, MemoryBundle, Version
from registry.store import Store
from tests.registry import models

BORN_MS = 1_700_000_000_000


def by(actor: str = "ada", at_ms: int = 0, reason: str = "because", *, automatic: bool = False) -> By:
    """`at_ms` counts from when the tests begin."""
    return By(actor, reason, BORN_MS + at_ms, automatic)


def add(store: Store, model: str = "fraud", *weights: float, actor: str = "ada", run: str | None = None) -> Version:
    """A JSON model with these weights."""
    bundle = MemoryBundle({"model.json": models.json_model(*(weights or (1.0,)))})
    version, _ = Catalog(store).add(Draft(model, bundle, run=run), actor, BORN_MS)
    return version


def three(store: Store) -> Aliases:
    """fraud@1, fraud@2 and fraud@3, registered by ada, and no alias yet."""
    for weight in (1, 2, 3):
        add(store, "fraud", weight)
    return Aliases(Catalog(store))
