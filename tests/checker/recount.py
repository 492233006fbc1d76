"""Counts the two streams again, from their raw records, and computes the metrics exactly.

    python -m tests.checker.recount --predictions p.jsonl.gz --labels l.jsonl.gz --window day
    python -m tests.checker.recount --bootstrap HOST:PORT --predictions TOPIC --labels TOPIC --window 1d --horizon 36h

Field names are the defaults of the config (`id, model, version, at, score, prediction, features` and `id, at, label`),
times in ms. One task: binary. The join is the oracle's (`tests/oracle/join.py`); metrics are of the textbook, each over
the labelled rows of its window: log loss with scores clipped at 1e-15, ROC AUC by ranks with ties at their mean rank.
A metric without a denominator is None.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import orjson

from tests.checker.shapes import Shape, opened
from tests.checker.sources import Raw, open_source
from tests.oracle import join
from tests.oracle.join import Calendar, Label, Params, Prediction, Window, WindowOf

UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
LATEST_MS = 253_402_300_799_999
"""The last ms of the year 9999."""


@dataclass(frozen=True, slots=True)
class Fields:
    """What a stream's records are allowed to be, and how their classes are named."""

    threshold: float = 0.5
    models: frozenset[str] | None = None
    max_bytes: int = 1 << 20
    prediction_values: Mapping[str, float] = field(default_factory=dict)
    label_values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recounted:
    """One window: its integers, and its metrics (None: undefined)."""

    counts: join.Counts
    metrics: dict[str, float | None]


# -- decode ----------------------------------------------------------------------------------------------------------


def predictions_of(log: Iterable[Raw], fields: Fields) -> list[Prediction]:
    """One partition's predictions; what cannot be used is there as `rejected`, so that it can be counted."""
    return [_stamped(prediction_of(raw, fields), raw) for raw in log]


def labels_of(log: Iterable[Raw], fields: Fields) -> list[Label]:
    """One partition's labels, likewise."""
    return [_stamped(label_of(raw, fields), raw) for raw in log]


def _stamped(record: join.R, raw: Raw) -> join.R:
    if raw.timestamp_ms is not None:
        record["broker"] = raw.timestamp_ms
    return record


def prediction_of(raw: Raw, fields: Fields) -> Prediction:
    """A record as a prediction: the class is `prediction` when there is one, else what the threshold says."""
    rejected: Prediction = {"id": "", "model": "", "version": "", "at": 0, "rejected": True}
    row = _object(raw, fields)
    if row is None:
        return rejected
    id_, model, version, at = _text(row.get("id")), _text(row.get("model")), _text(row.get("version")), _time(row)
    if not id_ or model is None or version is None or at is None:
        return rejected
    if fields.models is not None and model not in fields.models:
        return rejected
    made: Prediction = {"id": id_, "model": model, "version": version, "at": at}
    if row.get("withdrawn") is True:
        made["withdrawn"] = True
        return made
    said = _said(row, fields)
    if said is None:
        return rejected
    made["score"], made["prediction"] = said
    features = row.get("features")
    if isinstance(features, dict):
        made["segments"] = {k: v for k, v in features.items() if isinstance(v, str)}
    return made


def _said(row: Mapping[str, Any], fields: Fields) -> tuple[float | None, float] | None:
    """Score and predicted class; None when there is neither, or one of them is no such thing."""
    score, given = row.get("score"), row.get("prediction")
    if score is not None and not (_is_number(score) and 0 <= score <= 1):
        return None
    if given is not None:
        predicted = _class(given, fields.prediction_values)
        return None if predicted is None else (score, predicted)
    return None if score is None else (score, float(score >= fields.threshold))


def label_of(raw: Raw, fields: Fields) -> Label:
    """A record as a label; a null label with a time withdraws."""
    rejected: Label = {"id": "", "at": 0, "label": None, "rejected": True}
    row = _object(raw, fields)
    if row is None or "label" not in row:
        return rejected
    id_, at, value = _text(row.get("id")), _time(row), _class(row["label"], fields.label_values)
    if not id_ or at is None or (value is None and row["label"] is not None):
        return rejected
    return {"id": id_, "at": at, "label": value}


