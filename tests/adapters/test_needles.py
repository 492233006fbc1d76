"""Ids are found in every form that is promised, in the time of one, and nothing else is."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import random
import time
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.adapters.many import Many
from monitor.adapters.needle_forms import bare, exact_forms
from monitor.adapters.needles import OVERLAP_BYTES, Needles
from monitor.ingest.ids import hash_text, hash_texts

ID = 'ada/"ü"-77'
NEEDLES = Needles(["nobody", ID])


@pytest.mark.parametrize(
    "raw",
    [
        ID.encode(),
        json.dumps({"id": ID}).encode(),
        json.dumps({"id": ID}, ensure_ascii=False).encode(),
        json.dumps({"id": ID}).replace("/", "\\/").encode(),
        b"GET /who?id=ada%2F%22%C3%BC%22-77&x=1",
        hash_texts([ID]).tobytes(),
        b"%016x%016x" % hash_text(ID),
        b"%016x" % hash_text(ID)[0],
        hash_texts([ID]).tobytes().hex().upper().encode(),
        hash_texts([ID]).tobytes()[:8].hex().encode(),
        b'{"id_hash": "%s"}' % base64.b64encode(hash_texts([ID]).tobytes()),
        base64.urlsafe_b64encode(hash_texts([ID]).tobytes()).rstrip(b"="),
        ID.encode().hex().encode(),
        b"0x" + ID.encode().hex().upper().encode(),
        b"\\x" + ID.encode().hex().encode(),
        hash_text(ID)[0].to_bytes(8, "big"),
        "".join(f"\\u{ord(c):04x}" for c in ID).encode(),
        "".join(f"\\x{c:02x}" for c in ID.encode()).encode(),
        b'ada/\\u0022\\u00FC\\"-77',
        json.dumps(json.dumps({"id": ID})).encode(),
        json.dumps(f"to\n{ID}\tfrom").encode(),
        urllib.parse.quote(json.dumps({"id": ID})).encode(),
        urllib.parse.quote(urllib.parse.quote(ID)).lower().encode(),
        html.escape(ID).encode(),
        "".join(f"&#x{ord(c):x};" for c in ID).encode(),
        b"ada/&quot;&uuml;&#34;-77",
        html.escape(json.dumps({"id": ID})).encode(),
        b'"ada/""\xc3\xbc""-77",5',
        ID.encode("latin-1"),
        'ada/"u\u0308"-77'.encode(),
        *(f'{{"id": "x", "of": "{ID}"}}'.encode(f"utf-{bits}-{order}e") for bits in (16, 32) for order in "lb"),
        *(base64.b64encode(f"{' ' * shift}{ID} and so on".encode()) for shift in range(3)),
        base64.urlsafe_b64encode(json.dumps({"id": ID}, ensure_ascii=False).replace("\\", "").encode()).rstrip(b"="),
        urllib.parse.quote(base64.b64encode(ID.encode())).encode(),
    ],
)
def test_an_id_is_found_in_every_form(raw: bytes) -> None:
    assert NEEDLES.within(b"before " + raw + b" behind") == [1]
    assert NEEDLES.within(raw) == [1]


def test_a_longer_word_is_another_id() -> None:
    one = Needles(["ab1"])
    assert [bool(one.within(raw)) for raw in (b"ab1", b"xab1", b"ab12", b"ab1_", b'"ab1"', b"-ab1-", b"ab12 ab1")] == [
        True, False, False, False, True, True, True,
    ]  # fmt: skip


@given(st.integers(0, 40), st.lists(st.integers(1, 30), max_size=8))
@example(0, [1])
@example(0, [5, 3])
def test_where_a_stream_is_cut_does_not_matter(before: int, cuts: list[int]) -> None:
    raw, chunks = b"." * before + ID.encode() + b".", []
    for cut in cuts:
        chunks.append(raw[:cut])
        raw = raw[cut:]
    assert NEEDLES.among([*chunks, raw]) == {1}


@pytest.mark.parametrize(
    "text", ["ada-1", "p7@example.com", "user 12", "5", "12", "123", "ab\\n1", "1+1=2", "a%20b", "'x'"]
)
def test_ids_of_every_kind_are_found_in_what_writes_them(text: str) -> None:
    one, table = Needles([text]), io.StringIO()
    csv.writer(table, quoting=csv.QUOTE_ALL).writerow(["before", text, "behind"])
    written = (
        text, json.dumps([text]), json.dumps(json.dumps([text])), json.dumps(f"\n{text}\t"), repr([text]), table.getvalue(),
        urllib.parse.urlencode({"a": text}), f"q=%20{urllib.parse.quote(text)}", html.escape(f"<a b='{text}'>"),
        f"INSERT INTO x VALUES ('{text.replace(chr(39), chr(39) * 2)}')",
    )  # fmt: skip
    for each in written:
        assert one.within(each.encode()) == [0], each


def test_beside_a_letter_it_is_another_id_in_every_encoding() -> None:
    one = Needles(["ada-10"])
    for beside in ("xada-10", "ada-101", "_ada-10_"):
        for bits, order in ((16, "l"), (16, "b"), (32, "l"), (32, "b")):
            assert one.within(f"- {beside} -".encode(f"utf-{bits}-{order}e")) == []
        for shift in range(3):
            assert one.within(base64.b64encode(f"{'.' * shift}- {beside} -".encode())) == []
        assert one.within(json.dumps(f"\n{beside}\n").encode()) == []
        assert one.within(urllib.parse.quote(f" {beside} ").encode()) == []


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
@example([7])
def test_what_a_cut_leaves_of_a_longer_word_is_not_the_id(cuts: list[int]) -> None:
    raw, chunks = b"- ab1234567890 xab1 -", []
    for cut in cuts:
        chunks.append(raw[:cut])
        raw = raw[cut:]
    assert Needles(["ab1"]).among([*chunks, raw]) == set()


def test_no_form_is_longer_than_pieces_overlap() -> None:
    for longest in ("ü" * 300, "a" * 4_000):
        overlap = Needles([longest]).overlap_bytes
        assert max(len(form) for form, _ in exact_forms(longest)) < overlap
        assert len("".join(f"&#x{ord(c):04x};" for c in longest)) < overlap
    assert Needles(["ada-1"]).overlap_bytes == OVERLAP_BYTES


def test_layers_of_escapes_are_undone_and_nothing_is_undone_for_ever() -> None:
    layers = [b"a", b"%61", b"%2561", b"%252561", b"%25252561"]
    assert [bare(each) for each in layers] == [b"a", b"a", b"a", b"a", b"%61"]


records = st.lists(
    st.lists(st.sampled_from(["ab1", "ab2", "x", " ", "\\", "%20", "&quot;", "\\u0061b1", "\n", '"']), max_size=6).map(
        lambda parts: "".join(parts).encode()
    ),
    max_size=8,
)


@given(records)
def test_many_records_at_once_are_the_same_as_each_by_itself(raws: list[bytes]) -> None:
    some = Needles(["ab1", "ab2", "1 x", "ab1\nab2"])
    expected = {place: set(found) for place, raw in enumerate(raws) if (found := some.within(raw))}
    assert some.each(raws) == expected


@given(st.sets(st.binary(min_size=1, max_size=20), max_size=6), st.lists(st.integers(0, 5), max_size=8), st.binary())
def test_many_strings_are_found_wherever_they_are(strings: set[bytes], order: list[int], between: bytes) -> None:
    held = sorted(strings)
    text = between.join(held[each % len(held)] for each in order) if held else between
    expected = {(at, each) for each in held for at in range(len(text)) if text.startswith(each, at)}
    assert set(Many(held).places(text)) == expected


def test_a_thousand_ids_take_little_longer_than_one() -> None:
    raw = "\n".join(
        json.dumps({"id": f"user-{i:08d}", "score": random.Random(i).random()}) for i in range(40_000)
    ).encode()
    few, many = Needles(["user-99999999"]), Needles([f"user-{i:08d}" for i in range(1_000_000, 1_001_000)])
    took = []
    for needles in (few, many):
        best = float("inf")
        for _ in range(3):
            begun = time.process_time()
            assert needles.within(raw) == []
            best = min(best, time.process_time() - begun)
        took.append(best)
    assert took[1] < 20 * took[0], "it was a thousand times"
