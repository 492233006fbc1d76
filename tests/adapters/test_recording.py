"""Recordings: every record comes back as it was, interruptions cannot be seen, and nothing damaged is believed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.adapters import recorder
from monitor.adapters.embedded import EmbeddedLog
from monitor.adapters.recorder import JOURNAL, PLAN, Plan, Recorder, planned
from monitor.adapters.recording import RecordedLog
from monitor.adapters.recording_check import findings
from monitor.adapters.recording_format import FORMAT, MAGIC, RecordingError
from monitor.errors import LogError, OffsetLost
from monitor.events import RecordBatch
from monitor.ports import Log, OutRecord, TopicSpec
from tests.adapters.memory import MemoryLog, MemoryReader
from tests.replay.golden_recording import FIRST, GOLDEN, RECORDS, a_log, a_plan

Row = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Eight offsets a segment and three records a block, except where the real sizes matter."""
    if "golden" not in request.node.name:
        monkeypatch.setattr(recorder, "SEGMENT_OFFSETS", 8)
        monkeypatch.setattr(recorder, "BLOCK_RECORDS", 3)


def a_topic(records: int, partitions: int = 2) -> MemoryLog:
    log = MemoryLog()
    log.ensure(TopicSpec("t", partitions))
    appender = log.appender()
    for i in range(records):
        appender.append("t", i % partitions, OutRecord(b"%d" % i, b"k", [("h", b"v")] if i % 3 else (), 1_000 + i))
    return log


def plan_of(log: MemoryLog, *names: str) -> Plan:
    spans = {name: list(zip(log.begin_offsets(name), log.end_offsets(name), strict=True)) for name in names or ("t",)}
    return Plan(FORMAT, log.cluster_id(), None, tuple(planned(log, dict.fromkeys(spans, "predictions"), spans)))


def record(log: MemoryLog, folder: Path) -> RecordedLog:
    Recorder.begin(log, folder, plan_of(log), lambda *_: None).run()
    return RecordedLog(folder)


def rows(log: Log, topic: str, partition: int, start: int | None = None, most: int = 4) -> list[Row]:
    end = log.end_offsets(topic)[partition]
    position = log.begin_offsets(topic)[partition] if start is None else start
    reader = log.reader()
    reader.assign({(topic, partition): position})
    found: list[Row] = []
    while position < end:
        for batch in reader.poll(most, 0):
            assert len(batch) <= most
            assert batch.keys is not None
            assert batch.headers is not None
            headers = [list(each or ()) for each in batch.headers]
            places = zip(batch.offsets.tolist(), batch.timestamps_ms.tolist(), strict=True)
            found += [
                (o, t, k, v, h) for (o, t), k, v, h in zip(places, batch.keys, batch.values, headers, strict=True)
            ]
            position = batch.next_offset
    reader.close()
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


