"""Building a river model from its recipe and replaying rows through it.

The recipe was checked when it was added, and is again here: a class is looked up only in the modules of river that a
recipe may name, only among what that module exports, and only if it is a class of river's own.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from registry.codec import strict_json
from registry.errors import BundleRefused, RegistryError
from registry.formats.river_recipe import FORMAT, KIND, class_fault, is_recipe, recipe_faults

Row = Mapping[str, Any]


def build(raw: bytes) -> Any:
    """The untrained model of a recipe. Raises BundleRefused for a recipe that cannot be built, RegistryError."""
    document = strict_json(raw, "the recipe")
    if not is_recipe(document):
        raise RegistryError("the document", "is no recipe of a river model", f"A recipe has 'kind': {KIND!r}.")
    if faults := list(recipe_faults("recipe", document)):
        raise BundleRefused("the recipe", faults)
    return _made(document["model"])


def replay(raw: bytes, rows: Iterable[tuple[Row, Any]]) -> Any:
    """The model, trained on (features, label) in the order of the dataset: the same recipe, rows and version of river
    give the same predictions."""
    model = build(raw)
    for features, label in rows:
        model.learn_one(dict(features), label)
    return model


def recipe_of(model: Any) -> dict[str, Any]:
    """The recipe of a river model: its class and constructor parameters, not what it has learned."""
    return {"format": FORMAT, "kind": KIND, "river": metadata.version("river"), "model": _told(model, "model")}


def _made(value: Any) -> Any:
    if isinstance(value, list):
        return [_made(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class" not in value:
        return {key: _made(item) for key, item in value.items()}
    kind = _class(value["class"])
    try:
        if "steps" in value:
            return kind(*((name, _made(step)) for name, step in value["steps"]))
        return kind(**{name: _made(item) for name, item in value["params"].items()})
    except (TypeError, ValueError) as error:
        why = f"cannot be made with these parameters: {error}"
        raise RegistryError(f"class {value['class']}", why, "Is it of another version of river?") from error


def _class(name: str) -> type:
    module_name, _, class_name = name.rpartition(".")
    if class_fault(name) is None:
        module = importlib.import_module(module_name)
        found = getattr(module, class_name, None)
        if (
            class_name in getattr(module, "__all__", ())
            and inspect.isclass(found)
            and found.__module__.startswith("river.")
        ):
            return found
    raise RegistryError(
        f"class {name}", "is none that this version of river exports", "Is it of another version of river?"
    )


def _told(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_told(item, f"{where}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _told(item, f"{where}.{key}") for key, item in value.items()}
    name = _public_name(type(value))
    if name is None:
        remedy = "Name it by a class of river, or export the model in another format."
        raise RegistryError(f"{where} of the model", f"is a {type(value).__name__}, which no recipe can name", remedy)
    if hasattr(value, "steps"):
        steps = [[str(step), _told(part, f"{where}.{step}")] for step, part in value.steps.items()]
        return {"class": name, "steps": steps}
    names = list(inspect.signature(type(value).__init__).parameters)[1:]
    return {"class": name, "params": {p: _told(getattr(value, p), f"{where}.{p}") for p in names if hasattr(value, p)}}


def _public_name(kind: type) -> str | None:
    """`river.linear_model.LogisticRegression` for the class that is defined in `river.linear_model.log_reg`."""
    parts = kind.__module__.split(".")
    for length in range(len(parts), 1, -1):
        name = f"{'.'.join(parts[:length])}.{kind.__name__}"
        module = importlib.import_module(".".join(parts[:length]))
        if class_fault(name) is None and kind.__name__ in getattr(module, "__all__", ()):
            return name
    return None
