"""The budgeted e-detector: one decision per closed tick over everything a model has, with a stated false-alarm rate.

Every watched thing is a `Channel`: counts in fixed bins, functionals of them (`functionals`), and what the reference
allows (`nulls`). For each functional six bets of different size multiply e-values, one started at every tick and all
added up (Shiryaev-Roberts): a cell's evidence E goes to (1 + E) times the tick's factor, whose mean is at most 1 while
nothing has changed. So does the weighted mean M of all cells; hence c E[alarms in T ticks] <= T for every T, when M is
set to 0 at each alarm and an alarm is M >= c. No independence between features is needed, nor between ticks beyond
what the null says. Source: Shin, Ramdas & Rinaldo, E-detectors (2022-24); lists by e-BH: Wang & Ramdas (2022), over
patience: Dandapanthula & Ramdas (2025).

When to choose its neighbours: a rule on a window when a number is not to be passed whatever the past; `distances` for
how far; this for "something has become worse than it was, by more than I forgive".

Configuration (`Channel`, `Detector`), state (`State`) and step are apart; a state becomes a document and back at any
tick. States hold R lanes side by side, which do not see each other: what a simulation needs, and R = 1 in a daemon.

Not done: confidence sets for the start of a change (the start given is the maximum-likelihood one of the leading cell).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from monitor.drift.functionals import ONE, Functionals
from monitor.drift.logs import exp_of_negative, log_one_plus_exp, log_weighted_sum
from monitor.drift.nulls import Null
from monitor.drift.tables import COARSER, Tables
from monitor.events import Bools, Float64s, Int64s
from monitor.sketches.fixed_point import natural_log

EFFECTS: Final = (0.02, 0.0380730787743, 0.0724779663678, 0.137972966146, 0.262652780440, 0.5)
"""Sizes of the bets in standard deviations of a row: the rises beyond the limit that each is best at."""
LARGEST_STAKE: Final = 0.95
"""Share of the wealth, at most, that one row without a hit can cost."""
WARNING: Final = 10.0
"""A warning is shown when an alarm with a budget ten times as large would be raised."""
LISTED_AT: Final = 0.1
"""False discovery rate of the list of affected channels."""
FORMAT: Final = 1
_WHOLE: Final = ("run", "since", "hits", "rows", "means", "limits")


@dataclass(frozen=True, slots=True)
class Channel:
    """One watched thing: its functionals, its null and its share of the model's attention.

    `weight` > 0; the weights of a detector's channels are scaled to 1. A factor of 2 in weight costs ln 2 over the
    growth per tick in delay. `others` are the nulls of further seasons: then counts have a run of B bins for each season,
    `null`'s first. A functional whose limit is 1 cannot be broken: in that season it is not bet on, and it has no cells
    where it is so in all.
    """

    name: str
    functionals: Functionals
    null: Null
    weight: float
    others: tuple[Null, ...] = ()
    owner: Int64s = field(init=False, repr=False, compare=False)
    """The functional that each cell bets on, shape (C,)."""
    table: Int64s = field(init=False, repr=False, compare=False)
    """Logarithm of the factor of one row of each bin, shape (seasons B, C), unit 2**-30, rounded down: still fair."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"the channel {self.name!r} has weight {self.weight}; leave out what is not watched")
        breakable = np.flatnonzero(np.any([null.limit < 1.0 for null in self.nulls], axis=0))
        object.__setattr__(self, "owner", np.repeat(breakable, len(EFFECTS)))
        object.__setattr__(self, "table", np.concatenate([self._gains(null) for null in self.nulls]))

    @property
    def nulls(self) -> tuple[Null, ...]:
        """One for each season."""
        return (self.null, *self.others)

    def _gains(self, null: Null) -> Int64s:
        """The part of the table for one season, (B, C)."""
        owner, top = self.owner, null.limit[self.owner]
        values = self.functionals.values[owner] / ONE
        # The standard deviation of a row at the limit; an indicator's, as the largest for its mean, where it has none.
        deviation = np.sqrt(np.maximum(_variance(self.functionals, null)[owner], top * (1.0 - top) * 1e-3))
        stake = np.tile(np.array(EFFECTS), len(owner) // len(EFFECTS)) / np.maximum(deviation, 1e-9)
        stake = np.minimum(stake, LARGEST_STAKE / np.maximum(top, 1e-9))
        factor = 1.0 + stake[:, np.newaxis] * (values - top[:, np.newaxis])
        gain = natural_log(factor) / null.dispersion[owner][:, np.newaxis]
        asked = self.functionals.active[owner] & (top < 1.0)[:, np.newaxis]
        found: Int64s = np.floor(np.where(asked, gain, 0.0) * ONE).astype(np.int64).T
        return found

    @property
    def cells(self) -> int:
        """Number of bets: six for each functional that can be broken."""
        return len(self.owner)


def _prior(channel: Channel) -> Float64s:
    """Share of each cell in its channel, (C,): what functionals without bets would have had goes to the others."""
    own: Float64s = channel.functionals.prior[channel.owner]
    found: Float64s = own / own.sum()
    return found


def _variance(functionals: Functionals, null: Null) -> Float64s:
    """Variance of one row at the limit, shape (F,): of an indicator exactly, of others at most."""
    return np.minimum(null.limit * (1.0 - null.limit), 0.25) * _narrowness(functionals)


def _narrowness(functionals: Functionals) -> Float64s:
    """How much smaller the variance is than an indicator's of the same mean: 1, or 1/3 for ranks and spreads, which are
    even between 0 and 1 under the reference."""
    inside = functionals.active & (functionals.values > 0) & (functionals.values < ONE)
    return np.where(inside.any(axis=1), 1.0 / 3.0, 1.0)


@dataclass(frozen=True, slots=True)
class State:
    """Everything a detector remembers: arrays (R, C) over R lanes and the cells of all channels. Never changed in place.

    `evidence`: ln E, minus infinity at a start. `run` (unit 2**-30): largest sum of the last ticks' logarithms, from
    whichever tick; `since` is that tick, `hits` (unit 2**-16) and `rows` are what the functional had since then, `means`
    and `limits` (unit 2**-16) what these rows would have had at the reference's mean and at the limit of their season.
    """

    evidence: Float64s
    run: Int64s
    since: Int64s
    hits: Int64s
    rows: Int64s
    means: Int64s
    limits: Int64s

    @classmethod
    def fresh(cls, lanes: int, cells: int) -> State:
        """Nothing seen yet."""
        nothing = np.zeros((lanes, cells), np.int64)
        return cls(np.full((lanes, cells), -np.inf), *([nothing] * len(_WHOLE)))

    def restarted(self, lanes: Bools) -> State:
        """The same with these lanes, a mask (R,), as if nothing had been seen."""
        gone = lanes[:, np.newaxis]
        whole = (np.where(gone, 0, getattr(self, name)) for name in _WHOLE)
        return State(np.where(gone, -np.inf, self.evidence), *whole)

    def to_document(self) -> dict[str, Any]:
        """JSON-able and exact: floats are written so that the same ones are read, minus infinity as None."""
        evidence = [[None if math.isinf(e) else e for e in lane] for lane in self.evidence.tolist()]
        whole = {name: getattr(self, name).tolist() for name in _WHOLE}
        return {"format": FORMAT, "evidence": evidence, **whole}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> State:
        """The inverse of `to_document`. Raises ValueError for a newer format."""
        if document["format"] > FORMAT:
            raise ValueError(
                f"the saved state of a detector has format {document['format']}, this code reads up to {FORMAT}; "
                "upgrade driftline, or rebuild the state from the ledger"
            )
        evidence = [[-math.inf if e is None else float(e) for e in lane] for lane in document["evidence"]]
        whole = (np.array(document[name], np.int64).reshape(len(evidence), -1) for name in _WHOLE)
        return cls(np.array(evidence, np.float64).reshape(len(evidence), -1), *whole)


@dataclass(frozen=True, slots=True)
class Cause:
    """What one channel says at an alarm: its leading functional, from when on, and how large the change is.

    `log_evidence` is ln of the mean of its cells, `share` its part of the model's evidence. `mean` is the functional's
    since `since` (number of the tick) on `rows` rows, beside the `reference`'s and the `limit` of the same seasons;
    `dispersion` is what the rows are divided by to get independent ones. `listed` by e-BH at 0.1.
    """

    channel: str
    functional: str
    log_evidence: float
    share: float
    since: int
    mean: float
    rows: int
    reference: float
    limit: float
    dispersion: float
    listed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a tick said in R lanes: ln of the model's evidence, the alarms (their lanes are restarted), the warnings."""

    log_score: Float64s
    alarm: Bools
    warning: Bools


@dataclass(frozen=True, slots=True)
class Detector:
    """The channels of a model and `patience` c >= 1: at most one false alarm in c ticks, on average over any horizon."""

    channels: tuple[Channel, ...]
    patience: float
    weights: Float64s = field(init=False, repr=False, compare=False)
    """Of the channels that have cells, adding up to 1."""
    _cells: tuple[slice, ...] = field(init=False, repr=False, compare=False)
    _tables: Tables = field(init=False, repr=False, compare=False)
    _mean: Float64s = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.patience >= 1:
            raise ValueError(f"a patience of {self.patience} ticks would be an alarm at every tick; it is at least 1")
        if len({channel.name for channel in self.channels}) != len(self.channels) or not self.channels:
            raise ValueError("a detector needs channels, each with a name of its own")
        if not any(channel.cells for channel in self.channels):
            raise ValueError("no functional of any channel can be broken: the reference has too few rows")
        alive = [channel for channel in self.channels if channel.cells]
        weights = np.array([channel.weight for channel in alive])
        object.__setattr__(self, "weights", weights / weights.sum())
        object.__setattr__(self, "_cells", _slices([channel.cells for channel in self.channels]))
        object.__setattr__(self, "_tables", Tables(self.channels))
        object.__setattr__(self, "_mean", np.concatenate([_prior(channel) for channel in alive]))

    def start(self, lanes: int = 1) -> State:
        """The state before any tick."""
        return State.fresh(lanes, sum(channel.cells for channel in self.channels))

    def step(self, state: State, tick: int, counts: Sequence[Int64s | None]) -> tuple[State, Verdict, State]:
        """Take one closed tick: counts (R, B) by channel, None where the tick has nothing of a channel.

        `tick` is its number and increases. Gives the state to go on with (lanes that raised an alarm restarted), the
        verdict, and the state that the verdict was reached in, which `explain` reads.
        """
        seen = self._advance(state, tick, counts)
        score = log_weighted_sum(self._by_channel(seen), self.weights)
        level = math.log(self.patience)
        alarm = score >= level
        after = seen.restarted(alarm) if bool(alarm.any()) else seen
        return after, Verdict(score, alarm, score >= level - math.log(WARNING)), seen

    def _advance(self, state: State, tick: int, counts: Sequence[Int64s | None]) -> State:
        """Every cell after one tick. Channels without rows stay as they are, lane by lane."""
        sums = self._tables.of(counts, len(state.run))
        anew = sums.busy & (state.run <= 0)
        kept = ~anew
        return State(
            np.where(sums.busy, log_one_plus_exp(state.evidence) + sums.gained / ONE, state.evidence),
            state.run * kept + sums.gained,
            np.where(anew, tick, state.since),
            state.hits * kept + sums.hits,
            state.rows * kept + sums.rows,
            state.means * kept + sums.means,
            state.limits * kept + sums.limits,
        )

    def excess(self, before: State, after: State, tick: int, channel: str, functional: str) -> int:
        """By how much a functional of a channel lay above its limit in the tick between two states of one lane, summed over its
        rows, unit 2**-16. Raises ValueError for one that is not bet on."""
        place = [one.name for one in self.channels].index(channel)
        own = self.channels[place]
        cell = self._cells[place].start + own.owner.tolist().index(own.functionals.names.index(functional))
        # The sums of a cell are since its run began, which may be this very tick.
        kept = int(after.since[0, cell]) != tick
        hits, limits = (
            int(now[0, cell]) - kept * int(was[0, cell])
            for was, now in ((before.hits, after.hits), (before.limits, after.limits))
        )
        return hits - limits

    def _by_channel(self, state: State) -> Float64s:
        """ln of the mean of each channel's cells, weighted by their prior, shape (R, channels that have cells)."""
        starts = [cells.start for cells, channel in zip(self._cells, self.channels, strict=True) if channel.cells]
        sizes = [channel.cells for channel in self.channels if channel.cells]
        top = np.maximum.reduceat(state.evidence, starts, axis=1)
        base = np.where(np.isneginf(top), 0.0, top)
        shares = exp_of_negative(state.evidence - np.repeat(base, sizes, axis=1)) * self._mean
        total = np.add.reduceat(shares, starts, axis=1)
        found: Float64s = top + natural_log(np.where(total > 0, total, 1.0))
        return found

    def explain(self, state: State, lane: int = 0) -> list[Cause]:
        """Every channel with evidence, the one that contributed most first."""
        logs = self._by_channel(state)[lane]
        if not bool(np.isfinite(logs).any()):
            return []
        listed = e_bh(logs, LISTED_AT)
        parts = logs + natural_log(self.weights)
        total = float(log_weighted_sum(logs, self.weights))
        share = exp_of_negative(np.minimum(parts - total, 0.0))
        alive = [i for i, channel in enumerate(self.channels) if channel.cells]
        order = sorted(range(len(logs)), key=lambda i: (-parts[i], i))
        return [
            self._cause(alive[i], state, lane, float(logs[i]), float(share[i]), listed=bool(listed[i]))
            for i in order
            if logs[i] > -np.inf
        ]

    def _cause(self, i: int, state: State, lane: int, log: float, share: float, *, listed: bool) -> Cause:
        channel, cells = self.channels[i], self._cells[i]
        cell = cells.start + int(state.evidence[lane, cells].argmax())
        own = int(channel.owner[cell - cells.start])
        rows = int(state.rows[lane, cell])
        sums = (int(part[lane, cell]) for part in (state.hits, state.means, state.limits))
        mean, reference, limit = (total / (ONE >> COARSER) / rows if rows else math.nan for total in sums)
        return Cause(
            channel=channel.name,
            functional=channel.functionals.names[own],
            log_evidence=log,
            share=share,
            since=int(state.since[lane, cell]),
            mean=mean,
            rows=rows,
            reference=reference,
            limit=limit,
            dispersion=float(channel.null.dispersion[own]),
            listed=listed,
        )


def _slices(sizes: Sequence[int]) -> tuple[slice, ...]:
    """Runs of these lengths, one after the other."""
    ends = np.cumsum(sizes).tolist()
    return tuple(slice(end - size, end) for size, end in zip(sizes, ends, strict=True))


def e_bh(logs: Float64s, level: float) -> Bools:
    """Which of K e-values, given by their logarithms, are discoveries at a false discovery rate of `level` (e-BH).

    The k largest, k as large as possible so that the k-th is at least K / (level k). Valid under any dependence.
    """
    order = np.argsort(-logs, kind="stable")
    needed = np.log(len(logs) / (level * np.arange(1, len(logs) + 1)))
    enough = np.flatnonzero(logs[order] >= needed)
    found = np.zeros(len(logs), np.bool_)
    if len(enough):
        found[order[: enough[-1] + 1]] = True
    return found
