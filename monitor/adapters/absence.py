"""Where ids still are: files and bytes searched as they lie, and inside of what packs them.

Opened and searched inside, one in the other up to `DEPTH_MAX`: gzip, bzip2, xz, zstd, lz4, zip (and what is one: npz, jar,
docx), tar, Parquet, Arrow, SQLite, segments of recordings. Whatever is one of these and cannot be opened (damaged, locked
with a password, a library that is missing) is told as *unsearched*, and so is what is known to pack its bytes in a way that
is not opened here (`_SHUT`): where something is, absence is not proved.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from monitor.adapters.needles import Needles
from monitor.adapters.recording_format import MAGIC, RecordingError, read_blocks
from monitor.errors import MonitorError

DEPTH_MAX: Final = 5
UNPACKED_BYTES_MAX: Final = 8 << 30
"""Of one packed thing. What unpacks to more is told as unsearched."""
_CHUNK: Final = 4 << 20
_MEMORY_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """Ids that are somewhere. `where`: a file, and what of it, without an id; or a partition, and `at`: the offset of the
    record. `ids`: their places in the needles. `whole`: the file of which `where` is a part."""

    where: str
    ids: frozenset[int]
    at: int | None = None
    whole: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Unsearched:
    """Something that could not be looked into."""

    where: str
    why: str


Finding = Found | Unsearched


def search_path(path: Path, needles: Needles) -> Iterator[Finding]:
    """A file, or all files below a folder, links not followed. Names are searched too."""
    files = [path] if not path.is_dir() else sorted(p for p in path.rglob("*") if not p.is_dir() or p.is_symlink())
    for file in files:
        if named := needles.within(str(file.relative_to(path.parent) if file != path else file.name).encode()):
            yield Found(f"{file.parent}: the name of a file", frozenset(named))
        if file.is_symlink() or not file.is_file():
            continue
        try:
            with file.open("rb") as opened:
                yield from search_file(opened, str(file), needles)
        except OSError as error:
            yield Unsearched(str(file), f"it cannot be read: {error.strerror or error}")


def search_bytes(raw: bytes, where: str, needles: Needles, depth: int = 0) -> Iterator[Finding]:
    """Bytes that somebody has read."""
    yield from search_file(io.BytesIO(raw), where, needles, depth)


def search_file(
    file: IO[bytes], where: str, needles: Needles, depth: int = 0, whole: str | None = None
) -> Iterator[Finding]:
    """An open file from its beginning; it must be able to seek."""
    file.seek(0)
    if found := needles.among(iter(lambda: file.read(_CHUNK), b"")):
        yield Found(where, frozenset(found), whole=whole or where)
        return
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    opener = next((opener for is_one, opener in _PACKED if is_one(head)), None)
    if opener is None:
        if shut := next((what for is_one, what in _SHUT if is_one(head)), None):
            yield Unsearched(where, f"it is {shut}, which is not opened")
        return
    if depth >= DEPTH_MAX:
        yield Unsearched(where, f"it is packed more than {DEPTH_MAX} times")
        return
    try:
        for part, inner in opener(file):
            with inner:
                yield from search_file(inner, f"{where}{part}", needles, depth + 1, whole or where)
    except _Unsearchable as error:
        yield Unsearched(where, str(error))
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError) as error:
        yield Unsearched(where, f"it cannot be unpacked: {error}")
    except (RuntimeError, NotImplementedError, sqlite3.Error, MonitorError, msgspec.DecodeError) as error:
        yield Unsearched(where, f"it cannot be opened: {error}")


class _Unsearchable(Exception):
    """Why something cannot be looked into."""


Inner = Iterator[tuple[str, IO[bytes]]]


def _spooled(source: IO[bytes] | Any) -> IO[bytes]:
    """What a stream gives, where it can be read more than once."""
    spool = tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES)  # noqa: SIM115  # whoever gets it reads it
    size = 0
    try:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > UNPACKED_BYTES_MAX:
                raise _Unsearchable(f"it unpacks to more than {UNPACKED_BYTES_MAX >> 30} GiB")
            spool.write(chunk)
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def _gzip(file: IO[bytes]) -> Inner:
    yield " (gzip)", _spooled(gzip.GzipFile(fileobj=file, mode="rb"))


def _bzip2(file: IO[bytes]) -> Inner:
    yield " (bzip2)", _spooled(bz2.BZ2File(file))


def _xz(file: IO[bytes]) -> Inner:
    with lzma.LZMAFile(file) as packed:
        yield " (xz)", _spooled(packed)


def _zstd(file: IO[bytes]) -> Inner:
    yield " (zstd)", _spooled(_arrow("zstd").CompressedInputStream(_arrow("zstd").PythonFile(file, mode="r"), "zstd"))


def _lz4(file: IO[bytes]) -> Inner:
    yield " (lz4)", _spooled(_arrow("lz4").CompressedInputStream(_arrow("lz4").PythonFile(file, mode="r"), "lz4"))


def _zip(file: IO[bytes]) -> Inner:
    with zipfile.ZipFile(file) as packed:
        for member in packed.infolist():
            yield "!name", io.BytesIO(member.filename.encode())
            with packed.open(member) as inner:
                yield f"!{member.filename}", _spooled(inner)


def _tar(file: IO[bytes]) -> Inner:
    with tarfile.open(fileobj=file) as packed:
        for member in packed:
            inner = packed.extractfile(member) if member.isfile() else None
            if inner is not None:
                yield f"!{member.name}", _spooled(inner)


def _parquet(file: IO[bytes]) -> Inner:
    arrow = _arrow("Parquet")
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
        yield " (schema)", io.BytesIO(str(opened.schema_arrow).encode())
        for batch in opened.iter_batches():
            yield from _columns(batch)
    except arrow.ArrowException as error:
        raise _Unsearchable(f"it is no Parquet file that can be read: {error}") from error


def _arrow_file(file: IO[bytes]) -> Inner:
    arrow = _arrow("Arrow")
    try:
        opened = arrow.ipc.open_file(file)
        for place in range(opened.num_record_batches):
            yield from _columns(opened.get_batch(place))
    except arrow.ArrowException as error:
        raise _Unsearchable(f"it is no Arrow file that can be read: {error}") from error


def _columns(batch: Any) -> Inner:
    """Every value of every column, one behind the other with a byte between them."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        values = (v if isinstance(v, bytes) else str(v).encode("utf-8", "surrogatepass") for v in column.to_pylist())
        yield f" (column {name})", io.BytesIO(b"\n".join(values))


