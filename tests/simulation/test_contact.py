"""A worker whose log is gone: what its probes say, while it waits and once the log answers again."""

from __future__ import annotations

from monitor.adapters import dead_letters
from monitor.cli.observer import Observer, base_view
from monitor.daemon.contact import ASK_EVERY_MS
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.errors import LogUnreachable
from monitor.plan import plan_of
from tests.adapters.memory import Landing, MemoryLeases
from tests.oracle.join import Label, Prediction
from tests.simulation.world import World, config, topics

START = 1_700_000_000_000
PREDICTIONS = [
    [Prediction(id=f"p{i}", model="m", version="1", at=START + i, score=0.9, prediction=1.0) for i in range(20)]
] * 2
LABELS = [[Label(id=f"p{i}", at=START + i, label=1.0) for i in range(20)]] * 2


class Outage(World):
    """A log that may stop answering: questions fail, and the group takes back what it gave, as Kafka's does."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False

    def end_offsets(self, topic: str) -> list[int]:
        if self.down:
            raise LogUnreachable("no broker answers")
        return super().end_offsets(topic)

    def leases(self, topic: str, group: str) -> MemoryLeases:
        made, log = super().leases(topic, group), self

        class Lost(MemoryLeases):
            def poll(self, timeout_ms: int) -> frozenset[int]:
                held = super().poll(timeout_ms)
                return frozenset() if log.down else held

        return Lost(self, made._group, made._member, made._partitions)


def start(log: Outage) -> tuple[Worker, Observer]:
    settings = config("one")
    plan = plan_of(settings)
    observer = Observer(plan, base_view(settings, "1", log.clock.now_ms()), log.clock)
    worker = Worker(log, settings, plan, log.clock, dead_letters, WorkerOptions(), observer.on_tick, observer.tell)
    observer.show_start()
    worker.start()
    return worker, observer


def steps(log: Outage, *workers: Worker) -> None:
    """More than the time in which an outage must be noticed."""
    for _ in range(6):
        log.clock.advance(ASK_EVERY_MS // 3)
        for worker in workers:
            worker._step()


def failing(observer: Observer) -> list[str]:
    return [check.name for check in observer.snapshot.checks if not check.ok]


def test_ready_ends_with_the_contact_to_the_log_and_comes_back_with_it() -> None:
    log = topics(PREDICTIONS, LABELS, Outage())
    worker, observer = start(log)
    assert failing(observer) == ["group"]
    steps(log, worker)
    assert (sorted(worker.tasks), failing(observer)) == ([0, 1], [])
    log.down = True
    steps(log, worker)
    assert (sorted(worker.tasks), failing(observer)) == ([], ["log"])
    assert "no broker answers" in [check.detail for check in observer.snapshot.checks]
    log.down = False
    steps(log, worker)
    assert (sorted(worker.tasks), failing(observer)) == ([0, 1], [])
    worker.close()


def test_what_is_not_acknowledged_ends_the_turn_and_is_told_before_the_next_wait() -> None:
    """Each wait is as long as the message timeout: with several in one turn the probes heard of an outage minutes late."""
    log = topics(PREDICTIONS, LABELS, Outage())
    before, _ = start(log)
    steps(log, before)  # the namespace is begun
    before.close()
    worker, observer = start(log)
    log.fail_next(Landing.LOST)
    log.fail_next(Landing.LOST)
    log.clock.advance(ASK_EVERY_MS)
    worker._step()
    assert worker.contact.lost
    assert (sorted(worker.tasks), failing(observer)) == ([], ["log"])
    assert worker.lost == 0, "no partition was lost to another worker"
    steps(log, worker)
    steps(log, worker)
    assert (sorted(worker.tasks), failing(observer)) == ([0, 1], [])
    worker.close()


def test_who_cannot_begin_a_namespace_has_not_joined_and_says_both() -> None:
    log = topics(PREDICTIONS, LABELS, Outage())
    worker, observer = start(log)
    log.fail_next(Landing.LOST)
    log.clock.advance(ASK_EVERY_MS)
    worker._step()
    assert worker.contact.lost
    assert (sorted(worker.tasks), failing(observer)) == ([], ["group", "log"])
    steps(log, worker)
    steps(log, worker)
    assert (sorted(worker.tasks), failing(observer)) == ([0, 1], [])
    worker.close()


def test_who_stands_by_is_ready() -> None:
    log = topics(PREDICTIONS[:1], LABELS[:1], Outage())
    (first, _), (second, observer) = start(log), start(log)
    steps(log, first, second)
    assert (sorted(second.tasks), failing(observer)) == ([], [])
    for worker in (first, second):
        worker.close()


def test_the_headroom_of_retention_is_that_of_the_oldest_row_held() -> None:
    log = topics(PREDICTIONS, [[], []], Outage())
    log.configure("predictions", **{"retention.ms": "86400000"})
    worker, observer = start(log)
    steps(log, worker)
    worker._commit_all(force=True)
    steps(log, worker)
    for partition in observer.view.partitions:
        predictions, labels = partition.predictions.headroom, partition.labels.headroom if partition.labels else None
        assert predictions is not None
        assert predictions.records == 0, "the first prediction still waits for its label"
        age_ms = observer.view.at_ms - (START + 19) + 160_000  # of the oldest that can be held: horizon and lateness
        assert predictions.left_ms == 86_400_000 - age_ms
        assert labels is not None
        assert labels.left_ms is None, "nothing is needed, and nothing expires"
    worker.close()


def test_what_was_read_since_the_end_was_asked_for_moves_the_end() -> None:
    log = topics(PREDICTIONS, LABELS, Outage())
    worker, observer = start(log)
    steps(log, worker)
    topics(
        [[Prediction(id="new", model="m", version="1", at=START + 30, score=0.9, prediction=1.0)], []], [[], []], log
    )
    worker._step()
    observer.refresh(worker)
    first = observer.view.partitions[0].predictions
    assert worker.contact.ends["predictions"][0] == 20, "nobody asked since"
    assert (first.position, first.end, first.lag) == (21, 21, 0)
    worker.close()
