"""Two writers of one ledger partition, exhaustively: every interleaving of a small model that drives the real `fold`.

A writer reads the log to its end, writes a genesis if there is none, appends a fence of a higher epoch, and if it is then the
owner appends commits over its own picture of the log. Reading and appending are two steps, so the other one comes in between.
Every append may be acknowledged, land without an acknowledgement, be lost, or land later (again, if it landed already). A
writer without an acknowledgement drops what it knows, as Driftline does; in a second model, `careless`, it may also go on as if
the record had landed, or as if not, with or without reading its records again: the rule holds whatever writers believe. A writer
may crash at any time and open again.

What must hold whenever a commit counts, by a history that the model keeps itself:

- it was computed from exactly the commits that counted before it;
- it begins where they ended, so that the ranges tile the source;
- its writer is the one whose fence is the first of the highest epoch in the log: no zombie's commit counts.

And, of writers that are not careless: who was told that its commit counts finds it in every reader's history, and no reader
says that the log lost records, for it loses none.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from monitor.ingest.clocks import ClockState
from monitor.join.outcomes import LabelOutcomes, PredictionOutcomes, as_counts
from monitor.ledger.fold import FoldState, Verdict, fold
from monitor.ledger.records import FORMAT, Clock, Commit, Fence, Floor, Genesis, Record, SourceTopic, encode
from tests.verify import report

GONE, READ, LIVE = range(3)
_CLOCK = Clock.of(ClockState())


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large the model is. `offsets`: source records; `opens`: per writer; `flying`: appends that may land later;
    `careless`: writers that get no acknowledgement may go on."""

    offsets: int = 2
    opens: int = 2
    log: int = 6
    flying: int = 2
    careless: bool = False


FULL = (Bounds(flying=1), Bounds(opens=1, log=5, flying=1, careless=True))
SMALL = (Bounds(log=5, flying=1), Bounds(opens=1, log=4, flying=1, careless=True))

Writer = tuple[int, int, int, int, tuple[int, ...]]
"""(times opened, phase, next offset of the ledger to read, state it folded, commits that it believes to count)"""
State = tuple[tuple[int, ...], tuple[int, ...], tuple[Writer, Writer]]
"""(records in the log, records in flight, writers), records and folded states by number"""


@dataclass(slots=True)
class Found:
    """What was explored, and the first thing that does not hold, with the records that lead there."""

    states: int = 0
    accepted: int = 0
    violation: str | None = None


