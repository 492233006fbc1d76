"""Everything that a tick tells and can be asked is the same however what waits was cut into commits, however many ticks were
closed in one go, and wherever a checkpoint was taken."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import Config, loads
from monitor.groups import Group
from monitor.ledger.records import Delta, pack
from monitor.metrics.foreseen import ForeseenBinary
from monitor.plan import Plan, plan_of
from monitor.windows import payload, stacks, waiting
from monitor.windows.engine import TickEngine
from monitor.windows.losses import Losses
from monitor.windows.saved import SavedEngine, restore, save
from monitor.windows.schedule import Schedule
from monitor.windows.stacks import ClosedTick
from monitor.windows.view import Kind, WindowKey, WindowView
from tests.examples import examples

CONFIG = """
streams:
  predictions:
    topic: p
    fields: {id: $.id, model: $.m, version: $.v, at: $.at, score: $.score}
    features: {hue: categorical, size: categorical}
  labels: {topic: q, fields: {id: $.id, at: $.at, label: $.label}}
time: {tick: 1m, lateness: 5m, disorder: 1m, horizon: 10m, skew: 1m}
models: [{name: m, threshold: 0.5, segments: {hue: [red], size: [l]}}, {name: n, threshold: 0.5}]
windows: [3m, {size: 6m, slide: 3m}]
"""
MINUTE_MS = 60_000
LAST, LOST_AT = 60, 20
"""The last tick that is closed; by then all is final. And the one after which something is lost."""
LOST_MS = (15 * MINUTE_MS, 19 * MINUTE_MS)
GROUPS = [
    *(Group("m", version, (("hue", hue), ("size", "l"))) for version in "12" for hue in ("red", "other")),
    Group("n", "1", ()),
]
Vector = tuple[tuple[int, int], ...]
"""(cell, amount), cells ascending."""


@dataclass(frozen=True)
class Row:
    """A prediction of the `made`-th minute that is known `late` minutes after. Its label comes so many minutes `after`, is
    corrected so many later, and all of it is withdrawn in tick `withdrawn`: each of them never where it is 0."""

    group: int
    made: int
    late: int
    score: float
    after: int
    label: int
    corrected: int
    withdrawn: int


@dataclass(frozen=True)
class Contribution:
    """What becomes known in a tick of one (group, pane)."""

    tick: int
    group: int
    pane: int
    vector: Vector


rows = st.lists(
    st.builds(
        Row,
        st.integers(0, len(GROUPS) - 1),
        st.integers(0, 30),
        st.sampled_from([0, 0, 0, 1, 3, 7]),
        st.sampled_from([0.1, 0.3, 0.6, 0.9]),
        st.integers(0, 9),
        st.integers(0, 1),
        st.sampled_from([0, 0, 1, 2]),
        st.sampled_from([0, 0, 0, 4, 25, 33]),
    ),
    min_size=1,
    max_size=25,
)


@cache
def configuration(estimates: bool) -> tuple[Config, Plan]:
    config = loads(CONFIG + f"estimates: {str(estimates).lower()}\n")
    return config, plan_of(config)


def vector(*parts: tuple[Any, Any]) -> Vector:
    sums: Counter[int] = Counter()
    for cells, amounts in parts:
        for cell, amount in zip(np.ravel(cells).tolist(), np.ravel(amounts).tolist(), strict=True):
            sums[cell] += amount
    return tuple(sorted((cell, amount) for cell, amount in sums.items() if amount))


def negative(of: Vector) -> Vector:
    return tuple((cell, -amount) for cell, amount in of)


def contributions(of: Sequence[Row], plan: Plan, kind: Kind) -> list[Contribution]:
    """What the rows come to, each step of each row by itself."""
    found: list[Contribution] = []
    for row in of:
        own, known = [], row.made + row.late
        task, cells = plan.model(GROUPS[row.group].model).task, plan.model(GROUPS[row.group].model).input_cells
        if kind is Kind.INPUT:
            own.append((known, vector(([cells.index("seen")], [1]))))
        else:
            score, called = np.array([row.score]), np.array([float(row.score >= 0.5)])
            foreseen = task.foresee(score, called)
            own.append((known, vector(([task.cells.index("seen")], [1]), *([foreseen] if foreseen else []))))
            for number, label in enumerate((row.label, 1 - row.label) if row.corrected else (row.label,)):
                tick = max(known, row.made + row.after + number * row.corrected)
                delay = {"delay_ms": np.array([row.after * MINUTE_MS])} if isinstance(task, ForeseenBinary) else {}
                says = vector(task.contribute(score, called, np.array([float(label)]), 1.0, **delay))
                own += [(tick, negative(own[-1][1]))] if number else []
                own += [(tick, says)] if row.after else []
        if row.withdrawn:
            own += [(max(tick, row.withdrawn), negative(says)) for tick, says in own]
        pane = row.made * MINUTE_MS // plan.pane_ms
        found += [Contribution(tick, row.group, pane, says) for tick, says in own if says]
    return found


def commit(made: TickEngine, of: Sequence[Contribution], first: int) -> None:
    """One commit of these; `first` turns its groups, whose numbers are its own. As of a task: a slot is there once."""
    sums: dict[tuple[int, int, int], Counter[int]] = {}
    for one in of:
        slot = sums.setdefault(((one.group - first) % len(GROUPS), one.pane, one.tick), Counter())
        for cell, amount in one.vector:
            slot[cell] += amount
    kept = {slot: sorted((c, a) for c, a in own.items() if a) for slot, own in sums.items()}
    slots = [slot for slot, own in kept.items() if own]
    columns = {name: [slot[i] for slot in slots] for i, name in enumerate(("group", "pane", "tick"))}
    columns["length"] = [len(kept[slot]) for slot in slots]
    columns["cell"] = [cell for slot in slots for cell, _ in kept[slot]]
    columns["amount"] = [amount for slot in slots for _, amount in kept[slot]]
    made.add(GROUPS[first:] + GROUPS[:first], Delta(**{name: pack(column) for name, column in columns.items()}))


def said(view: WindowView) -> Any:
    return (
        view.key,
        view.revision,
        view.final,
        view.tick_ms,
        view.seen,
        view.partial,
        dict(view.metrics),
        dict(view.counts),
    )


class Run:
    """An engine that is fed and closed, and what it told: by tick, as it could be asked while the tick was handed out."""

    def __init__(self, estimates: bool, kind: Kind, *, finals_only: bool) -> None:
        self._config, plan = configuration(estimates)
        self.plan, self.kind = replace(plan, finals_only=finals_only), kind
        self.engine = self._new(Losses())
        self.told: dict[int, Any] = {}
        self._known: set[WindowKey] = set()

    def _new(self, losses: Losses) -> TickEngine:
        made = TickEngine(self.plan, Schedule(self._config.windows), losses, self.kind)
        made.arrival_cells = 0
        return made

    def close(self, below: int) -> None:
        for closed in self.engine.close(below):
            if seen := self._seen(closed):
                self.told[closed.tick] = seen
        self.engine.close_quietly(below)

    def _seen(self, closed: ClosedTick) -> Any:
        """Nothing, where what came took itself back: whether there is such a tick follows from the cuts, so it may not tell."""
        if not (closed.revised or closed.ended or closed.vanished or closed.arrivals):
            assert not closed.payloads
            return None
        made = self.engine
        self._known |= {view.key for view in closed.revised}
        cells = {key: None if (row := made.cells(key)) is None else row.tolist() for key in sorted(self._known)}
        shelves = {(key.series, key.window) for key in self._known}
        return (
            [payload.encode(view) for view in closed.revised],
            [view.key for view in closed.told],
            closed.payloads,
            [said(view) for view in closed.ended],
            [view.key for view in closed.vanished],
            closed.active,
            [(one.model, one.version, one.pane_ms, one.cells.tolist()) for one in closed.arrivals],
            cells,
            {shelf: {start: said(view) for start, view in made.held(*shelf).items()} for shelf in shelves},
            {shelf: made.crossed.total(*shelf, made.held(*shelf)) for shelf in shelves},
        )

    def saved(self) -> bytes:
        """Its checkpoint; without what tells of ticks and panes that had nothing but what took itself back."""
        told = msgspec.structs.replace(save(self.engine), closed=0, newest_pane_ms=0, final_before_ms=0)
        return msgspec.msgpack.encode(told)

    def restart(self) -> None:
        """Go on from a checkpoint, as another process does."""
        saved = msgspec.msgpack.decode(msgspec.msgpack.encode(save(self.engine)), type=SavedEngine)
        losses = Losses()
        losses.spans = dict(self.engine._losses.spans)
        self.engine = self._new(losses)
        restore(self.engine, saved)

    def lose(self) -> None:
        self.engine.lose(*LOST_MS)


def one_by_one(run: Run, of: Sequence[Contribution]) -> bytes:
    """Every contribution a commit, every tick closed by itself; what it is at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacks, "CELLS_AT_ONCE", 1)
        patch.setattr(waiting, "CELLS_AT_ONCE", 0)
        for tick in range(LAST + 1):
            for one in of:
                if one.tick == tick:
                    commit(run.engine, [one], 0)
            run.close(tick + 1)
            if tick == LOST_AT:
                run.lose()
    return run.saved()


