"""References of models in the topic of configurations: what a model that is listed no more, or not by this worker's files, was
compared with.

The bytes are kept by their digest, once, and beside each configuration which model has which. Everything is text, for readers
that know nothing of it. What is too large for a record is kept in several.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from monitor.config import Config
from monitor.config.types import ReferenceFile

BYTES, NAMES = b"reference/", b"references/"
"""Beginnings of the keys: of a reference by its digest, and of which model has which, by the digest of the configuration."""
MOST_BYTES = 900_000
"""Of a record of a reference: a broker takes one of a mebibyte unless it is told otherwise."""


def to_keep(config: Config, document: str) -> dict[bytes, bytes]:
    """What is to be kept beside a configuration, by key; nothing where no model has a reference."""
    found = records_of(config.references.values())
    if config.references:
        found[NAMES + document.encode()] = json.dumps(dict(config.reference_digests), sort_keys=True).encode()
    return found


def records_of(files: Iterable[ReferenceFile]) -> dict[bytes, bytes]:
    """The bytes of references as they are kept, by key."""
    return {key: value for file in files for key, value in _records(file)}


def _records(file: ReferenceFile) -> Iterator[tuple[bytes, bytes]]:
    """In one record, or where that is too large in several: `/2-of-3` is the end of the key of the second."""
    packed, key = base64.b64encode(zlib.compress(file.data, 9)).decode(), BYTES + file.digest.encode()
    if len(value := _value("reference", packed)) <= MOST_BYTES:
        yield key, value
        return
    size = MOST_BYTES - len(_value("part", ""))
    parts = [packed[start : start + size] for start in range(0, len(packed), size)]
    for number, part in enumerate(parts, 1):
        yield b"%s/%d-of-%d" % (key, number, len(parts)), _value("part", part)


def _value(name: str, packed: str) -> bytes:
    return json.dumps({"format": 1, name: packed}).encode()


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
    """The reference, where a record of it or a whole set of parts is kept that has the digest. Two builds of zlib may have cut
    the same bytes otherwise, and a writer may have died between two parts: such a set is none."""
    key = BYTES + digest.encode()
    packed = [json.loads(there[key])["reference"]] if key in there else []
    ends = [one.removeprefix(key + b"/").split(b"-of-") for one in there if one.startswith(key + b"/")]
    for of in sorted({int(total) for _, total in ends}):
        parts = [there.get(b"%s/%d-of-%d" % (key, number, of)) for number in range(1, of + 1)]
        if None not in parts:
            packed.append("".join(json.loads(part)["part"] for part in parts if part is not None))
    for one in packed:
        with suppress(zlib.error, ValueError):
            data = zlib.decompress(base64.b64decode(one))
            if (file := ReferenceFile.of(f"the kept reference {digest[:19]}", data)).digest == digest:
                return file
    return None


def is_kept(there: Mapping[bytes, bytes], file: ReferenceFile) -> bool:
    """Whether a reference can be read again from what the topic holds."""
    return _read(there, file.digest) is not None
