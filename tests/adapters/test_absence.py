"""Ids are found in whatever holds them, and what cannot be searched is told."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.adapters.absence import DEPTH_MAX, Found, Unsearched, search_bytes, search_path
from monitor.adapters.needles import Needles
from monitor.ingest.ids import hash_text
from pipelines.dataset.parquet import to_parquet
from tests.pipelines.dataset.rows import table

ID = 'ada/"ü"-77'
NEEDLES = Needles(["nobody", ID])
FOUND = frozenset({1})


def _sqlite(raw: bytes, tmp_path: Path) -> bytes:
    path = tmp_path / "x.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE records (value BLOB)")
    # Larger than a page, and the id across the boundary of one: its bytes are not side by side in the file.
    for shift in range(4_000, 4_100):
        db.execute("INSERT INTO records VALUES (?)", (b"x" * shift + b" " + raw + b" " + b"y" * 9_000,))
    db.commit()
    db.close()
    return path.read_bytes()


def _zip(raw: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a", b"nothing")
        packed.writestr("b", raw)
    return out.getvalue()


def _tar(raw: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        member = tarfile.TarInfo("b")
        member.size = len(raw)
        packed.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def _zstd(raw: bytes) -> bytes:
    return bytes(pa.compress(raw, "zstd", asbytes=True))


def _parquet(raw: bytes) -> bytes:
    out = io.BytesIO()
    pq.write_table(
        pa.table({"x": [raw.decode()] * 50, "y": list(range(50))}), out, compression="zstd", write_statistics=False
    )
    return out.getvalue()


def _arrow(raw: bytes) -> bytes:
    out = io.BytesIO()
    column = pa.table({"x": pa.array([raw.decode()] * 50)})
    with pa.ipc.new_file(out, column.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
        file.write_table(column)
    return out.getvalue()


def _npz(raw: bytes) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, x=np.array([raw.decode("latin-1")] * 9), y=np.arange(3))
    return out.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": _zstd, "zip": _zip, "tar in gzip": _tar,
    "parquet": _parquet, "arrow": _arrow, "gzip in zip in zstd": lambda raw: _zstd(_zip(gzip.compress(raw))),
}  # fmt: skip


@pytest.mark.parametrize("how", PACKED)
def test_an_id_is_found_inside_of_what_packs_it(how: str) -> None:
    # Letters of few kinds in no order: they are packed by their frequency, and nothing stays as it was written.
    around = ["".join(random.Random(seed).choices("aaaabbcd ", k=2_000)) for seed in (1, 2)]
    text = f"{around[0]} {ID} {around[1]}".encode()
    packed = PACKED[how](text)
    assert ID.encode() not in packed
    (found,) = search_bytes(packed, "here", NEEDLES)
    assert isinstance(found, Found)
    assert (found.where.startswith("here"), found.ids) == (True, FOUND)
    assert list(search_bytes(PACKED[how](text.replace(ID.encode(), b"Grace")), "here", NEEDLES)) == []


def test_an_id_is_found_inside_of_lz4() -> None:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "lz4") as packed:
        packed.write(f"{ID[:-3]} was there before, {'-' * 40} {ID} and is here still".encode())
    raw = out.getvalue().to_pybytes()
    assert ID.encode() not in raw
    assert list(search_bytes(raw, "here", NEEDLES)) == [Found("here (lz4)", FOUND)]


def test_an_id_is_found_in_a_database_where_its_bytes_lie_apart(tmp_path: Path) -> None:
    packed = _sqlite(ID.encode(), tmp_path)
    found = [each for each in search_bytes(packed, "here", NEEDLES) if isinstance(each, Found)]
    assert found
    assert list(search_bytes(_sqlite(b"Grace", tmp_path / ".."), "here", NEEDLES)) == []


def test_hashes_are_found_in_the_segments_of_datasets() -> None:
    first, second = hash_text(ID)
    packed = to_parquet(table([((first << 64) + second, 5, 0.5, "x"), (9, 1, 0.1, "y")]))
    (found,) = search_bytes(packed, "segment", NEEDLES)
    assert isinstance(found, Found)
    assert found.ids == FOUND
    assert list(search_bytes(to_parquet(table([(9, 1, 0.1, "y")])), "segment", NEEDLES)) == []


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (gzip.compress(b"x" * 1_000, mtime=0)[:-12], "it cannot be unpacked"),
        (b"PAR1 and no more", "it is no Parquet file that can be read"),
        (b"\x28\xb5\x2f\xfd broken", "it cannot be unpacked"),
        (b"PK\x03\x04 broken", "it cannot be unpacked: File is not a zip file"),
        (b"SQLite format 3\x00 broken", "it cannot be opened"),
        (b"DRIFTREC\x01\x02", "the header of the block at byte 9 is cut off"),
        (b"DRIFTREC\x63", "its format is 99"),
        (b"%PDF-1.7\n%", "it is a PDF, which is not opened"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "it is a 7z archive"),
        (b"Obj\x01\x04\x14avro.codec\x0edeflate", "it is packed Avro"),
    ],
)
def test_what_cannot_be_opened_is_told_and_proves_nothing(raw: bytes, why: str) -> None:
    (found,) = search_bytes(raw, "here", NEEDLES)
    assert isinstance(found, Unsearched)
    assert why in found.why


def test_avro_that_is_not_packed_is_searched_as_it_is() -> None:
    plain = b"Obj\x01\x04\x14avro.codec\x08null" + b"\x00" * 16
    assert list(search_bytes(plain, "here", NEEDLES)) == []
    assert list(search_bytes(plain + ID.encode(), "here", NEEDLES)) == [Found("here", FOUND)]


def test_what_is_packed_too_often_is_told() -> None:
    raw = ID.encode()
    for _ in range(DEPTH_MAX + 1):
        raw = gzip.compress(raw)
    (found,) = search_bytes(raw, "here", NEEDLES)
    assert found == Unsearched("here" + " (gzip)" * DEPTH_MAX, f"it is packed more than {DEPTH_MAX} times")


def test_names_of_files_are_searched_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_bytes(b"plain ab1")
    folder = tmp_path / "within"
    folder.mkdir()
    (folder / "row-ab1.json").write_bytes(b"{}")
    (folder / "link").symlink_to(tmp_path / "outside.txt")
    found = list(search_path(folder, Needles(["ab1"])))
    assert found == [Found(f"{folder}: the name of a file", frozenset({0}))]
