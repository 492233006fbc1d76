"""Labels that are keyed by something else become a copy beside the predictions, each record once, whatever happens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from monitor.adapters.partitioner import murmur2_partition, murmur2_partitions
from monitor.config import Config, loads
from monitor.config.streams import progress_topic
from monitor.daemon.merge import Due, Merge
from monitor.daemon.rekey import PROGRESS_MS, Rekeying
from monitor.daemon.rekey_progress import RekeyError
from monitor.errors import OffsetLost
from monitor.ingest.routing import FROM
from monitor.ports import OutRecord, TopicSpec
from tests.adapters.memory import MemoryLeases, MemoryLog
from tests.examples import examples
from tests.oracle.join import Label, Prediction
from tests.simulation.fragile import Crash, Fault, FragileWorld
from tests.simulation.histories import labels, predictions, split
from tests.simulation.test_crashes import a_history
from tests.simulation.test_wrapped import as_rows, without_config
from tests.simulation.world import CONFIG, LATENESS_S, World, config, finals, topics, worker

FAULTS = [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LANDED, Fault.LOST]
SOURCES = 3


def rekeyed(source: str = "outcomes", lateness_s: int = LATENESS_S, **stream: Any) -> Config:
    text = CONFIG.format(namespace="keyed", rows=50, lateness=lateness_s)
    own = json.dumps({"from": source, **stream})
    return loads(text.replace("    topic: labels\n", f"    topic: labels\n    rekey: {own}\n"))


def copying(log: MemoryLog, config: Config, partitions: int = 2, **options: Any) -> Rekeying:
    assert config.streams.labels is not None
    return Rekeying(
        log,
        config.namespace,
        config.streams.labels,
        partitions,
        murmur2_partitions,
        log.clock,
        until_end=True,
        **options,
    )


def send_anywhere(log: MemoryLog, records: list[dict[str, Any]], topic: str = "outcomes") -> None:
    """Keyed by nothing that has to do with the id."""
    log.ensure(TopicSpec(topic, SOURCES))
    appender = log.appender()
    for n, record in enumerate(records):
        value = json.dumps(record).encode() if record else None
        appender.append(
            topic, n * 7 % SOURCES, OutRecord(value, b"k%d" % (n % 4), [("h", b"%d" % n)], 1_700_001_000_000 + n)
        )


def held(log: MemoryLog, topic: str, partitions: int) -> Iterator[tuple[int, Any]]:
    for partition in range(partitions):
        for stored in log.records(topic, partition):
            yield partition, stored


def run_through(log: FragileWorld, config: Config, faults: list[tuple[int, Fault]]) -> None:
    """Copy to the end, with a new process after each crash."""
    log.arm(faults)
    for _ in range(len(faults) + 1):
        process = copying(log, config)
        try:
            process.start()
            while not process.standing.finished:
                process.turn()
            process.close()
            return
        except Crash:
            assert isinstance(process._leases, MemoryLeases)
            process._leases.kill()
            log.clock.advance(log.session_ms + 1)
    raise AssertionError("more crashes than were planned")


@settings(max_examples=examples(300), deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.builds(lambda i, at: {"id": i, "at": at, "label": 1}, st.text(max_size=3), st.integers(0, 99)), max_size=60
    ),
    st.lists(st.tuples(st.integers(1, 25), st.sampled_from(FAULTS)), max_size=4),
    st.integers(1, 30),
)
def test_each_record_is_copied_once_to_where_its_id_belongs_whatever_crashes(
    records: list[dict[str, Any]], faults: list[tuple[int, Fault]], pace: int
) -> None:
    log = FragileWorld()
    send_anywhere(log, records)
    log.paces = {"outcomes": pace}
    run_through(log, rekeyed(), faults)
    sources = {(p, at): stored for p in range(SOURCES) for at, stored in enumerate(log.records("outcomes", p))}
    seen: Counter[tuple[int, int]] = Counter()
    order: dict[tuple[int, str], list[int]] = {}
    for partition, stored in held(log, "labels", 2):
        origin = dict(stored.record.headers)[FROM].decode().split("/")
        place = int(origin[1]), int(origin[2])
        source = sources[place]
        assert source.record.value is not None
        seen[place] += 1
        text = json.loads(source.record.value)["id"]
        if text:
            assert (partition, stored.record.key) == (murmur2_partition(text.encode(), 2), text.encode())
        else:
            assert (partition, stored.record.key) == (place[0] % 2, source.record.key)
        assert stored.record.value == source.record.value
        assert stored.timestamp_ms == source.timestamp_ms
        assert list(stored.record.headers[:-1]) == list(source.record.headers)
        order.setdefault((place[0], text), []).append(place[1])
    assert seen == Counter(dict.fromkeys(sources, 1))
    if not {Fault.LOST, Fault.LANDED} & {fault for _, fault in faults}:
        assert all(offsets == sorted(offsets) for offsets in order.values())


@settings(max_examples=examples(20), deadline=None)
@given(predictions, labels)
def test_windows_are_those_of_labels_that_were_there_from_the_beginning(p: list[Prediction], q: list[Label]) -> None:
    assert_as_there(p, q)


def test_windows_of_a_history_are_those_of_labels_that_were_there() -> None:
    assert_as_there(*a_history())


def assert_as_there(p: list[Prediction], q: list[Label]) -> None:
    plain = topics(by_hash(p), by_hash(q))
    worker(plain, config("plain", 50, lateness_s=400)).run()
    log = topics(by_hash(p), [[], []], World())
    changed = rekeyed(lateness_s=400)
    send_anywhere(log, as_rows(q))
    copying(log, changed).run()
    worker(log, changed).run()
    assert without_config(finals(log, "keyed")) == without_config(finals(plain, "plain"))
    assert changed.digest == config("keyed", 50, 400).digest, "where records were copied from means nothing"


def by_hash(records: list[Any]) -> list[list[Any]]:
    logs: list[list[Any]] = [[], []]
    for record in records:
        logs[murmur2_partition(record["id"].encode(), 2)].append(record)
    return logs


def test_elements_of_one_record_part_and_keep_their_bytes() -> None:
    log = World()
    log.ensure(TopicSpec("outcomes", 1))
    rows = [{"id": f"i{n}", "at": 5, "label": 1} for n in range(6)]
    value = json.dumps({"beside": 1.5, "rows": [*rows, {"label": 0}]}).replace("1.5", "1.50").encode()
    log.appender().append("outcomes", 0, OutRecord(value, b"k"))
    text = CONFIG.format(namespace="keyed", rows=50, lateness=LATENESS_S)
    changed = loads(
        text.replace("    topic: labels\n", "    topic: labels\n    rekey: {from: outcomes}\n    each: $.rows\n")
    )
    copying(log, changed).run()
    found: dict[str | None, int] = {}
    for partition, stored in held(log, "labels", 2):
        assert b'"beside":1.50' in stored.record.value.replace(b" ", b"")
        for row in json.loads(stored.record.value)["rows"]:
            assert found.setdefault(row.get("id"), partition) == partition
    assert found.pop(None) == murmur2_partition(b"i0", 2)
    assert found == {f"i{n}": murmur2_partition(b"i%d" % n, 2) for n in range(6)}
    assert len(set(found.values())) == 2


def test_a_second_process_stands_by_and_goes_on_where_the_first_one_was() -> None:
    log = World()
    send_anywhere(log, [{"id": f"{n}", "at": n, "label": 1} for n in range(30)])
    log.paces = {"outcomes": 4}
    first, second = copying(log, rekeyed()), copying(log, rekeyed())
    first.start()
    second.start()
    for _ in range(3):
        first.turn()
        second.turn()
    assert (first.standing.active, second.standing.active, second.standing.copied) == (True, False, 0)
    first.close()
    second.turn()
    while not second.standing.finished:
        second.turn()
    second.close()
    assert first.standing.copied + second.standing.copied == 30
    assert first.standing.copied > 0
    assert second.standing.lag == {0: 0, 1: 0, 2: 0}


def test_what_it_sent_is_looked_for_from_where_the_copy_ended_at_the_last_progress() -> None:
    log = World()
    send_anywhere(log, [{"id": f"{n}", "at": n, "label": 1} for n in range(30)])
    copying(log, rekeyed()).run()
    (kept,) = [json.loads(stored.record.value or b"") for stored in log.records(progress_topic("labels"))][-1:]
    assert (kept["positions"], sum(kept["ends"])) == ([10, 10, 10], 30)
    again = copying(log, rekeyed())
    again.run()
    assert (again.standing.copied, again.standing.read) == (0, 0)
    assert PROGRESS_MS > 0


def test_what_the_source_has_forgotten_is_refused_unless_the_loss_is_accepted() -> None:
    log = World()
    send_anywhere(log, [{"id": f"{n}", "at": n, "label": 1} for n in range(30)])
    process = copying(log, rekeyed())
    process.run()
    send_anywhere(log, [{"id": f"{n}", "at": n, "label": 1} for n in range(30)])
    log.delete_records("outcomes", 1, 15)
    with pytest.raises(OffsetLost):
        copying(log, rekeyed()).run()
    going_on = copying(log, rekeyed(), accept_loss=True)
    going_on.run()
    assert going_on.standing.copied == 25


def test_other_topics_under_the_same_names_are_refused() -> None:
    log = World()
    send_anywhere(log, [{"id": "a", "at": 1, "label": 1}])
    copying(log, rekeyed()).run()
    with pytest.raises(RekeyError, match="it has 2 partitions and 3 are needed"):
        copying(log, rekeyed(), partitions=3).run()
    log.ensure(TopicSpec("others", 1))
    with pytest.raises(RekeyError, match="was begun with topic 'outcomes' of id"):
        copying(log, rekeyed(source="others")).run()
    with pytest.raises(RekeyError, match="there is no topic 'nowhere' to copy"):
        copying(log, rekeyed(source="nowhere")).run()


def test_what_has_no_id_is_copied_and_counted_and_put_aside_by_the_daemon() -> None:
    log = topics(split([]), [[], []], World())
    send_anywhere(log, [{"id": "a", "at": 1, "label": 1}, {"at": 2, "label": 1}, {"id": 7.5, "at": 3, "label": 0}])
    process = copying(log, rekeyed())
    process.run()
    assert (process.standing.copied, process.standing.unplaced) == (3, 2)
    worker(log, rekeyed()).run()
    letters = [stored for _, stored in held(log, "labels.dlq", 2)]
    assert sorted(dict(s.record.headers)["driftline.error.reason"] for s in letters) == [b"missing", b"type"]


def test_a_field_in_the_key_keeps_the_key() -> None:
    log = World()
    send_anywhere(log, [{"id": "a", "at": 1}])
    text = CONFIG.format(namespace="keyed", rows=50, lateness=LATENESS_S).replace("label: $.label", "label: key")
    copying(log, loads(text.replace("    topic: labels\n", "    topic: labels\n    rekey: {from: outcomes}\n"))).run()
    assert [stored.record.key for _, stored in held(log, "labels", 2)] == [b"k0"]


def test_partitions_are_copied_abreast_by_the_times_of_the_log() -> None:
    log = World()
    log.ensure(TopicSpec("outcomes", 3))
    for partition in range(3):
        for n in range(2_000):
            value = json.dumps({"id": f"{partition}-{n}", "at": n, "label": 1}).encode()
            log.appender().append("outcomes", partition, OutRecord(value, None, (), 1_700_000_000_000 + n * 1_000))
    log.paces = {"outcomes": 700}
    copying(log, rekeyed()).run()
    for partition in range(2):
        times = np.array([stored.timestamp_ms for stored in log.records("labels", partition)])
        assert len(times) > 2_000
        assert int((np.maximum.accumulate(times) - times).max()) == 0


def test_who_reads_waits_for_nobody_who_has_nothing_more() -> None:
    merge = Merge([0, 5, 0])
    merge.add(0, [Due(0, offset, offset, (), False) for offset in (0, 1)], 2)
    assert list(merge.due([2, 5, 1])) == [], "the third has something that may be older"
    assert merge.positions() == [0, 5, 0]
    assert [due.offset for due in merge.due([2, 5, 0])] == [0, 1]
    assert merge.positions() == [2, 5, 0]
