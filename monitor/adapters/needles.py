r"""Ids to be found again, in whatever form they were written: what redaction and the proof of absence look for.

An id is found as text where no letter, digit or `_` stands right beside it: in UTF-8, UTF-16, UTF-32 and Latin-1, within Base64,
and under the escapes of JSON, URLs, HTML, CSV and string literals, up to three of them one in the other; those of six bytes
or more in hexadecimal too. It is found as its hash as well: the 128 bits as bytes, their first half as bytes in either
order, either written out in hexadecimal, the whole in Base64. So `5` is found in `{"hour": 5}` too: of short ids what is found
need not be the id. What is not found: an id that was encrypted, cut, written in other case, or hashed by somebody else; one
with a line break within it (Base64 of mails, quoted-printable); ids of less than four characters in UTF-16, and of less
than six bytes in Base64.

The time does not depend on how many ids there are; the memory does, some 8 KiB for each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from monitor.adapters.many import Many
from monitor.adapters.needle_forms import Check, bare, bare_forms, exact_forms, has_escapes
from monitor.ingest.ids import hash_text

OVERLAP_BYTES: Final = 4_096
"""More than any form of an id that is looked for, unless ids are very long: pieces of a stream overlap by it."""
_FORM_RATIO_MAX: Final = 16
"""Bytes that a byte of an id may have become: `&#x0061;` twice over."""
_APART: Final = b"\n"


class Needles:
    """Some ids, each in all of its forms. Their order is that of `ids`; places in it stand for the ids in findings."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.ids = tuple(dict.fromkeys(ids))
        self.texts = frozenset(self.ids)
        self.hashes = tuple(hash_text(each) for each in self.ids)
        self._raw = tuple(each.encode() for each in self.ids)
        self._exact, self._bare = _Forms(self.ids, exact_forms), _Forms(self.ids, bare_forms)
        self.overlap_bytes = max(OVERLAP_BYTES, _FORM_RATIO_MAX * max(map(len, self._raw), default=0))

    def __len__(self) -> int:
        return len(self.ids)

    def within(self, raw: bytes | memoryview) -> list[int]:
        """Which of the ids are in these bytes."""
        return sorted(self._among(bytes(raw), begins=True, ends=True))

    def among(self, chunks: Iterable[bytes]) -> set[int]:
        """Which of the ids are in a stream of bytes, wherever it was cut."""
        found: set[int] = set()
        for piece, begins, ends in overlapping(chunks, self.overlap_bytes):
            if len(found) == len(self.ids):
                break
            found |= self._among(piece, begins=begins, ends=ends)
        return found

    def each(self, raws: Sequence[bytes]) -> dict[int, set[int]]:
        """Which of the ids are in each of many byte strings; by place of those that hold some. All are looked at as one."""
        found = self._in_each(self._exact, raws)
        if has_escapes(_APART.join(raws)):
            escaped = [place for place, raw in enumerate(raws) if has_escapes(raw)]
            for place, ids in self._in_each(self._bare, [bare(raws[place]) for place in escaped]).items():
                found.setdefault(escaped[place], set()).update(ids)
        return found

    # ------------------------------------------------------------------------------------------------------- within

    def _among(self, held: bytes, *, begins: bool, ends: bool) -> set[int]:
        """Which are in a piece of a stream. What touches a cut is left: the piece before or behind has it whole."""
        found: set[int] = set()
        texts = [(self._exact, held)]
        if has_escapes(held):
            texts.append((self._bare, bare(held)))
        for forms, text in texts:
            for at, end, place in forms.found(text, self._raw, found.__contains__):
                if (at > 0 or begins) and (end < len(text) or ends):
                    found.add(place)
        return found

    def _in_each(self, forms: _Forms, raws: Sequence[bytes]) -> dict[int, set[int]]:
        begins = [0, *accumulate(len(raw) + len(_APART) for raw in raws)]
        found: dict[int, set[int]] = {}
        for at, end, place in forms.found(_APART.join(raws), self._raw):
            which = bisect_right(begins, at) - 1
            if end <= begins[which] + len(raws[which]):
                found.setdefault(which, set()).add(place)
        return found


class _Forms:
    """All forms of some ids, in one place."""

    def __init__(self, ids: Sequence[str], forms: Callable[[str], Iterator[tuple[bytes, Check]]]) -> None:
        self._held: dict[bytes, tuple[tuple[int, Check], ...]] = {}
        for place, text in enumerate(ids):
            alike: dict[Check, tuple[tuple[int, Check], ...]] = {}  # most forms of an id are of one or two checks
            for form, check in dict.fromkeys(forms(text)):
                if form:
                    one = alike.setdefault(check, ((place, check),))
                    self._held[form] = (*self._held[form], *one) if form in self._held else one
        self._many = Many(self._held)

    def found(
        self, text: bytes, ids: Sequence[bytes], known: Callable[[int], bool] = lambda _: False
    ) -> Iterator[tuple[int, int, int]]:
        """Begin, end and id of every form that stands where it is that id; not of those that are known by now."""
        for at, form in self._many.places(text):
            end = at + len(form)
            for place, check in self._held[form]:
                if not known(place) and check(text, at, end, ids[place]):
                    yield at, end, place


def overlapping(chunks: Iterable[bytes], overlap_bytes: int = OVERLAP_BYTES) -> Iterator[tuple[bytes, bool, bool]]:
    """The pieces of a stream, each with the end of the one before it; whether it is from the beginning, and to the end."""
    tail, begins = b"", True
    waiting: bytes | None = None
    for chunk in chunks:
        if waiting is not None:
            yield waiting, begins, False
            begins, tail = begins and len(waiting) <= overlap_bytes, waiting[-overlap_bytes:]
        waiting = tail + chunk
    if waiting is not None:
        yield waiting, begins, True
