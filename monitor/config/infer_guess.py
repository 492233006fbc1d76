"""Every part of a config, guessed from samples: each guess settles the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from monitor.config.durations import UNITS_MS
from monitor.config.infer_columns import Column, Sample, Table, Times, lacks_offset, table
from monitor.config.infer_features import Features, find_features
from monitor.config.infer_other import Other, find_other
from monitor.config.infer_roles import (
    Pair,
    find_ids,
    find_label,
    find_named,
    find_prediction,
    find_score,
    find_time,
    word_values,
)

_NICE_MS = tuple(
    number * UNITS_MS[unit]
    for unit, numbers in {"m": (1, 5, 15, 30), "h": (1, 2, 6, 12), "d": (1, 2, 3, 7, 14, 30, 60, 90, 180, 365)}.items()
    for number in numbers
)
FEW_PAIRS = 100
"""Below this many joined pairs the longest delay seen says little about the longest there is."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The parts of a label; None where nothing fits. `positive` is the number that counts as positive."""

    at: Times | None
    at_others: tuple[str, ...]
    label: Column | None
    values: Mapping[str, int]
    how: str
    positive: float


@dataclass(frozen=True, slots=True)
class Guess:
    """What was found in the samples; None where nothing fits."""

    predictions: Table
    labels: Table | None
    ids: Pair | None
    at: Times | None
    at_others: tuple[str, ...]  # other places that hold times
    no_offset: tuple[str, ...]  # places with times that lack an offset
    model: Column | None
    version: Column | None
    score: Column | None
    score_is_named: bool
    prediction: Column | None
    prediction_values: Mapping[str, int]
    prediction_how: str
    withdrawn: Column | None
    truth: Truth
    threshold: float | None  # None: no threshold separates the classes, or there are not both
    delays_ms: tuple[int, ...]  # label time - prediction time of the joined pairs, sorted
    correct: tuple[int, int] | None  # right answers, and pairs with an answer
    disorder_ms: int
    features: Features
    other: Other | None = None  # where the task is not binary


def guess(predictions: Sequence[Sample], labels: Sequence[Sample] | None) -> Guess:
    """Every part, in the order in which one settles the next."""
    mine = table(predictions)
    theirs = table(labels) if labels is not None else None
    ids = find_ids(mine, theirs)
    taken = [ids.prediction] if ids else []
    at, at_others = find_time(mine, taken)
    taken += [at.column] if at else []
    named: dict[str, Column | None] = {}
    for what in ("model", "version", "withdrawn"):
        named[what] = column = find_named(mine, taken, what)
        taken += [column] if column else []
    score, score_is_named = find_score(mine, taken)
    taken += [score] if score else []
    prediction = find_prediction(mine, taken, score)
    taken += [prediction] if prediction else []
    values, how = _words(prediction, score.numbers() if score else {})
    answers = _Answers(score, prediction, values)

    truth = _truth(theirs, ids, answers)
    threshold = _threshold(answers, truth.positive)
    pairs = _joined(ids)
    other = None
    if not _is_binary(answers, truth, theirs is not None):
        own = [ids and ids.prediction, at and at.column, *named.values()]
        of_labels = [ids and ids.label, truth.at and truth.at.column]
        other = find_other(mine, theirs, ([c for c in own if c], [c for c in of_labels if c]), pairs)
    if other is not None:
        score, prediction, values, how = None, other.prediction, {}, ""
        truth = replace(truth, label=other.label, values={}, how="")
        taken += other.columns
    delays = [
        truth.at.at_ms[row] - at.at_ms[mine_row]
        for mine_row, row in pairs
        if at and truth.at and mine_row in at.at_ms and row in truth.at.at_ms
    ]
    times = [(found, part) for found, part in ((at, mine), (truth.at, theirs)) if found and part]
    return Guess(
        predictions=mine,
        labels=theirs,
        ids=ids,
        at=at,
        at_others=tuple(other.column.source.text() for other in at_others),
        no_offset=tuple(c.source.text() for part in (mine, theirs) if part for c in part.columns if lacks_offset(c)),
        model=named["model"],
        version=named["version"],
        withdrawn=named["withdrawn"],
        score=score,
        score_is_named=score_is_named,
        prediction=prediction,
        prediction_values=values,
        prediction_how=how,
        truth=truth,
        threshold=threshold,
        delays_ms=tuple(sorted(delays)),
        correct=None if other else _correct(pairs, truth, answers, threshold),
        other=other,
        disorder_ms=max([_disorder_ms(found, part) for found, part in times], default=0),
        features=find_features(mine, taken),
    )


