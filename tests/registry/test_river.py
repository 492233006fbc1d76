"""A river model is its recipe and its rows: built and replayed, never unpickled."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from river import compose, ensemble, linear_model, optim, preprocessing, tree

from registry.codec import strict_json
from registry.errors import BundleRefused, RegistryError
from registry.formats.bundle import inspect
from registry.river_models import build, recipe_of, replay
from tests.registry import models


def rows() -> Iterator[tuple[dict[str, float], bool]]:
    luck = random.Random(11)
    for _ in range(300):
        x = {"a": luck.gauss(0, 1), "b": luck.gauss(0, 1)}
        yield x, x["a"] + 0.5 * x["b"] > 0


MADE: dict[str, Any] = {
    "pipeline": lambda: compose.Pipeline(
        ("scale", preprocessing.StandardScaler()), ("learn", linear_model.LogisticRegression(optim.SGD(0.05), l2=0.001))
    ),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=50),
    "bagging": lambda: ensemble.BaggingClassifier(tree.HoeffdingTreeClassifier(), n_models=3, seed=7),
}


@pytest.mark.parametrize("name", MADE)
def test_a_model_and_its_recipe_learn_the_same(name: str) -> None:
    recipe = json.dumps(recipe_of(MADE[name]())).encode()
    assert inspect({"model.json": memoryview(recipe)}).findings == ()
    ours, theirs = replay(recipe, rows()), MADE[name]()
    for x, y in rows():
        theirs.learn_one(x, y)
    assert type(ours) is type(theirs)
    assert [ours.predict_proba_one(x) for x, _ in rows()] == [theirs.predict_proba_one(x) for x, _ in rows()]
    assert len({round(ours.predict_proba_one(x).get(True, 0), 6) for x, _ in rows()}) > 10


def test_a_recipe_of_a_recipe_is_the_recipe() -> None:
    first = recipe_of(MADE["pipeline"]())
    assert recipe_of(build(json.dumps(first).encode())) == first


def test_what_a_recipe_may_not_name_is_not_built() -> None:
    with pytest.raises(BundleRefused, match="not among the classes"):
        build(models.recipe({"class": "river.datasets.Phishing", "params": {}}))
    with pytest.raises(RegistryError, match="none that this version of river exports"):
        build(models.recipe({"class": "river.linear_model.NoSuchThing", "params": {}}))
    with pytest.raises(RegistryError, match="cannot be made with these parameters"):
        build(models.recipe({"class": "river.linear_model.LogisticRegression", "params": {"depth": 3}}))
    with pytest.raises(RegistryError, match="is no recipe"):
        build(b"{}")


def test_code_has_no_recipe() -> None:
    with pytest.raises(RegistryError, match="which no recipe can name"):
        recipe_of(compose.FuncTransformer(dict))


def test_a_recipe_is_strict_json() -> None:
    assert strict_json(models.recipe(), "it")["kind"] == "river-recipe"
