"""Decoding alone, in memory: what a batch costs in columns, relative to `orjson.loads` of the same values.

    python -m tests.bench.bench_decode [--records 20000] [--rounds 15] [--batch 500]

All contenders take turns on the same values within one run, gc off; the table shows CPU time per record and the ratio to
orjson, from the fastest round and from the median. Records are those of the whole benchmark, and a variant with ten
numbers; `bad` are the same with 1 % bad fields and 0.1 % broken JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import orjson

from monitor.config.streams import LabelStream, PredictionStream
from monitor.config.types import Model
from monitor.events import RecordBatch
from monitor.ingest.decode_labels import LabelDecoder
from monitor.ingest.decode_predictions import PredictionDecoder
from tests.bench import generate

Decode = Callable[[RecordBatch], object]
TEN_NUMBERS = [f"feature_{i:02d}" for i in range(10)]


def batches(values: Sequence[bytes], size: int) -> list[RecordBatch]:
    """The values as batches of one partition, stamped long after their event times."""
    return [
        RecordBatch(
            "topic",
            0,
            np.arange(start, start + len(values[start : start + size])),
            np.full(len(values[start : start + size]), generate.START_MS * 2),
            list(values[start : start + size]),
            start + size,
        )
        for start in range(0, len(values), size)
    ]


def decoder(features: dict[str, str], *, prediction: bool) -> PredictionDecoder:
    """A decoder with one listed model."""
    fields = {name: f"$.{name}" for name in ("id", "model", "version", "at", "score")}
    if prediction:
        fields["prediction"] = "$.prediction"
    stream = PredictionStream.model_validate({"topic": "predictions", "fields": fields, "features": features})
    return PredictionDecoder(stream, [Model.model_validate({"name": generate.MODEL})], None, 0)


def ten_numbers(n: int, *, bad: bool = False) -> list[bytes]:
    """Predictions of 418 bytes whose ten features are all numbers."""
    data = generate.make(n)
    features = np.round(np.random.default_rng(3).lognormal(size=(n, 10)) * 10, 8)
    values = []
    for i in range(n):
        row: dict[str, object] = dict(zip(TEN_NUMBERS, features[i].tolist(), strict=True))
        if bad and i % 100 == 17:
            row["feature_05"] = "n/a"
        record = {"id": data.ids[i], "model": generate.MODEL, "version": generate.VERSION, "at": int(data.at_ms[i])}
        value = json.dumps({**record, "score": float(data.score[i]), "features": row}, separators=(",", ":")).encode()
        value = value[:-1] + b',"t":"' + b"x" * (418 - len(value) - 7) + b'"}'
        assert len(value) == 418
        values.append(value[:-40] if bad and i % 1000 == 500 else value)
    return values


def loads_each(batch: RecordBatch) -> object:
    """The yardstick."""
    loads = orjson.loads
    parsed = []
    for value in batch.values:
        try:
            parsed.append(loads(value))  # type: ignore[arg-type]
        except orjson.JSONDecodeError:
            parsed.append(None)
    return parsed


def loads_clean(batch: RecordBatch) -> object:
    """The yardstick on values without mistakes."""
    loads = orjson.loads
    return [loads(value) for value in batch.values]  # type: ignore[arg-type]


def measure(contenders: dict[str, tuple[Decode, list[RecordBatch]]], rounds: int) -> dict[str, list[float]]:
    """CPU ns per record of each contender, round by round, taking turns."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        for name, (decode, given) in contenders.items():
            started = time.process_time_ns()
            for batch in given:
                decode(batch)
            found[name].append((time.process_time_ns() - started) / sum(map(len, given)))
    gc.enable()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    n, size = options.records, options.batch

    mixed = {**dict.fromkeys(generate.NUMERIC, "numeric"), "channel": "categorical", "country": "categorical"}
    streams: dict[str, tuple[Callable[[], Decode], list[bytes]]] = {}
    numbers = dict.fromkeys(TEN_NUMBERS, "numeric")
    label_stream = LabelStream.model_validate(
        {"topic": "labels", "fields": {"id": "$.id", "at": "$.at", "label": "$.label"}}
    )

    def of_mixed(*, bad: bool) -> list[bytes]:
        return [value for _, value in generate.predictions(generate.make(n, bad=bad))]

    streams["ten numbers"] = lambda: decoder(numbers, prediction=False).decode, ten_numbers(n)
    streams["ten numbers, bad"] = lambda: decoder(numbers, prediction=False).decode, ten_numbers(n, bad=True)
    streams["mixed"] = lambda: decoder(mixed, prediction=True).decode, of_mixed(bad=False)
    streams["mixed, bad"] = lambda: decoder(mixed, prediction=True).decode, of_mixed(bad=True)
    streams["labels"] = (
        lambda: LabelDecoder(label_stream, 0, frozenset({0.0, 1.0})).decode,
        [value for _, value in generate.labels(generate.make(n))],
    )
    contenders: dict[str, tuple[Decode, list[RecordBatch]]] = {}
    for name, (make, values) in streams.items():
        given = batches(values, size)
        contenders[f"orjson: {name}"] = loads_each if "bad" in name else loads_clean, given
        contenders[f"columns: {name}"] = make(), given
    found = measure(contenders, options.rounds)
    print(f"{'':30}{'min ns':>8}{'ratio':>8}{'median ns':>12}{'ratio':>8}")
    for name, costs in found.items():
        yardstick = found[f"orjson: {name.partition(': ')[2].removesuffix(', bad')}"]
        least, middle = min(costs), statistics.median(costs)
        print(
            f"{name:30}{least:8.0f}{least / min(yardstick):8.2f}{middle:12.0f}"
            f"{middle / statistics.median(yardstick):8.2f}"
        )


if __name__ == "__main__":
    main()
