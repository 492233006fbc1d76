"""The policy backtest: what a policy would have done over a stretch of the past, against never, weekly and always retraining.

The loop is the one of production, round for round, over a store of its own and a clock that is moved by hand: the same trigger,
gate, shadow, probation and rollback. Labels count from when they became known, alerts from when they fired. A person who is asked
agrees at once. What differs from that time is said here, because it cannot be otherwise:

- alerts are those that were told then, about the model that served then. Once the backtest promotes something else they are
  about a model that it does not have; they are taken as they are.
- a version is judged, in the shadow and on probation, on all rows that came, as if it had predicted them.
- what a shadow needs of whoever serves is scored here.

Whether a promotion was right is asked of the truth that came later: of all labels, on the rows from it to the next one.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET

from pipelines.book import Book
from pipelines.codec import digest_of
from pipelines.directory import DirectoryStore
from pipelines.errors import StepFailed
from pipelines.filesteps import Work
from pipelines.firing import Firing
from pipelines.firing import firing as firing_of
from pipelines.local import Wired
from pipelines.local_data import FileData
from pipelines.local_models import LocalModels
from pipelines.losses import Floats
from pipelines.orchestrator import Orchestrator
from pipelines.policy import DAY_MS, Policy, ScoredBy
from pipelines.ports import Alive, Anchors, Artifact, Dataset, Draft, Evaluator, Store, Trainer
from pipelines.rows import KNOWN, VERSION, keep, labelled, of_span, split
from pipelines.runner import read_job, run
from pipelines.states import State
from pipelines.tables import Row, numbers, write_rows
from pipelines.trainer import score, train

TRUTH_ROWS_MIN: Final = 100
"""Rows of later truth below which a promotion is neither right nor false."""
START: Final = "start"
WEEK_MS: Final = 7 * DAY_MS
Steps = Callable[[Store], Any]
"""Trainer and evaluator over a store."""
Headway = Callable[[str, int], None]
"""Told of each round: which way of retraining is gone through, and the time that it has come to."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is gone through: [from_ms, until_ms), a round every `every_ms`."""

    from_ms: int
    until_ms: int
    every_ms: int


@dataclass(frozen=True, slots=True)
class Promoted:
    """A version that came to serve. `better`: by how much its mean loss was lower than that of the version before, by later
    truth, on `rows`; None where there is too little of it. `back_ms`: when it was rolled back."""

    at_ms: int
    version: int
    rows: int
    better: float | None
    back_ms: int | None

    @property
    def false(self) -> bool:
        """Whether the model that it replaced would have been better, or as good."""
        return self.better is not None and self.better <= 0


@dataclass(frozen=True, slots=True)
class Told:
    """What one way of retraining did. `loss`: mean over the rows of the span, each by the model that served then; `why`: how many
    rounds began nothing, by reason; `ends`: how many runs ended how."""

    name: str
    promotions: tuple[Promoted, ...]
    trainings: int
    rows_trained: int
    seconds: float
    loss: float
    rows: int
    why: dict[str, int]
    ends: dict[str, int]

    @property
    def false(self) -> int:
        """Promotions that later truth calls wrong."""
        return sum(promoted.false for promoted in self.promotions)

    @property
    def rolled_back(self) -> int:
        """Promotions that were taken back."""
        return sum(promoted.back_ms is not None for promoted in self.promotions)


class PastClock:
    """Moved by hand."""

    def __init__(self, now_ms: int) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        """See Clock."""
        return self.ms


class PastAlerts:
    """`pipelines.ports.Alerts` over all events that were ever told: what fires is what fired by then."""

    def __init__(self, events: Iterable[bytes], clock: PastClock) -> None:
        """Raises StepFailed for an event that cannot be read."""
        timed = []
        for number, raw in enumerate(events, 1):
            _, unreadable = firing_of([raw])
            if unreadable:
                raise StepFailed(f"event {number}", f"is no alert: {unreadable[0].why}", "Name a file of CloudEvents.")
            if raw.strip():
                timed.append((int(msgspec.json.decode(raw)["data"]["tick_ms"]), number, raw))
        timed.sort()
        self._times, self._events, self._clock = [each[0] for each in timed], [each[2] for each in timed], clock

    def firing(self) -> tuple[Firing, ...]:
        """See Alerts."""
        return firing_of(self._events[: bisect_right(self._times, self._clock.ms)])[0]


class PastData(FileData):
    """`pipelines.ports.Data` over rows at hand. Which version predicted them then is forgotten."""

    def __init__(self, store: Store, rows: Sequence[Row]) -> None:
        super().__init__(store, {})
        self._rows = [{key: value for key, value in row.items() if key != VERSION} for row in rows]
        self._sorted = False

    def seen(self, policy: Policy, names: Collection[str]) -> bool | None:
        """See Data."""
        return None

    def _labelled(self, policy: Policy, until_ms: int, *, whole: bool = False) -> list[Row]:
        if (
            not self._sorted
        ):  # once for all rounds: the order of rows is of their bytes, and rows in order cost nothing to sort
            self._rows = of_span(self._rows, policy, -(2**62), 2**62)
            self._sorted = True
        return labelled(self._rows, policy, until_ms, ordered=True)


