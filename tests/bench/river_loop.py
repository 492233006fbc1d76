"""What one writes by hand: an event at a time, a dict for the join, river's metrics per window and slice.

    python -m tests.bench.river_loop HOST:PORT PREDICTIONS LABELS

confluent-kafka, orjson, a dict of predictions that wait and one of labels that wait; Accuracy, Precision, Recall and
ROCAUC (10 thresholds, river's default) for the hour, and for the hour and channel, of the prediction. No lateness, no
corrections, no drift, no ledger, nothing published: less than the daemon does. gc is off, which favours it. Prints one
JSON line.
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

import orjson
import river.metrics

from tests.bench.reading import open_all

HOUR_MS = 3_600_000
metrics: Any = river.metrics  # published without types


class Slice:
    """The metrics of one window of one slice."""

    __slots__ = ("accuracy", "auc", "precision", "recall", "seen")

    def __init__(self) -> None:
        self.seen = 0
        self.accuracy, self.precision = metrics.Accuracy(), metrics.Precision()
        self.recall, self.auc = metrics.Recall(), metrics.ROCAUC()

    def update(self, label: int, predicted: int, score: float) -> None:
        positive = label == 1
        self.accuracy.update(positive, predicted == 1)
        self.precision.update(positive, predicted == 1)
        self.recall.update(positive, predicted == 1)
        self.auc.update(positive, score)

    def counts(self) -> dict[str, int]:
        matrix = self.accuracy.cm
        cells = {
            "tp": int(matrix[True][True]),
            "fp": int(matrix[False][True]),
            "fn": int(matrix[True][False]),
            "tn": int(matrix[False][False]),
        }
        return {"seen": self.seen, "labelled": sum(cells.values()), **cells}


class Loop:
    """The join and its windows."""

    def __init__(self) -> None:
        self.predictions: dict[str, tuple[int, str, int, float]] = {}
        self.labels: dict[str, int] = {}
        self.slices: dict[tuple[str, int], Slice] = {}

    def slice_of(self, segment: str, window: int) -> Slice:
        found = self.slices.get((segment, window))
        if found is None:
            found = self.slices[segment, window] = Slice()
        return found

    def prediction(self, event: dict[str, Any]) -> None:
        window = event["at"] // HOUR_MS * HOUR_MS
        segment = "channel=" + event["features"]["channel"]
        self.slice_of("all", window).seen += 1
        self.slice_of(segment, window).seen += 1
        id_ = event["id"]
        row = (window, segment, event["prediction"], event["score"])
        if id_ in self.labels:
            self.pair(row, self.labels.pop(id_))
        else:
            self.predictions[id_] = row

    def label(self, event: dict[str, Any]) -> None:
        row = self.predictions.pop(event["id"], None)
        if row is None:
            self.labels[event["id"]] = event["label"]
        else:
            self.pair(row, event["label"])

    def pair(self, row: tuple[int, str, int, float], label: int) -> None:
        window, segment, predicted, score = row
        self.slices["all", window].update(label, predicted, score)
        self.slices[segment, window].update(label, predicted, score)


def main() -> None:
    bootstrap, predictions, labels = sys.argv[1:]
    consumer, total, _ = open_all(bootstrap, [predictions, labels])
    gc.disable()
    loop = Loop()
    read = broken = 0
    while read < total:
        for message in consumer.consume(500, 0.1):
            read += 1
            try:
                event = orjson.loads(message.value())
            except orjson.JSONDecodeError:
                broken += 1
                continue
            if message.topic() == predictions:
                loop.prediction(event)
            else:
                loop.label(event)
    consumer.close()
    counts = {f"{segment} {window}": s.counts() for (segment, window), s in sorted(loop.slices.items())}
    print(json.dumps({"events": read, "broken": broken, "counts": counts}))


if __name__ == "__main__":
    main()
