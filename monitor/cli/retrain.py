"""The command `driftline retrain`: the pipelines, wired to the registry that lies in the same store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.cli import make
from pipelines.local import Places, Wired, over

if TYPE_CHECKING:
    from pipelines.ports import Data
    from pipelines.quality import Checks


def wire(places: Places) -> Wired:
    """Journals, blobs, data versions and models in one store of the registry. `--alerts` and the `rows` of a policy may be the
    monitor's configuration: what fires, and the rows, are then read from its topics, rows are held to what it declares of the
    data, and where the aliases stand is published to the topic `models` of the deployment that says what fires. Where `rows`
    is a dataset version, rows of what serves later are read from the topics of that deployment."""
    from monitor.cli.retrain_alerts import TopicAlerts
    from monitor.cli.retrain_announce import Announcing
    from monitor.cli.retrain_checks import DeclaredChecks
    from monitor.cli.retrain_dataset import VersionData
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
    of_topics = {model: path for model, path in places.rows.items() if _is_config(path)}
    deployment = places.alerts if places.alerts is not None and _is_config(places.alerts) else None
    later = {} if deployment is None else dict.fromkeys(places.datasets, deployment)
    aliases = Aliases(catalog, sign)
    declared = _nothing if deployment is None else DeclaredChecks(deployment)
    wired = over(store, replace(places, rows=files), RegistryModels(catalog, aliases), declared)
    topics = TopicData(store, Shelf(store), {**of_topics, **later}, places.embedded)
    held = store if places.versions is None else open_location(places.versions)
    versions = VersionData(store, held, Shelf(held), places.datasets, declared, topics if later else None)
    others: dict[str, Data] = {**dict.fromkeys(of_topics, topics), **dict.fromkeys(places.datasets, versions)}
    wired = replace(wired, data=EitherData(wired.data, others))
    if deployment is not None:
        announcing = Announcing(catalog, aliases, deployment, places.embedded)
        return replace(wired, alerts=TopicAlerts(deployment, places.embedded), announce=announcing)
    return wired


def _nothing(_: str) -> Checks:
    """Nobody declared anything."""
    return {}


def _is_config(path: Path) -> bool:
    """Whether a path names a configuration of the monitor, and not rows or alerts themselves."""
    return path.suffix in (".yaml", ".yml")


command = make(wire)
