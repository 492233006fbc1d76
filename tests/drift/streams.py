"""Simulated streams for the e-detector: worlds with nothing in them, worlds in which something changes, and an oracle.

A lane is one history. Each reference is drawn anew and followed in several lanes; the means over lanes of one reference
are the independent observations that standard errors are taken from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.drift.edetector import Channel, Detector
from monitor.drift.functionals import Functionals, single_rate
from monitor.drift.nulls import Null, dispersion_of, null_of
from monitor.events import Float64s, Int64s

Draw = Callable[[int, int], Int64s]
"""Counts (R, B) of tick t in R lanes."""


def known(rate: float) -> Null:
    """The null of somebody who knows the true rate: no margin, no dispersion."""
    up = math.ceil(rate * 2**30) / 2**30
    return Null(np.array([rate]), np.array([up]), np.ones(1), np.array([0]))


def without_margin(null: Null) -> Null:
    """The mutation: the reference's means taken for the truth."""
    return replace(null, limit=np.ceil(null.mean * 2**30) / 2**30)


def without_tempering(null: Null) -> Null:
    """The mutation: rows taken as independent."""
    return replace(null, dispersion=np.ones_like(null.dispersion))


def one(functionals: Functionals, null: Null, patience: float) -> Detector:
    return Detector((Channel("x", functionals, null, 1.0),), patience)


def alarms(detector: Detector, draw: Sequence[Draw], ticks: int, lanes: int) -> Int64s:
    """Alarms in each lane over a horizon; `draw` gives the counts of each channel."""
    state, found = detector.start(lanes), np.zeros(lanes, np.int64)
    for tick in range(ticks):
        state, verdict, _ = detector.step(state, tick, [d(tick, lanes) for d in draw])
        found += verdict.alarm
    return found


def delays(detector: Detector, before: Draw, after: Draw, lanes: int, quiet: int = 60, most: int = 400) -> Float64s:
    """Ticks from the change to the first alarm, 1 for the changed tick itself, in each lane; `most` + 1 if never.

    Alarms before the change restart a lane, as they do in life.
    """
    state, found = detector.start(lanes), np.full(lanes, most + 1.0)
    for tick in range(quiet + most):
        draw = before if tick < quiet else after
        state, verdict, _ = detector.step(state, tick, [draw(tick, lanes)])
        if tick >= quiet:
            found = np.where(verdict.alarm & (found > most), tick - quiet + 1.0, found)
            if (found <= most).all():
                break
    return found


@dataclass(frozen=True, slots=True)
class Tally:
    """Mean alarms of a scenario with its standard error, beside the bound T / c."""

    mean: float
    error: float
    bound: float
    expected: float  # R T / c: how many alarms the bound allows in all lanes together

    @property
    def holds(self) -> bool:
        """What the acceptance asks for."""
        return self.mean <= self.bound + 3 * self.error


def tally(by_reference: Sequence[Int64s], ticks: int, patience: float) -> Tally:
    """Of the alarms in the lanes of each reference."""
    means = np.array([own.mean() for own in by_reference], np.float64)
    lanes = sum(len(own) for own in by_reference)
    if len(means) > 1:
        error = float(means.std(ddof=1) / math.sqrt(len(means)))
    else:
        error = float(by_reference[0].std(ddof=1) / math.sqrt(lanes))
    return Tally(float(means.mean()), error, ticks / patience, lanes * ticks / patience)


# -- rates of one kind of error ------------------------------------------------------------------------------------


def rates(
    random: np.random.Generator, rows: Callable[[int, int], Int64s] | int, rate: Callable[[int, int], Float64s] | float
) -> Draw:
    """Ordinary and wrong rows: `rows` and `rate` are numbers, or functions of tick and lanes."""

    def draw(tick: int, lanes: int) -> Int64s:
        n = np.full(lanes, rows) if isinstance(rows, int) else rows(tick, lanes)
        p = np.full(lanes, rate) if isinstance(rate, float) else rate(tick, lanes)
        wrong = random.binomial(n, p)
        return np.stack([n - wrong, wrong], axis=1)

    return draw


def bursts(random: np.random.Generator, rows: int, rate: float, dispersion: float) -> Draw:
    """Rows of a tick share their luck: beta-binomial with this variance over the binomial one."""
    spread = (rows - 1) / (dispersion - 1) - 1

    def draw(tick: int, lanes: int) -> Int64s:
        wrong = random.binomial(rows, random.beta(rate * spread, (1 - rate) * spread, lanes))
        return np.stack([rows - wrong, wrong], axis=1)

    return draw


