"""Many byte strings looked for at once, in the time of one.

Of each string four of its bytes (eight, where it has as many) are its *gram*. All places of a text are hashed by the bytes
there and looked up in one table of bits; only where the bit of a gram is set the strings that have it are compared. So
the time is that of a few passes of numpy over the text, whatever the number of strings, as long as they do not occur.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

import numpy as np

GRAM_BYTES: Final = (8, 4, 2, 1)
_BITS_MIN, _BITS_MAX, _SPARSE_BITS = 12, 26, 5
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)
"""Multiplied by it, the upper bits of a number depend on all of it (Knuth's multiplicative hashing)."""


class Many:
    """Some byte strings, none of them empty. They are kept as they are given, not copied."""

    def __init__(self, strings: Collection[bytes]) -> None:
        self._strings = strings
        by_width: dict[int, list[bytes]] = {}
        for each in strings:
            by_width.setdefault(next(w for w in GRAM_BYTES if w <= len(each)), []).append(each)
        self._grams = [_Grams(width, held) for width, held in sorted(by_width.items(), reverse=True)]

    def places(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Every place where a string begins, and which, in no order."""
        for grams in self._grams:
            for at, spans in grams.places(text):
                for skipped, length in spans:
                    begin = at - skipped
                    if begin >= 0 and (found := text[begin : begin + length]) in self._strings:
                        yield begin, found


Spans = tuple[tuple[int, int], ...]
"""Where a gram stands in strings: bytes before it, and bytes of the whole."""


class _Grams:
    def __init__(self, width: int, strings: list[bytes]) -> None:
        self._width = width
        # First or last bytes, whichever fewer of the strings have: ids often begin, or end, alike.
        common = Counter(gram for each in strings for gram in {each[:width], each[-width:]})
        alike: dict[Spans, Spans] = {}  # there are few of them
        self._spans: dict[bytes, Spans] = {}
        for each in strings:
            skipped = 0 if common[each[:width]] <= common[each[-width:]] else len(each) - width
            gram, span = each[skipped : skipped + width], (skipped, len(each))
            spans = self._spans.get(gram, ())
            if span not in spans:
                spans = (*spans, span)
                self._spans[gram] = alike.setdefault(spans, spans)
        bits = min(max((len(self._spans) - 1).bit_length() + _SPARSE_BITS, _BITS_MIN), _BITS_MAX)
        self._shift = np.uint64(64 - bits)
        self._table = np.zeros(1 << bits, np.bool_)
        self._table[self._hashed(np.frombuffer(b"".join(self._spans), f"<u{width}"))] = True

    def _hashed(self, grams: np.ndarray) -> np.ndarray:
        hashed: np.ndarray = (grams.astype(np.uint64) * _ODD) >> self._shift
        return hashed

    def places(self, text: bytes) -> Iterator[tuple[int, Spans]]:
        """Every place of a gram, and where it stands in strings."""
        width = self._width
        for shift in range(min(width, len(text) - width + 1)):
            grams = np.frombuffer(text, f"<u{width}", (len(text) - shift) // width, shift)
            for place in np.flatnonzero(self._table[self._hashed(grams)]).tolist():
                at = shift + place * width
                if spans := self._spans.get(text[at : at + width]):
                    yield at, spans