maybe = st.none() | st.binary(max_size=20)
headers = st.lists(st.tuples(st.text(max_size=5), maybe), max_size=3)
any_record = st.builds(OutRecord, maybe, maybe, headers, st.integers(0, 1 << 41))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(any_record | st.just("marker"), max_size=40), st.integers(0, 50), st.integers(1, 9), st.data())
def test_whatever_is_recorded_comes_back_from_any_offset(
    tmp_path_factory: pytest.TempPathFactory, content: list[OutRecord | str], first: int, most: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any") / "r"
    log = MemoryLog()
    log.ensure(TopicSpec("t", 1))
    log._of("t").partitions[0].begin = first
    appender = log.appender()
    for each in content:
        if isinstance(each, OutRecord):
            appender.append("t", 0, each)
        else:
            log.mark("t", 0)
    made = record(log, folder)
    assert list(findings(made)) == []
    start = data.draw(st.integers(first, first + len(content)))
    assert rows(made, "t", 0, start, most) == rows(log, "t", 0, start)
    at_ms = data.draw(st.integers(0, 1 << 41))
    assert made.offsets_at("t", at_ms) == log.offsets_at("t", at_ms)
    assert (made.cluster_id(), made.topic("t"), made.topic("u")) == ("memory", log.topic("t"), None)


def test_partitions_are_read_side_by_side_and_paused(tmp_path: Path) -> None:
    made = record(a_topic(40), tmp_path / "r")
    reader = made.reader(keys=False, headers=False)
    reader.assign({("t", 0): 0, ("t", 1): 5})
    reader.pause([("t", 0)])
    (batch,) = reader.poll(100, 0)
    assert (batch.partition, batch.offsets[0], batch.keys, batch.headers) == (1, 5, None, None)
    reader.pause([])
    seen: set[int] = set()
    while batches := reader.poll(6, 0):
        assert sum(map(len, batches)) <= 7
        seen |= {b.partition for b in batches}
    assert seen == {0, 1}
    reader.assign({("t", 0): 21})
    with pytest.raises(OffsetLost, match=r"offset 21 is needed but the log holds \[0, 20\)"):
        reader.poll(1, 0)


@pytest.mark.parametrize("kind", ["recording", "embedded"])
@pytest.mark.parametrize("room", [1, 2, 5])
def test_one_partition_may_fill_a_poll_but_none_waits_for_more_polls_than_there_are_partitions(
    kind: str, room: int, tmp_path: Path
) -> None:
    log: Log
    if kind == "recording":
        log = record(a_topic(90, 3), tmp_path)
    else:
        log = EmbeddedLog(tmp_path)
        log.ensure(TopicSpec("t", 3))
        appender = log.appender()
        for i in range(90):
            appender.append("t", i % 3, OutRecord(b"%d" % i))
        appender.close()
    reader = log.reader()
    reader.assign({("t", p): 0 for p in range(3)})
    for _ in range(2):
        assert {batch.partition for _ in range(3) for batch in reader.poll(room, 100) if len(batch)} == {0, 1, 2}
    reader.close()


def test_nothing_can_be_written_to_a_recording(tmp_path: Path) -> None:
    made = record(a_topic(4), tmp_path / "r")
    for attempt in (
        made.appender,
        lambda: made.leases("t", "g"),
        lambda: made.ensure(TopicSpec("t", 2)),
    ):
        with pytest.raises(LogError, match="is a recording: nothing can be written to it"):
            attempt()
    with pytest.raises(LogError, match="topic 'u' is not in the recording"):
        made.end_offsets("u")


# -- interruptions -------------------------------------------------------------------------------------------------


class Killed(Exception):
    """The process is gone."""


class DyingLog(MemoryLog):
    """Dies at a poll."""

    polls_left = 10_000

    def reader(self, *, keys: bool = True, headers: bool = True) -> MemoryReader:
        return DyingReader(self, keys=keys, headers=headers)


class DyingReader(MemoryReader):
    _log: DyingLog

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        self._log.polls_left -= 1
        if self._log.polls_left < 0:
            raise Killed
        return super().poll(max_records, timeout_ms)


@pytest.mark.parametrize("polls", range(0, 22, 3))
def test_a_recording_that_was_killed_is_finished_with_the_same_bytes(tmp_path: Path, polls: int) -> None:
    log = DyingLog()
    log.ensure(TopicSpec("t", 2))
    appender = log.appender()
    for i in range(64):
        appender.append("t", i % 2, OutRecord(b"%d" % i, timestamp_ms=i))
    record(log, tmp_path / "whole")
    log.polls_left = polls
    with pytest.raises(Killed):
        record(log, tmp_path / "cut")
    with pytest.raises(RecordingError, match=r"the recording is not finished.*--resume"):
        RecordedLog(tmp_path / "cut")
    with pytest.raises(RecordingError, match=r"not empty.*--resume goes on with it"):
        Recorder.begin(log, tmp_path / "cut", plan_of(log), lambda *_: None)
    with (tmp_path / "cut" / JOURNAL).open("ab") as journal:
        journal.write(b'{"topic": "t", "part')  # killed while it wrote
    log.polls_left = 10_000
    appender.append("t", 0, OutRecord(b"later"))  # ranges were fixed at the beginning
    resumed = Recorder.resume(log, tmp_path / "cut", lambda *_: None)
    assert (resumed.resumed > 0) == (polls > 2)
    resumed.run()
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_a_recording_is_not_resumed_over_another_topic_or_when_it_is_whole(tmp_path: Path) -> None:
    log = a_topic(20)
    Recorder.begin(log, tmp_path / "r", plan_of(log), lambda *_: None)
    log.delete("t")
    log.ensure(TopicSpec("t", 2))
    with pytest.raises(RecordingError, match="topic 't' had id memory-1 when recording began, now it is memory-2"):
        Recorder.resume(log, tmp_path / "r", lambda *_: None)
    record(log, tmp_path / "whole")
    with pytest.raises(RecordingError, match="the recording is finished"):
        Recorder.resume(log, tmp_path / "whole", lambda *_: None)
    with pytest.raises(RecordingError, match="no recording was begun here"):
        Recorder.resume(log, tmp_path, lambda *_: None)
    with pytest.raises(RecordingError, match="there is no recording"):
        RecordedLog(tmp_path)


def test_records_that_leave_while_they_are_recorded_are_an_error(tmp_path: Path) -> None:
    log = a_topic(40)
    beginning = Recorder.begin(log, tmp_path / "r", plan_of(log), lambda *_: None)
    log.truncate("t", 1, 4)
    with pytest.raises(OffsetLost, match="partition 1"):
        beginning.run()


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Path]:
    record(a_topic(30, 1), tmp_path / "r")
    yield tmp_path / "r"
    assert (tmp_path / "r").exists()


