"""One version of a model, watched against its own beginning: learning first, then a detector on every beat.

A *beat* is `budget.every` of event time. What the ticks of a beat brought is one observation of the detector; beats that
brought nothing are none. The first `budget.learn` is the reference: counts by beat, from which the margins, the
dispersion and the limits of the parts of the day come. After it every beat is a bet.

Pairs wait for their cohort: the labels of a pane of event time are held until it is over and nine tenths of its
predictions have theirs, or the horizon is over, so that labels which come early because they are good (or bad) neither
raise an alarm nor hide one. When a change began is told by the panes that a beat brought, not by the beat: labels may be days
late. What comes later joins the next cohort. What is taken back later (corrections) is not taken
out of a detector. A cohort whose labels an outage of the feed kept away is left out: what came of them came early, which is
no sample. Nor are cohorts and beats of which records were lost (`windows.losses`): what is left of them is not looked at, in
learning or after it.

Not done: a reference profile as the reference, weights by importance, segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np

from monitor.alerts.standstill import NO_OUTAGE, Outage, is_mature
from monitor.alerts.watched import Watched, watched
from monitor.config.budget import LEAST_BEATS
from monitor.config.budget import Budget as BudgetConfig
from monitor.drift.budget import Area, Materiality, shares
from monitor.drift.edetector import Cause, Channel, Detector, State
from monitor.drift.functionals import Functionals
from monitor.drift.nulls import Null, seasonal_nulls
from monitor.events import Int64s
from monitor.ingest.clocks import NEVER
from monitor.plan import ModelPlan
from monitor.windows.losses import IsLost, nothing_lost
from monitor.windows.view import Kind

DAY_MS: Final = 86_400_000
SEASONS: Final = 8
"""Parts of the day with limits of their own, at most: finer ones would leave each too few rows."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of one version and kind. `began_ms` is when the leading change began, in the event time of predictions; causes are
    sorted by share."""

    log_evidence: float
    began_ms: int
    causes: tuple[Cause, ...]
    areas: tuple[Area, ...]  # of the causes
    begins: tuple[int, ...]  # when each of them began, unit ms

    @property
    def about(self) -> tuple[Cause, ...]:
        """What it is about: the causes that are listed, and the leading one."""
        return tuple(cause for place, cause in enumerate(self.causes) if cause.listed or not place)

    @property
    def pages(self) -> bool:
        """Whether it is of loss or of broken data, by its leading cause or by a listed one. Drift alone wakes nobody."""
        listed = {area for cause, area in zip(self.causes, self.areas, strict=True) if cause.listed}
        return bool({Area.PERFORMANCE, Area.QUALITY} & {self.areas[0], *listed})


class Look(NamedTuple):
    """What was looked at when a beat closed, by part of the day; `learning`: it went into the reference."""

    beat: int
    counts: Mapping[int, Int64s]
    learning: bool


class Release(NamedTuple):
    """What may be looked at now, by pane: cohorts, and what came late for earlier ones."""

    cohorts: dict[int, Int64s]
    late: dict[int, Int64s]

    @property
    def begin_ms(self) -> int:
        """Where in event time the cohorts begin: at the pane with which a tenth of their labelled rows is reached. Before it
        lie small ones, if any, that waited for their last labels for longer than the others."""
        labelled = {pane: max(int(cells[1]), 0) for pane, cells in sorted(self.cohorts.items())}
        reached = accumulate(labelled.values())
        return next(pane for pane, rows in zip(labelled, reached, strict=True) if 10 * rows >= sum(labelled.values()))


@dataclass(slots=True)
class Cohorts:
    """Pairs of one version that wait for their cohort, a pane of event time, to be over and mature.

    What comes for a cohort after it was released waits for the next one to be: alone, as at the end of traffic, it would
    be a sample of slow labels only. Holds one vector (`watched.observed`) for each pane within three horizons.
    """

    horizon_ms: int
    pane_ms: int
    waiting: dict[int, Int64s] = field(default_factory=dict)
    released: set[int] = field(default_factory=set)
    tail: dict[int, Int64s] = field(default_factory=dict)

    def take(self, pane_ms: int, cells: Int64s) -> None:
        """What a tick brought for a pane: seen, labelled, and what is watched."""
        held = self.tail if pane_ms in self.released else self.waiting
        held[pane_ms] = held.get(pane_ms, np.zeros_like(cells)) + cells

    def leave_out_lost(self, is_lost: IsLost) -> None:
        """Forget what waits of panes of which something was lost."""
        for held in (self.waiting, self.tail):
            for pane in [pane for pane in held if is_lost(pane, pane + self.pane_ms)]:
                del held[pane]

    def release(self, now_ms: int, outage: Outage = NO_OUTAGE) -> Release | None:
        """Cohorts that are mature, or whose horizon is over, and what came late for others; None where there is no such cohort.
        While verdicts are held only mature ones are; those that the outage spoilt never are."""
        self._leave_out(now_ms, outage)
        ready = [pane for pane, cells in self.waiting.items() if self._is_ready(pane, cells, now_ms, outage.holding)]
        if not ready:
            return None
        late, self.tail = self.tail, {}
        self.released = {pane for pane in self.released if pane + 3 * self.horizon_ms >= now_ms} | set(ready)
        return Release({pane: self.waiting.pop(pane) for pane in ready}, late)

    def _is_ready(self, pane_ms: int, cells: Int64s, now_ms: int, holding: bool) -> bool:
        over_ms = pane_ms + self.pane_ms
        if is_mature(int(cells[0]), int(cells[1])):
            return now_ms >= over_ms
        return not holding and now_ms >= over_ms + self.horizon_ms

    def _leave_out(self, now_ms: int, outage: Outage) -> None:
        """Forget the cohorts whose horizon is over, and whose labels did not come because of an outage."""
        if outage.holding:
            return
        for pane, cells in list(self.waiting.items()):
            end_ms = pane + self.pane_ms
            over = end_ms + self.horizon_ms <= now_ms
            if over and outage.spoils(pane, end_ms, int(cells[0]), int(cells[1])):
                del self.waiting[pane]
                self.released.add(pane)


@dataclass(frozen=True, slots=True)
class Learned:
    """A reference that is whole: the sum of its vectors, and for each channel that can be asked about (its place among
    what is watched) the nulls of all parts of the day."""

    cells: Int64s
    nulls: tuple[tuple[int, tuple[Null, ...]], ...]


class Series:
    """One version of a model and one kind of vector. Mutable; a function of the ticks it was given."""

    def __init__(self, plan: ModelPlan, kind: Kind, budget: BudgetConfig, *, horizon_ms: int, pane_ms: int) -> None:
        self._budget, self._asked = budget, watched(plan, kind)
        self.sense, self.from_ms = plan.sense, NEVER
        """What its predictions are counted as, and from which event time on as nothing else."""
        both = [*self._asked, *watched(plan, Kind.INPUT if kind is Kind.PERFORMANCE else Kind.PERFORMANCE)]
        # The kinds are decided apart, as their clocks are; each has the share of the budget that its areas weigh.
        self._weights = shares([part.area for part in both])[: len(self._asked)]
        self._cohorts = Cohorts(horizon_ms, pane_ms) if kind is Kind.PERFORMANCE else None
        self._beat: int | None = None
        self._counts: dict[int, Int64s] = {}  # by part of the day
        self._learned: list[tuple[int, int, Int64s]] = []  # beat, part of the day, cells
        self._reference: Learned | None = None
        self._detector: Detector | None = None
        self._channels: list[Watched] = []
        self._state: State | None = None
        self._begins: dict[int, int] = {}
        """Of performance, for each beat that bets go back to: where in event time what it brought begins, unit ms."""
        self._blind = False
        self._step: tuple[int, State, State] | None = None  # the last one: its beat, before and after
        self.look: Look | None = None
        """What the beat that was closed last brought, while it is worth something; for who works an alarm out again."""

    def asks_what(self, other: Series) -> bool:
        """Whether it asks the same, for the same share of the budget: then it goes on with what the other learned."""
        return self._asked == other._asked and self._weights == other._weights

    @property
    def asked_functionals(self) -> list[Functionals]:
        """What is asked about everything that is watched, whether or not the reference has rows enough. It must be whole."""
        assert self._reference is not None
        return self._functionals(self._reference.cells)

    @property
    def channels(self) -> Sequence[Watched]:
        """What the detector's channels are read from, in their order."""
        return self._channels

    @property
    def detector(self) -> Detector | None:
        """What decides, once the reference is whole and there is something to ask."""
        return self._detector

    @property
    def learning(self) -> bool:
        """Whether the reference is not whole yet."""
        return self._state is None and not self._blind

    def add(self, beat: int, pane_ms: int, cells: Int64s) -> None:
        """What a tick of this beat brought, as `watched.observed` reads it. Beats do not go back; an earlier one must have been
        closed."""
        assert self._beat is None or beat == self._beat, "close the beat first"
        self._beat = beat
        if self._cohorts is not None:
            self._cohorts.take(pane_ms, cells)
        else:
            self._put(pane_ms, cells)

    def _put(self, pane_ms: int, cells: Int64s) -> None:
        season = season_of(pane_ms, self._budget)
        self._counts[season] = self._counts.get(season, np.zeros_like(cells)) + cells

    @property
    def open_beat(self) -> int | None:
        """The beat that has rows and is not closed."""
        return self._beat

    def close(self, outage: Outage = NO_OUTAGE, is_lost: IsLost = nothing_lost) -> Alarm | None:
        """The open beat is over; `outage`: of the label feed, as it is known then; `is_lost`: of what records were lost."""
        beat, self._beat = self._beat, None
        assert beat is not None
        every_ms, begin_ms = self._budget.every_ms, None
        if self._cohorts is not None:
            self._cohorts.leave_out_lost(is_lost)
            release = self._cohorts.release((beat + 1) * every_ms, outage)
            if release is not None:
                begin_ms = release.begin_ms
                for pane_ms, cells in (*release.late.items(), *release.cohorts.items()):
                    self._put(pane_ms, cells)
        elif is_lost(beat * every_ms, (beat + 1) * every_ms):
            self._counts = {}  # some of it came before the loss was known
        # Where more was taken back than came there is nothing to bet on.
        counts = {season: np.maximum(cells, 0) for season, cells in sorted(self._counts.items())}
        self._counts = {}
        self.look = self._step = None
        if not counts or self._blind:
            return None
        self.look = Look(beat, counts, learning=self._state is None and not self._has_learned(beat))
        if self._state is not None:
            return self._decide(self._state, beat, begin_ms, counts)
        if not self.look.learning:
            learned, self._learned = self._learn(), []
            self._blind = not learned.nulls
            return None if self._blind else self._decide(self.go_by(learned), beat, begin_ms, counts)
        self._learned += [(beat, season, cells) for season, cells in counts.items()]
        return None

    def _has_learned(self, beat: int) -> bool:
        """Long enough, and on enough beats that brought something: bursts must be told from chance."""
        beats = self._budget.learn_ms // self._budget.every_ms
        if not self._learned or beat - self._learned[0][0] < beats:
            return False
        return len({learned for learned, _, _ in self._learned}) >= LEAST_BEATS

    def _decide(self, state: State, beat: int, begin_ms: int | None, counts: dict[int, Int64s]) -> Alarm | None:
        """Bet on what a beat brought; `begin_ms`: where in event time that begins, None where it is the beat's own time."""
        detector = self._detector
        assert detector is not None, "a state belongs to a detector"
        own = self.read(counts)
        if begin_ms is not None:
            self._begins[beat] = begin_ms
        self._state, verdict, seen = detector.step(state, beat, own)
        self._step = beat, state, seen
        alarm = self._alarm(float(verdict.log_score[0]), detector.explain(seen)) if verdict.alarm[0] else None
        if self._begins:  # at most one for each bet
            bet_on = set(np.unique(self._state.since).tolist())
            self._begins = {own: at_ms for own, at_ms in self._begins.items() if own in bet_on}
        return alarm

    def excess_of(self, causes: Sequence[Cause]) -> tuple[int, ...]:
        """By how much the questions of these lie above their limits in the beat that was closed last, summed over its rows, unit
        2**-16; empty where nothing of it was looked at."""
        if self._detector is None or self._step is None:
            return ()
        beat, before, after = self._step
        excess = self._detector.excess
        return tuple(excess(before, after, beat, cause.channel, cause.functional) for cause in causes)

    def read(self, counts: Mapping[int, Int64s]) -> list[Int64s]:
        """What the detector takes, by channel, of what a beat brought: a run of bins for each part of the day."""
        whole = np.zeros((seasons_of(self._budget), len(next(iter(counts.values())))), np.int64)
        for season, cells in counts.items():
            whole[season] = cells
        return [part.read(whole).reshape(1, -1) for part in self._channels]

    def learn_again(self, looks: Sequence[Look]) -> State | None:
        """Compare with what these brought from now on; None where nothing can be asked then."""
        self._learned = [(look.beat, season, cells) for look in looks for season, cells in look.counts.items()]
        learned, self._learned = self._learn(), []
        return self.go_by(learned) if learned.nulls else None

    def _alarm(self, log_score: float, causes: Sequence[Cause]) -> Alarm:
        area = {part.name: part.area for part in self._channels}
        begins = tuple(self._begins.get(cause.since, cause.since * self._budget.every_ms) for cause in causes)
        return Alarm(log_score, begins[0], tuple(causes), tuple(area[cause.channel] for cause in causes), begins)

    def _learn(self) -> Learned:
        """The reference is whole: margins, dispersion and limits for each part of the day, of what has rows enough."""
        slots = np.array([season for _, season, _ in self._learned])
        ticks = np.stack([cells for _, _, cells in self._learned])
        whole = ticks.sum(axis=0)
        functionals = self._functionals(whole)
        asked = sum(map(len, functionals))
        forgiven = self._budget.materiality
        materiality = Materiality(forgiven.performance, forgiven.features, forgiven.quality)
        seasons = seasons_of(self._budget)
        nulls = [
            seasonal_nulls(own, part.read(ticks), slots, seasons, materiality=materiality.of(part.area), asked=asked)
            for part, own in zip(self._asked, functionals, strict=True)
        ]
        can = [i for i, own in enumerate(nulls) if any((null.limit < 1.0).any() for null in own)]
        return Learned(whole, tuple((i, nulls[i]) for i in can))

    def _functionals(self, reference: Int64s) -> list[Functionals]:
        """What is asked about each channel, given the reference's vector."""
        return [part.functionals(part.read(reference[np.newaxis])[0]) for part in self._asked]

    def go_by(self, reference: Learned) -> State:
        """Compare with this reference, which can be asked about something, from now on; the detector's first state.

        Raises ValueError when it is of something else than is watched here.
        """
        functionals = self._functionals(reference.cells)
        seasons = seasons_of(self._budget)
        for i, nulls in reference.nulls:
            if len(nulls) != seasons or any(len(null.mean) != len(functionals[i]) for null in nulls):
                raise ValueError(f"the reference of {self._asked[i].name!r} asks other questions")
        self._channels = [self._asked[i] for i, _ in reference.nulls]
        channels = (
            Channel(self._asked[i].name, functionals[i], nulls[0], self._weights[i], nulls[1:])
            for i, nulls in reference.nulls
        )
        self._detector = Detector(tuple(channels), max(1.0, self._budget.patience / sum(self._weights)))
        self._reference, self._state = reference, self._detector.start()
        return self._state


def seasons_of(budget: BudgetConfig) -> int:
    """How many parts the day has: as many as fit whole beats, so that none mixes two parts in turn; 1 where the day does
    not consist of whole beats."""
    beats, rest = divmod(DAY_MS, budget.every_ms)
    if budget.season != "day" or rest or not beats:
        return 1
    return max(parts for parts in range(1, SEASONS + 1) if beats % parts == 0)


def season_of(pane_ms: int, budget: BudgetConfig) -> int:
    """The part of the day in which a pane begins."""
    return pane_ms % DAY_MS * seasons_of(budget) // DAY_MS


def largest(alarm: Alarm, most: int, least: float = 0.0) -> Sequence[tuple[Cause, Area, int]]:
    """The causes to be told with their areas and when they began: those that are listed, then the largest, at most so many, and
    beside the leading one none that is neither listed nor has this share of the evidence. What had no rows since it began, as a
    feature of which every value is missing, says nothing."""
    asked = [one for one in zip(alarm.causes, alarm.areas, alarm.begins, strict=True) if one[0].rows]
    told = [one for place, one in enumerate(asked) if not place or one[0].listed or one[0].share >= least]
    return sorted(told, key=lambda one: not one[0].listed)[:most]
