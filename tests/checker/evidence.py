"""What a budget of false alarms has to say about one model, by the definitions alone: plain loops over counts.

Questions are shares: of some bins (`hits`) among others (`among`). No seasons, no numbers with ranks. The engine rounds
logarithms down to 2**-30 a row and shown means to 2**-16 a beat, which this does not: compare evidence to about 1e-3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, chi2

EFFECTS = tuple(0.02 * (0.5 / 0.02) ** (i / 5) for i in range(6))
Counts = Mapping[str, int]


@dataclass(frozen=True)
class Question:
    """A share that must not rise."""

    name: str
    hits: frozenset[str]
    among: frozenset[str]

    def of(self, counts: Counts) -> tuple[int, int]:
        """Hits and rows."""
        return sum(counts.get(b, 0) for b in self.hits), sum(counts.get(b, 0) for b in self.among)


MATRIX = [
    Question("errors", frozenset({"fp", "fn"}), frozenset({"tp", "fp", "fn", "tn"})),
    Question("missed positives", frozenset({"fn"}), frozenset({"tp", "fn"})),
    Question("false alarms", frozenset({"fp"}), frozenset({"fp", "tn"})),
    Question("false among alarms", frozenset({"fp"}), frozenset({"tp", "fp"})),
]
"""What is asked of a confusion matrix."""


@dataclass
class Asked:
    """A question after learning, and what its six bets hold."""

    question: Question
    reference: float
    limit: float
    dispersion: float
    evidence: list[float]
    runs: list[float]
    since: list[int]
    seen: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Said:
    """What a channel says at an alarm."""

    question: str
    log_evidence: float
    since: int
    hits: int
    rows: int
    reference: float
    limit: float
    dispersion: float


def dispersion(question: Question, learned: Sequence[Counts]) -> float:
    """Upper 90 % bound of the variance of a beat's hits over that of independent rows, of blocks of 1, 2, 4 .. beats."""
    pairs = [question.of(counts) for counts in learned]
    hits, rows = (np.array(column, float) for column in zip(*pairs, strict=True))
    mean = hits.sum() / max(rows.sum(), 1)
    found, length = 1.0, 1
    while len(learned) // length >= 64:
        blocks = len(learned) // length
        away, chance = (
            part[: blocks * length].reshape(blocks, length).sum(axis=1)
            for part in (hits - rows * mean, rows * mean * (1 - mean))
        )
        used = chance > 0
        if used.any():
            free = max(used.sum() - -(-1 // length), 1)
            found = max(found, (away[used] ** 2 / chance[used]).sum() / chi2.ppf(0.1, free))
        length *= 2
    return math.ceil(found * 1024) / 1024


def learn(question: Question, learned: Sequence[Counts], asked: int, materiality: float) -> Asked:
    """What it may be: Clopper and Pearson's upper bound at 0.01 over all questions, and what is forgiven."""
    hits, rows = (sum(column) for column in zip(*(question.of(counts) for counts in learned), strict=True))
    phi = dispersion(question, learned)
    if not rows:
        return Asked(question, 0.0, 1.0, phi, [-math.inf] * 6, [0.0] * 6, [0] * 6, {})
    n, mean = rows / phi, hits / rows
    upper = beta.ppf(1 - 0.01 / asked, mean * n + 1, n - mean * n) if mean < 1 else 1.0
    limit = min(math.ceil((upper + materiality) * 2**30) / 2**30, 1.0)
    return Asked(question, mean, limit, phi, [-math.inf] * 6, [0.0] * 6, [0] * 6, {})


class Channel:
    """Questions with equal attention, from the end of learning on."""

    def __init__(
        self, questions: Sequence[Question], learned: Sequence[Counts], asked: int, materiality: float
    ) -> None:
        self.asked = [learn(question, learned, asked, materiality) for question in questions]
        self.bets = [one for one in self.asked if one.limit < 1]

    def take(self, beat: int, counts: Counts) -> None:
        """One beat."""
        if not sum(counts.values()):
            return
        for one in self.bets:
            hits, rows = one.question.of(counts)
            one.seen[beat] = hits, rows
            deviation = math.sqrt(one.limit * (1 - one.limit))
            for i, effect in enumerate(EFFECTS):
                stake = min(effect / deviation, 0.95 / one.limit)
                win, lose = (math.log(1 + stake * (v - one.limit)) / one.dispersion for v in (1, 0))
                gained = hits * win + (rows - hits) * lose
                one.since[i] = beat if one.runs[i] <= 0 else one.since[i]
                one.runs[i] = max(one.runs[i], 0.0) + gained
                one.evidence[i] = math.log1p(math.exp(one.evidence[i])) + gained

    @property
    def log_evidence(self) -> float:
        """ln of the mean of the bets."""
        held = [e for one in self.bets for e in one.evidence]
        top = max(held)
        return -math.inf if math.isinf(top) else top + math.log(sum(math.exp(e - top) for e in held) / len(held))

    def says(self) -> Said:
        """Its leading bet's question."""
        one = max(self.bets, key=lambda each: max(each.evidence))
        since = one.since[one.evidence.index(max(one.evidence))]
        hits, rows = (sum(column) for column in zip(*(v for b, v in one.seen.items() if b >= since), strict=True))
        return Said(one.question.name, self.log_evidence, since, hits, rows, one.reference, one.limit, one.dispersion)

    def restart(self) -> None:
        """After an alarm."""
        for one in self.bets:
            one.evidence, one.runs, one.since, one.seen = [-math.inf] * 6, [0.0] * 6, [0] * 6, {}


@dataclass(frozen=True)
class Alarm:
    """When, how much evidence, and what each channel says."""

    beat: int
    log_evidence: float
    said: Mapping[str, Said]


def alarms(
    channels: Mapping[str, tuple[Sequence[Question], float, float]],
    beats: Sequence[tuple[int, Mapping[str, Counts]]],
    learn_beats: int,
    patience: float,
) -> list[Alarm]:
    """All alarms. `channels`: questions, weight and what is forgiven; `beats`: number, and counts by channel."""
    first = beats[0][0]
    begin = next(i for i, (beat, _) in enumerate(beats) if beat - first >= learn_beats and i >= 64)
    asked = sum(len(questions) for questions, _, _ in channels.values())
    made = {
        name: Channel(questions, [counts[name] for _, counts in beats[:begin]], asked, forgiven)
        for name, (questions, _, forgiven) in channels.items()
    }
    total = sum(channels[name][1] for name, own in made.items() if own.bets)
    found = []
    for beat, counts in beats[begin:]:
        for name, own in made.items():
            own.take(beat, counts[name])
        logs = {name: own.log_evidence for name, own in made.items() if own.bets}
        evidence = math.log(sum(channels[name][1] / total * math.exp(log) for name, log in logs.items()))
        if evidence >= math.log(patience):
            found.append(Alarm(beat, evidence, {name: made[name].says() for name in logs}))
            for own in made.values():
                own.restart()
    return found
