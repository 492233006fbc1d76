"""`driftline record` over a deployment that has run, and what `replay` makes of the recording."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monitor.adapters import recorder
from tests.cli.conftest import Deployment
from tests.cli.driving import driftline


@pytest.fixture(scope="module")
def recording(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole deployment with its decisions."""
    folder = tmp_path_factory.mktemp("recordings") / "all"
    made = driftline("record", *deployment.where, "--to", folder, "--decisions")
    assert made.code == 0, made.err
    assert "records of 8 topics recorded in" in made.err
    return folder


def test_show_tells_topics_ranges_and_times(recording: Path, deployment: Deployment) -> None:
    shown = driftline("record", "show", recording, "-o", "json").json
    assert (shown["format"], shown["namespace"]) == (1, "small")
    topics = {topic["name"]: topic for topic in shown["topics"]}
    sent = len(deployment.predictions.read_text().splitlines()) + 3
    assert (
        topics["flights.predictions"]["records"]
        == sent
        == sum(b - a for a, b in topics["flights.predictions"]["ranges"])
    )
    assert topics["flights.labels"]["timestamp_type"] == "CreateTime"
    assert {t["role"] for t in shown["topics"]} == {
        "predictions", "labels", "ledger", "evals", "configs", "windows", "alerts", "alerts_state",
    }  # fmt: skip
    table = driftline("record", "show", recording)
    assert "flights.predictions" in table.out
    assert shown["digest"] in table.out


def test_verify_finds_every_row_and_names_a_file_that_was_changed(recording: Path, tmp_path: Path) -> None:
    import shutil

    fine = driftline("record", "verify", recording, "-o", "json")
    assert (fine.code, fine.json["intact"]) == (0, True)
    copy = tmp_path / "copy"
    shutil.copytree(recording, copy)
    victim = min((copy / "topics" / "flights.labels").rglob("*.seg"))
    raw = bytearray(victim.read_bytes())
    raw[len(raw) // 2] ^= 1
    victim.write_bytes(raw)
    found = driftline("record", "verify", copy)
    assert (found.code, found.out) == (1, "")
    assert f"{victim}: the file is damaged: the checksum of the block at byte" in found.err


def test_a_flipped_byte_is_named_by_replay_too(recording: Path, deployment: Deployment, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(recording, copy)
    victim = min((copy / "topics" / "flights.predictions").rglob("*.seg"))
    raw = bytearray(victim.read_bytes())
    raw[-5] ^= 1
    victim.write_bytes(raw)
    for options in (("--verify",), ("--verify", "--without-decisions"), ()):
        found = driftline("replay", "-c", deployment.config, "--recording", copy, *options, "-q")
        assert found.code == 1
        assert f"{victim}: the file is damaged" in found.err


def test_a_range_is_what_was_asked_for(deployment: Deployment, tmp_path: Path) -> None:
    bounds = ("--from", "flights.predictions:0=10", "--until", "flights.predictions=40", "--until", "flights.labels=0")
    assert driftline("record", *deployment.where, "--to", tmp_path / "r", *bounds, "-q").code == 0
    topics = driftline("record", "show", tmp_path / "r", "-o", "json").json["topics"]
    assert [(t["name"], t["ranges"]) for t in topics] == [
        ("flights.predictions", [[10, 40], [0, 40]]),
        ("flights.labels", [[0, 0], [0, 0]]),
    ]
    assert driftline("record", *deployment.where, "--to", tmp_path / "s", "--until", "2001-01-01", "-q").code == 0
    assert [t["records"] for t in driftline("record", "show", tmp_path / "s", "-o", "json").json["topics"]] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "yesterday"), "'yesterday' is no time"),
        (
            ("--from", "small.ledger=1"),
            "'small.ledger' is not read here; there are flights.predictions, flights.labels",
        ),
        (("--from", "flights.labels:9=1"), "topic 'flights.labels' has partitions 0 to 1, not 9"),
        (("--until", "flights.labels=10000000"), "topic 'flights.labels' partition 0 holds offsets [0, "),
        (("--resume", "--decisions"), "--resume goes on over what was said"),
    ],
)
def test_what_cannot_be_recorded_is_a_usage_error(
    deployment: Deployment, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    refused = driftline("record", *deployment.where, "--to", tmp_path / "r", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert sentence in refused.err
    assert not (tmp_path / "r").exists()


def test_saying_nothing_is_a_usage_error() -> None:
    refused = driftline("record")
    assert refused.code == 2
    assert "driftline record -c FILE --to DIR" in refused.err


def test_a_recording_that_is_there_is_never_overwritten(deployment: Deployment, recording: Path) -> None:
    refused = driftline("record", *deployment.where, "--to", recording)
    assert refused.code == 1
    assert "the directory is not empty. Choose another directory; nothing is ever overwritten" in refused.err
    refused = driftline("record", *deployment.where, "--to", recording, "--resume")
    assert "the recording is finished" in refused.err


SLOW = """
import sys, time
from monitor.adapters import recorder
recorder.SEGMENT_OFFSETS = 64
ended = recorder.Recorder._segment
def slowly(self, *args):
    time.sleep(0.02)
    return ended(self, *args)
recorder.Recorder._segment = slowly
from monitor.cli.app import main
main()
"""


def test_a_recording_that_was_killed_goes_on_and_is_the_same(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "SEGMENT_OFFSETS", 64)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert driftline("record", *deployment.where, "--to", whole, "--decisions", "-q").code == 0
    arguments = ["record", *map(str, deployment.where), "--to", str(cut), "--decisions", "-q"]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *arguments])
    deadline = time.monotonic() + 60
    while not (cut / "journal.jsonl").exists() or (cut / "journal.jsonl").read_bytes().count(b"\n") < 5:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    unfinished = driftline("record", "show", cut)
    assert unfinished.code == 1
    assert "the recording is not finished. `driftline record --resume` finishes it." in unfinished.err
    resumed = driftline("record", *deployment.where, "--to", cut, "--resume")
    assert resumed.code == 0, resumed.err
    assert "of them before; blake2b:" in resumed.err
    contents = [{str(p.relative_to(d)): p.read_bytes() for p in d.rglob("*") if p.is_file()} for d in (whole, cut)]
    assert contents[0] == contents[1]
    assert len(contents[0]) > 20
