"""`driftline produce`."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.adapters.embedded import EmbeddedLog
from monitor.cli.produce import _FLUSH_EVERY, _Sending
from monitor.errors import UnknownOutcome
from monitor.ports import OutRecord
from tests.cli.driving import driftline


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "scores.jsonl"
    path.write_text('{"request": {"uid": "a"}}\n\n{"request": {"uid": "b"}}\nnot json\n')
    return path


def test_lines_go_out_as_they_are_under_the_key_that_was_named(lines: Path, tmp_path: Path) -> None:
    sent = driftline(
        "produce", "scores", lines, "--embedded", tmp_path / "log", "--key", "request.uid", "--partitions", 1
    )
    assert sent.code == 0
    assert "3 records sent to scores" in sent.err
    assert "1 of them have no field 'request.uid'" in sent.err
    log = EmbeddedLog(tmp_path / "log")
    reader = log.reader()
    reader.assign({("scores", 0): 0})
    (batch,) = reader.poll(10, 100)
    assert batch.keys is not None
    sent_lines = [line.encode() for line in lines.read_text().splitlines() if line]
    assert dict(zip(batch.values, batch.keys, strict=True)) == dict(zip(sent_lines, (b"a", b"b", None), strict=True))
    reader.close()
    log.close()


def test_records_that_lack_the_key_are_told_unless_none_was_wanted(lines: Path, tmp_path: Path) -> None:
    where = ("--embedded", tmp_path / "log")
    told = driftline("produce", "scores", lines, *where, "-q")
    assert "3 of them have no field 'id' and went without a key" in told.err
    assert driftline("produce", "scores", lines, *where, "-q", "--no-key").err == ""


@pytest.mark.parametrize("wrong", [("--rate", 0), ("--partitions", 0), ("--limit", -1)])
def test_what_cannot_be_is_a_usage_error(lines: Path, tmp_path: Path, wrong: tuple[str, int]) -> None:
    assert driftline("produce", "scores", lines, "--embedded", tmp_path / "log", *wrong).code == 2
    assert driftline("produce", "my scores", lines, "--embedded", tmp_path / "log").code == 2
    assert driftline("produce", "scores", tmp_path / "nothing", "--embedded", tmp_path / "log").code == 2
    assert not (tmp_path / "log").exists()


def test_a_file_that_is_cut_is_said_in_a_sentence(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(b"\x1f\x8b\x08\x00broken")
    shown = driftline("produce", "scores", cut, "--embedded", tmp_path / "log")
    assert shown.code == 1
    assert "cannot be read" in shown.err


class Breaking:
    """An appender whose second flush has no answer."""

    def __init__(self) -> None:
        self.flushes = 0

    def send(self, topic: str, record: OutRecord) -> None:
        """Nothing is kept."""

    def flush(self, timeout_ms: int) -> None:
        self.flushes += 1
        if self.flushes > 1:
            raise UnknownOutcome("an append was not acknowledged")


def test_who_is_broken_off_is_told_how_far_it_came_and_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "my scores.jsonl"
    path.write_text("{}\n\n" * (_FLUSH_EVERY + 7))
    sending = _Sending(path, None, True)
    with pytest.raises(UnknownOutcome):
        sending.run(Breaking(), "scores", None, None)  # type: ignore[arg-type]
    assert sending.how_to_go_on() == (
        f"the first {_FLUSH_EVERY:,} records are in the topic; of the next 7 it is not known. To send from there on: "
        f"cat '{path}' | grep . | tail -n +{_FLUSH_EVERY + 1} | driftline produce TOPIC - ..."
    )
