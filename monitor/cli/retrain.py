"""The command `driftline retrain`: the pipelines, wired to the registry that lies in the same store."""

from __future__ import annotations

from dataclasses import replace

from pipelines.cli import make
from pipelines.local import Places, Wired, over


def wire(places: Places) -> Wired:
    """Journals, blobs and models in one store of the registry, rows from files. `--alerts` may be the monitor's
    configuration: what fires is then read from its topic, and where the aliases stand is published to its topic `models`."""
    from monitor.cli.retrain_alerts import TopicAlerts
    from monitor.cli.retrain_announce import Announcing
    from monitor.cli.retrain_registry import RegistryModels
    from registry.aliases import Aliases
    from registry.catalog import Catalog
    from registry.directory import DirectoryStore

    store = DirectoryStore(places.store)
    catalog = Catalog(store)
    aliases = Aliases(catalog)
    wired = over(store, places, RegistryModels(catalog, aliases))
    if places.alerts is not None and places.alerts.suffix in (".yaml", ".yml"):
        announcing = Announcing(catalog, aliases, places.alerts)
        return replace(wired, alerts=TopicAlerts(places.alerts), announce=announcing)
    return wired


command = make(wire)
