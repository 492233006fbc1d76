"""The config as data: in full, as the part that carries meaning, and their canonical bytes.

Canonical JSON: keys sorted, no spaces, durations and sizes in their one canonical text. Two configs that mean the same
have the same bytes, whatever the order of keys and however a duration was written; only window names stay as written,
because they are part of what is published.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from monitor.config.metric_names import STANDARD

if TYPE_CHECKING:
    from monitor.config.types import Config


OPERATIONAL_TIMES = frozenset({"idle_after", "stalled_after"})
"""Keys of `time` that move no number by themselves: they say when an owner decides, and what he decides is recorded."""

_IDLE_AFTER_ONCE = "30s"
"""Once a part of the meaning. The place is kept, with the default it had, so that digests stay what they were."""


def dumps(data: Any) -> str:
    """Canonical JSON text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(data: Any) -> str:
    """`sha256:…` of the canonical JSON."""
    return digest_bytes(dumps(data).encode())


def digest_bytes(data: bytes) -> str:
    """`sha256:…` of bytes as they are."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def everything(config: Config) -> dict[str, Any]:
    """The config with all defaults, in the form a file would have, secrets replaced by their file or a mask."""
    data: dict[str, Any] = config.model_dump(mode="json", by_alias=True, exclude_none=True)
    if config.kafka is not None:
        properties = config.kafka.shown()
        for key, path in config.kafka.secret_files.items():
            del properties[key]
            properties[f"{key}_file"] = path
        data["kafka"]["properties"] = properties
    if not config.estimates:
        del data["estimates"]  # came later: documents that do not ask for it stay what they were
    if not config.drift.pairs:
        del data["drift"]["pairs"]
    if not config.explanations:
        del data["explanations"]
    template = data.get("unlisted_models")
    for model in (*data["models"], *([template] if isinstance(template, dict) else ())):
        if not model["one_vs_rest"]:
            del model["one_vs_rest"]
    if "upgrade_after_ms" not in config.state.model_fields_set:
        del data["state"]["upgrade_after"]
    for later in ("maintenance", "advisories"):
        if not data[later]:
            del data[later]
    return data


def meaning(config: Config, idle_after: str = _IDLE_AFTER_ONCE) -> dict[str, Any]:
    """The part that gives numbers their meaning. References enter by the digest of their bytes, not by their path;
    labels for people, times of operational alerts and the limits of `quality` do not enter; models and windows are known
    by name, so their order does not matter."""
    data = everything(config)
    models = [_model_meaning(model, config.reference_digests.get(model["name"])) for model in data["models"]]
    template = data.get("unlisted_models", "reject")
    if isinstance(template, dict):
        template = _model_meaning(template, config.reference_digests.get("*"))
    # A section that came later enters only where it says something: older digests stay what they were.
    more = sorted(set(config.drift.carried) - set(STANDARD))
    drift: dict[str, Any] = {"distances": more} if more else {}
    if config.drift.pairs:
        drift["pairs"] = sorted(list(pair) for pair in config.drift.pairs)
    return {
        **({"drift": drift} if drift else {}),
        **({"estimates": True} if config.estimates else {}),
        "format": 1,
        "streams": {name: _stream_meaning(stream) for name, stream in data["streams"].items()},
        "time": {key: value for key, value in data["time"].items() if key not in OPERATIONAL_TIMES}
        | {"idle_after": idle_after},
        "models": sorted(models, key=lambda model: str(model["name"])),
        "unlisted_models": template,
        "windows": sorted(data["windows"], key=dumps),
    }


OF_A_PROCESS = frozenset({"kafka", "http", "state", "dead_letters", "series_budget"})
"""Sections in which processes of one namespace may differ."""


def of_all(config: Config) -> dict[str, Any]:
    """The part in which all processes of a namespace have to agree: what `meaning` holds, and what is judged and told. The order
    of models, rules and windows does not matter."""
    data = {key: value for key, value in everything(config).items() if key not in OF_A_PROCESS}
    ordered = {key: sorted(value, key=dumps) if isinstance(value, list) else value for key, value in data.items()}
    return ordered | {"references": dict(config.reference_digests)}


def _stream_meaning(stream: dict[str, Any]) -> dict[str, Any]:
    """Where the records of a topic were copied from changes nothing in them."""
    return {key: value for key, value in stream.items() if key != "rekey"}


def sections(config: Config, begun: Config | None = None) -> dict[str, str]:
    """By listed model the digest of what its section says about rows, its reference included where that was loaded. `begun`: the
    configuration that its namespace was begun with. What is no part of a section and differs from that one enters."""
    then = config if begun is None else begun
    return {
        model["name"]: digest(
            _model_meaning(model, config.reference_digests.get(model["name"])) | _since(model, config, then)
        )
        for model in everything(config)["models"]
    }


def _since(model: dict[str, Any], config: Config, then: Config) -> dict[str, Any]:
    """What is said elsewhere about the rows of a model, as far as another configuration says otherwise."""
    own, other = _shared(model, config), _shared(model, then)
    return {key: value for key, value in own.items() if value != other[key]}


def _shared(model: dict[str, Any], config: Config) -> dict[str, Any]:
    """What a configuration says outside of a model's section about its rows."""
    mapped, watched = config.streams.predictions.features, set(model["features"])
    read = sorted({*watched, *model.get("segments", ())} & mapped.keys())
    return {
        "distances": sorted(config.drift.carried) if watched or "reference" in model else [],
        "pairs": sorted(list(pair) for pair in config.drift.pairs if watched.issuperset(pair)),
        "estimates": config.estimates,
        "sources": {name: mapped[name].model_dump(mode="json", by_alias=True) for name in read},
    }


def _model_meaning(model: dict[str, Any], reference_digest: str | None) -> dict[str, Any]:
    kept = {key: value for key, value in model.items() if key not in ("labels", "reference", "quality")}
    declared = {
        name: {key: feature[key] for key in ("min", "max", "values") if key in feature}
        for name, feature in model.get("quality", {}).get("features", {}).items()
    }
    if declared:
        kept["quality"] = declared
    return kept if reference_digest is None else {**kept, "reference": reference_digest}
