"""A model that is compared with a reference comes and goes like any other, however large that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.config import Config
from monitor.config.load import load
from monitor.daemon import references
from monitor.daemon.begun import kept
from monitor.drift.reference import FirstRows, build_reference
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