def _object(raw: Raw, fields: Fields) -> dict[str, Any] | None:
    if not raw.value or len(raw.value) > fields.max_bytes:
        return None
    try:
        row = orjson.loads(raw.value)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _text(value: object) -> str | None:
    """Ids and names are text; a whole number is taken by its digits."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _time(row: Mapping[str, Any]) -> int | None:
    at = row.get("at")
    return at if isinstance(at, int) and not isinstance(at, bool) and 0 <= at <= LATEST_MS else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _class(value: object, names: Mapping[str, float]) -> float | None:
    """0 or 1: by its name in the map, as a number, or as true and false."""
    if isinstance(value, str) and value in names:
        return float(names[value])
    return float(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


# -- metrics ---------------------------------------------------------------------------------------------------------


def recount(
    prediction_logs: Sequence[Sequence[Prediction]], label_logs: Sequence[Sequence[Label]], params: Params
) -> dict[WindowOf, Recounted]:
    """Every window of the streams, counted again from nothing."""
    rows = join.final_rows(prediction_logs, label_logs, params)
    labelled: dict[WindowOf, list[tuple[float | None, bool]]] = defaultdict(list)
    for row in rows:
        if row.value is not None:
            for window in join.windows_of(row.prediction, params):
                labelled[window].append((row.prediction.get("score"), row.value == params.positive))
    return {w: Recounted(c, metrics(c, labelled[w])) for w, c in sorted(join.count(rows, params).items())}


def metrics(counts: join.Counts, pairs: Sequence[tuple[float | None, bool]]) -> dict[str, float | None]:
    """All metrics of one window from its confusion counts and its (score, is positive) pairs."""
    tp, fp, fn, tn = (counts[c] for c in ("tp", "fp", "fn", "tn"))
    found: dict[str, float | None] = {
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }
    scored = [(s, y) for s, y in pairs if s is not None]
    found["log_loss"] = mean([-math.log(max(s if y else 1 - s, 1e-15)) for s, y in scored])
    found["brier"] = mean([(s - y) ** 2 for s, y in scored])
    found["roc_auc"] = roc_auc([s for s, y in scored if y], [s for s, y in scored if not y])
    return found


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def mean(terms: Sequence[float]) -> float | None:
    """Mean of terms that were added without rounding in between."""
    return math.fsum(terms) / len(terms) if terms else None


def roc_auc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """Share of (positive, negative) pairs in which the positive has the larger score; a tie counts one half."""
    if not positives or not negatives:
        return None
    below = np.sort(np.asarray(negatives))
    scores = np.asarray(positives)
    doubled = int(np.searchsorted(below, scores, "left").sum() + np.searchsorted(below, scores, "right").sum())
    return doubled / (2 * len(positives) * len(negatives))


# -- command line ------------------------------------------------------------------------------------------------------


def duration_ms(text: str) -> int:
    """`36h`, `250ms`, `7d`: as in the config."""
    found = re.fullmatch(r"(\d+)\s*(ms|s|m|h|d)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write for example 36h")
    return int(found[1]) * UNITS_MS[found[2]]


def window(text: str) -> Window:
    """`1d`, `24h/1h`, `day` or `month`: the names of the config."""
    calendars: dict[str, Calendar] = {"day": "day", "month": "month"}
    if text in calendars:
        return Window(calendar=calendars[text])
    size, _, slide = text.partition("/")
    return Window(duration_ms(size), duration_ms(slide) if slide else None)


def as_json(windows: Mapping[WindowOf, Recounted]) -> list[dict[str, object]]:
    """One object per window, in order."""
    names = ("model", "version", "segment", "start_ms")
    return [{**dict(zip(names, w, strict=True)), **r.counts, "metrics": r.metrics} for w, r in windows.items()]


def segment(text: str) -> tuple[str, list[str]]:
    """`origin=EWR,LGA`: a dimension and the values that have windows of their own."""
    dimension, _, values = text.partition("=")
    return dimension, values.split(",")


def add_join_arguments(parser: argparse.ArgumentParser) -> None:
    """What decides the join, with the defaults of the config."""
    parser.add_argument("--horizon", type=duration_ms, default="36h")
    parser.add_argument("--lateness", type=duration_ms, help="default: the horizon")
    parser.add_argument("--skew", type=duration_ms, default="0s")
    parser.add_argument("--disorder", type=duration_ms, default="1m")
    parser.add_argument("--max-jump", type=duration_ms, default="1d")
    parser.add_argument("--threshold", type=float, default=0.25)
    parser.add_argument("--segment", type=segment, action="append", default=[], metavar="DIMENSION=VALUE,VALUE")


def params_of(arguments: argparse.Namespace, of: Window) -> Params:
    """The parameters of the join as the command line states them, for one kind of window."""
    return Params(
        horizon_ms=arguments.horizon,
        lateness_ms=arguments.horizon if arguments.lateness is None else arguments.lateness,
        skew_ms=arguments.skew,
        disorder_ms=arguments.disorder,
        max_jump_ms=arguments.max_jump,
        segments=dict(arguments.segment),
        window=of,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.checker.recount", description=__doc__.partition("\n")[0])
    parser.add_argument("--bootstrap")
    parser.add_argument("--embedded", metavar="DIR")
    parser.add_argument("--predictions", required=True, metavar="FILE|TOPIC")
    parser.add_argument("--labels", required=True, metavar="FILE|TOPIC")
    for stream in ("predictions", "labels"):
        parser.add_argument(
            f"--{stream}-shape", choices=get_args(Shape), default="plain", help="see tests.checker.shapes"
        )
    parser.add_argument("--window", type=window, default="day")
    add_join_arguments(parser)
    arguments = parser.parse_args(argv)
    source, fields = open_source(arguments.bootstrap, arguments.embedded), Fields(threshold=arguments.threshold)
    shapes = arguments.predictions_shape, arguments.labels_shape
    predictions = [predictions_of(opened(log, shapes[0]), fields) for log in source.read(arguments.predictions)]
    labels = [labels_of(opened(log, shapes[1]), fields) for log in source.read(arguments.labels)]
    params = params_of(arguments, arguments.window)
    of_predictions, of_labels = join.outcomes(predictions, labels, params)
    json.dump(
        {
            "predictions": _ordered(of_predictions),
            "labels": _ordered(of_labels),
            "windows": as_json(recount(predictions, labels, params)),
        },
        sys.stdout,
        indent=1,
    )
    print()
    return 0


def _ordered(outcomes: Counter[str]) -> dict[str, int]:
    return {"read": outcomes.total(), **dict(sorted(outcomes.items()))}


if __name__ == "__main__":
    raise SystemExit(main())
