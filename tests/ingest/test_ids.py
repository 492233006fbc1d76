from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from monitor.ingest.ids import hash_text, hash_texts


def test_the_hash_of_an_id_never_changes() -> None:
    # Written down once: the ledger of an old release holds these.
    assert hash_text("a-1") == (14635103761374796305, 11544819422269077304)
    assert hash_text("Grüße") == (4620113761869484502, 7370344823126354186)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_an_id_is_hashed_as_its_utf8_bytes_by_xxh3_128(texts: Any) -> None:
    hashed = hash_texts(texts)
    assert hashed.shape == (len(texts), 2)
    assert hashed.dtype == np.uint64
    for text, row in zip(texts, hashed.tolist(), strict=True):
        digest = xxhash.xxh3_128_digest(text.encode())
        assert row == [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")]


def test_a_lone_surrogate_has_no_hash() -> None:
    with pytest.raises(UnicodeEncodeError):
        hash_texts(["\ud800"])
