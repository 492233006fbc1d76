"""A whole deployment under one seed: workers, logs, leases, clocks, and everything that can happen to them.

    scenario -> World.effect (before everything that a process asks of the world) -> fault | pause | nothing

There is one thread. A process is stepped by the scheduler; whatever it asks of the log or of its group is an *effect*, and
before each of them the seed decides: the process dies there, the log gives no answer, or the process falls asleep. While one
sleeps the others are stepped and time passes, so a process that wakes up in the middle of a turn is a zombie that still
believes what it believed. Appends fail in the ways of `tests.simulation.fragile`.

Records arrive while the workers run. When all have arrived everybody is asked to come to an end; `Simulation.run` returns when
somebody has seen that everything is settled and every other process has ended as well.
"""

from __future__ import annotations

import hashlib
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from monitor.adapters import dead_letters
from monitor.config import Config
from monitor.daemon.counted import counted
from monitor.daemon.reload import Reloads
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.errors import LogUnreachable, UnknownOutcome
from monitor.events import RecordBatch
from monitor.plan import plan_of
from monitor.ports import OutRecord, TopicInfo, TopicSpec
from tests.adapters.memory import ManualClock, MemoryLeases
from tests.simulation.fragile import Crash, Fault, FragileWorld
from tests.simulation.world import PacedReader, worker
from tests.verify.scenario import Scenario, draw

STEPS_MAX = 6_000
"""Of all processes together; an ordinary seed needs less than a tenth."""
SOURCES = ("predictions", "labels")
HURT, CALM = "hurt", "calm"
APPEND_FAULTS = tuple(Fault)
OTHER_EFFECTS = 0.15
"""Less goes wrong where nothing is written: there are ten such effects to an append."""


class JumpingClock(ManualClock):
    """Its wall time jumps where the seed says so; its monotonic time does not."""

    def __init__(self) -> None:
        super().__init__(1_700_001_000_000)
        self.offset_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.offset_ms


class SimulatedWorld(FragileWorld):
    """Asks before every effect what is to happen there."""

    clock: JumpingClock

    def __init__(self, effect: Callable[[str], None]) -> None:
        super().__init__()
        self.clock = JumpingClock()
        self.effect = effect

    def plan(self, fault: Fault) -> None:
        """This is to happen at the next append."""
        self._faults[self.appends + 1] = fault

    def _append(self, topic: str, partition: int, record: OutRecord) -> int:
        self.effect("append")
        return super()._append(topic, partition, record)

    def topic(self, name: str) -> TopicInfo | None:
        self.effect("topic")
        return super().topic(name)

    def ensure(self, spec: TopicSpec) -> TopicInfo:
        self.effect("ensure")
        return super().ensure(spec)

    def begin_offsets(self, topic: str) -> list[int]:
        self.effect("begin_offsets")
        return super().begin_offsets(topic)

    def end_offsets(self, topic: str) -> list[int]:
        self.effect("end_offsets")
        return super().end_offsets(topic)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        self.effect("delete_records")
        super().delete_records(topic, partition, before)

    def reader(self, *, keys: bool = True, headers: bool = True) -> PacedReader:
        self.effect("reader")
        return _Reader(self, keys=keys, headers=headers)

    def leases(self, topic: str, group: str) -> MemoryLeases:
        made = super().leases(topic, group)
        return _Leases(self, made._group, made._member, made._partitions)


class _Reader(PacedReader):
    _log: SimulatedWorld

    def poll(self, max_records: int, timeout_ms: int) -> list[RecordBatch]:
        self._log.effect("read")
        return super().poll(max_records, timeout_ms)


class _Leases(MemoryLeases):
    _log: SimulatedWorld

    def poll(self, timeout_ms: int) -> frozenset[int]:
        self._log.effect("lease")
        return super().poll(timeout_ms)

    def report(self, offsets: Mapping[tuple[str, int], int]) -> None:
        self._log.effect("report")
        super().report(offsets)


