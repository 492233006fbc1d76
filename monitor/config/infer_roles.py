"""Which column plays which part: guesses from values first, from names second. Each guess says how sure it is.

The names are those seen in the wild; a name alone never wins against values that contradict it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median, variance
from typing import Final

from monitor.config.infer_columns import Column, Scalar, Table, Times, as_times

_ID = re.compile(
    r"(^|_)(id|uid|uuid|guid|key|ref|reference|number|no|nr)$|^(request|transaction|prediction|event|order)"
)
_TIME = re.compile(
    r"^(at|ts|t|time|timestamp|when|date|datetime)$|(_at|_ts|_time|_timestamp|_date|_on)$|^(event|created)"
)
_SCORE = re.compile(r"(^|_)(score|prob|proba|probability|p|confidence|risk|likelihood|propensity|yhat)($|_)")
_PREDICTION = re.compile(
    r"(^|_)(prediction|predicted|pred|class|decision|verdict|flag|flagged|output|answer|result)($|_)|^is_"
)
_LABEL = re.compile(r"(^|_)(label|outcome|actual|truth|target|y|result|status|class|ground|is)($|_)|^(was|is)_")
_MODEL = re.compile(r"^(model|model_?name|model_?id|modelname|algorithm|scorer|predictor|model_key)$")
_VERSION = re.compile(r"^(version|ver|rev|revision|build|release|v)$|^(model|algo)_?(version|ver|rev)$")
_MODELS = re.compile(r"^(model|ml|ml_?model|model_?info|algorithm|algo|scorer|predictor)$")
"""Objects in which `name` is the model's."""
_WITHDRAWN = re.compile(r"^(withdrawn|cancell?ed|is_cancell?ed|deleted|void|voided|retracted|reverted)$")
_INPUTS = re.compile(r"^(features?|inputs?|x|attributes|attrs|signals|variables|feature_values)$")
_POSITIVE = re.compile(
    r"^(1|true|t|y|yes|pos|positive|fraud\w*|chargeback\w*|late|delayed|churn\w*|default\w*|spam|bad|fail\w*|click\w*|convert\w*"
    r"|purchas\w*|abuse|malicious|dispute\w*|declin\w*|reject\w*|sick|ill|anomal\w*|attack|lost|hit)$"
)
_NEGATIVE = re.compile(
    r"^(0|-1|false|f|n|no|none|neg|negative|ok|good|legit\w*|genuine|normal|on_?time|retained|stayed|paid|ham|clean|benign"
    r"|pass\w*|success\w*|approve\w*|accept\w*|healthy|not_.*|no_.*|non_.*|un.*)$"
)

Predicate = Callable[[Column], float]

RARE_SHARE: Final = 0.005
"""Words and segment values below half a per cent of the sample are not proposed."""


def snake(name: str) -> str:
    """`predictionId`, `prediction-id` and `Prediction ID` as `prediction_id`."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def says(pattern: re.Pattern[str], column: Column) -> bool:
    """Whether the column's name fits the pattern."""
    return bool(pattern.search(snake(column.name)))


def says_prediction(column: Column) -> bool:
    """Whether the column is called like an answer."""
    return says(_PREDICTION, column) or says(_SCORE, column)


def says_label(column: Column) -> bool:
    """Whether the column is called like what came true."""
    return says(_LABEL, column)


def is_input(column: Column) -> bool:
    """Whether the column stands in an object of features."""
    return any(_INPUTS.match(snake(step)) for step in column.source.path[:-1])


@dataclass(frozen=True, slots=True)
class Pair:
    """The id of predictions and of labels, and how many sampled labels found their prediction."""

    prediction: Column
    label: Column | None
    shared: int
    labels: int


def find_ids(predictions: Table, labels: Table | None) -> Pair | None:
    """The two columns whose values overlap most and repeat least; names and depth decide between equals."""
    mine = [column for column in predictions.columns if _could_be_id(column)]
    if labels is None:
        best = max(mine, key=_id_merit, default=None)
        return None if best is None else Pair(best, None, 0, 0)
    theirs = [column for column in labels.columns if _could_be_id(column)]
    best_pair, best_merit = None, -math.inf
    label_sets = [(column, set(column.texts().values())) for column in theirs]
    for column in mine:
        values = set(column.texts().values())
        for other, others in label_sets:
            shared = len(values & others)
            overlap = shared / max(1, min(len(values), len(others)))
            merit = 2 * overlap + _id_merit(column) + _id_merit(other)
            if merit > best_merit:
                best_pair, best_merit = Pair(column, other, shared, len(others)), merit
    return best_pair