class _Counting:
    """`pipelines.ports.Trainer` that counts."""

    def __init__(self, inner: Trainer) -> None:
        self._inner = inner
        self.trainings, self.rows, self.seconds = 0, 0, 0.0

    def train(self, policy: Policy, run: str, attempt: int, dataset: Dataset, alive: Alive) -> Artifact:
        """See Trainer."""
        begun = time.monotonic()
        made = self._inner.train(policy, run, attempt, dataset, alive)
        self.seconds += time.monotonic() - begun
        self.trainings, self.rows = self.trainings + 1, self.rows + dataset.train_rows
        return made

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See Trainer."""
        self._inner.clear(policy, alive)


class Inline:
    """`pipelines.filesteps.Executor` within this process: for the default trainer, which leaves nothing behind in it."""

    def execute(self, work: Work, alive: Alive) -> float:
        """See Executor."""
        begun = time.monotonic()
        functions = {"pipelines.trainer:train": train, "pipelines.trainer:score": score}
        assert work.function is not None
        run(read_job(work.directory), functions[work.function], work.directory)
        alive()
        return (time.monotonic() - begun) * 1000

    def clear(self, policy: Policy, alive: Alive) -> None:
        """See Executor."""


def awake() -> None:
    """Nobody takes a backtest over."""


class Backtest:
    """One policy, rows and events of the past. `directory` is where its stores are; `steps` make trainer and evaluator over
    one."""

    def __init__(
        self, policy: Policy, rows: Sequence[Row], events: Sequence[bytes], anchors: Callable[[Store], Anchors],
        directory: Path, steps: Steps, told: Headway = lambda *_: None,
    ) -> None:  # fmt: skip
        """`told`: see Headway."""
        self.policy, self.rows, self._events, self._headway = _as_if(policy), rows, events, told
        self._anchors, self._directory, self._steps = anchors, directory, steps

    def loop(self, span: Span) -> Told:
        """The policy itself."""
        world, why = _World(self, "policy", span), Counter[str]()
        orchestrator = Orchestrator(world.wired, [self.policy], "backtest")
        for world.clock.ms in range(span.from_ms, span.until_ms, span.every_ms):
            self._headway("policy", world.clock.ms)
            done = orchestrator.round()
            why.update(str(plan.why) for plan in done.plans if not plan.begins)
            if world.agree():
                orchestrator.round()
        return world.told(span, dict(sorted(why.items())))

    def never(self, span: Span) -> Told:
        """The first model serves throughout."""
        return _World(self, "never", span).told(span, {})

    def regularly(self, name: str, span: Span, each_ms: int) -> Told:
        """Trained and promoted at fixed times, without a gate."""
        self._headway(name, span.from_ms)  # the first model is a part of it
        world = _World(self, name, span)
        for world.clock.ms in range(span.from_ms + each_ms, span.until_ms, each_ms):
            self._headway(name, world.clock.ms)
            world.replace(f"{name}-{world.clock.ms}")
        return world.told(span, {})

    def compare(self, span: Span) -> tuple[Told, ...]:
        """The policy against never, weekly and daily."""
        weekly, daily = self.regularly("weekly", span, WEEK_MS), self.regularly("always", span, DAY_MS)
        return self.loop(span), self.never(span), weekly, daily

    def world(self, name: str, clock: PastClock) -> tuple[Wired, _Counting]:
        """Ports over a store of its own."""
        store = DirectoryStore(self._directory / name)
        steps = self._steps(store)
        counting, alerts = _Counting(steps), PastAlerts(self._events, clock)
        data, models = PastData(store, self.rows), LocalModels(store)
        return Wired(store, clock, alerts, data, counting, steps, self._anchors(store), models), counting

    def truth(self, span: Span) -> list[Row]:
        """The rows of the span, with all labels that ever came."""
        at = self.policy.data.at
        inside = [
            row for row in labelled(self.rows, _whole(self.policy), 2**62) if span.from_ms <= row[at] < span.until_ms
        ]
        return [{key: value for key, value in row.items() if key not in (VERSION, KNOWN)} for row in inside]


class _World:
    """One way of retraining under way: it begins with a model of what was known at the start, which everybody begins with."""

    def __init__(self, test: Backtest, name: str, span: Span) -> None:
        self.test, self.name, self.policy = test, name, test.policy
        self.clock = PastClock(span.from_ms)
        self.wired, self.counting = test.world(name, self.clock)
        if not self.replace(START):
            raise StepFailed("the first model", "has no rows to be trained on", "Let the backtest begin later: --from.")

    def replace(self, run: str) -> bool:
        """Train on what is known now, and let it serve. False where there is nothing to train on."""
        ports, policy, now_ms = self.wired, self.policy, self.clock.ms
        known = labelled(self.test.rows, policy, now_ms)
        # A run holds the newest out, behind a gap, and judges by rows that were looked at; who has no gate needs none of that.
        taken = split(known, policy)[0] if run == START else known
        everything = [{k: v for k, v in row.items() if k != VERSION} for row in taken]
        if len({row[policy.data.label] for row in everything}) < 2:
            return False
        dataset = keep(ports.store, everything, [], now_ms, policy)
        made = ports.trainer.train(policy, digest_of(run.encode())[7:], 1, dataset, awake)
        report = ports.store.put_blob([b"{}"]).digest
        version = ports.models.register(
            Draft(policy.model, run, dataset.digest, made, {}, None, report), "backtest", now_ms
        )
        at = ports.models.serving(policy)
        ports.models.promote(policy, run, version, at.version if at else None, {}, "backtest", now_ms)
        return True

    def agree(self) -> bool:
        """Everybody who is asked agrees at once. Whether somebody was."""
        book, asked = Book(self.wired.store), False
        for admission in book.active():
            view = book.journal(admission.run).view
            if view.state is State.AWAITING_APPROVAL:
                asked = True
                for number in range(len(view.approvals), max(1, self.policy.approvals)):
                    book.approve(admission, f"person {number + 1}", "a backtest", self.clock.ms)
        return asked

    def told(self, span: Span, why: dict[str, int]) -> Told:
        """What came of it."""
        store, models = self.wired.store, LocalModels(self.wired.store)
        moves = models.moves(self.policy.model)
        truth = self.test.truth(span)
        times = np.array([row[self.policy.data.at] for row in truth], dtype=np.int64)
        losses = _Losses(self.policy, self.wired.evaluator, models, store, truth)
        serving = np.searchsorted([move.at_ms for move in moves], times, side="right") - 1
        total = sum(float(losses.of(moves[n].version)[serving == n].sum()) for n in sorted(set(serving.tolist())))
        ends = Counter(str(summary.state) for summary in Book(store).summaries(self.policy.model))
        return Told(
            self.name, tuple(_promotions(moves, times, losses, span)), self.counting.trainings - 1,
            self.counting.rows, self.counting.seconds, total / len(truth) if truth else float("nan"), len(truth), why,
            dict(sorted(ends.items())),
        )  # fmt: skip


class _Losses:
    """The loss of each row of the truth by each version, found once."""

    def __init__(
        self, policy: Policy, evaluator: Evaluator, models: LocalModels, store: Store, truth: Sequence[Row]
    ) -> None:
        self._policy, self._evaluator, self._models = policy, evaluator, models
        self._rows = store.put_blob([write_rows(truth)]).digest
        self._labels = numbers(truth, policy.data.label)
        self._found: dict[int, Floats] = {}

    def of(self, version: int) -> Floats:
        """Of one version."""
        if version not in self._found:
            model = self._models.version(self._policy, version)
            scores = self._evaluator.scored(self._policy, self._rows, model, awake).scores
            assert scores is not None
            self._found[version] = self._policy.gate.loss.of(self._labels, scores)
        return self._found[version]


def _promotions(moves: Sequence[Any], times: Any, losses: _Losses, span: Span) -> Iterator[Promoted]:
    forth = [move for move in moves if not move.back and move.replaces is not None]
    for move, following in zip_longest(forth, forth[1:]):
        until_ms = span.until_ms if following is None else following.at_ms
        inside = (times >= move.at_ms) & (times < until_ms)
        better = None
        if (rows := int(inside.sum())) >= TRUTH_ROWS_MIN:
            difference = losses.of(move.replaces)[inside].mean() - losses.of(move.version)[inside].mean()
            better = float(f"{difference:.6g}")
        back = next((each.at_ms for each in moves if each.back and each.run == move.run), None)
        yield Promoted(move.at_ms, move.version, rows, better, back)


def _as_if(policy: Policy) -> Policy:
    """The policy where everything is scored here and no alert is about a version that is unknown."""
    shadow = policy.shadow
    if shadow is not UNSET:
        shadow = msgspec.structs.replace(shadow, scored_by=ScoredBy.DRIFTLINE)
    data = msgspec.structs.replace(policy.data, score=None)
    trigger = msgspec.structs.replace(policy.trigger, versions="any")
    return msgspec.structs.replace(policy, shadow=shadow, data=data, trigger=trigger)


def _whole(policy: Policy) -> Policy:
    return msgspec.structs.replace(policy, data=msgspec.structs.replace(policy.data, window_ms=2**62))
