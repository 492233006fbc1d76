"""One small recording with everything that a record can be, and its files in format 1, kept for good.

`python -m tests.replay.golden_recording` makes the files when they are not there. Files that are there are never written
again: what somebody recorded stays readable.
"""

from __future__ import annotations

from pathlib import Path

from monitor.adapters.needles import Needles
from monitor.adapters.recorder import Plan, Recorder, planned
from monitor.adapters.recording import RecordedLog
from monitor.adapters.recording_format import FORMAT
from monitor.adapters.recording_redact import Matcher, Who, redact
from monitor.config import load
from monitor.events import Headers
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLog

GOLDEN = Path(__file__).parents[1] / "golden" / "recording-v1"
REDACTED = GOLDEN.with_name("recording-v1-redacted")
REDACTED_WHO = Who("ada", "request 7", 1_700_000_000_000, bytes(range(16)))
FIRST = 65_530  # so that the sixth offset from here begins another segment

HEADERS: list[Headers] = [
    (),
    [("trace", b"\x00\xff"), ("trace", None), ("", b""), ("größe", b"1")],
]
RECORDS = [
    OutRecord(b'{"id": "a"}', b"a", HEADERS[0], 1_357_000_000_000),
    OutRecord(None, b"a", HEADERS[1], 1_357_000_000_001),
    OutRecord(b"", None, HEADERS[0], 1_356_999_999_999),
    OutRecord(b"\x00\x80\xff", b"", HEADERS[1], 0),
    OutRecord(b"x" * 300, b"k" * 40, HEADERS[0], 1_357_000_000_002),
    OutRecord(b"the last of its stretch", b"z", HEADERS[0], 1_357_000_000_003),
    OutRecord(b"the first of the next", b"z", HEADERS[0], 1_357_000_000_004),
]


def a_log() -> MemoryLog:
    """Two topics: one as above in its partition 1, one empty."""
    log = MemoryLog(ManualClock())
    log.ensure(TopicSpec("some.topic", 2))
    log.ensure(TopicSpec("empty", 1, compacted=True))
    log._of("some.topic").partitions[1].begin = FIRST
    appender = log.appender()
    for record in RECORDS:
        appender.append("some.topic", 1, record)
    return log


def a_plan(log: MemoryLog) -> Plan:
    """All of it."""
    spans = {
        name: list(zip(log.begin_offsets(name), log.end_offsets(name), strict=True)) for name in ("some.topic", "empty")
    }
    topics = planned(log, {"some.topic": "predictions", "empty": "configs"}, spans)
    return Plan(FORMAT, log.cluster_id(), "n", tuple(topics))


CONFIG = """
streams:
  predictions:
    topic: some.topic
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: {from: $.at, unit: ms}, score: $.score}
time: {horizon: 1h}
models: [{name: m}]
windows: [1h]
"""


def redacted_golden(folder: Path) -> RecordedLog:
    """The same, and then without the records that hold the id `a`: one by its field, one by its bytes."""
    made = a_log()
    Recorder.begin(made, folder, a_plan(made), lambda *_: None).run()
    path = folder.with_name(f"{folder.name}.yaml")
    path.write_text(CONFIG)
    config = load([path], [], environ={})
    path.unlink()
    redact(RecordedLog(folder), Matcher(config, Needles(["a"])), REDACTED_WHO, mentions=False)
    return RecordedLog(folder)


if __name__ == "__main__":
    if not GOLDEN.exists():
        made = a_log()
        Recorder.begin(made, GOLDEN, a_plan(made), lambda *_: None).run()
    if not REDACTED.exists():
        redacted_golden(REDACTED)
