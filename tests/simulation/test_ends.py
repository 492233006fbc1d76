"""What was read to its end takes nothing more, and says so."""

from __future__ import annotations

import logging

import pytest

from monitor.errors import LedgerError
from monitor.ports import OutRecord
from tests.simulation.histories import split
from tests.simulation.test_crashes import a_history
from tests.simulation.world import World, config, finals, topics, worker


def ended() -> World:
    log = topics(*(split(records) for records in a_history()))
    first = worker(log, config("one"))
    first.run()
    assert first.finished
    return log


def test_partitions_that_were_idle_before_they_ended_are_read_to_their_end_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last of them is read long after the others: nothing came for longer than `time.idle_after` then."""
    log, calm = ended(), topics(*(split(records) for records in a_history()))
    impatient = config("one").model_copy(update={"time": config("one").time.model_copy(update={"idle_after_ms": 1})})
    slow = worker(calm, impatient)
    at_once = slow.turn

    def turn() -> None:
        at_once()
        calm.clock.sleep_ms(100)

    monkeypatch.setattr(slow, "turn", turn)
    slow.run()
    assert slow.finished
    assert finals(calm, "one") == finals(log, "one")
    assert finals(log, "one")


def test_a_live_run_refuses_a_namespace_that_was_read_to_its_end() -> None:
    log = ended()
    live = worker(log, config("one"))
    live.options.until_end = False
    with pytest.raises(LedgerError, match=r"namespace 'one'.*end of input was recorded.*another `namespace`"):
        live.run()


def test_what_came_after_the_end_is_told_and_not_read(caplog: pytest.LogCaptureFixture) -> None:
    log = ended()
    with caplog.at_level(logging.WARNING):
        worker(log, config("one")).run()
    assert not caplog.records
    log.appender().append("labels", 0, OutRecord(b"{}"))
    with caplog.at_level(logging.WARNING):
        worker(log, config("one")).run()
    assert ["are not read" in record.message for record in caplog.records] == [True]


def test_a_run_to_the_end_that_was_stopped_has_not_finished() -> None:
    log = topics(*(split(records) for records in a_history()))
    stopped = worker(log, config("one"))
    stopped.stop()
    stopped.run()
    assert not stopped.finished
