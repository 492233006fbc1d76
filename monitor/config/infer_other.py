"""Whether the models answer with one of several classes or with a number, guessed from the answers and what came true.

Two columns decide: one of the predictions and one of the labels whose joined values are the same words far oftener than chance,
or numbers that move together. Without labels the name of the prediction must say it. A binary answer that fits wins.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from monitor.config.infer_columns import Column, Table
from monitor.config.infer_roles import is_input, says_label, says_prediction
from monitor.config.tasks import LARGEST_LARGEST, MOST_CLASSES, OTHER

FEW_PAIRS: Final = 20
"""Fewer joined pairs than this say nothing about two columns."""
_BETTER_THAN_CHANCE: Final = 0.15
_TOGETHER: Final = 0.6  # correlation
_TOGETHER_IF_NAMED: Final = 0.25  # where both names say it, a poor model or wrong first labels may hide more of it
_MANY_NUMBERS: Final = 10  # distinct ones; fewer are classes
_HEADROOM: Final = 100.0


@dataclass(frozen=True, slots=True)
class Other:
    """What was found: `classes` of a multiclass model, most frequent first, with the columns of their probabilities;
    `largest` of a regression model. `quality`: share of right answers, or mean absolute error, on `pairs`."""

    task: str
    prediction: Column
    label: Column | None
    classes: tuple[str, ...]
    scores: Mapping[str, Column]
    largest: float | None
    quality: float
    pairs: int

    @property
    def columns(self) -> list[Column]:
        """Those of the predictions that are no features any more."""
        return [self.prediction, *self.scores.values()]


def find_other(
    predictions: Table,
    labels: Table | None,
    taken: tuple[Iterable[Column], Iterable[Column]],
    pairs: Sequence[tuple[int, int]],
) -> Other | None:
    """The best pair of columns, or the named prediction where there are no labels; None where nothing is convincing.

    `pairs`: rows of predictions and of labels with the same id. `taken`: columns of each that play another part.
    """
    mine, theirs = _free(predictions, taken[0]), _free(labels, taken[1])
    if labels is None:
        named = [column for column in mine if says_prediction(column) and not is_input(column)]
        return next((alone for column in named if (alone := _alone(column, mine))), None)
    if len(pairs) < FEW_PAIRS:
        return None
    best: tuple[tuple[int, int, int], Other] | None = None
    for column in mine:
        for other in theirs:
            found = _classes(column, other, pairs, mine) or _numbers(column, other, pairs)
            merit = _merit(column, other)
            if found is not None and (best is None or merit > best[0]):
                best = merit, found
    return None if best is None else best[1]


def _free(part: Table | None, taken: Iterable[Column]) -> list[Column]:
    """Columns of the value that are mostly there and play no part yet."""
    used = {column.source for column in taken}
    return [
        column
        for column in (part.columns if part else ())
        if column.source not in used and column.source.kind == "value" and column.presence >= 0.5
    ]


def _merit(column: Column, other: Column) -> tuple[int, int, int]:
    return (not is_input(column)) + says_prediction(column), int(says_label(other)), -len(column.source.path)


def _alone(column: Column, mine: Sequence[Column]) -> Other | None:
    """A task from the answers only."""
    words = _words(column)
    if words is not None and 3 <= len(words) <= MOST_CLASSES:
        classes = _listed(words)
        return Other("multiclass", column, None, classes, _scores(classes, words, mine), None, math.nan, 0)
    numbers = column.numbers()
    if len(numbers) == len(column.filled()) and len(set(numbers.values())) >= _MANY_NUMBERS:
        return Other("regression", column, None, (), {}, _largest(numbers.values()), math.nan, 0)
    return None


def _words(column: Column) -> Counter[str] | None:
    """How often each word occurs; None for a column of anything else, or of texts that are no classes."""
    found = column.filled().values()
    if not all(isinstance(value, str) for value in found):
        return None
    counts = Counter(str(value) for value in found)
    repeats = sum(counts.values()) >= 3 * len(counts)
    return counts if repeats and all(_could_be_class(word) for word in counts) else None


def _could_be_class(word: str) -> bool:
    return 0 < len(word) <= 100 and not any(c in ":," or ord(c) < 32 or ord(c) == 127 for c in word)


def _listed(words: Counter[str]) -> tuple[str, ...]:
    return tuple(word for word, _ in words.most_common() if word != OTHER)[:MOST_CLASSES]


def _classes(column: Column, other: Column, pairs: Sequence[tuple[int, int]], mine: Sequence[Column]) -> Other | None:
    """Both are of the same few words, and agree more often than words drawn at their frequencies would."""
    answers, truths = _words(column), _words(other)
    if answers is None or truths is None or len(answers | truths) < 3 or not answers.keys() & truths.keys():
        return None
    mine_of, theirs_of = column.filled(), other.filled()
    joined = [(mine_of[a], theirs_of[b]) for a, b in pairs if a in mine_of and b in theirs_of]
    if len(joined) < FEW_PAIRS:
        return None
    right = sum(a == b for a, b in joined) / len(joined)
    first, second = Counter(a for a, _ in joined), Counter(b for _, b in joined)
    chance = sum(first[word] * second[word] for word in first) / len(joined) ** 2
    if right < chance + _BETTER_THAN_CHANCE:
        return None
    classes = _listed(answers + truths)
    return Other("multiclass", column, other, classes, _scores(classes, answers, mine), None, right, len(joined))


def _scores(classes: Sequence[str], answers: Collection[str], mine: Sequence[Column]) -> dict[str, Column]:
    """Numbers from 0 to 1 that are called like classes and stand in one object; none unless every answer has one."""
    by_place: dict[tuple[str, ...], dict[str, Column]] = {}
    for column in mine:
        name = column.source.path[-1] if column.source.path else ""
        numbers = column.numbers()
        if name in classes and len(numbers) == len(column.filled()) and all(0.0 <= p <= 1.0 for p in numbers.values()):
            by_place.setdefault(column.source.path[:-1], {})[name] = column
    for found in by_place.values():
        if found.keys() >= set(answers) - {OTHER}:
            return {name: found[name] for name in classes if name in found}
    return {}


def _numbers(column: Column, other: Column, pairs: Sequence[tuple[int, int]]) -> Other | None:
    """Both are many numbers, one of them is named so, and they move together."""
    if is_input(column) or not (says_prediction(column) or says_label(other)):
        return None
    mine_of, theirs_of = column.numbers(), other.numbers()
    if len(mine_of) < len(column.filled()) or len(theirs_of) < len(other.filled()):
        return None
    joined = [(mine_of[a], theirs_of[b]) for a, b in pairs if a in mine_of and b in theirs_of]
    if len(joined) < FEW_PAIRS or min(len(set(x)) for x in zip(*joined, strict=True)) < _MANY_NUMBERS:
        return None
    both = says_prediction(column) and says_label(other)
    if _correlation(joined) < (_TOGETHER_IF_NAMED if both else _TOGETHER):
        return None
    error = sum(abs(a - b) for a, b in joined) / len(joined)
    return Other(
        "regression", column, other, (), {}, _largest([*mine_of.values(), *theirs_of.values()]), error, len(joined)
    )


def _correlation(joined: Sequence[tuple[float, float]]) -> float:
    n = len(joined)
    x0, y0 = (sum(column) / n for column in zip(*joined, strict=True))
    xx, yy = sum((x - x0) ** 2 for x, _ in joined), sum((y - y0) ** 2 for _, y in joined)
    xy = sum((x - x0) * (y - y0) for x, y in joined)
    return xy / math.sqrt(xx * yy) if 0.0 < xx * yy < math.inf else 0.0


def _largest(numbers: Iterable[float]) -> float:
    """A power of ten a hundred times beyond what was seen."""
    seen = max((abs(number) for number in numbers), default=1.0) or 1.0
    return float(min(10.0 ** math.ceil(math.log10(seen * _HEADROOM)), LARGEST_LARGEST))
