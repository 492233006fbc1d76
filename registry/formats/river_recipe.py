"""A river model as what it is made from: classes, parameters, and the dataset that is replayed through it.

River's pickles load in no other version than the one that wrote them; a recipe and a dataset rebuild the model in any.
A recipe is a JSON document:

    {"format": 1, "kind": "river-recipe", "river": "0.26.1",
     "model": {"class": "river.compose.Pipeline", "steps": [
         ["scale", {"class": "river.preprocessing.StandardScaler", "params": {}}],
         ["learn", {"class": "river.linear_model.LogisticRegression", "params": {"l2": 0.01}}]]}}

Only classes of the modules below can be named, and their parameters are numbers, texts, lists, or such classes again.
Here it is read and checked; `registry.river_models` builds and replays it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from registry.formats.finding import Finding, Refusal, printable

FORMAT: Final = 1
KIND: Final = "river-recipe"
DEPTH_MAX: Final = 30

MODULES: Final = frozenset({
    "active", "anomaly", "bandit", "base", "cluster", "compose", "drift", "drift.binary", "dummy", "ensemble", "facto",
    "feature_extraction", "feature_selection", "forest", "imblearn", "linear_model", "misc", "model_selection",
    "multiclass", "multioutput", "naive_bayes", "neighbors", "neural_net", "optim", "optim.losses", "optim.schedulers",
    "optim.initializers", "preprocessing", "proba", "reco", "rules", "stats", "time_series", "tree", "tree.splitter",
})  # fmt: skip
"""Modules of river whose classes are models or parts of models. Not: datasets and stream (they read files and networks)."""
FORBIDDEN: Final = frozenset({"river.compose.FuncTransformer"})
"""Classes that take code as a parameter."""

_CLASS: Final = re.compile(r"river\.((?:[a-z_]+\.)*[a-z_]+)\.([A-Z][A-Za-z0-9]*)")


def is_recipe(document: Any) -> bool:
    """Whether a JSON document claims to be a recipe."""
    return isinstance(document, dict) and document.get("kind") == KIND


def recipe_faults(path: str, document: dict[str, Any]) -> Iterator[Finding]:
    """Everything that is wrong with a recipe; none when it can be built."""
    if document.keys() != {"format", "kind", "river", "model"} or document["format"] != FORMAT:
        why = f"it has the fields {', '.join(sorted(document))}; format 1 has format, kind, river and model"
        yield Finding(path, Refusal.RECIPE, why)
        return
    if not isinstance(document["river"], str) or not re.fullmatch(r"\d+\.\d+\.\d+[\w.+-]*", document["river"]):
        yield Finding(path, Refusal.RECIPE, "'river' is no version; write the one it was trained with")
    if not isinstance(document["model"], dict):
        yield Finding(path, Refusal.RECIPE, "'model' is no class with parameters")
        return
    yield from _faults(path, document["model"], "model", 0)


def class_fault(name: Any) -> str | None:
    """Why a class cannot be named in a recipe, None when it can."""
    found = _CLASS.fullmatch(name) if isinstance(name, str) else None
    if found is None:
        return f"{printable(str(name))!r} is no class of river"
    if found[1] not in MODULES or name in FORBIDDEN:
        return f"{printable(str(name))!r} is not among the classes that a recipe may name"
    return None


def _faults(path: str, value: Any, where: str, depth: int) -> Iterator[Finding]:
    if depth > DEPTH_MAX:
        yield Finding(path, Refusal.RECIPE, f"{where} is nested more than {DEPTH_MAX} deep")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _faults(path, item, f"{where}[{place}]", depth + 1)
    elif isinstance(value, dict) and "class" not in value:
        for key, item in value.items():
            yield from _faults(path, item, f"{where}.{printable(key)}", depth + 1)
    elif isinstance(value, dict):
        yield from _class_faults(path, value, where, depth)


def _class_faults(path: str, value: dict[str, Any], where: str, depth: int) -> Iterator[Finding]:
    if (fault := class_fault(value["class"])) is not None:
        yield Finding(path, Refusal.RECIPE, f"{where}: {fault}")
    rest = value.keys() - {"class"}
    if rest == {"params"} and isinstance(value["params"], dict):
        if not all(key.isidentifier() and not key.startswith("_") for key in value["params"]):
            yield Finding(path, Refusal.RECIPE, f"{where}: a parameter has a name that is none")
        yield from _faults(path, {k: v for k, v in value["params"].items() if k != "class"}, where, depth + 1)
    elif rest == {"steps"} and isinstance(value["steps"], list):
        for step in value["steps"]:
            if not (isinstance(step, list) and len(step) == 2 and isinstance(step[0], str)):
                yield Finding(path, Refusal.RECIPE, f"{where}: a step is no pair of a name and a class")
            else:
                yield from _faults(path, step[1], f"{where}.{printable(step[0])}", depth + 1)
    else:
        yield Finding(path, Refusal.RECIPE, f"{where}: a class has either 'params' or 'steps', nothing else")
