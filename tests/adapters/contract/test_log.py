"""Topics, appending, reading."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.adapters.partitioner import murmur2_partition
from monitor.errors import LogError, OffsetLost
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.contract.worlds import RECORDS_WAIT_MS, World, drain, fresh, topic


def test_a_topic_that_nobody_made_is_none(world: World) -> None:
    assert world.log.topic(fresh("absent")) is None


def test_ensuring_a_topic_twice_changes_nothing(world: World) -> None:
    name = fresh("twice")
    first = world.log.ensure(TopicSpec(name, 3))
    again = world.another().ensure(TopicSpec(name, 5, compacted=True))
    assert (first.name, first.partitions) == (name, 3)
    assert again == first == world.log.topic(name)


def test_an_ensured_topic_never_expires_by_time_unless_told(world: World) -> None:
    forever = world.log.ensure(TopicSpec(fresh("forever"), 1))
    a_day = world.log.ensure(TopicSpec(fresh("day"), 1, retention_ms=86_400_000))
    compacted = world.log.ensure(TopicSpec(fresh("compacted"), 1, compacted=True))
    assert (forever.config["cleanup.policy"], forever.config["retention.ms"]) == ("delete", "-1")
    assert a_day.config["retention.ms"] == "86400000"
    assert compacted.config["cleanup.policy"] == "compact"


def test_a_topic_made_again_has_another_id(world: World) -> None:
    name = topic(world, "reborn")
    before = world.log.topic(name)
    world.delete(name)
    assert world.log.topic(name) is None
    after = world.log.ensure(TopicSpec(name, 1))
    assert before is not None
    assert before.topic_id != after.topic_id


def test_the_cluster_keeps_its_id(world: World) -> None:
    assert world.log.cluster_id() == world.another().cluster_id() != ""


def test_appended_records_are_read_in_order_at_contiguous_offsets(world: World) -> None:
    name = topic(world, "order")
    appender = world.log.appender()
    offsets = [appender.append(name, 0, OutRecord(b"%d" % i)) for i in range(50)]
    assert offsets == list(range(50))
    reader = world.another().reader()
    reader.assign({(name, 0): 0})
    assert drain(reader, 50) == {(name, 0): [(i, b"%d" % i) for i in range(50)]}
    reader.close()
    appender.close()


def test_key_value_headers_and_time_come_back_as_they_were(world: World) -> None:
    name = topic(world, "whole")
    records = [
        OutRecord(b"v", b"k", (("a", b"1"), ("a", b""), ("b\u00e9", None)), 1_600_000_000_123),
        OutRecord(None, b"only a key", (), 1_600_000_000_124),
        OutRecord(b"", None, (("x", b"\x00\xff"),), 1_600_000_000_122),
        OutRecord(b"", b"", (), 1_600_000_000_125),
    ]
    appender = world.log.appender()
    for record in records:
        appender.append(name, 0, record)
    reader = world.log.reader()
    reader.assign({(name, 0): 0})
    values: list[bytes | None] = []
    keys: list[bytes | None] = []
    headers: list[object] = []
    times: list[int] = []
    while len(values) < 4:
        for batch in reader.poll(10, RECORDS_WAIT_MS):
            assert batch.keys is not None
            assert batch.headers is not None
            assert batch.offsets.dtype == batch.timestamps_ms.dtype == np.int64
            assert batch.next_offset == batch.offsets[-1] + 1
            values += batch.values
            keys += batch.keys
            headers += [None if each is None else tuple(each) for each in batch.headers]
            times += batch.timestamps_ms.tolist()
    assert values == [record.value for record in records]
    assert keys == [record.key for record in records]
    assert headers == [record.headers or None for record in records]
    assert times == [record.timestamp_ms for record in records]
    reader.close()
    appender.close()


def test_a_reader_without_keys_and_headers_does_not_carry_them(world: World) -> None:
    name = topic(world, "lean")
    appender = world.log.appender()
    appender.append(name, 0, OutRecord(b"v", b"k", (("h", b"1"),)))
    reader = world.log.reader(keys=False, headers=False)
    reader.assign({(name, 0): 0})
    (batch,) = reader.poll(10, RECORDS_WAIT_MS)
    assert (batch.keys, batch.headers, list(batch.values)) == (None, None, [b"v"])
    reader.close()
    appender.close()


def test_a_record_without_a_time_gets_the_time_of_the_log(world: World) -> None:
    name = topic(world, "now")
    appender = world.log.appender()
    appender.append(name, 0, OutRecord(b"v"))
    reader = world.log.reader()
    reader.assign({(name, 0): 0})
    (batch,) = reader.poll(10, RECORDS_WAIT_MS)
    assert batch.timestamps_ms[0] > 1_600_000_000_000
    reader.close()
    appender.close()


def test_records_sent_by_key_land_where_java_would_put_them(world: World) -> None:
    name = topic(world, "keyed", 6)
    appender = world.log.appender()
    keys = [b"key-%d" % i for i in range(200)]
    for key in keys:
        appender.send(name, OutRecord(key, key))
    appender.flush(RECORDS_WAIT_MS)
    reader = world.log.reader()
    reader.assign({(name, partition): 0 for partition in range(6)})
    found = drain(reader, 200)
    values = {where: [value for _, value in rows] for where, rows in found.items()}
    expected = {(name, p): [key for key in keys if murmur2_partition(key, 6) == p] for p in range(6)}
    assert values == {where: put for where, put in expected.items() if put}
    reader.close()
    appender.close()


def test_records_sent_without_a_key_all_arrive(world: World) -> None:
    name = topic(world, "keyless", 3)
    appender = world.log.appender()
    for i in range(100):
        appender.send(name, OutRecord(b"%d" % i))
    appender.flush(RECORDS_WAIT_MS)
    assert sum(world.another().end_offsets(name)) == 100
    appender.close()


def test_what_was_sent_comes_before_what_is_appended_after(world: World) -> None:
    name = topic(world, "mixed")
    appender = world.log.appender()
    for i in range(10):
        appender.send(name, OutRecord(b"%d" % i), 0)
    assert appender.append(name, 0, OutRecord(b"last")) == 10
    appender.close()


def test_closing_an_appender_delivers_what_was_sent(world: World) -> None:
    name = topic(world, "closing")
    appender = world.log.appender()
    appender.send(name, OutRecord(b"v"), 0)
    appender.close()
    assert world.log.end_offsets(name) == [1]


def test_bounds_are_fresh_and_per_partition(world: World) -> None:
    name = topic(world, "bounds", 3)
    assert world.log.begin_offsets(name) == world.log.end_offsets(name) == [0, 0, 0]
    appender = world.log.appender()
    for ends in ([0, 1, 0], [0, 2, 0]):
        appender.append(name, 1, OutRecord(b"v"))
        assert world.another().end_offsets(name) == ends
    appender.close()


def test_bounds_of_a_missing_topic_are_an_error_that_names_it(world: World) -> None:
    name = fresh("absent")
    with pytest.raises(LogError, match=name):
        world.log.end_offsets(name)
    with pytest.raises(LogError, match=name):
        world.log.offsets_at(name, 0)


def test_a_time_leads_to_the_first_record_that_is_not_before_it(world: World) -> None:
    name = topic(world, "times", 2)
    appender = world.log.appender()
    for minute in (1, 3, 2, 5):  # times of producers go back now and then
        appender.append(name, 0, OutRecord(b"v", timestamp_ms=1_700_000_000_000 + minute * 60_000))
    appender.close()
    found = [world.log.offsets_at(name, 1_700_000_000_000 + minute * 60_000) for minute in (0, 1, 2, 3, 4, 6)]
    assert found == [[0, 0], [0, 0], [1, 0], [1, 0], [3, 0], [4, 0]]


def test_reading_starts_where_it_was_told_and_goes_on(world: World) -> None:
    name = topic(world, "from", 2)
    appender = world.log.appender()
    for i in range(20):
        appender.append(name, i % 2, OutRecord(b"%d" % i))
    reader = world.log.reader()
    reader.assign({(name, 0): 7, (name, 1): 10})
    assert drain(reader, 3) == {(name, 0): [(7, b"14"), (8, b"16"), (9, b"18")]}
    appender.append(name, 1, OutRecord(b"new"))
    assert drain(reader, 1) == {(name, 1): [(10, b"new")]}
    reader.close()
    appender.close()


def test_a_poll_returns_no_more_than_asked_and_one_batch_a_partition(world: World) -> None:
    name = topic(world, "limit", 3)
    appender = world.log.appender()
    for i in range(300):
        appender.send(name, OutRecord(b"%d" % i), i % 3)
    appender.flush(RECORDS_WAIT_MS)
    reader = world.log.reader()
    reader.assign({(name, partition): 0 for partition in range(3)})
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    while sum(map(len, seen.values())) < 300:
        batches = reader.poll(7, RECORDS_WAIT_MS)
        assert sum(map(len, batches)) <= 7
        assert len({batch.partition for batch in batches}) == len(batches)
        for batch in batches:
            seen[batch.partition] += batch.offsets.tolist()
    assert seen == {partition: list(range(100)) for partition in range(3)}
    reader.close()
    appender.close()


def test_a_poll_with_nothing_to_read_returns_empty(world: World) -> None:
    name = topic(world, "empty")
    reader = world.log.reader()
    reader.assign({(name, 0): 0})
    assert [batch for batch in reader.poll(10, 50) if len(batch)] == []
    reader.close()


def test_two_topics_with_the_same_partition_numbers_do_not_mix(world: World) -> None:
    left, right = topic(world, "left", 2), topic(world, "right", 2)
    appender = world.log.appender()
    for i in range(40):
        appender.send(left, OutRecord(b"l%d" % i), i % 2)
        appender.send(right, OutRecord(b"r%d" % i), i % 2)
    appender.flush(RECORDS_WAIT_MS)
    reader = world.log.reader()
    reader.assign({(name, partition): 0 for name in (left, right) for partition in range(2)})
    found = drain(reader, 80)
    for name, letter in ((left, b"l"), (right, b"r")):
        for partition in range(2):
            assert found[name, partition] == [(i, letter + b"%d" % (2 * i + partition)) for i in range(20)]
    reader.close()
    appender.close()


def test_assigning_again_moves_only_what_changed(world: World) -> None:
    name = topic(world, "moves", 3)
    appender = world.log.appender()
    for i in range(30):
        appender.append(name, i % 3, OutRecord(b"%d" % i))
    reader = world.log.reader()
    reader.assign({(name, 0): 0, (name, 1): 0})
    drain(reader, 20)
    reader.assign({(name, 0): 10, (name, 1): 8, (name, 2): 9})  # 0 as it stands, 1 rewound, 2 new
    assert drain(reader, 3) == {(name, 1): [(8, b"25"), (9, b"28")], (name, 2): [(9, b"29")]}
    appender.append(name, 0, OutRecord(b"new"))
    assert drain(reader, 1) == {(name, 0): [(10, b"new")]}
    reader.assign({(name, 2): 10})
    appender.append(name, 0, OutRecord(b"not ours"))
    appender.append(name, 2, OutRecord(b"ours"))
    assert drain(reader, 1) == {(name, 2): [(10, b"ours")]}
    reader.close()
    appender.close()


def test_a_paused_partition_is_left_alone_and_misses_nothing(world: World) -> None:
    name = topic(world, "pause", 2)
    appender = world.log.appender()
    for i in range(200):
        appender.send(name, OutRecord(b"%d" % i), i % 2)
    appender.flush(RECORDS_WAIT_MS)
    reader = world.log.reader()
    reader.assign({(name, 0): 0, (name, 1): 0})
    before = drain(reader, 20, max_records=5)
    reader.pause([(name, 0)])
    done = len(before.get((name, 1), ()))
    paused = drain(reader, 100 - done, max_records=5)
    assert set(paused) == {(name, 1)}
    reader.pause([])
    after = drain(reader, 100 - len(before.get((name, 0), ())))
    whole = before.get((name, 0), []) + after[name, 0]
    assert whole == [(i, b"%d" % (2 * i)) for i in range(100)]
    reader.close()
    appender.close()


@pytest.mark.parametrize("wanted", [3, 11], ids=["below the first offset", "beyond the end"])
def test_a_position_that_left_the_log_is_lost_not_reset(world: World, wanted: int) -> None:
    name = topic(world, "lost")
    appender = world.log.appender()
    for i in range(10):
        appender.append(name, 0, OutRecord(b"%d" % i))
    world.truncate(name, 0, 5)
    assert world.log.begin_offsets(name) == [5]
    reader = world.log.reader()
    reader.assign({(name, 0): wanted})
    with pytest.raises(OffsetLost) as lost:
        drain(reader, 1)
    error = lost.value
    assert (error.topic, error.partition, error.wanted, error.begin, error.end) == (name, 0, wanted, 5, 10)
    reader.assign({(name, 0): 5})
    assert drain(reader, 5)[name, 0][0] == (5, b"5")
    reader.close()
    appender.close()


def test_records_below_an_offset_are_deleted_for_everybody(world: World) -> None:
    name = topic(world, "trimmed", 2)
    appender = world.log.appender()
    for i in range(10):
        appender.append(name, 1, OutRecord(b"%d" % i))
    for before, begin in ((4, 4), (2, 4), (0, 4), (-1, 4), (10, 10), (99, 10)):
        world.log.delete_records(name, 1, before)
        assert world.another().begin_offsets(name) == [0, begin]
    assert world.log.end_offsets(name) == [0, 10]
    assert appender.append(name, 1, OutRecord(b"on it goes")) == 10
    reader = world.another().reader()
    reader.assign({(name, 1): 10})
    assert drain(reader, 1) == {(name, 1): [(10, b"on it goes")]}
    reader.close()
    appender.close()


def test_a_compacted_topic_that_is_trimmed_too_has_its_records_deleted(world: World) -> None:
    name = world.log.ensure(TopicSpec(fresh("both"), 1, compacted=True, trimmed=True)).name
    found = world.log.topic(name)
    assert found is not None
    assert (found.config["cleanup.policy"], found.config["retention.ms"]) == ("compact,delete", "-1")
    appender = world.log.appender()
    for i in range(3):
        appender.append(name, 0, OutRecord(b"v", b"%d" % i))
    world.log.delete_records(name, 0, 2)
    assert world.log.begin_offsets(name) == [2]
    appender.close()


def test_records_of_a_missing_topic_cannot_be_deleted(world: World) -> None:
    with pytest.raises(LogError):
        world.log.delete_records(fresh("absent"), 0, 1)


def test_sending_to_a_missing_topic_or_partition_is_an_error(world: World) -> None:
    name = topic(world, "narrow")
    for where, partition in ((fresh("absent"), 0), (name, 7)):
        appender = world.log.appender()
        with pytest.raises(LogError):
            appender.append(where, partition, OutRecord(b"v"))


def test_two_appenders_share_a_partition_without_gaps(world: World) -> None:
    name = topic(world, "shared")
    first, second = world.log.appender(), world.another().appender()
    offsets = [appender.append(name, 0, OutRecord(b"v")) for _ in range(5) for appender in (first, second)]
    assert offsets == list(range(10))
    first.close()
    second.close()


def test_closing_twice_is_fine(world: World) -> None:
    log, name = world.another(), topic(world, "closed")
    reader, appender, leases = log.reader(), log.appender(), log.leases(name, fresh("group"))
    reader.assign({(name, 0): 0})
    leases.poll(0)
    for each in (reader, appender, leases):
        each.close()
        each.close()