def test_any_flipped_byte_of_any_file_is_named(recorded: Path) -> None:
    for path in sorted(recorded.rglob("*.seg")):
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x20]) + whole[place + 1 :])
            (found,) = findings(RecordedLog(recorded))
            assert str(path) in found
            with pytest.raises(RecordingError, match=path.name):
                rows(RecordedLog(recorded), "t", 0)
        path.write_bytes(whole)


def test_a_file_that_was_cut_or_is_gone_is_named(recorded: Path) -> None:
    path = sorted(recorded.rglob("*.seg"))[1]
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        (found,) = findings(RecordedLog(recorded))
        assert str(path) in found
        with pytest.raises(RecordingError, match=path.name):
            rows(RecordedLog(recorded), "t", 0)
    path.unlink()
    (found,) = findings(RecordedLog(recorded))
    assert str(path) in found
    with pytest.raises(RecordingError, match=path.name):
        rows(RecordedLog(recorded), "t", 0)


def test_files_that_changed_places_are_named(recorded: Path) -> None:
    first, second = sorted(recorded.rglob("*.seg"))[:2]
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    assert [str(first) in a or str(second) in a for a in findings(RecordedLog(recorded))] == [True, True]


def test_a_manifest_that_was_changed_is_named(recorded: Path) -> None:
    path = recorded / "recording.json"
    whole = path.read_text()
    for old, new in (('"end": 30', '"end": 31'), ('"first": 8', '"first": 9'), ('"memory"', '"other"')):
        assert old in whole
        path.write_text(whole.replace(old, new))
        assert any(str(path) in found for found in findings(RecordedLog(recorded)))
    for bad in ("", "[]", "{}", whole[:-20], whole.replace("topics/t", "/etc"), whole.replace("topics/t", "../t")):
        path.write_text(bad)
        with pytest.raises(RecordingError, match=r"recording\.json"):
            RecordedLog(recorded)


# -- the durable format --------------------------------------------------------------------------------------------


def test_the_golden_recording_is_read() -> None:
    made, log = RecordedLog(GOLDEN), a_log()
    assert list(findings(made)) == []
    assert (made.manifest.namespace, made.topic("empty")) == ("n", log.topic("empty"))
    assert rows(made, "some.topic", 1) == rows(log, "some.topic", 1)
    assert [row[0] for row in rows(made, "some.topic", 1)] == list(range(FIRST, FIRST + len(RECORDS)))


def test_what_is_recorded_now_is_the_golden_recording(tmp_path: Path) -> None:
    """Compressed bytes may differ with the library; rows, digests and the shape of the manifest may not."""
    log = a_log()
    manifest = Recorder.begin(log, tmp_path / "r", a_plan(log), lambda *_: None).run()
    kept = RecordedLog(GOLDEN).manifest

    def compressed(document: object) -> object:
        if isinstance(document, dict):
            return {k: compressed(v) for k, v in document.items() if k not in ("bytes", "sha256")}
        return [compressed(each) for each in document] if isinstance(document, list | tuple) else document

    assert compressed(msgspec.to_builtins(manifest)) == compressed(msgspec.to_builtins(kept))
    assert files(tmp_path / "r").keys() == files(GOLDEN).keys()


def test_newer_formats_of_the_golden_recording_are_refused_with_advice(tmp_path: Path) -> None:
    newer = tmp_path / "r"
    shutil.copytree(GOLDEN, newer)
    path = min(newer.rglob("*.seg"))
    path.write_bytes(path.read_bytes().replace(MAGIC + bytes([FORMAT]), MAGIC + bytes([FORMAT + 1]), 1))
    with pytest.raises(
        RecordingError, match=rf"{path.name}: its format is {FORMAT + 1}, .*Use the version that wrote it"
    ):
        rows(RecordedLog(newer), "some.topic", 1)
    manifest = newer / "recording.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2, "unheard": 1'))
    with pytest.raises(RecordingError, match=r"recording\.json: its format is 2.*Use the version"):
        RecordedLog(newer)
    plan = newer / PLAN
    plan.write_text('{"format": 2}')
    with pytest.raises(RecordingError, match=r"plan\.json: its format is 2"):
        Recorder.resume(a_log(), newer, lambda *_: None)


def test_times_of_the_golden_recording_lead_to_offsets() -> None:
    made, log = RecordedLog(GOLDEN), a_log()
    for at_ms in (0, 1, 1_357_000_000_000, 1_357_000_000_003, 1_357_000_000_004, 1 << 50):
        assert made.offsets_at("some.topic", at_ms) == log.offsets_at("some.topic", at_ms)
    assert np.diff([row[1] for row in rows(made, "some.topic", 1)]).min() < 0, "times of producers go back"
