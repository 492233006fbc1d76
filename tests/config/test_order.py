"""Two files that say the same in another order are one configuration, and count alike: the digest cannot tell them apart, so a
worker with the one goes on where a worker with the other stopped."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import pytest

from monitor.config import Config, loads, recorded
from monitor.plan import Plan, plan_of

FEATURES = {"hue": "categorical", "size": "numeric", "area": "categorical"}
SEGMENTS = {"hue": "[red, blue]", "area": "[x, y]"}
SCORES = {"owl": "$.p.owl", "cat": "$.p.cat", "dog": "$.p.dog"}
TEXT = """
streams:
  predictions:
    topic: predictions
    fields: {{id: $.id, model: $.model, version: $.version, at: $.at, prediction: $.answer, scores: {scores}}}
    features: {features}
  labels: {{topic: labels, fields: {{id: $.id, at: $.at, label: $.label}}}}
models: [{{name: m, task: multiclass, classes: [cat, dog, owl], segments: {segments}}}]
"""


def flow(of: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in of) + "}"


def config(order: Mapping[str, Iterable[tuple[str, str]]]) -> Config:
    every: Mapping[str, Mapping[str, str]] = {"features": FEATURES, "segments": SEGMENTS, "scores": SCORES}
    return loads(TEXT.format(**{name: flow(order.get(name, parts.items())) for name, parts in every.items()}))


def of_rows(plan: Plan) -> tuple[object, ...]:
    """What rows are counted under, and where."""
    model = plan.models["m"]
    names = [feature.name for feature in model.features]
    return plan.config_digest, plan.scored, model.dimensions, names, model.input_cells, model.task.cells


@pytest.mark.parametrize(("name", "parts"), [("features", FEATURES), ("segments", SEGMENTS), ("scores", SCORES)])
def test_another_order_of_keys_counts_alike(name: str, parts: Mapping[str, str]) -> None:
    plans = [of_rows(plan_of(config({name: order}))) for order in itertools.permutations(parts.items())]
    assert all(plan == plans[0] for plan in plans)


@pytest.mark.parametrize("name", ["segments", "scores"])
def test_what_a_namespace_keeps_of_it_counts_like_the_file(name: str) -> None:
    """The kept document has its keys sorted."""
    parts = {"segments": SEGMENTS, "scores": SCORES}[name]
    mine = config({name: sorted(parts.items(), reverse=True)})
    assert of_rows(plan_of(recorded(mine.document().encode()))) == of_rows(plan_of(mine))
