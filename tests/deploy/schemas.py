"""JSON schemas of the kinds that we ship: Kubernetes' own and the Prometheus operator's, from their Go modules, by hash.

The modules are fetched by the `go` command as it is configured, once per machine; nothing of theirs is built. Strimzi
publishes its definitions in no package: `strimzi_crds.yaml` states the part of them that we use, in our own words.

A schema here is stricter than what it is made from: a field that is not defined is an error, as it is for an API server
that validates strictly. Otherwise a misspelt probe would be no probe.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft7Validator

from tests.deploy.kustomize import Object

KUBERNETES = ("k8s.io/kubernetes@v1.37.2", "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE=")
OPERATOR = (
    "github.com/prometheus-operator/prometheus-operator@v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
OPERATOR_KINDS = ("podmonitors", "prometheusrules")
STRIMZI = Path(__file__).with_name("strimzi_crds.yaml")
FETCH_SECS = 300  # 13 MB and 3 MB

Schema = dict[str, Any]


class SchemasUnavailable(Exception):
    """The schemas cannot be had on this machine; the message says what is missing."""


@cache
def module(name: str, digest: str) -> Path:
    """The folder of a Go module, with the content that `digest` stands for. Raises SchemasUnavailable."""
    go = shutil.which("go")
    if go is None:
        raise SchemasUnavailable(f"go is missing: {name} is fetched by it (Debian: golang-go)")
    done = subprocess.run(
        [go, "mod", "download", "-json", name], cwd=Path(__file__).parent, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=FETCH_SECS, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout) if done.stdout.strip() else {"Error": done.stderr}
    if "Error" in told:
        raise SchemasUnavailable(f"go could not deliver {name}: {told['Error'][-500:]}")
    assert told["Sum"] == digest, f"{name}: go delivered other files ({told['Sum']}) than are expected here ({digest})"
    return Path(told["Dir"])


def operator_crds() -> list[Object]:
    """The Prometheus operator's definitions of the kinds we use. Raises SchemasUnavailable."""
    folder = module(*OPERATOR) / "example" / "prometheus-operator-crd"
    return [_read(folder / f"monitoring.coreos.com_{kind}.yaml") for kind in OPERATOR_KINDS]


def strimzi_crds() -> list[Object]:
    """The part of Strimzi's definitions that we use."""
    return [cast("Object", document) for document in yaml.safe_load_all(STRIMZI.read_text())]


def _read(path: Path) -> Object:
    return cast("Object", yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@cache
def _kubernetes() -> Schema:
    text = (module(*KUBERNETES) / "api" / "openapi-spec" / "swagger.json").read_text()
    definitions: Schema = json.loads(text)["definitions"]
    for name, definition in definitions.items():
        if definition.get("format") == "int-or-string":
            definitions[name] = {"type": ["string", "integer"]}
    return definitions


@cache
def _schema(api_version: str, kind: str) -> Schema:
    for crd in (*operator_crds(), *strimzi_crds()):
        spec = crd["spec"]
        for version in spec["versions"]:
            if (api_version, kind) == (f"{spec['group']}/{version['name']}", spec["names"]["kind"]):
                schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
                metadata = {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
                schema["properties"]["metadata"] = metadata
                return {**schema, "definitions": _kubernetes()}
    group, _, version = api_version.rpartition("/")
    wanted = {"group": group, "version": version, "kind": kind}
    for name, definition in _kubernetes().items():
        if wanted in definition.get("x-kubernetes-group-version-kind", []):
            return {"$ref": f"#/definitions/{name}", "definitions": _kubernetes()}
    return {"not": {}}


def _strict(node: Any) -> Any:
    """The same schema, in which an object has the properties it lists and no others."""
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _strict(value) for key, value in node.items() if key != "nullable"}
    listed = isinstance(node.get("properties"), dict) and node.get("type") == "object"
    if listed and "additionalProperties" not in node and not node.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    return made


@cache
def _validator(api_version: str, kind: str) -> Draft7Validator:
    return Draft7Validator(_strict(_schema(api_version, kind)))


def mistakes(thing: Object) -> list[str]:
    """A sentence for each place of an object that its schema refuses. Raises SchemasUnavailable."""
    found = _validator(thing["apiVersion"], thing["kind"]).iter_errors(thing)
    return sorted(f"{thing['kind']}: {'.'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in found)
