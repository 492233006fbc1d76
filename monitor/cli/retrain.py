"""The command `driftline retrain`: the pipelines, wired to the registry that lies in the same store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cli import make
from pipelines.local import Places, Wired, over

if TYPE_CHECKING:
    from pipelines.quality import Checks


def wire(places: Places) -> Wired:
    """Journals, blobs, data versions and models in one store of the registry. `--alerts` and the `rows` of a policy may be the
    monitor's configuration: what fires, and the rows, are then read from its topics, rows are held to what it declares of the
    data, and where the aliases stand is published to the topic `models` of the deployment that says what fires."""
    from monitor.cli.retrain_alerts import TopicAlerts
    from monitor.cli.retrain_announce import Announcing
    from monitor.cli.retrain_checks import DeclaredChecks
    from monitor.cli.retrain_registry import RegistryModels
    from monitor.cli.retrain_rows import EitherData, TopicData
    from pipelines.dataset.shelf import Shelf
    from registry.aliases import Aliases
    from registry.catalog import Catalog
    from registry.cli.common import known_models, signer_of_surroundings
    from registry.location import open_location

    store = known_models(open_location(places.store))
    sign = signer_of_surroundings()
    catalog = Catalog(store, sign)
    files = {model: path for model, path in places.rows.items() if not _is_config(path)}
    configs = {model: path for model, path in places.rows.items() if _is_config(path)}
    aliases = Aliases(catalog, sign)
    declared = DeclaredChecks(places.alerts) if places.alerts is not None and _is_config(places.alerts) else _nothing
    wired = over(store, replace(places, rows=files), RegistryModels(catalog, aliases), declared)
    topics = TopicData(store, Shelf(store), configs, places.embedded)
    wired = replace(wired, data=EitherData(wired.data, topics, frozenset(configs)))
    if places.alerts is not None and _is_config(places.alerts):
        announcing = Announcing(catalog, aliases, places.alerts, places.embedded)
        return replace(wired, alerts=TopicAlerts(places.alerts, places.embedded), announce=announcing)
    return wired


def _nothing(_: str) -> Checks:
    """Nobody declared anything."""
    return {}


def _is_config(path: Path) -> bool:
    """Whether a path names a configuration of the monitor, and not rows or alerts themselves."""
    return path.suffix in (".yaml", ".yml")


command = make(wire)
