"""Ids as 128 bits of hash: what the join keeps instead of the text.

The hash is XXH3-128 of the id's UTF-8 bytes, without a seed, read as two little-endian 64-bit numbers: the same on
every machine, process and version. It is not cryptographic: who may write into the topics may also construct two ids
that collide, and gains no more by it than by writing the same id twice. By chance alone, 10 million ids collide with
a probability below 2**-81.

An integer id is hashed as its decimal text, so `5` and `"5"` are one id.

Why XXH3: 45 ns an id of 36 characters, against 330 for blake2b or MD5 of the same width.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from xxhash import xxh3_128_digest

from monitor.events import UInt64s


def hash_bytes(ids: Iterable[bytes]) -> UInt64s:
    """The (n, 2) hashes of ids given as UTF-8 bytes. The array is read-only."""
    return np.frombuffer(b"".join(map(xxh3_128_digest, ids)), "<u8").astype(np.uint64, copy=False).reshape(-1, 2)


def hash_texts(ids: Iterable[str]) -> UInt64s:
    """The (n, 2) hashes of ids given as text. Raises TypeError unless all are str, UnicodeEncodeError for a lone
    surrogate."""
    return hash_bytes(map(str.encode, ids))


def hash_text(text: str) -> tuple[int, int]:
    """The hash of one id, as two integers."""
    first, second = hash_texts((text,))[0].tolist()
    return first, second


HASH_OF_NOTHING = hash_text("")
"""The hash of the empty text, which is no id."""
