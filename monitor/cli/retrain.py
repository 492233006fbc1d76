"""The command `driftline retrain`: the pipelines, wired to the registry that lies in the same store."""

from __future__ import annotations

from dataclasses import replace

from pipelines.cli import make
from pipelines.local import Places, Wired, over


def wire(places: Places) -> Wired:
    """Journals, blobs and models in one store of the registry, rows from files. `--alerts` may be the monitor's
    configuration: what fires is then read from its topic, and rows are held to what it declares of the data."""
    from monitor.cli.retrain_alerts import TopicAlerts
    from monitor.cli.retrain_checks import DeclaredChecks
    from monitor.cli.retrain_registry import RegistryModels
    from registry.aliases import Aliases
    from registry.catalog import Catalog
    from registry.directory import DirectoryStore

    store = DirectoryStore(places.store)
    catalog = Catalog(store)
    models = RegistryModels(catalog, Aliases(catalog))
    if places.alerts is None or places.alerts.suffix not in (".yaml", ".yml"):
        return over(store, places, models)
    wired = over(store, places, models, DeclaredChecks(places.alerts))
    return replace(wired, alerts=TopicAlerts(places.alerts))


command = make(wire)
