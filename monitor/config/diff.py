"""What differs in meaning between two configs, and when each difference takes effect.

Order of keys, spelling of durations and order of models, rules and windows are no difference. Models, rules and
windows are matched by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from monitor.config import canonical
from monitor.config.kafka import MASK
from monitor.config.tasks import coded_classes, models_of, task_name
from monitor.config.yaml_text import flow

if TYPE_CHECKING:
    from monitor.config.types import Config


class Effect(StrEnum):
    """When a change counts."""

    TICK = "takes effect at a tick"
    PANE = "takes effect at a pane"
    NAMESPACE = "needs another namespace"
    RESTART = "needs a restart"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `old` or `new` is None where there was or is nothing; secrets are masked in both."""

    path: str
    old: str | None
    new: str | None
    effect: Effect

    @property
    def gives_meaning(self) -> bool:
        """Whether rows mean something else by it."""
        return self.effect in (Effect.PANE, Effect.NAMESPACE) or self.path.startswith("streams.")

    @property
    def what(self) -> str:
        """`1d -> 2d`, or what was added or removed."""
        if self.old is None:
            return f"added ({self.new})"
        if self.new is None:
            return f"removed (was {self.old})"
        return "changed" if MASK in (self.old, self.new) else f"{self.old} -> {self.new}"

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.effect}"


Step = tuple[str, ...]

_JUDGES = frozenset(
    {"rules", "labels", "budget", "label_feed", "explanations", "maintenance", "advisories", "grouping"}
)
"""Sections that only judge or describe numbers."""


def diff(old: Config, new: Config) -> list[Change]:
    """Every difference, in the order of their paths. Empty iff the two mean and do the same.

    A model, rule, or section that is there in only one of them is one difference, not one per key.
    """
    before, after = _flat(old), _flat(new)
    differing = {_item(path) for path in before} ^ {_item(path) for path in after}
    whole = {item for item in differing if not any(item[:n] in differing for n in range(1, len(item)))}
    changes = [
        Change(".".join(path), _text(before.get(path)), _text(after.get(path)), _effect(path, old, new))
        for path in before.keys() | after.keys()
        if not any(path[: len(item)] == item for item in whole) and before.get(path) != after.get(path)
    ]
    for item in whole:
        gone, come = _under(before, item), _under(after, item)
        effect = _effect(item, old, new)
        if item[0] == "models" and len(item) == 2 and _may_come_and_go(old, new):
            effect = Effect.PANE
        changes.append(Change(".".join(item), _text(gone), _text(come), effect))
    return sorted(changes, key=lambda change: change.path)


def _effect(path: Step, old: Config, new: Config) -> Effect:
    """When a change at this path counts that makes one configuration another."""
    by_template = old.unlisted_models is not None or new.unlisted_models is not None
    kept = path[0] in ("drift", "estimates") and by_template  # which all models have that are not listed
    if kept or (path[0] == "models" and path[2:] == ("classes",) and not labels_alike(old, new)):
        return Effect.NAMESPACE
    return effect_of(path)


def _may_come_and_go(old: Config, new: Config) -> bool:
    """Whether models may be added and taken out: none of them is counted by the template before or after, and labels are read
    as before."""
    if old.unlisted_models is not None or new.unlisted_models is not None or not (old.models and new.models):
        return False
    return labels_alike(old, old.model_copy(update={"models": (*old.models, *new.models)}))


def labels_alike(old: Config, new: Config) -> bool:
    """Whether labels are read alike under both: they do not say which model they are about, so all models have a part in it."""

    def reading(config: Config) -> tuple[object, ...]:
        labels, predictions = config.streams.labels, config.streams.predictions
        positives = [float(model.positive) for model in models_of(config)]
        known = [
            frozenset({0.0, 1.0, *positives, *values.values()})
            for values in (predictions.values, labels.values if labels is not None else {})
        ]
        return task_name(config), coded_classes(config), known

    return reading(old) == reading(new)


def effect_of(path: Step) -> Effect:
    """When a change at this path counts: what only judges or describes numbers waits for a tick, what rows are added up to, and
    what is watched of them, for a pane, what is bound at the start for a restart; what else rows mean stays what it is in a
    namespace."""
    of_model = path[2:] if path[0] == "models" else path[1:] if path[0] == "unlisted_models" else ()
    if path[0] in _JUDGES or of_model[:1] == ("labels",) or path == ("state", "upgrade_after"):
        return Effect.TICK
    if of_model[:1] == ("quality",) and (of_model[1:2] != ("features",) or of_model[-1] == "at_most"):
        return Effect.TICK
    if path[0] == "streams" and path[2:3] == (
        "rekey",
    ):  # of `driftline rekey`; a worker reads the copy, whoever makes it
        return Effect.TICK
    if path[0] == "time" and path[-1] in canonical.OPERATIONAL_TIMES:
        return Effect.RESTART
    if path[0] == "streams" and (len(path) == 2 or path[2] == "topic"):
        return Effect.RESTART
    if path[0] in ("windows", "drift", "estimates") or path[:3] == ("streams", "predictions", "features"):
        return Effect.PANE
    if path[0] == "models" and of_model[:1] not in ((), ("task",), ("positive",)):
        return Effect.PANE
    meaning = ("streams", "time", "models", "unlisted_models")
    return Effect.NAMESPACE if path[0] in meaning else Effect.RESTART


@dataclass(frozen=True, slots=True)
class _Hidden:
    """A secret: compared, never shown."""

    value: str = field(repr=False)


def _flat(config: Config) -> dict[Step, Any]:
    """Path -> value of every leaf; lists of values are leaves, models, rules and windows go by their name."""
    data = canonical.everything(config)
    data["models"] = {model["name"]: model for model in data["models"]}
    data["rules"] = {rule["name"]: rule for rule in data["rules"]}
    data["advisories"] = {one["name"]: one for one in data.get("advisories", ())}
    data["windows"] = {window.name: window.name for window in config.windows}
    for name, digest in config.reference_digests.items():
        section = data["unlisted_models"] if name == "*" else data["models"][name]
        section["reference"] = f"{section['reference']} ({digest})"
    if config.kafka is not None:
        shown = config.kafka.shown()
        data["kafka"]["properties"] = {
            key: _Hidden(value) if shown[key] == MASK else value for key, value in config.kafka.properties.items()
        }
    flat: dict[Step, Any] = {}
    _flatten(data, (), flat)
    return flat


def _flatten(value: Any, at: Step, flat: dict[Step, Any]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _flatten(item, (*at, str(key)), flat)
    else:
        flat[at] = value


def _item(path: Step) -> Step:
    """What is added or removed as a whole: a named item, or a section that may be left out."""
    for at in range(1, len(path) - 2):
        if path[0] in ("models", "unlisted_models") and path[at : at + 2] == ("quality", "features"):
            return path[: at + 3]
    if path[0] in ("models", "rules", "windows", "advisories"):
        return path[:2]
    return (
        path[:2]
        if path[:2] == ("streams", "labels")
        else path[:1]
        if path[0] in ("kafka", "unlisted_models", "budget", "label_feed", "grouping")
        else ()
    )


def _under(flat: Mapping[Step, Any], item: Step) -> dict[str, Any] | None:
    found = {".".join(path[len(item) :]): value for path, value in flat.items() if path[: len(item)] == item}
    return found or None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, _Hidden):
        return value if value is None else MASK
    if isinstance(value, dict):
        return _text(value[""]) if set(value) == {""} else flow({k: _text(v) for k, v in value.items()})
    return flow(value)
