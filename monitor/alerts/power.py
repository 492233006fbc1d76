"""How soon the budget would see a model become worse: the same learning and the same detector, on rows made up for it.

Counts come in, in the bins of `watched.observed`; nothing is drawn here. `learned` is what a version's own beginning teaches
(`watching.Series`, whole), `delays` runs the detector over many made-up futures side by side and says in which beat each
raised its alarm.

Not done: features and scores, whose shifts are not one number; labels that come late, which add their own delay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from monitor.alerts.watched import COUNTED
from monitor.alerts.watching import Series, season_of, seasons_of
from monitor.config.budget import Budget
from monitor.drift.edetector import Channel, Detector
from monitor.events import Int64s
from monitor.plan import ModelPlan
from monitor.windows.view import Kind

NEVER = -1


@dataclass(frozen=True, slots=True)
class Limit:
    """Up to which mean of the leading question nothing is ever told: the rate of errors, or of regression models the mean
    rank of their size. `reference` is the learned one, `limit` that of the part of the day with the highest, `dispersion`
    by how much the rows count for less."""

    reference: float
    limit: float
    dispersion: float


def beats_of_learning(budget: Budget) -> int:
    """How many beats `learned` needs."""
    return budget.learn_ms // budget.every_ms + 1


def learned(model: ModelPlan, budget: Budget, beats: Int64s) -> Detector | None:
    """The detector of performance after learning from these beats, counts (T, B), all labelled; the first beat begins a
    day. None where there are too few rows to ask anything."""
    series = Series(model, Kind.PERFORMANCE, budget, horizon_ms=budget.every_ms, pane_ms=budget.every_ms)
    for beat, counts in enumerate(beats):
        cells = np.concatenate([np.full(COUNTED, counts.sum()), counts])  # nothing of it waits
        series.add(beat, beat * budget.every_ms, cells)
        series.close()
    return series.detector


def limit_of(detector: Detector) -> Limit:
    """What the detector has learned about its leading question."""
    channel: Channel = detector.channels[0]
    names = channel.functionals.names
    place = names.index("errors" if "errors" in names else "larger errors")
    null = max(channel.nulls, key=lambda one: float(one.limit[place]))
    rows = np.array([one.rows[place] for one in channel.nulls])
    means = np.array([one.mean[place] for one in channel.nulls])
    mean = float((means * rows).sum() / max(int(rows.sum()), 1))
    return Limit(mean, float(null.limit[place]), float(null.dispersion[place]))


def delays(detector: Detector, budget: Budget, beats: Iterable[Int64s], change: int) -> Int64s:
    """In how many beats after beat `change` each of R futures raises an alarm, 1 for at once, NEVER where none comes.

    `beats` are counts (R, B), from a first beat that begins a day; alarms before the change only start the detector again.
    """
    seasons = seasons_of(budget)
    state, found = detector.start(), np.zeros(0, np.int64)
    for beat, own in enumerate(beats):
        lanes, bins = own.shape
        if not beat:
            state, found = detector.start(lanes), np.full(lanes, NEVER, np.int64)
        counts = np.zeros((lanes, seasons, bins), np.int64)
        counts[:, season_of(beat * budget.every_ms, budget)] = own
        state, verdict, _ = detector.step(state, beat + 1, [counts.reshape(lanes, -1)])
        if beat >= change:
            found[verdict.alarm & (found == NEVER)] = beat - change + 1
            if bool((found != NEVER).all()):
                break
    return found
