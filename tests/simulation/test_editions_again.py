"""Runs of the topics beside a namespace that went over to another edition, or did not: to compare, and to explain an alert."""

from __future__ import annotations

import pytest

from monitor.cli.explain import editions_of
from monitor.errors import LedgerError
from tests.replay.proving import run_again, sentences
from tests.simulation.editions import LATER, THIS, next_plan, process_of, settings_of
from tests.simulation.histories import PARTITIONS
from tests.simulation.test_crashes import pace
from tests.simulation.test_editions import a_world, begun_by_the_earlier, calm, check, finish
from tests.simulation.test_models_change import in_order


def test_a_run_without_decisions_is_of_the_edition_that_decided() -> None:
    log = calm()
    for namespace in ("first", "second"):
        own = settings_of(namespace)
        again, found = run_again(log, own, next_plan(own))
        assert sentences(found) == []
        assert again.finals > 10


def test_a_run_without_decisions_is_refused_where_the_edition_changed() -> None:
    log = calm()
    pace(log, 6)
    begun_by_the_earlier(log, 12)
    finish(log, [process_of(log, settings_of("one"), LATER)])
    with pytest.raises(LedgerError, match=f"namespace 'one' went over to edition {LATER} while it ran"):
        run_again(log, settings_of("one"), next_plan(settings_of("one")))


def test_an_alert_is_looked_for_under_each_edition_that_held_the_newest_first() -> None:
    log = calm()
    pace(log, 6)
    begun_by_the_earlier(log, 12)
    own = settings_of("one")
    assert editions_of(log, own, next_plan(own)) == [THIS]
    finish(log, [process_of(log, own, LATER)])
    assert editions_of(log, own, next_plan(own)) == [LATER, THIS]
    assert editions_of(log, own, next_plan(own).of_edition(THIS)) == [THIS]
    assert editions_of(log, settings_of("second"), next_plan(own)) == [LATER]


def test_a_partition_without_records_says_what_it_counts_by_as_others_do() -> None:
    p, q = in_order(240, "m")
    log = a_world([one for one in p if _first(one["id"])], [one for one in q if _first(one["id"])])
    pace(log, 4)
    begun_by_the_earlier(log)
    finish(log, [process_of(log, settings_of("one"), LATER)])
    assert not any(log.records("predictions", 1))
    assert check(log) is not None


def _first(id_: str) -> bool:
    """Whether records of an id go to the first partition."""
    return sum(id_.encode()) % PARTITIONS == 0