def _could_be_id(column: Column) -> bool:
    texts = column.texts()
    return bool(texts) and len(texts) >= 0.5 * column.records and not any(len(text) > 150 for text in texts.values())


def _id_merit(column: Column) -> float:
    """How much a column looks like an id by itself: distinct, always there, named so, not deep, not a time."""
    texts = column.texts()
    distinct = len(set(texts.values())) / len(texts)
    named = 0.4 if says(_ID, column) else 0.0
    exact = 0.05 if snake(column.name) in ("id", "prediction_id", "request_id") else 0.0
    depth = 0.02 * len(column.source.path) + {"value": 0.0, "key": 0.15, "header": 0.2}.get(column.source.kind, 0.0)
    time = 0.8 if as_times(column) is not None and not says(_ID, column) else 0.0
    return distinct + 0.3 * column.presence + named + exact - depth - time


def find_time(table: Table, taken: Iterable[Column]) -> tuple[Times | None, list[Times]]:
    """The event time, and the other columns that could be one: present, named so, close to the broker's time."""
    used = {column.source for column in taken}
    found = [
        times
        for column in table.columns
        if column.source not in used and column.presence >= 0.9 and (times := as_times(column)) is not None
    ]
    ranked = sorted(found, key=lambda times: _time_merit(times, table), reverse=True)
    return (ranked[0] if ranked else None), ranked[1:]


def _time_merit(times: Times, table: Table) -> float:
    gap_ms = median(abs(at_ms - table.broker_ms[row]) for row, at_ms in times.at_ms.items())
    named = 1.0 if says(_TIME, times.column) else 0.0
    depth = 0.05 * len(times.column.source.path)
    return named - math.log10(1 + gap_ms / 1000) / 4 - depth - (1.0 if is_input(times.column) else 0.0)


def find_score(table: Table, taken: Iterable[Column]) -> tuple[Column | None, bool]:
    """The probability, and whether its name says so. Without the name, only the one candidate there is will do."""
    used = {column.source for column in taken}
    candidates = [c for c in table.columns if c.source not in used and c.source.kind == "value" and _is_probability(c)]
    named = [column for column in candidates if says(_SCORE, column) and not is_input(column)]
    if named:
        return min(named, key=lambda column: (len(column.source.path), -len(column.counts()))), True
    outside = [column for column in candidates if not is_input(column) and len(column.counts()) > 10]
    return (outside[0], False) if len(outside) == 1 else (None, False)


def _is_probability(column: Column) -> bool:
    numbers = column.numbers()
    if not numbers or len(numbers) < len(column.filled()) or column.presence < 0.5:
        return False
    return all(0.0 <= number <= 1.0 for number in numbers.values()) and any(0.0 < n < 1.0 for n in numbers.values())


def find_prediction(table: Table, taken: Iterable[Column], score: Column | None) -> Column | None:
    """The class: two values, and either named so or cut cleanly by the score."""
    used = {column.source for column in taken}
    candidates = [
        c
        for c in table.columns
        if c.source not in used and c.source.kind == "value" and _is_class(c, 2) and not is_input(c)
    ]
    named = [column for column in candidates if says(_PREDICTION, column)]
    cut = [c for c in candidates if score is not None and len(c.counts()) == 2 and _is_cut(c, score.numbers())]
    both = [column for column in named if column in cut]
    return next(iter([*both, *named, *cut]), None)


def _is_class(column: Column, most: int) -> bool:
    """0/1, booleans, or a few words."""
    counts = column.counts()
    if not 1 <= len(counts) <= most or column.presence < 0.5:
        return False
    words = all(isinstance(value, str) and len(value) <= 40 for value in counts)
    numbers = all(isinstance(value, (bool, int, float)) and float(value).is_integer() for value in counts)
    return words or (numbers and (len(counts) == 2 or set(counts) <= {0, 1}))