class Simulation:
    """One seed. `log` holds afterwards what the disturbed namespace left, and `calm` is another that nothing happened to."""

    def __init__(self, seed: int) -> None:
        self.scenario: Scenario = draw(seed)
        self.chance = random.Random(f"simulation {seed}")
        self.log = SimulatedWorld(self._effect)
        self.happened: Counter[str] = Counter()
        self._slots: list[Worker | None] = [None] * self.scenario.workers
        self._running: list[int] = []  # the innermost last: those before it sleep
        self._arriving = list(self.scenario.arrivals)
        self._budget = self.scenario.faults_max
        self._steps = 0
        self._ending = self._settled = False
        self._second = self._more = False  # what the files say
        for name in SOURCES:
            self.log.ensure(TopicSpec(name, self.scenario.partitions))

    # -- what a seed is ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """To the end, and the undisturbed twin after it."""
        scenario = self.scenario
        self.log.paces = dict.fromkeys(SOURCES, scenario.pace)
        self._config = scenario.config(HURT, disturbed=True)
        self._plan = plan_of(self._config)
        models, watched = (
            random.Random(f"{what} {scenario.seed}") for what in ("changes", "changes of what is watched")
        )
        with _tokens(self.chance):
            while self._arriving:
                self._arrive(self.chance.randint(1, 8))
                self._some_steps(self.chance.randint(0, 6))
                if scenario.comes_and_goes and models.random() < 0.25:
                    self._change("models changed", models, second=not self._second)
                if scenario.is_watched and watched.random() < 0.25:
                    self._change("what is watched changed", watched, more=not self._more)
            self._ending = True
            for process in self._slots:
                if process is not None:
                    process.end_when_read()
            while not self._settled or any(self._slots):
                self._steps_of(self._awake())
        self.log.land()
        self.log.clock.offset_ms = 0
        self.log.paces = {}
        calm = worker(self.log, scenario.config(CALM, disturbed=False))
        calm.start()
        while not calm._step():
            pass
        calm.close()

    def _change(
        self, what: str, chance: random.Random, *, second: bool | None = None, more: bool | None = None
    ) -> None:
        """The files say something else now; some processes are told, others look by themselves."""
        self._happens(what)
        self._second = self._second if second is None else second
        self._more = self._more if more is None else more
        self._config = self.scenario.config(HURT, disturbed=True, second=self._second, more=self._more)
        for process in self._slots:
            if process is not None and process.reloads is not None and chance.random() < 0.7:
                process.reloads.ask()

    def fingerprint(self) -> bytes:
        """Of the files that every process reads."""
        return self._config.document().encode()

    def read(self) -> Config:
        """What the files say."""
        return self._config

    def digest(self) -> str:
        """Of everything that every topic of the disturbed namespace holds: the same for the same seed."""
        found = hashlib.blake2b(digest_size=16)
        for name in sorted(self.log._topics):
            if not name.startswith(f"{CALM}."):
                for stored in self.log.records(name):
                    found.update(repr((name, stored.offset, stored.record)).encode())
        return found.hexdigest()

    # -- the scheduler -------------------------------------------------------------------------------------------

    def _arrive(self, count: int) -> None:
        for arrival in self._arriving[:count]:
            self.log._store(arrival.topic, arrival.partition, OutRecord(arrival.value))
        del self._arriving[:count]

    def _awake(self) -> Sequence[int]:
        return [slot for slot in range(len(self._slots)) if slot not in self._running]

    def _some_steps(self, count: int) -> None:
        for _ in range(count):
            self._steps_of(self._awake())

    def _steps_of(self, awake: Sequence[int]) -> None:
        """A few turns of one process; a process that is not there is started."""
        if not awake:
            return
        slot = self.chance.choice(awake)
        for _ in range(self.chance.randint(1, 4)):
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise AssertionError(f"it never came to an end in {STEPS_MAX} steps")
            if self._slots[slot] is None and self._settled:
                return
            self._running.append(slot)
            try:
                self._step(slot)
            except Crash:
                self._happens("crash")
                self._gone(slot)
            except LogUnreachable:  # while starting: the process ends with its exit code, and is started again
                self._happens("start refused")
                self._gone(slot)
            finally:
                self._running.pop()

    def _step(self, slot: int) -> None:
        process = self._slots[slot]
        if process is None:
            options = WorkerOptions(until_end=self._ending)
            process = self._process(options)
            self._slots[slot] = process
            process.start()
            return
        if process._step():
            self._settled = True
            process.close()
            self._slots[slot] = None
        elif self._budget and self.chance.random() < 0.01:
            self._happens("told to stop")
            process.stop()
            try:
                process._commit_all(force=True)
            except UnknownOutcome:
                self._happens("stopped without an answer")
            process.close()
            self._slots[slot] = None

    def _process(self, options: WorkerOptions) -> Worker:
        own = self.log, self._config, self._plan, self.log.clock, dead_letters, options
        if not self.scenario.changes:
            return Worker(*own)
        by = counted(self.log, self._config, plan_of(self._config))
        reloads = Reloads(self, self.fingerprint(), self.log.clock)
        return Worker(self.log, self._config, by.plan, *own[3:], reloads=reloads, counted=by)

    def _gone(self, slot: int) -> None:
        """The process is no more; somebody else has its partitions when its sessions have run out."""
        process, self._slots[slot] = self._slots[slot], None
        for name in ("_task_leases", "_judge_leases"):
            leases = getattr(process, name, None)
            leases = getattr(leases, "leases", leases)  # that of the evaluator may be given back
            if leases is not None:
                leases.kill()
        if self.chance.random() < 0.6:
            self.log.clock.advance(self.log.session_ms + 1)

    # -- effects -------------------------------------------------------------------------------------------------

    def _happens(self, what: str) -> None:
        self.happened[what] += 1
        self._budget = max(0, self._budget - 1)

    def _effect(self, kind: str) -> None:
        """A process is about to ask something of the world."""
        if not self._running or not self._budget:
            return
        chance = self.chance
        if chance.random() < self.scenario.pause_share:
            self._pause()
        share = self.scenario.fault_share * (1 if kind == "append" else OTHER_EFFECTS)
        if not self._budget or chance.random() >= share:
            return
        if kind == "append":
            fault = chance.choice(APPEND_FAULTS)
            self._happens(fault.name.lower().replace("_", " "))
            self.log.plan(fault)
            return
        match chance.choice(("crash", "crash", "clock", "no answer")):
            case "crash":
                raise Crash
            case "clock":
                self._happens("clock jumped")
                self.log.clock.offset_ms = chance.randint(-600_000, 3_600_000)
            case "no answer" if kind not in ("lease", "report"):  # a group that does not answer raises nothing
                self._happens("no answer")
                raise LogUnreachable(f"the log did not answer {kind} (injected)")

    def _pause(self) -> None:
        """Sleep here: the others go on, and time passes."""
        self._happens("paused")
        if self.chance.random() < 0.7:
            self.log.clock.advance(self.log.session_ms + 1)
        self._some_steps(self.chance.randint(1, 12))
        if self._arriving and self.chance.random() < 0.3:
            self._arrive(self.chance.randint(1, 4))
        if self.chance.random() < 0.2:
            raise Crash


@contextmanager
def _tokens(chance: random.Random) -> Iterator[None]:
    """Owners' tokens drawn from the seed, so that every byte of a run is."""
    tokens = random.Random(chance.random())
    with patch.object(secrets, "token_hex", lambda size: tokens.randbytes(size).hex()):
        yield
