"""References of models in the topic of configurations: what a model that is listed no more, or not by this worker's files, was
compared with.

The bytes are kept by their digest, once, and beside each configuration which model has which. Everything is text, for readers
that know nothing of it.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Mapping

from monitor.config import Config
from monitor.config.types import ReferenceFile

BYTES, NAMES = b"reference/", b"references/"
"""Beginnings of the keys: of a reference by its digest, and of which model has which, by the digest of the configuration."""
MOST_BYTES = 900_000
"""Of a reference as it is kept: a broker takes a record of a mebibyte unless it is told otherwise."""

_log = logging.getLogger("driftline.config")


def to_keep(config: Config, document: str) -> dict[bytes, bytes]:
    """What is to be kept beside a configuration, by key; nothing where no model has a reference."""
    found: dict[bytes, bytes] = {}
    for name, file in config.references.items():
        packed = base64.b64encode(zlib.compress(file.data, 9)).decode()
        value = json.dumps({"format": 1, "reference": packed}).encode()
        if len(value) > MOST_BYTES:
            _log.warning(
                "the reference of model %r is %d bytes as it would be kept in %s, more than %d: it is not kept, so a worker "
                "whose configuration does not list the model cannot count it",
                name,
                len(value),
                config.topics().configs,
                MOST_BYTES,
            )
            continue
        found[BYTES + file.digest.encode()] = value
    if config.references:
        found[NAMES + document.encode()] = json.dumps(dict(config.reference_digests), sort_keys=True).encode()
    return found


def of(there: Mapping[bytes, bytes], document: str, held: Config, own: Config) -> dict[str, ReferenceFile]:
    """The references of the models of a kept configuration, as far as they are known: those that were kept with it, else the
    worker's own of the same model. `there`: what the topic holds."""
    names: dict[str, str] = json.loads(there.get(NAMES + document.encode(), b"{}"))
    found: dict[str, ReferenceFile] = {}
    wanted = [model.name for model in held.models if model.reference is not None]
    wanted += ["*"] if own.unlisted_models is not None else []
    for name in wanted:
        mine = own.references.get(name)
        if mine is not None and names.get(name, mine.digest) == mine.digest:
            found[name] = mine
        elif (file := _read(there, names.get(name, ""))) is not None:
            found[name] = file
    return found


def _read(there: Mapping[bytes, bytes], digest: str) -> ReferenceFile | None:
    value = there.get(BYTES + digest.encode())
    if value is None:
        return None
    data = zlib.decompress(base64.b64decode(json.loads(value)["reference"]))
    return ReferenceFile(f"the kept reference {digest[:19]}", data, digest)
