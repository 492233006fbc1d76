"""A model that is compared with a reference comes and goes like any other, however large that is."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from monitor.config import Config
from monitor.config.load import load
from monitor.config.types import ReferenceFile
from monitor.daemon import references
from monitor.daemon.begun import keep_references, kept
from monitor.drift.reference import FirstRows, build_reference
from monitor.ports import OutRecord
from tests.replay.proving import prove, sentences
from tests.simulation.reloading import Files, run, start
from tests.simulation.test_crashes import pace
from tests.simulation.test_models_change import M, a_world, in_order, rosters, text, turn

WITH = f"{M}, {{name: n, reference: n.json}}"


class Folder(Files):
    """A configuration file beside the references that it names."""

    def __init__(self, folder: Path, content: str) -> None:
        super().__init__(content)
        self._folder = folder
        made = build_reference("n", {"hue": ["red", "blue"] * 500}, None, FirstRows("predictions"))
        (folder / "n.json").write_text(made.dumps())

    def read(self) -> Config:
        file = self._folder / "driftline.yaml"
        file.write_text(self.content)
        return load([file])


@pytest.mark.parametrize("most_bytes", [200, references.MOST_BYTES])
def test_a_model_is_taken_out_whose_reference_no_file_names_any_more(
    most_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "MOST_BYTES", most_bytes)
    log = a_world(*in_order(200))
    pace(log, 6)
    files = Folder(tmp_path, text("one", WITH))
    process = start(log, files)
    turn(log, process, 7)
    files.content = text("one", M)
    assert process.reloads is not None
    process.reloads.ask()
    for _ in range(4):
        log.clock.advance(1_500)
        turn(log, process, 1)
    assert (process.counted.roster.number, process.rosters.complaint) == (2, "")
    (tmp_path / "n.json").unlink()
    log.crashed(process)
    run(log, [], files, [])
    parts = [key for key in kept(log, "one.configs") if key.startswith(references.BYTES)]
    assert (len(parts) > 1) is (most_bytes == 200)
    (n,) = [one for one in rosters(log, "one")[-1].models if one.name == "n"]
    assert n.left == 2
    assert sentences(prove(log, files.read()).differences) == []


def file_of(rows: int) -> ReferenceFile:
    made = build_reference("n", {"hue": ["red", "blue", "green"] * rows}, None, FirstRows("predictions"))
    return ReferenceFile.of("n.json", made.dumps().encode())


def test_parts_of_a_writer_who_died_or_compressed_otherwise_are_no_reference_and_are_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(references, "MOST_BYTES", 120)
    file = file_of(500)
    ours = references.records_of([file])
    compress = zlib.compress
    monkeypatch.setattr(zlib, "compress", lambda data, _: compress(data, 1))
    theirs = references.records_of([file])
    assert len(ours) > 2
    assert ours != theirs
    first = next(iter(theirs))
    torn = {**ours, first: theirs[first]}
    assert references.is_kept(ours, file)
    assert references.is_kept(theirs, file)
    assert not references.is_kept({first: theirs[first]}, file)
    assert not references.is_kept(torn, file)
    stray = {b"reference/%s/1-of-99" % file.digest.encode(): theirs[first]}
    assert references.is_kept({**ours, **stray}, file), "a stray part hides no whole set"


def test_a_torn_reference_is_mended_by_the_next_who_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MOST_BYTES", 200)
    config = Folder(tmp_path, text("one", WITH)).read()
    log = a_world(*in_order(10))
    appender, topic = log.appender(), config.topics().configs
    start(log, Folder(tmp_path, text("one", WITH))).close()
    for key in references.records_of(config.references.values()):
        appender.append(topic, 0, OutRecord(b'{"format": 1, "part": "AAAA"}', key))
    (file,) = config.references.values()
    assert not references.is_kept(kept(log, topic), file)
    keep_references(log, appender, config)
    assert references.is_kept(kept(log, topic), file)
