from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from monitor.adapters import dead_letters
from monitor.adapters.embedded import EmbeddedLog
from monitor.errors import LogError, OffsetLost
from monitor.events import Headers, Reason, RecordBatch, Rejected
from monitor.ports import Log, OutRecord, TopicSpec
from tests.adapters.memory import MemoryLog

KEY, VALUE = b"\x00key", b"{ not json \xff"
GIVEN: Headers = [("trace", b"\x01\x02"), ("empty", None), ("trace", b"again")]


@pytest.fixture(params=["memory", "embedded"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Log:
    log: Log = MemoryLog() if request.param == "memory" else EmbeddedLog(tmp_path)
    for name in ("predictions", "predictions.dlq"):
        log.ensure(TopicSpec(name, 3))
    return log


def rejected_batch(log: Log, records: list[OutRecord], partition: int = 1) -> RecordBatch:
    appender = log.appender()
    for record in records:
        appender.append("predictions", partition, record)
    reader = log.reader()
    reader.assign({("predictions", partition): 0})
    (batch,) = reader.poll(100, 1000)
    return batch


def put_aside(log: Log, batch: RecordBatch, *offsets: int, payload: bool = True, namespace: str = "ours") -> None:
    appender = log.appender()
    for offset in offsets:
        rejected = Rejected(offset, Reason.MALFORMED, "line 1: expected a key")
        place = int(np.searchsorted(batch.offsets, offset))
        letter = dead_letters.letter(batch, place, [rejected], payload=payload, namespace=namespace)
        appender.send("predictions.dlq", letter, batch.partition)
    appender.flush(1000)


def test_a_letter_carries_the_original_untouched_and_its_coordinates(log: Log) -> None:
    batch = rejected_batch(log, [OutRecord(b"good"), OutRecord(VALUE, KEY, GIVEN, 1_600_000_000_007)])
    put_aside(log, batch, 1)
    reader = log.reader()
    reader.assign({("predictions.dlq", 1): 0})
    (written,) = reader.poll(10, 1000)
    assert written.keys is not None
    assert written.headers is not None
    assert (written.values[0], written.keys[0]) == (VALUE, KEY)
    headers = list(written.headers[0] or ())
    assert headers[:3] == list(GIVEN)
    assert dict(headers[3:]) == {
        "driftline.error.version": b"1",
        "driftline.error.namespace": b"ours",
        "driftline.error.topic": b"predictions",
        "driftline.error.partition": b"1",
        "driftline.error.offset": b"1",
        "driftline.error.reason": b"malformed",
        "driftline.error.detail": b"line 1: expected a key",
        "driftline.error.timestamp": b"1600000000007",
    }


def test_without_payload_no_byte_of_the_original_leaves_its_topic(log: Log) -> None:
    batch = rejected_batch(log, [OutRecord(VALUE, KEY, GIVEN)])
    put_aside(log, batch, 0, payload=False)
    (letter,) = dead_letters.read(log, "predictions")
    assert (letter.source, letter.reason) == (("predictions", 1, 0), "malformed")
    assert (letter.value, letter.key, list(letter.headers)) == (None, None, [])


def without_namespace(log: Log) -> None:
    """A letter about offset 2, as earlier versions wrote them."""
    headers = [
        (f"driftline.error.{n}", v) for n, v in (("topic", b"predictions"), ("partition", b"1"), ("offset", b"2"))
    ]
    log.appender().append("predictions.dlq", 1, OutRecord(VALUE, KEY, [*headers, ("driftline.error.reason", b"type")]))


def test_a_namespace_reads_its_own_letters_and_those_that_do_not_say_whose_they_are(log: Log) -> None:
    batch = rejected_batch(log, [OutRecord(VALUE)] * 3)
    put_aside(log, batch, 0)
    put_aside(log, batch, 0, 1, namespace="theirs")
    without_namespace(log)

    def found(namespace: str | None) -> list[tuple[int, str | None]]:
        return [(letter.source[2], letter.namespace) for letter in dead_letters.read(log, "predictions", namespace)]

    assert found("ours") == [(0, "ours"), (2, None)]
    assert found("theirs") == [(0, "theirs"), (1, "theirs"), (2, None)]
    assert found(None) == [(0, "ours"), (0, "theirs"), (1, "theirs"), (2, None)]


def test_letters_of_one_record_are_one_letter(log: Log) -> None:
    batch = rejected_batch(log, [OutRecord(VALUE), OutRecord(VALUE)])
    put_aside(log, batch, 0, 1)
    put_aside(log, batch, 0, 1)  # a crash between the letter and the commit that counts it
    assert [letter.source[2] for letter in dead_letters.read(log, "predictions")] == [0, 1]


def test_what_somebody_else_wrote_into_the_topic_is_passed_over(log: Log) -> None:
    appender = log.appender()
    appender.append("predictions.dlq", 0, OutRecord(b"hello", None, (("driftline.error.partition", b"x"),)))
    put_aside(log, rejected_batch(log, [OutRecord(VALUE)]), 0)
    assert [letter.value for letter in dead_letters.read(log, "predictions")] == [VALUE]


def test_reading_letters_of_a_topic_without_any_is_an_error_that_says_so(log: Log) -> None:
    with pytest.raises(LogError, match=r"no topic 'labels\.dlq': nothing of 'labels' was ever put aside"):
        list(dead_letters.read(log, "labels"))


def test_replaying_sends_the_original_to_its_partition_with_a_mark(log: Log) -> None:
    batch = rejected_batch(log, [OutRecord(b"good"), OutRecord(VALUE, KEY, GIVEN)])
    put_aside(log, batch, 1)
    assert dead_letters.replay(log, log.appender(), list(dead_letters.read(log, "predictions"))) == 1
    assert log.end_offsets("predictions") == [0, 3, 0]
    reader = log.reader()
    reader.assign({("predictions", 1): 2})
    (again,) = reader.poll(10, 1000)
    assert again.keys is not None
    assert again.headers is not None
    assert (again.values[0], again.keys[0]) == (VALUE, KEY)
    assert list(again.headers[0] or ()) == [*GIVEN, ("driftline.redriven-from", b"predictions/1/1")]


def test_replaying_a_pointer_reads_the_range_from_the_source_again(log: Log) -> None:
    rejected_batch(log, [OutRecord(b"%d" % i, b"k") for i in range(6)])
    pointer = dead_letters.pointer("predictions", 1, 2, 5, {"malformed": 2, "type": 1}, namespace="ours")
    log.appender().append("predictions.dlq", 0, pointer)
    (letter,) = dead_letters.read(log, "predictions")
    assert letter.is_pointer
    assert orjson.loads(letter.value or b"") == {
        "topic": "predictions",
        "partition": 1,
        "first_offset": 2,
        "next_offset": 5,
        "count": 3,
        "reasons": {"malformed": 2, "type": 1},
    }
    assert dead_letters.replay(log, log.appender(), [letter]) == 3
    reader = log.reader()
    reader.assign({("predictions", 1): 6})
    (again,) = reader.poll(10, 1000)
    assert again.headers is not None
    assert list(again.values) == [b"2", b"3", b"4"]
    assert [dict(each or ())["driftline.redriven-from"] for each in again.headers] == [
        b"predictions/1/2",
        b"predictions/1/3",
        b"predictions/1/4",
    ]


def test_a_letter_without_payload_stops_a_replay_before_anything_is_sent(log: Log) -> None:
    batch = rejected_batch(log, [OutRecord(VALUE), OutRecord(VALUE)])
    put_aside(log, batch, 0)
    put_aside(log, batch, 1, payload=False)
    with pytest.raises(LogError, match="holds no payload"):
        dead_letters.replay(log, log.appender(), list(dead_letters.read(log, "predictions")))
    assert log.end_offsets("predictions") == [0, 2, 0]


def test_a_pointer_to_a_range_that_left_the_log_is_an_error(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path)
    for name in ("predictions", "predictions.dlq"):
        log.ensure(TopicSpec(name, 3))
    rejected_batch(log, [OutRecord(b"v") for _ in range(6)])
    log.delete_records("predictions", 1, 4)
    log.appender().append(
        "predictions.dlq", 0, dead_letters.pointer("predictions", 1, 2, 5, {"type": 1}, namespace="ours")
    )
    with pytest.raises(OffsetLost):
        dead_letters.replay(log, log.appender(), list(dead_letters.read(log, "predictions")))


def test_a_record_too_large_for_a_letter_stays_where_it_is_and_its_letter_says_where(log: Log) -> None:
    value = b"{" * (dead_letters.LETTER_BYTES_MAX - len(KEY) + 1)
    batch = rejected_batch(log, [OutRecord(VALUE, KEY), OutRecord(value, KEY)])
    put_aside(log, batch, 0, 1)
    whole, cut = dead_letters.read(log, "predictions")
    assert (whole.key, whole.value) == (KEY, VALUE)
    assert (cut.key, cut.value, cut.source) == (None, None, ("predictions", 1, 1))
