"""Versions of a model in MLflow, as its REST API tells them, and what is kept of one that was imported.

What MLflow answers is read leniently: fields that are not known here are passed over, since they differ between its versions.
What is kept is one document for each version, written once: `imports/mlflow/IDENTITY/version` says which version here it
became, `.../refused` why it became none. The identity is of run, model and number there, so it is the same however the server
is addressed. Nothing in here asks anybody.
"""

from __future__ import annotations

import hashlib
import math
import urllib.parse
from typing import Annotated, Any, Final, TypeVar

import msgspec

from registry import codec
from registry.digest import canonical_bytes
from registry.errors import SourceError

FORMAT: Final = 1
"""Of the document of an import."""
IMPORTS: Final = "imports/mlflow"
NO_ADDRESS: Final = "(no address)"
"""What stands for an address that cannot be read."""
_DESCRIBING: Final = frozenset(
    {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "registered_model_meta"}
)
"""What MLflow writes beside a model to say how to load it. None of it is followed here."""
_IDENTITY_HEX_DIGITS: Final = 16
_INT_MAX: Final = 1 << 53
"""Beyond it JSON does not hold integers."""
_REQUIREMENTS_MAX: Final = 200

T = TypeVar("T")


class Pair(msgspec.Struct, frozen=True):
    """A tag or a parameter, as MLflow writes it."""

    key: str
    value: str = ""


class Metric(msgspec.Struct, frozen=True):
    """The last value of a metric."""

    key: str
    value: Any = None


class Pointing(msgspec.Struct, frozen=True):
    """An alias there."""

    alias: str
    version: str


class RegisteredModel(msgspec.Struct, frozen=True):
    """A model there, with its aliases."""

    name: str
    description: str = ""
    aliases: tuple[Pointing, ...] = ()


class ModelVersion(msgspec.Struct, frozen=True):
    """A version there. `source`: where its files are, in whatever words MLflow has for it."""

    name: str
    version: str
    source: str = ""
    run_id: str = ""
    status: str = "READY"
    current_stage: str = "None"
    description: str = ""
    creation_timestamp: Annotated[int, msgspec.Meta(ge=0, le=_INT_MAX)] = 0
    tags: tuple[Pair, ...] = ()


class RunData(msgspec.Struct, frozen=True):
    """What a run there was given and measured."""

    params: tuple[Pair, ...] = ()
    metrics: tuple[Metric, ...] = ()
    tags: tuple[Pair, ...] = ()


class Run(msgspec.Struct, frozen=True):
    """A run there."""

    data: RunData = RunData()


class RunAnswer(msgspec.Struct, frozen=True):
    """An answer with a run."""

    run: Run = Run()


class Entry(msgspec.Struct, frozen=True):
    """A file or a folder there."""

    path: str
    is_dir: bool = False
    file_size: Annotated[int, msgspec.Meta(ge=0, le=_INT_MAX)] = 0


class Listing(msgspec.Struct, frozen=True):
    """What is in a folder."""

    files: tuple[Entry, ...] = ()


class Described(msgspec.Struct, frozen=True):
    """What an `MLmodel` file says, of which nothing is believed but names."""

    flavors: tuple[str, ...] = ()
    mlflow_version: str = ""
    signature: dict[str, str] = {}
    examples: frozenset[str] = frozenset()


class KeptFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file there. `hex` is of its SHA-256, None where it was not fetched."""

    path: str
    size_bytes: int
    hex: str | None


class Imported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was found of one version of MLflow, and what became of it: `number` and `manifest` (digits of its digest), or
    `findings`. Everything MLflow may change later (aliases, stage, tags) is as it was at `at_ms`."""

    format: int
    server: str  # without credentials
    model: str
    version: str
    run: str
    source: str  # without credentials
    created_ms: int
    stage: str
    aliases: tuple[str, ...]
    description: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float | str]
    run_tags: dict[str, str]
    flavors: tuple[str, ...]
    signature: dict[str, str]
    mlflow: str
    files: tuple[KeptFile, ...]
    number: int | None
    manifest: str | None
    findings: tuple[str, ...]
    at_ms: int
    by: str


