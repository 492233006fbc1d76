"""What `kubectl apply -k` would send: the manifests of a folder, put together by kustomize."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
BUILD_SECS = 120

Object = dict[str, Any]


class KustomizeMissing(Exception):
    """Neither kubectl nor kustomize is on this machine."""


def command() -> list[str]:
    """How kustomize is called here. Raises KustomizeMissing."""
    if kubectl := shutil.which("kubectl"):
        return [kubectl, "kustomize"]
    if kustomize := shutil.which("kustomize"):
        return [kustomize, "build"]
    raise KustomizeMissing("kubectl (1.21 or newer) or kustomize is missing; neither is a Debian package")


@cache
def _text(folder: Path) -> str:
    built = subprocess.run([*command(), str(folder)], capture_output=True, text=True, timeout=BUILD_SECS, check=False)
    assert built.returncode == 0, built.stderr
    return built.stdout


def build(folder: Path) -> list[Object]:
    """The objects of a kustomization, fresh copies. Raises KustomizeMissing."""
    return [cast("Object", document) for document in yaml.safe_load_all(_text(folder))]


def overlay(name: str) -> list[Object]:
    """The objects of one of our overlays."""
    return build(KUBERNETES / "overlays" / name)


def written() -> Iterator[tuple[Path, Object]]:
    """Every object under deploy/kubernetes as it is written, patches left out: what can be read without kustomize."""
    for path in sorted(KUBERNETES.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if isinstance(document, dict) and "kind" in document and path.name != "kustomization.yaml":
                yield path, document


def name_of(thing: Object) -> str:
    """`Kind/name`, as people call an object."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


def pod_specs(objects: list[Object]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, pod) of every object that makes pods."""
    for thing in objects:
        spec = thing.get("spec", {})
        if thing["kind"] == "Pod":
            yield name_of(thing), spec
        elif thing["kind"] == "CronJob":
            yield name_of(thing), spec["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in spec and "spec" in spec["template"]:
            yield name_of(thing), spec["template"]["spec"]
