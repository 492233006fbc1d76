"""A step's files, to a pod and back by way of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.carrying import fetch, give, has_result, send, take
from pipelines.errors import FormatError, StepFailed
from tests.pipelines.memory import MemoryStore

GOLDEN = (
    b'{"files":[{"hex":"2689367b205c16ce32ed4200942b8b8b1e262dfc70d9bc9fbc77c49699a4f1df","path":"out/model/a.json",'
    b'"size_bytes":2}],"format":1}'
)


def out(directory: Path, **files: str) -> Path:
    (directory / "out/model").mkdir(parents=True)
    for name, text in files.items():
        (directory / "out/model" / f"{name}.json").write_text(text)
    return directory


def test_what_is_sent_is_what_is_fetched(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "here/in/model/deep").mkdir(parents=True)
    (tmp_path / "here/in/spec.json").write_text("{}")
    (tmp_path / "here/in/model/deep/m").write_bytes(bytes(range(256)))
    digest = send(store, tmp_path / "here")
    assert send(store, tmp_path / "here") == digest, "the same files are the same work"
    (tmp_path / "there").mkdir()
    fetch(store, digest, tmp_path / "there")
    assert (tmp_path / "there/in/spec.json").read_text() == "{}"
    assert (tmp_path / "there/in/model/deep/m").read_bytes() == bytes(range(256))
    assert (tmp_path / "there/out/model").is_dir()


def test_the_first_result_counts_and_is_written_as_it_always_was(tmp_path: Path) -> None:
    store = MemoryStore()
    assert has_result(store, "n") is False
    assert give(store, "n", out(tmp_path / "one", a="ok"))
    assert not give(store, "n", out(tmp_path / "two", a="no"))
    assert store.documents["steps/n"] == GOLDEN
    assert has_result(store, "n")
    take(store, "n", tmp_path / "back")
    assert (tmp_path / "back/out/model/a.json").read_text() == "ok"
    store.blobs.clear()
    assert has_result(store, "n") is None


def test_a_step_that_makes_its_output_a_link_brings_nothing_from_where_it_leads(tmp_path: Path) -> None:
    store = MemoryStore()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/credentials").write_text("of the carrier")
    (tmp_path / "job").mkdir()
    (tmp_path / "job/out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StepFailed, match="is no directory of the step's own"):
        give(store, "n", tmp_path / "job")
    assert (store.documents, store.blobs) == ({}, {})


def test_a_result_keeps_nothing_from_being_collected(tmp_path: Path) -> None:
    store = MemoryStore()
    give(store, "n", out(tmp_path, a="ok"))
    assert b"sha256:" not in store.documents["steps/n"]


@pytest.mark.parametrize("path", ["../in/x", "/etc/passwd", "out/../../x", "out", "in/x", "out//x", "out/./x"])
def test_a_list_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    store = MemoryStore()
    store.documents["steps/n"] = GOLDEN.replace(b"out/model/a.json", path.encode())
    store.put_blob([b"ok"])
    with pytest.raises(FormatError, match="leads out of 'out'"):
        take(store, "n", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_list_is_refused_with_advice(tmp_path: Path) -> None:
    store = MemoryStore()
    store.documents["steps/n"] = GOLDEN.replace(b'"format":1', b'"format":2')
    with pytest.raises(FormatError, match=r"has format 2.*Run the version"):
        take(store, "n", tmp_path)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (out(tmp_path) / "out/model/m").symlink_to("/etc/hostname")
    with pytest.raises(StepFailed, match="is no regular file"):
        give(MemoryStore(), "n", tmp_path)