@dataclass(slots=True)
class Model:
    """Records and folded states have numbers, and each step of the fold is taken once."""

    bounds: Bounds
    records: list[Record] = field(default_factory=list)
    _raw: list[bytes] = field(default_factory=list)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _states: list[FoldState] = field(default_factory=lambda: [FoldState()])
    _state_numbers: dict[tuple[object, ...], int] = field(default_factory=lambda: {_key(FoldState()): 0})
    _steps: dict[tuple[int, int], tuple[int, Verdict]] = field(default_factory=dict)
    _basis: dict[int, set[tuple[int, ...]]] = field(default_factory=dict)
    _histories: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = field(default_factory=lambda: {(): (0, ())})
    found: Found = field(default_factory=Found)

    def explore(self) -> Found:
        """Every state that can be reached within the bounds, or until something does not hold."""
        first: State = ((), (), ((0, *_NOBODY), (0, *_NOBODY)))
        seen, queue = {first}, deque([first])
        while queue and self.found.violation is None:
            for state in self._next(queue.popleft()):
                if state not in seen:
                    seen.add(state)
                    queue.append(state)
        self.found.states = len(seen)
        return self.found

    # -- the fold, by numbers ------------------------------------------------------------------------------------

    def _number(self, record: Record) -> int:
        raw = encode(record)
        if raw not in self._numbers:
            self._numbers[raw] = len(self.records)
            self.records.append(record)
            self._raw.append(raw)
        return self._numbers[raw]

    def _step(self, state: int, record: int) -> tuple[int, Verdict]:
        key = (state, record)
        if key not in self._steps:
            after, verdict = fold(self._states[state], self.records[record], self._raw[record])
            self._steps[key] = self._state_number(after), verdict
        return self._steps[key]

    def _state_number(self, state: FoldState) -> int:
        if _key(state) not in self._state_numbers:
            self._state_numbers[_key(state)] = len(self._states)
            self._states.append(state)
        return self._state_numbers[_key(state)]

    def _history(self, log: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """The folded state of a log and the commits that counted, each step of it checked."""
        if log not in self._histories:
            before, history = self._history(log[:-1])
            state, verdict = self._step(before, log[-1])
            record = self.records[log[-1]]
            if verdict is Verdict.ACCEPTED and isinstance(record, Commit):
                self.found.accepted += 1
                self._check(log, history)
                history = (*history, log[-1])
            if verdict is Verdict.BROKEN_CHAIN and not self.bounds.careless:
                self._violated("a reader takes the log for one that lost records, and it lost none", log)
            self._histories[log] = state, history
        return self._histories[log]

    # -- what must hold ------------------------------------------------------------------------------------------

    def _check(self, log: tuple[int, ...], history: tuple[int, ...]) -> None:
        commit = self.records[log[-1]]
        assert isinstance(commit, Commit)
        if history not in self._basis[log[-1]]:
            self._violated("a commit counts that was computed from other commits than those that counted", log)
        begin = next(r for r in map(self.records.__getitem__, log) if isinstance(r, Genesis)).prediction_start
        last = self.records[history[-1]] if history else None
        end = last.predictions[1] if isinstance(last, Commit) else begin
        if commit.predictions[0] != end:
            self._violated(f"offsets {commit.predictions} count after {end}", log)
        fences = [r for r in map(self.records.__getitem__, log) if isinstance(r, Fence)]
        owner = max(fences, key=lambda fence: fence.epoch).owner if fences else ""  # of equals the first
        if commit.owner != owner:
            self._violated(f"a commit of {commit.owner} counts where {owner} fenced it off", log)

    def _violated(self, why: str, log: tuple[int, ...]) -> None:
        if self.found.violation is None:
            said = "; ".join(type(self.records[r]).__name__ + self._short(self.records[r]) for r in log)
            self.found.violation = f"{why}: {said}"

    @staticmethod
    def _short(record: Record) -> str:
        match record:
            case Fence():
                return f"({record.epoch}, {record.owner})"
            case Commit():
                return f"({record.owner}, {record.sequence}, {record.predictions[0]}..{record.predictions[1]})"
        return ""

    # -- steps ---------------------------------------------------------------------------------------------------

    def _next(self, state: State) -> Iterator[State]:
        log, flying, writers = state
        for place, record in enumerate(flying):
            if len(log) < self.bounds.log:
                yield self._land(log, record), flying[:place] + flying[place + 1 :], writers
        for who in (0, 1):
            yield from self._steps_of(state, who)

    def _land(self, log: tuple[int, ...], record: int) -> tuple[int, ...]:
        grown = (*log, record)
        self._history(grown)
        return grown

    def _steps_of(self, state: State, who: int) -> Iterator[State]:
        log, flying, writers = state
        opened, phase, *_ = writers[who]
        if phase == GONE:
            if opened < self.bounds.opens:
                yield log, flying, _with(writers, who, (opened + 1, READ, len(log), *self._history(log)))
            return
        yield log, flying, _with(writers, who, (opened, *_NOBODY))  # it crashes
        for record in self._offers(who, writers[who]):
            yield from self._appended(state, who, record)

    def _offers(self, who: int, writer: Writer) -> Iterator[int]:
        """What a writer may append, by what it has folded."""
        opened, phase, _, folded, _ = writer
        mine, token = self._states[folded], f"{'ab'[who]}{opened}"
        if phase == READ:
            if mine.genesis is None:
                yield self._number(_genesis(who))
            else:
                yield self._number(Fence(FORMAT, mine.epoch + 1, token))
            return
        for end in range(mine.next_prediction + 1, self.bounds.offsets + 1):
            for idle in (False, True) if self.bounds.careless else (False,):
                yield self._number(_commit(mine, token, end, idle=idle))
        if not self.bounds.careless and not (mine.commit and mine.commit.idle):
            yield self._number(_commit(mine, token, mine.next_prediction, idle=True))  # a decision alone, no records

    def _appended(self, state: State, who: int, record: int) -> Iterator[State]:
        log, flying, writers = state
        opened, phase, at, folded, believed = writers[who]
        gone = _with(writers, who, (opened, *_NOBODY))
        careless = [gone]
        if isinstance(self.records[record], Commit):
            self._basis.setdefault(record, set()).add(believed)
        if isinstance(self.records[record], Commit) and self.bounds.careless:
            careless.append(writers)  # as if it had not landed
            as_if = self._fold_on(folded, believed, record)[:2]
            careless.append(_with(writers, who, (opened, phase, at, *as_if)))  # as if it had
            # Not, but what was read of the source is not read again.
            careless.append(_with(writers, who, (opened, phase, at, self._moved_on(folded, record), believed)))
        if len(log) < self.bounds.log:
            landed = self._land(log, record)
            yield landed, flying, _with(writers, who, self._acknowledged(landed, writers[who], record))
            for each in careless:
                yield landed, flying, each  # it landed, and nobody said so
            if len(flying) < self.bounds.flying:
                yield landed, tuple(sorted((*flying, record))), gone  # it lands twice
        for each in careless:
            yield log, flying, each  # it is lost
            if len(flying) < self.bounds.flying:
                yield log, tuple(sorted((*flying, record))), each  # it lands later

    def _acknowledged(self, log: tuple[int, ...], writer: Writer, record: int) -> Writer:
        """As `LedgerWriter.offer`: fold what came between, then the own record; who does not count is gone."""
        opened, _, at, folded, believed = writer
        for between in log[at:-1]:
            folded, believed, _ = self._fold_on(folded, believed, between)
        folded, believed, verdict = self._fold_on(folded, believed, record)
        made = self.records[record]
        if isinstance(made, Genesis):
            return opened, READ, len(log), folded, believed
        if verdict is not Verdict.ACCEPTED or (isinstance(made, Fence) and self._states[folded].owner != made.owner):
            return opened, *_NOBODY
        if isinstance(made, Commit) and not self.bounds.careless and record not in self._history(log)[1]:
            self._violated("a writer was told that its commit counts, and it does not", log)
        return opened, LIVE, len(log), folded, believed

    def _moved_on(self, folded: int, record: int) -> int:
        commit = self.records[record]
        assert isinstance(commit, Commit)
        return self._state_number(replace(self._states[folded], next_prediction=commit.predictions[1]))

    def _fold_on(self, folded: int, believed: tuple[int, ...], record: int) -> tuple[int, tuple[int, ...], Verdict]:
        after, verdict = self._step(folded, record)
        counts = verdict is Verdict.ACCEPTED and isinstance(self.records[record], Commit)
        return after, (*believed, record) if counts else believed, verdict


_NOBODY = (GONE, 0, 0, ())


def _key(state: FoldState) -> tuple[object, ...]:
    """What tells folded states apart: a commit is no key itself, it holds dictionaries."""
    begun = state.genesis.prediction_start if state.genesis else None
    last = encode(state.commit) if state.commit else b""
    return begun, state.epoch, state.owner, state.sequence, state.next_prediction, state.next_label, state.chain, last


def _genesis(who: int) -> Genesis:
    """Writer 1 finds that retention took the first record: its genesis, if it is the first, begins at 1."""
    topic = SourceTopic("p", "t", 1)
    return Genesis(FORMAT, "cluster", 0, topic, None, who, 0, "config")


def _commit(state: FoldState, owner: str, end: int, *, idle: bool) -> Commit:
    """What a writer makes of the records from where its picture ends; `idle` or not, so that contents differ."""
    floor = Floor(0, _CLOCK)
    return Commit(
        format=FORMAT, epoch=state.epoch, owner=owner, sequence=state.sequence + 1, previous=state.chain,
        predictions=(state.next_prediction, end), labels=(0, 0), prediction_clock=_CLOCK, label_clock=_CLOCK,
        prediction_floor=floor, label_floor=floor, config="config", prediction_outcomes=as_counts(PredictionOutcomes()),
        label_outcomes=as_counts(LabelOutcomes()), records=(end, 0), held=(0, 0), state=0, groups=(), inputs=None,
        performance=None, idle=idle,
    )  # fmt: skip


def _with(writers: tuple[Writer, Writer], who: int, writer: Writer) -> tuple[Writer, Writer]:
    return (writer, writers[1]) if who == 0 else (writers[0], writer)


def violation(models: tuple[Bounds, ...] = SMALL) -> str | None:
    """The first thing that does not hold in any of the models."""
    return next((found.violation for found in (Model(bounds).explore() for bounds in models) if found.violation), None)


def main() -> int:
    """Explore both models whole, tell, keep the figures."""
    began, figures = time.monotonic(), dict[str, object]()
    violations = []
    for bounds in FULL:
        model = Model(bounds)
        found = model.explore()
        what = (
            "writers that go on without an acknowledgement" if bounds.careless else "writers that drop what they know"
        )
        within = f"{bounds.opens} openings each, {bounds.log} records, {bounds.flying} in flight, {bounds.offsets} source offsets"
        figures[what] = f"{found.states:,} states ({within}), {found.accepted:,} histories with a commit that counts"
        if found.violation:
            violations.append(found.violation)
        print(f"{what}: {figures[what]}; {found.violation or 'nothing is violated'}", flush=True)
    figures["violations"] = "; ".join(violations) or "none"
    report.keep("model", "python -m tests.verify model", time.monotonic() - began, figures)
    return 1 if violations else 0
