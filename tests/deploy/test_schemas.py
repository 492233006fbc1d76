"""Every object we ship is one that the API server of Kubernetes, the Prometheus operator or Strimzi defines."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.deploy.kustomize import OVERLAYS, KustomizeMissing, Object, overlay
from tests.deploy.schemas import SchemasUnavailable, mistakes
from tests.kafka.fixtures import unavailable


def found(thing: Object) -> list[str]:
    try:
        return mistakes(thing)
    except SchemasUnavailable as e:
        unavailable(str(e))


def built(name: str) -> list[Object]:
    try:
        return copy.deepcopy(overlay(name))
    except KustomizeMissing as e:
        pytest.skip(str(e))


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_of_an_overlay_is_as_its_kind_is_defined(name: str) -> None:
    assert [sentence for thing in built(name) for sentence in found(thing)] == []


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("Deployment", "spec.template.spec.containers.0.livenessProbe.periodSecond", 3, "periodSecond"),
        ("Deployment", "spec.replicas", "two", "'two' is not of type 'integer'"),
        ("PodDisruptionBudget", "spec.maxUnavailabel", 1, "maxUnavailabel"),
        ("NetworkPolicy", "spec.egress.0.ports.0.protocl", "TCP", "protocl"),
        ("PodMonitor", "spec.podMetricsEndpoints.0.intervall", "15s", "intervall"),
        ("PodMonitor", "spec.podMetricsEndpoints.0.interval", "15 s", "does not match"),
        ("PrometheusRule", "spec.groups.0.rules.0.exprs", "1", "exprs"),
        ("Role", "rules.0.verb", ["get"], "verb"),
    ],
)
def test_a_misspelt_or_mistyped_field_is_found(kind: str, path: str, value: Any, said: str) -> None:
    thing = next(thing for thing in built("prod") if thing["kind"] == kind)
    assert found(thing) == []
    *way, last = path.split(".")
    place: Any = thing
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    (sentence,) = found(thing)
    assert said in sentence


def test_a_kind_that_nobody_defines_is_found() -> None:
    assert found({"apiVersion": "apps/v1", "kind": "Deploymint", "metadata": {"name": "x"}}) != []
