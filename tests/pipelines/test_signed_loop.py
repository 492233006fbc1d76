"""A loop that has a key signs the versions that it registers and the moves that it makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.driving import driftline
from tests.pipelines.test_cli import Desk


def test_what_the_loop_registers_and_promotes_is_signed_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, key, trust = Desk(tmp_path), tmp_path / "robot.key", tmp_path / "trust.yaml"
    public = driftline("registry", "keygen", key).out.strip()
    rule = {"versions": ["robot"], "moves": ["robot"]}
    trust.write_text(yaml.safe_dump({"keys": {"robot": {"public": public}}, "models": {"flights": rule}}))
    monkeypatch.setenv("DRIFTLINE_SIGNING_KEY", str(key))
    assert desk.round("run", "--once").code == 0
    (run,) = desk("list", "-o", "json").lines
    assert desk("approve", run["run"], "--reason", "fine", "--actor", "eve").code == 0
    assert "version 1 is champion" in desk.round("run", "--once").out
    monkeypatch.delenv("DRIFTLINE_SIGNING_KEY")
    verified = driftline(
        "registry", "verify", "flights@champion", "--trust", trust, "--store", desk.directory / "store"
    )
    assert verified.code == 0, verified.err
    assert "flights@1 is signed by robot" in verified.err
    assert "flights@champion is signed by robot" in verified.err


def test_a_key_that_cannot_be_used_ends_a_round_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    monkeypatch.setenv("DRIFTLINE_SIGNING_KEY", str(tmp_path / "none.key"))
    done = desk.round("run", "--once")
    assert done.code != 0
    assert "none.key' cannot be read: No such file" in done.err