def wandering(random: np.random.Generator, rows: int, rate: float, memory: float, step: float) -> Draw:
    """The rate is an AR(1) around `rate`, apart in every lane; starts in its long-run law."""
    now: list[Float64s] = []

    def draw(tick: int, lanes: int) -> Int64s:
        if not now or len(now[0]) != lanes:
            now[:] = [random.normal(0, step / math.sqrt(1 - memory * memory), lanes)]
        now[0] = memory * now[0] + random.normal(0, step, lanes)
        wrong = random.binomial(rows, np.clip(rate + now[0], 0.0, 1.0))
        return np.stack([rows - wrong, wrong], axis=1)

    return draw


def learned(
    draw: Draw, ticks: int, *, slot: Callable[[int], int] | None = None, by_slot: bool = False, asked: int | None = None
) -> Null:
    """The null of a reference of so many ticks of one lane, its dispersion measured on them."""
    functionals = single_rate("errors")
    counts = np.concatenate([draw(tick, 1) for tick in range(ticks)])
    slots = None if slot is None else np.array([slot(tick) for tick in range(ticks)])
    phi = dispersion_of(functionals, counts, slots)
    if slots is None or not by_slot:
        return null_of(functionals, counts.sum(axis=0), dispersion=phi, asked=asked)
    by = np.zeros((int(slots.max()) + 1, 2), np.int64)
    np.add.at(by, slots, counts)
    return null_of(functionals, by, dispersion=phi, asked=asked)


# -- the oracle ----------------------------------------------------------------------------------------------------


def cusum_run_lengths(random: np.random.Generator, k: float, h: float, shift: float, lanes: int) -> Float64s:
    """Run lengths of the one-sided normal CUSUM, simulated: what holds the harness to the printed tables."""
    state, found, tick = np.zeros(lanes), np.zeros(lanes), 0
    while (found == 0).any():
        tick += 1
        state = np.maximum(state + random.normal(shift, 1.0, lanes) - k, 0.0)
        found = np.where((found == 0) & (state > h), tick, found)
    return found


@dataclass(frozen=True, slots=True)
class Oracle:
    """The CUSUM of log-likelihood ratios of somebody who knows both rates (optimal: Moustakides, 1986).

    Run lengths from a start at 0 by a Markov chain over `STATES` steps of evidence (Brook & Evans, 1972).
    """

    rows: int
    before: float
    after: float
    states: int = 200

    def run_length(self, limit: float, rate: float) -> float:
        """Mean ticks to an alarm at this rate, starting from nothing."""
        from scipy.stats import binom

        width = limit / self.states
        wrong = np.arange(self.rows + 1)
        gain = wrong * math.log(self.after / self.before) + (self.rows - wrong) * math.log(
            (1 - self.after) / (1 - self.before)
        )
        chance = binom.pmf(wrong, self.rows, rate)
        keep = chance > 1e-14
        gain, chance = gain[keep], chance[keep]
        nodes = np.arange(self.states + 1) * width
        target = np.maximum(nodes[:, np.newaxis] + gain, 0.0)
        place = np.floor(target / width).astype(int)
        above = target / width - place  # shared between two nodes, so that the mean is kept
        moves, rows = np.zeros((len(nodes), self.states + 3)), np.arange(len(nodes))[:, np.newaxis]
        inside = target <= limit
        np.add.at(moves, (rows, np.where(inside, place, self.states + 2)), np.where(inside, 1 - above, 1.0) * chance)
        np.add.at(moves, (rows, np.minimum(place + 1, self.states + 1)), np.where(inside, above, 0.0) * chance)
        stay = moves[:, : self.states + 1]
        return float(np.linalg.solve(np.eye(len(nodes)) - stay, np.ones(len(nodes)))[0])

    def limit(self, run_length: float) -> float:
        """The largest limit with which false alarms come no further apart than this: run lengths jump with it, so the
        oracle may ring more often than is asked, and be sooner, never later."""
        low, high = 1e-3, 12.0
        for _ in range(16):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.run_length(middle, self.before) < run_length else (low, middle)
        return low

    def delay(self, run_length: float) -> float:
        """Mean ticks to the alarm after the change, the changed tick being 1."""
        return self.run_length(self.limit(run_length), self.after)