def answer(kind: type[T], document: Any, where: str) -> T:
    """What MLflow answered, as a type. Raises SourceError."""
    try:
        return msgspec.convert(document, kind, strict=False)
    except msgspec.ValidationError as error:
        why = f"answered what no MLflow does: {error}"
        raise SourceError(where, why, "Is this the address of an MLflow tracking server?") from None


def identity(server: str, version: ModelVersion) -> str:
    """What a version there is known by here. Runs have ids that no other server has; without a run the server must do."""
    of_what = [version.run_id or server, version.name, version.version]
    return hashlib.sha256(canonical_bytes(of_what)).hexdigest()[:_IDENTITY_HEX_DIGITS]


def run_of(known_by: str, version: ModelVersion) -> str:
    """The `run` of the version here: one for each version there, so that a retry is no second version."""
    return f"mlflow:{version.name}@{version.version}:{known_by}"


def document_name(known_by: str, *, refused: bool) -> str:
    """Where the document of an import is."""
    return f"{IMPORTS}/{known_by}/{'refused' if refused else 'version'}"


def decode_imported(raw: bytes, where: str) -> Imported:
    """Raises FormatError."""
    found: Imported = codec.decode(Imported, raw, where, FORMAT)
    return found


def described(raw: bytes) -> Described:
    """What an `MLmodel` file says; nothing where it cannot be read, since the files are judged by what they are."""
    import yaml

    class Plain(yaml.SafeLoader):
        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            """Merge keys are left, and then refused: merged again and again, a small file fills the memory."""

    try:
        found = yaml.load(raw, Plain)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return Described()
    if not isinstance(found, dict):
        return Described()
    flavors, signature = _within(found, "flavors"), _within(found, "signature")
    example = _within(found, "saved_input_example_info")
    examples = [example.get(key) for key in ("artifact_path", "serving_input_path")]
    return Described(
        tuple(sorted(name for name in flavors if isinstance(name, str))),
        said if isinstance(said := found.get("mlflow_version"), str) else "",  # not `str` of it: that can be huge
        {key: text for key, text in signature.items() if isinstance(key, str) and isinstance(text, str)},
        frozenset(path for path in examples if isinstance(path, str)),
    )


def requirements(raw: bytes) -> dict[str, str]:
    """The packages that are pinned in a `requirements.txt`."""
    pinned = (line.partition("#")[0].strip().partition("==") for line in raw.decode(errors="replace").splitlines())
    found = {name.strip(): version.strip() for name, equals, version in pinned if equals and name.isprintable()}
    return dict(sorted(found.items())[:_REQUIREMENTS_MAX])


def is_model_file(path: str, said: Described) -> bool:
    """Whether a file there is part of the model: neither a description of how to load it nor an example of its input."""
    return path not in _DESCRIBING and path not in said.examples


def measured(metrics: tuple[Metric, ...]) -> dict[str, float | str]:
    """Metrics as JSON can say them: what is no finite number is text."""
    found: dict[str, float | str] = {}
    for each in metrics:
        try:
            value = float(each.value)
        except (TypeError, ValueError, OverflowError):
            found[each.key] = str(each.value)
            continue
        found[each.key] = value if math.isfinite(value) else str(value)
    return found


def bare(uri: str) -> str:
    """An address without user, password, query and fragment."""
    try:
        parts = urllib.parse.urlsplit(uri)
        where = parts.netloc.rpartition("@")[2]
    except ValueError:
        return NO_ADDRESS
    return urllib.parse.urlunsplit((parts.scheme, where, parts.path, "", ""))


def proxied(uri: str, host: str) -> str | None:
    """The path by which the server itself gives out the files at an address, None where they are elsewhere. `host`: of the
    server; files of another server are not asked for, since it would be shown our credentials."""
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme == "mlflow-artifacts" and parts.netloc.rpartition("@")[2] in ("", host):
        return parts.path.strip("/")
    marker = "/api/2.0/mlflow-artifacts/artifacts/"
    if parts.scheme in ("http", "https") and parts.netloc.rpartition("@")[2] == host and marker in parts.path:
        return parts.path.partition(marker)[2].strip("/")
    return None


def _within(document: dict[Any, Any], key: str) -> dict[Any, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}