def in_cuts(run: Run, of: Sequence[Contribution], rng: random.Random) -> bytes:
    """Cut by luck: what is known of a tick is there before it closes, some of it long before, in any order."""
    stops = sorted({*rng.sample(range(LAST), rng.randint(0, 6)), LOST_AT, LAST})
    left = rng.sample(range(len(of)), len(of))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacks, "CELLS_AT_ONCE", rng.choice([1, 500, 5_000, 1 << 18]))
        patch.setattr(waiting, "CELLS_AT_ONCE", rng.choice([0, 3, 20, 1 << 17]))
        for stop in stops:
            now = [i for i in left if of[i].tick <= stop or rng.random() < 0.2]
            left = [i for i in left if i not in now]
            for part in np.array_split(np.array(now, np.int64), rng.randint(1, 5)):
                commit(run.engine, [of[i] for i in part.tolist()], rng.randrange(len(GROUPS)))
            if rng.random() < 0.3:
                run.restart()
            run.close(stop + 1)
            if stop == LOST_AT:
                run.lose()
            if rng.random() < 0.3:
                run.restart()
    return run.saved()


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("estimates", [False, True])
@settings(max_examples=examples(45), deadline=None)
@given(rows, st.booleans(), st.integers(0, 1 << 32))
def test_nothing_that_is_told_depends_on_the_cuts(
    estimates: bool, kind: Kind, of: list[Row], finals_only: bool, seed: int
) -> None:
    one, other = (Run(estimates, kind, finals_only=finals_only) for _ in range(2))
    known = contributions(of, one.plan, kind)
    state = one_by_one(one, known)
    assert in_cuts(other, known, random.Random(seed)) == state
    assert list(other.told) == list(one.told)
    assert other.told == one.told
