"""The command `driftline retrain`: the pipelines, wired to the registry that lies in the same store."""

from __future__ import annotations

from pipelines.cli import make
from pipelines.local import Places, Wired, over


def wire(places: Places) -> Wired:
    """Journals, blobs and models in one store of the registry; rows and alerts from files."""
    from monitor.cli.retrain_registry import RegistryModels
    from registry.aliases import Aliases
    from registry.catalog import Catalog
    from registry.directory import DirectoryStore

    store = DirectoryStore(places.store)
    catalog = Catalog(store)
    return over(store, places, RegistryModels(catalog, Aliases(catalog)))


command = make(wire)
