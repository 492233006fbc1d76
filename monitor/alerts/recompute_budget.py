"""The numbers of a budget's alert, worked out again from what its detector looked at: the beats of learning, and those since.

Who explains an alert runs the engine over the topics again and keeps every look (`watching.Look`). Counts, means, limits and
dispersions are then plain arithmetic of these integers and are told with it; evidence is a sum over all beats and bets, which
the detector makes again, beat by beat.

Not done: the evidence of single bets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.alerts.event import BudgetAlert, BudgetCause
from monitor.alerts.recompute import Line, Number
from monitor.alerts.watching import Look, Series, seasons_of
from monitor.config.budget import Budget as BudgetConfig
from monitor.drift.budget import Area, Materiality
from monitor.drift.edetector import LISTED_AT, Cause, Detector
from monitor.drift.functionals import ONE, Functionals
from monitor.drift.nulls import LEVEL, dispersion_of
from monitor.drift.tables import COARSER
from monitor.events import Int64s
from monitor.plan import ModelPlan
from monitor.windows.canonical import rounded

_GRID: Final = 1 << 30
_SHOWN: Final = ONE >> COARSER


@dataclass(frozen=True, slots=True)
class _Found:
    """The alarm again: the series, its learning, the looks from the last alarm on, the causes and the evidence."""

    series: Series
    detector: Detector
    learned: Sequence[Look]
    looks: Sequence[Look]
    causes: Sequence[Cause]
    log_score: float


def budget_lines(data: BudgetAlert, plan: ModelPlan, budget: BudgetConfig, looks: Sequence[Look]) -> list[Line]:
    """Of all its causes and of itself, in the order in which they are to be read; none where the alarm is not among the looks
    (of a budget that was another one then). `looks`: of its model, version and kind, up to its tick."""
    found = _alarm(data, plan, budget, looks)
    if found is None:
        return []
    lines: list[Line] = []
    for place, told in enumerate(data.causes):
        cause = next((one for one in found.causes if one.channel == told.channel), None)
        if cause is not None:
            lines += _cause(f"causes.{place}.", told, cause, found, budget)
    weights = [w for w in found.detector.weights.tolist() if w > 0]
    total: dict[str, Number] = {"beats": len(found.looks), "bets": sum(c.cells for c in found.detector.channels)}
    lines.append(
        Line(
            "log_evidence",
            "ln of the sum over channels of weight x e^(log_evidence of the channel)",
            {**total, "channels": len(weights)},
            found.log_score,
            data.log_evidence,
            "log_evidence",
        )
    )
    own: dict[str, Number] = {
        "per_ms": budget.per_ms, "every_ms": budget.every_ms, "false_pages": budget.false_pages,
        "share": rounded(budget.patience / found.detector.patience),
    }  # fmt: skip
    lines.append(
        Line(
            "an alarm, with its share of the budget",
            "log_evidence >= ln(per / (every x false_pages x share))",
            {"log_evidence": data.log_evidence, **own},
            found.log_score >= math.log(found.detector.patience),
            True,
        )
    )
    return lines


def _alarm(data: BudgetAlert, plan: ModelPlan, budget: BudgetConfig, looks: Sequence[Look]) -> _Found | None:
    """The newest alarm with this evidence: that of the event, or of the one that it resolves."""
    first = max((place for place, look in enumerate(looks) if look.learning), default=-1) + 1
    begin = max((place for place, look in enumerate(looks[:first]) if not look.learning), default=-1) + 1
    learned = looks[begin:first]
    series = Series(plan, data.kind, budget, horizon_ms=0, pane_ms=1)
    state = series.learn_again(learned) if learned else None
    if state is None or series.detector is None:
        return None
    found, since = None, first
    for place in range(first, len(looks)):
        look = looks[place]
        state, verdict, seen = series.detector.step(state, look.beat, series.read(look.counts))
        if verdict.alarm[0]:
            score = float(verdict.log_score[0])
            if rounded(score) == data.log_evidence:
                causes = series.detector.explain(seen)
                found = _Found(series, series.detector, learned, looks[since : place + 1], causes, score)
            since = place + 1
    return found


@dataclass(frozen=True, slots=True)
class _Question:
    """One question of a channel: its functional, what was looked at since its beginning (by beat and part of the day), and what
    learning brought, with the part of the day of each."""

    asked: Functionals
    f: int
    since: Sequence[Mapping[int, Int64s]]
    ticks: Int64s
    slots: Int64s

    @classmethod
    def of(cls, cause: Cause, found: _Found) -> _Question:
        """That of a cause."""
        place = [channel.name for channel in found.detector.channels].index(cause.channel)
        asked, part = found.detector.channels[place].functionals, found.series.channels[place]
        beats = [look for look in found.looks if look.beat >= cause.since]
        since = [{s: part.read(cells[np.newaxis])[0] for s, cells in look.counts.items()} for look in beats]
        learned = [(s, part.read(cells[np.newaxis])[0]) for look in found.learned for s, cells in look.counts.items()]
        ticks, slots = np.stack([own for _, own in learned]), np.array([season for season, _ in learned])
        return cls(asked, asked.names.index(cause.functional), since, ticks, slots)

    @property
    def seasons(self) -> list[int]:
        """Parts of the day that have something since the beginning."""
        return sorted({season for beat in self.since for season in beat})

    def reference(self, season: int) -> Int64s:
        """Counts of learning in a part of the day."""
        found: Int64s = self.ticks[self.slots == season].sum(axis=0)
        return found

    def rows(self, counts: Int64s) -> int:
        """Rows that are asked about."""
        return int(counts[self.asked.active[self.f]].sum())

    def total(self, counts: Int64s) -> int:
        """Sum over these rows, unit 2**-30."""
        return int(counts @ np.where(self.asked.active[self.f], self.asked.values[self.f], 0))

    def rows_now(self, season: int) -> int:
        """Rows since the beginning in a part of the day."""
        return sum(self.rows(beat[season]) for beat in self.since if season in beat)

    def as_now(self, of: Mapping[int, float]) -> float | None:
        """What the rows would have had at these means of the parts of the day; rounded down to 2**-16 a beat, as shown."""
        rows = sum(map(self.rows_now, self.seasons))
        if not rows:
            return None
        grid = {season: round(mean * ONE) for season, mean in of.items()}
        beats = (sum(self.rows(own) * grid[season] for season, own in beat.items()) for beat in self.since)
        return sum(beat >> COARSER for beat in beats) / _SHOWN / rows


def _cause(prefix: str, told: BudgetCause, cause: Cause, found: _Found, budget: BudgetConfig) -> Iterator[Line]:
    question, whose = _Question.of(cause, found), f"{told.channel}, {told.question}: "
    rows = sum(map(question.rows_now, question.seasons))
    hits = sum(sum(map(question.total, beat.values())) >> COARSER for beat in question.since) / _SHOWN
    since: dict[str, Number] = {"beats": len(question.since)}
    yield Line(f"{whose}rows", "rows that are asked about, since then", since, rows, told.rows, f"{prefix}rows")
    mean, of = hits / rows if rows else None, {"hits": hits, "rows": rows}
    yield Line(f"{whose}mean", "hits / rows", of, mean, told.mean, f"{prefix}mean")
    phi = float(dispersion_of(question.asked, question.ticks, question.slots)[question.f])
    yield Line(
        f"{whose}dispersion",
        "largest over blocks of 1, 2, 4 .. beats of sum((hits - expected)^2 / variance) / 10 % quantile of chi-square",
        {"beats of learning": len(found.learned)},
        phi,
        told.dispersion,
        f"{prefix}dispersion",
    )
    yield from _reference(prefix, told, question, phi, found, budget)
    yield from _evidence(prefix, whose, told, cause, found)


def _reference(
    prefix: str, told: BudgetCause, question: _Question, phi: float, found: _Found, budget: BudgetConfig
) -> Iterator[Line]:
    """What learning allows."""
    whose, parts = f"{told.channel}, {told.question}: ", seasons_of(budget)
    level = LEVEL / (sum(map(len, found.series.asked_functionals)) * parts)
    dials = budget.materiality
    forgiven = Materiality(dials.performance, dials.features, dials.quality).of(Area(told.area))
    forgiven *= float(question.asked.sensitivity[question.f])
    means, limits, inputs = dict[int, float](), dict[int, float](), dict[str, Number]()
    for season in question.seasons:
        reference, of = question.reference(season), "" if parts == 1 else f" in part {season} of the day"
        n, k = question.rows(reference), question.total(reference) / ONE
        means[season] = k / n if n else 0.0
        limits[season] = _limit(question, reference, phi, level, forgiven)
        inputs |= {f"hits of the reference{of}": k, f"its rows{of}": n}
        inputs |= {} if parts == 1 else {f"rows now{of}": question.rows_now(season)}
    yield Line(
        f"{whose}reference",
        "hits / rows of the beats of learning, of each part of the day as many rows as there are now",
        inputs,
        question.as_now(means),
        told.reference,
        f"{prefix}reference",
    )
    yield Line(
        f"{whose}limit",
        "upper bound of the reference's mean on rows / dispersion at level (Clopper-Pearson; of ranks normal) + materiality",
        {**inputs, "dispersion": phi, "level": level, "materiality": forgiven},
        question.as_now(limits),
        told.limit,
        f"{prefix}limit",
    )


def _evidence(prefix: str, whose: str, told: BudgetCause, cause: Cause, found: _Found) -> Iterator[Line]:
    alive = [channel for channel in found.detector.channels if channel.cells]
    place = [channel.name for channel in alive].index(cause.channel)
    weight = float(found.detector.weights[place])
    yield Line(
        f"{whose}log_evidence",
        "ln of the mean over its bets of E = (1 + E) x product of (1 + stake (value - limit))^(1 / dispersion), beat by beat",
        {"beats": len(found.looks), "bets": alive[place].cells},
        cause.log_evidence,
        told.log_evidence,
        f"{prefix}log_evidence",
    )
    yield Line(
        f"{whose}share",
        "weight x e^log_evidence / e^(log_evidence of the model)",
        {"weight": weight, "log_evidence": cause.log_evidence, "of the model": found.log_score},
        weight * math.exp(cause.log_evidence - found.log_score),
        told.share,
        f"{prefix}share",
    )
    logs = {one.channel: one.log_evidence for one in found.causes}
    order = sorted(logs.values(), reverse=True)
    enough = [k for k, log in enumerate(order, 1) if log >= math.log(len(alive) / (LISTED_AT * k))]
    yield Line(
        f"{whose}listed",
        f"among the k largest, k as large as possible with e^log_evidence of the k-th >= channels / ({LISTED_AT} k)",
        {"log_evidence": cause.log_evidence, "channels": len(alive), "k": max(enough, default=0)},
        bool(enough) and cause.log_evidence >= order[max(enough) - 1],
        told.listed,
        f"{prefix}listed",
    )


def _limit(question: _Question, reference: Int64s, phi: float, level: float, forgiven: float) -> float:
    """The largest mean that counts as no change, by the sums of the reference in one part of the day."""
    from scipy.special import betaincinv, ndtri  # a heavy import that only explaining needs

    active, values = question.asked.active[question.f], question.asked.values[question.f] / ONE
    rows = question.rows(reference)
    if not rows:
        return 1.0
    mean, n = question.total(reference) / ONE / rows, rows / phi
    if bool(((values > 0) & (values < 1) & active).any()):
        squares = float((reference * values * values)[active].sum())
        variance = max(squares / rows - mean * mean, 0.0)
        upper = mean + max(-ndtri(level) * math.sqrt(variance / n), -math.log(level) / n)
    else:
        misses = n - mean * n
        upper = float(betaincinv(mean * n + 1.0, misses, 1.0 - level)) if misses > 1e-12 else 1.0
    return min(math.ceil((upper + forgiven) * _GRID) / _GRID, 1.0)
