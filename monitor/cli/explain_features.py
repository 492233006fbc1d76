"""The features of an alert beside what the model makes of them: its permutation importance, where the registry has it.

The importance of a version is its parameter `permutation_importance`, an object of numbers by feature: what the trainer
measured, in its own unit. It is no part of any alert, which follows from the topics alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from monitor.alerts.event import AlertEvent
    from registry.location import Location

PARAMETER: Final = "permutation_importance"
"""What the parameter of a version is called."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of an alert. `harm`: what the shift of its values alone would have cost (of splits); `share`: its part of the
    evidence (of a budget); `importance`: None where the registry does not say."""

    feature: str
    harm: float | None
    share: float | None
    importance: float | None


def features_of(event: AlertEvent, importance: Mapping[str, float] | None) -> list[Feature]:
    """The features that an alert is about, the one with the largest expected harm first, then by importance; of alerts without
    any, the most important ones of the model."""
    from monitor.alerts.event import BudgetAlert, OperationalAlert, RuleAlert
    from monitor.alerts.explained import Explanation
    from monitor.config.metric_names import SCORE, subject

    data, found = event.data, dict[str, dict[str, float | None]]()
    if isinstance(data, BudgetAlert):
        for cause in data.causes:
            name = cause.channel.removeprefix("missing:")
            if cause.area in ("features", "quality"):
                found.setdefault(name, {"share": 0.0})
                found[name]["share"] = (found[name]["share"] or 0.0) + cause.share
    elif isinstance(data, RuleAlert) and data.evidence is not None:
        name = subject(data.evidence.metric) or SCORE
        if name != SCORE:
            found[name] = {}
    if isinstance(data, (RuleAlert, BudgetAlert)) and isinstance(data.explanation, Explanation):
        for split in data.explanation.splits:
            found.setdefault(split.feature, {})["harm"] = split.harm
    known = importance or {}
    if not found and not isinstance(data, OperationalAlert):
        found = {name: {} for name in known}
    features = [Feature(name, own.get("harm"), own.get("share"), known.get(name)) for name, own in found.items()]
    return sorted(features, key=_most_harmful)


def _most_harmful(one: Feature) -> tuple[float, float, str]:
    return -(one.harm or 0.0), -(one.importance or 0.0), one.feature


@dataclass(frozen=True, slots=True)
class Known:
    """The features of an alert, and why the registry has no importance for them: None where it has."""

    features: list[Feature]
    lacking: str | None


def known_of(store: Location, event: AlertEvent) -> Known:
    """The features of an alert, with what the registry says of them. Raises RegistryError."""
    from monitor.alerts.event import OperationalAlert

    data = event.data
    if isinstance(data, OperationalAlert):
        return Known([], f"{data.condition} is about no version of a model")
    found = importance_of(store, data.model, data.version)
    if isinstance(found, str):
        return Known(features_of(event, None), found)
    features = features_of(event, found)
    others = ", ".join(sorted(found))
    without = f"version {data.version!r} of {data.model!r} has one of {others} alone"
    return Known(features, without if features and all(one.importance is None for one in features) else None)


def importance_of(store: Location, model: str, version: str) -> dict[str, float] | str:
    """What the registry says of a version, by whichever of its names the predictions call it; a sentence where it does not know
    the version, or its importance. Raises RegistryError."""
    from monitor.cli.registry_seen import names_of
    from registry.cli.common import open_registry

    catalog, _ = open_registry(store)
    models = catalog.models()
    if model not in models:
        return f"the registry has no model {model!r}, which the alert is about; it has {', '.join(sorted(models)) or 'none'}"
    versions = list(catalog.versions(model))
    called = next((one for one in versions if version in names_of(one)), None)
    if called is None:
        there = ", ".join(map(str, versions)) or "none"
        return f"the registry has no version of {model!r} that predictions call {version!r}; it has {there}"
    found = catalog.manifest(called).params.get(PARAMETER)
    if (known := numbers(found)) is None:
        why = (
            "has none among its params" if found is None else "has something else there than a number for each feature"
        )
        return f"{called} {why}; it is given by `driftline registry add --param '{PARAMETER}={{\"FEATURE\": 0.12}}'`"
    return known


def numbers(found: Any) -> dict[str, float] | None:
    """The parameter as it should be; None for anything else."""
    if not isinstance(found, Mapping) or not found:
        return None
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in found.values()):
        return None
    told = {str(name): float(value) for name, value in found.items()}
    return told if all(map(math.isfinite, told.values())) else None