def _is_binary(answers: _Answers, truth: Truth, labelled: bool) -> bool:
    """Whether what was found is a binary model for sure: an answer of two values, or a score, and a label of two."""
    if answers.score is None and answers.prediction is None:
        return False
    return not labelled or (truth.label is not None and len(truth.label.counts()) <= 2)


@dataclass(frozen=True, slots=True)
class _Answers:
    score: Column | None
    prediction: Column | None
    values: Mapping[str, int]

    @property
    def scores(self) -> Mapping[int, float]:
        return self.score.numbers() if self.score else {}

    @property
    def classes(self) -> Mapping[int, float]:
        return _as_numbers(self.prediction, self.values)


def _truth(part: Table | None, ids: Pair | None, answers: _Answers) -> Truth:
    """The parts of a label."""
    if part is None:
        return Truth(None, (), None, {}, "", 1.0)
    taken = [ids.label] if ids and ids.label else []
    at, others = find_time(part, taken)
    taken += [times.column for times in ([at] if at else []) + others]
    label = find_label(part, taken)
    scores = answers.scores
    values, how = _words(label, {row: scores[mine_row] for mine_row, row in _joined(ids) if mine_row in scores})
    numbers = set(_as_numbers(label, values).values())
    positive = 1.0 if numbers <= {0.0, 1.0} else max(numbers)
    return Truth(at, tuple(other.column.source.text() for other in others), label, values, how, positive)


def _words(column: Column | None, scores: Mapping[int, float]) -> tuple[dict[str, int], str]:
    """The map of a class made of words; none for numbers and booleans."""
    if column is None or not any(isinstance(value, str) and value for value in column.counts()):
        return {}, ""
    return word_values(column, scores)


def _as_numbers(column: Column | None, values: Mapping[str, int]) -> dict[int, float]:
    """The class of each record as a number."""
    if column is None:
        return {}
    found = {}
    for row, value in column.filled().items():
        number = values.get(value) if isinstance(value, str) else value
        if number is not None:
            found[row] = float(number)
    return found


def _joined(ids: Pair | None) -> list[tuple[int, int]]:
    """(row of the prediction, row of the label) with the same id; the first of each."""
    if ids is None or ids.label is None:
        return []
    first: dict[str, int] = {}
    for row, text in ids.prediction.texts().items():
        first.setdefault(text, row)
    return [(first[text], row) for row, text in ids.label.texts().items() if text in first]


def _threshold(answers: _Answers, positive: float) -> float | None:
    """The shortest decimal between the largest score answered negative and the smallest answered positive."""
    scores, classes = answers.scores, answers.classes
    ones = [scores[row] for row, value in classes.items() if row in scores and value == positive]
    zeros = [scores[row] for row, value in classes.items() if row in scores and value != positive]
    if not ones or not zeros or max(zeros) >= min(ones):
        return None
    low, high = max(zeros), min(ones)
    if low < 0.5 <= high:
        return 0.5
    for digits in range(1, 16):
        scale = 10.0**digits
        candidate = math.floor(high * scale) / scale
        if low < candidate <= high:
            return candidate
    return high


def _correct(
    pairs: Sequence[tuple[int, int]], truth: Truth, answers: _Answers, threshold: float | None
) -> tuple[int, int] | None:
    """How often the answer was right among the joined pairs."""
    labels, scores, classes = _as_numbers(truth.label, truth.values), answers.scores, answers.classes
    limit = 0.5 if threshold is None else threshold
    right = known = 0
    for row, theirs in pairs:
        if theirs in labels and (row in classes or row in scores):
            answer = classes[row] == truth.positive if row in classes else scores[row] >= limit
            right += answer == (labels[theirs] == truth.positive)
            known += 1
    return (right, known) if known else None


def _disorder_ms(times: Times, part: Table) -> int:
    """How far records lie behind the newest before them, for all but one in a hundred."""
    newest: dict[int, float] = {}  # by partition: each has a clock of its own
    behind = []
    for row in sorted(times.at_ms):  # samples come in the order of their partition's log
        at_ms, partition = times.at_ms[row], part.partitions[row]
        newest[partition] = max(newest.get(partition, -math.inf), at_ms)
        behind.append(newest[partition] - at_ms)
    return int(sorted(behind)[int(0.99 * (len(behind) - 1))]) if behind else 0


def nice_ms(ms: float) -> int:
    """The next duration that people would choose."""
    return next((nice for nice in _NICE_MS if nice >= ms), _NICE_MS[-1])