def _is_cut(column: Column, scores: Mapping[int, float]) -> bool:
    groups: dict[Scalar, list[float]] = {}
    for row, value in column.filled().items():
        if row in scores:
            groups.setdefault(value, []).append(scores[row])
    if len(groups) != 2:
        return False
    one, other = groups.values()
    return max(one) < min(other) or max(other) < min(one)


def find_label(table: Table, taken: Iterable[Column]) -> Column | None:
    """The true class: a few values, named so; without the name, the first that could be one."""
    used = {column.source for column in taken}
    candidates = [c for c in table.columns if c.source not in used and c.source.kind != "key" and _is_class(c, 6)]
    named = [column for column in candidates if says(_LABEL, column)]
    several = [column for column in candidates if len(column.counts()) > 1]
    return next(iter([*(c for c in named if c in several), *named, *several, *candidates]), None)


def find_named(table: Table, taken: Iterable[Column], what: str) -> Column | None:
    """Model, version or withdrawal: by name, and by values that fit the part."""
    pattern = {"model": _MODEL, "version": _VERSION, "withdrawn": _WITHDRAWN}[what]
    used = {column.source for column in taken}
    for column in table.columns:
        if column.source in used or is_input(column) or column.source.kind == "key":
            continue
        named = snake(column.name) in ("name", "id", "key")
        inside_model = what == "model" and named and _MODELS.match(snake(column.parent)) is not None
        if not inside_model and not says(pattern, column):
            continue
        if what == "withdrawn":
            if all(isinstance(value, bool) for value in column.filled().values()):
                return column
        elif column.presence > 0.9 and len(column.counts()) <= 50 and _are_names(column):
            return column
    return None


def _are_names(column: Column) -> bool:
    """Whether all values could name a model or a version."""
    texts = column.texts()
    return len(texts) == len(column.filled()) and all(0 < len(text) <= 200 for text in texts.values())


def word_values(column: Column, scores: Mapping[int, float]) -> tuple[dict[str, int], str]:
    """Numbers for the words of a class, and how they were chosen: by the scores, by meaning, or by being rarer."""
    counts = column.counts()
    least = RARE_SHARE * sum(counts.values())
    # A word that hardly occurs is more likely a slip than a class: left out, it is a dead letter, and somebody looks.
    words = [str(word) for word, n in counts.most_common() if isinstance(word, str) and word and n >= least]
    higher = _word_with_higher_scores(column, words, scores)
    negatives = [word for word in words if _NEGATIVE.match(snake(word))]
    meant = {word: int(bool(_POSITIVE.match(snake(word)))) for word in words}
    said = {word: one for word, one in meant.items() if one or word in negatives}
    if 0 < sum(said.values()) < len(said):
        odd = higher is not None and not meant[higher]
        how = "; the scores say the opposite, look at it" if odd else ""
        if unsaid := [word for word in words if word not in said]:
            how = f"; look at it: {_listed(unsaid)} could be either, and records with it are rejected until it is here"
        return _ones_first(said), f"by what the words mean{how}"
    if higher is not None:
        return {higher: 1, next(word for word in words if word != higher): 0}, "the word with the higher scores is 1"
    if 0 < len(negatives) < len(words):
        return _ones_first({word: int(word not in negatives) for word in words}), "by what the words mean; look at it"
    if 0 < sum(meant.values()) < len(words):
        return _ones_first(meant), "by what the words mean; look at it"
    return _ones_first({word: int(word == words[-1]) for word in words}), "a guess: the rarest word is 1; look at it"


def _listed(words: Sequence[str]) -> str:
    """Some words, quoted."""
    first = ", ".join(map(repr, words[:3]))
    return first if len(words) <= 3 else f"{first} and {len(words) - 3} more"


def _word_with_higher_scores(column: Column, words: list[str], scores: Mapping[int, float]) -> str | None:
    """Of two words the one whose records score higher; None if that could be chance (three standard errors)."""
    found = [
        [scores[row] for row, value in column.filled().items() if value == word and row in scores] for word in words
    ]
    if len(found) != 2 or min(map(len, found)) < 3:
        return None
    gap = mean(found[0]) - mean(found[1])
    if abs(gap) <= 3 * math.sqrt(sum(variance(each) / len(each) for each in found)):
        return None
    return words[0] if gap > 0 else words[1]


def _ones_first(values: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(values.items(), key=lambda item: -item[1]))