def _recording(file: IO[bytes]) -> Inner:
    try:
        for batch in read_blocks(file, "a segment", "a topic", 0):
            yield f" (offsets from {int(batch.offsets[0])})", io.BytesIO(_records(batch))
    except RecordingError as error:
        raise _Unsearchable(error.why) from error


def _records(batch: Any) -> bytes:
    parts: list[bytes] = [*(k or b"" for k in batch.keys), *(v or b"" for v in batch.values)]
    parts += [
        part or b"" for headers in batch.headers for name, held in headers or () for part in (name.encode(), held)
    ]
    return b"\n".join(parts)


def _sqlite(file: IO[bytes]) -> Inner:
    """Every cell: a large value lies in pieces in the file. A copy is looked at, with what its write-ahead log holds."""
    with tempfile.TemporaryDirectory(prefix="driftline-search-") as folder:
        copy = Path(folder) / "copy.db"
        with copy.open("wb") as out:
            while chunk := file.read(_CHUNK):
                out.write(chunk)
        beside = Path(f"{file.name}-wal") if isinstance(getattr(file, "name", None), str) else None
        if beside is not None and beside.is_file():
            Path(f"{copy}-wal").write_bytes(beside.read_bytes())
        db = sqlite3.connect(copy)
        try:
            db.text_factory = bytes
            tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in tables:
                quoted = name.decode().replace('"', '""')
                rows = db.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  # a name that the file itself gave, quoted
                while some := rows.fetchmany(1_000):
                    cells = (c if isinstance(c, bytes) else str(c).encode() for row in some for c in row)
                    yield f" (table {name.decode()})", io.BytesIO(b"\n".join(cells))
        finally:
            db.close()


def _arrow(what: str) -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise _Unsearchable(f"{what} needs pyarrow. Run: pip install 'driftline[datasets]'") from None
    return pa


_AVRO_CODEC: Final = b"avro.codec"
_AVRO_PLAIN: Final = b"avro.codec\x08null"


def _begins(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magic)


_PACKED: Final[tuple[tuple[Callable[[bytes], bool], Callable[[IO[bytes]], Inner]], ...]] = (
    (_begins(b"\x1f\x8b"), _gzip),
    (_begins(b"BZh"), _bzip2),
    (_begins(b"\xfd7zXZ\x00"), _xz),
    (_begins(b"\x28\xb5\x2f\xfd"), _zstd),
    (_begins(b"\x04\x22\x4d\x18"), _lz4),
    (_begins(b"PK\x03\x04", b"PK\x05\x06"), _zip),
    (_begins(b"PAR1"), _parquet),
    (_begins(b"ARROW1"), _arrow_file),
    (_begins(MAGIC), _recording),
    (_begins(b"SQLite format 3\x00"), _sqlite),
    (lambda head: head[257:262] == b"ustar", _tar),
)

_SHUT: Final[tuple[tuple[Callable[[bytes], bool], str], ...]] = (
    (_begins(b"7z\xbc\xaf\x27\x1c"), "a 7z archive"),
    (_begins(b"Rar!\x1a\x07"), "a RAR archive"),
    (_begins(b"\xff\x06\x00\x00sNaPpY"), "framed Snappy"),
    (_begins(b"%PDF-"), "a PDF"),
    (_begins(b"ORC"), "an ORC file"),
    (_begins(b"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
    (lambda head: head.startswith(b"Obj\x01") and _AVRO_CODEC in head and _AVRO_PLAIN not in head, "packed Avro"),
)
