"""A namespace is begun once: by whatever files, its partitions all count by the same models from their first record on."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from monitor.config import loads
from monitor.daemon.counted import alone
from monitor.daemon.genesis import begin
from monitor.daemon.sources import SourceWatch, source_topics
from monitor.daemon.topics import ensure_topics
from monitor.errors import LedgerError
from monitor.ledger.records import Genesis, decode
from monitor.plan import plan_of
from monitor.ports import OutRecord
from tests.simulation.fragile import FragileWorld
from tests.simulation.histories import split
from tests.simulation.reloading import Files, start
from tests.simulation.test_crashes import pace
from tests.simulation.test_models_change import ALL, BOTH, M, a_world, check, in_order, rosters, text, turn
from tests.simulation.world import topics, worker


@pytest.fixture(autouse=True, scope="module")
def only_what_is_new_is_collected() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


def geneses(log: FragileWorld, partition: int) -> list[Genesis]:
    """Those that were offered to a partition, the one that counts first."""
    found = [decode(stored.record.value or b"", "ledger") for stored in log.records("one.ledger", partition)]
    return [one for one in found if isinstance(one, Genesis)]


@pytest.mark.parametrize("lists", [(M, BOTH), (BOTH, M)])
def test_workers_whose_files_list_other_models_begin_one_namespace(lists: tuple[str, str]) -> None:
    log = a_world(*in_order(200))
    pace(log, 3)
    processes = [start(log, Files(text("one", own))) for own in lists]
    for _ in range(8):
        for process in processes:
            turn(log, process, 1)
    assert all(process.tasks for process in processes), "each has a partition"
    (evaluator,) = [process for process in processes if process.judge is not None]
    while any(not process.done() for process in processes):
        for process in processes:
            if not process.done():
                log.clock.advance(50)
                process.turn()
    for process in processes:
        process.close()
    assert len({geneses(log, partition)[0].config for partition in range(2)}) == 1
    wanted = {model.name for model in evaluator.config.models}
    if last := rosters(log, "one"):
        assert {one.name for one in last[-1].listed} == wanted, "the files of the evaluator decide"
    check(log, text("one", lists[processes.index(evaluator)]))


class Crowded(FragileWorld):
    """Somebody else does something just before the first genesis is in the log."""

    meanwhile: Callable[[], None] | None = None

    def _append(self, topic: str, partition: int, record: OutRecord) -> int:
        if topic.endswith(".ledger") and self.meanwhile is not None:
            first, self.meanwhile = self.meanwhile, None
            first()
        return super()._append(topic, partition, record)


def test_of_two_who_begin_it_at_once_the_first_one_counts() -> None:
    p, q = in_order(200)
    log = topics(split(p), split(q), Crowded())
    worker(log, loads(text("calm", ALL))).run()
    configs = [loads(text("one", own)) for own in (M, BOTH)]
    found = []

    def begins(number: int) -> None:
        config = configs[number]
        by, sources = alone(config, plan_of(config)), source_topics(log, config)
        ensure_topics(log, config.topics(), sources.predictions.partitions, SourceWatch(log, "one", sources, 0))
        found.append(begin(log, log.appender(), sources, by))

    log.meanwhile = lambda: begins(1)
    begins(0)
    assert len(geneses(log, 0)) == 2
    assert geneses(log, 1) == []
    assert {one.config for one in found if one is not None} == {configs[1].digest}
    pace(log, 6)
    process = start(log, Files(text("one", M)))
    turn(log, process, 3)
    assert {geneses(log, partition)[0].config for partition in range(2)} == {configs[1].digest}
    while not process.done():
        log.clock.advance(50)
        process.turn()
    process.close()
    check(log, text("one", M))


def test_a_ledger_whose_beginning_is_lost_is_not_begun_again() -> None:
    p, q = in_order(200)
    log = topics(split(p), split(q), FragileWorld())
    files = Files(text("one", M))
    process = start(log, files)
    turn(log, process, 9)
    log.crashed(process)
    for partition in range(2):
        log.truncate("one.ledger", partition, 3)
    before = log.end_offsets("one.ledger")
    process = start(log, files)
    with pytest.raises(LedgerError, match="what the records before it said is lost"):
        process.turn()
    assert begin(log, log.appender(), process.sources, process.counted) is None
    assert geneses(log, 0) == []
    assert log.end_offsets("one.ledger") == before
