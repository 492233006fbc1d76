"""The records of the benchmark: predictions of 418 bytes with ten features, labels of 114 bytes, ids of 36 characters.

    python -m tests.bench.generate --pairs 1000 --out DIR        # predictions.jsonl, labels.jsonl, truth.json
    python -m tests.bench.generate --pairs 400000 --bootstrap HOST:PORT --predictions T --labels U

Deterministic: the same arguments give the same bytes. Event time spreads the predictions evenly over one day from
`START_MS`; a label follows after 1 to 60 minutes; both streams are in event-time order. `bad` turns one prediction in
100 into one with a feature of the wrong type, and one record in 1,000 of both streams into broken JSON.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

START_MS = 1_700_006_400_000  # 2023-11-15 00:00 UTC
HOUR_MS = 3_600_000
SPAN_MS = HOUR_MS  # events a second as on a busy topic: evaluation costs per tick of event time, not per record
MODEL, VERSION, THRESHOLD = "bench", "7", 0.5
NUMERIC = ("amount_eur", "account_age", "balance", "visits_30d", "distance_km", "speed", "ratio_7d", "velocity")
SCALE = 10.0 ** np.array([2, 3, 3, 1, 2, 1, 0, 0])
CHANNELS = ("app", "web", "phone", "shop")
COUNTRIES = ("DE", "FR", "PL", "IT", "ES", "PT", "NL", "SE")
PREDICTION_BYTES, LABEL_BYTES = 418, 114

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Data:
    """`n` predictions and their labels as columns; row i of both belongs together."""

    ids: list[str]
    at_ms: NDArray[np.int64]
    label_at_ms: NDArray[np.int64]
    score: NDArray[np.float64]
    label: NDArray[np.int64]
    features: NDArray[np.float64]
    channel: NDArray[np.int64]
    country: NDArray[np.int64]
    bad_field: NDArray[np.bool_]
    broken_prediction: NDArray[np.bool_]
    broken_label: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def make(pairs: int, seed: int = 7, *, bad: bool = False) -> Data:
    """The columns of `pairs` predictions with a label each."""
    rng = np.random.default_rng(seed)
    at = START_MS + np.arange(pairs, dtype=np.int64) * SPAN_MS // pairs
    features = np.round(rng.lognormal(size=(pairs, len(NUMERIC))) * SCALE, 9)
    channel, country = rng.integers(0, len(CHANNELS), pairs), rng.integers(0, len(COUNTRIES), pairs)
    logit = rng.normal(size=pairs) * 1.5 + channel * 0.3 - 0.8
    score = np.round(1 / (1 + np.exp(-logit)), 6)
    label = (rng.random(pairs) < score).astype(np.int64)
    raw = rng.integers(0, 16, (pairs, 32), dtype=np.uint8)
    text = np.frombuffer(b"0123456789abcdef", np.uint8)[raw].tobytes().decode()
    ids = [_uuid(text[i * 32 : i * 32 + 32]) for i in range(pairs)]
    number = np.arange(pairs)
    return Data(
        ids,
        at,
        at + rng.integers(60_000, HOUR_MS, pairs),
        score,
        label,
        features,
        channel,
        country,
        bad_field=(number % 100 == 17) & bad,
        broken_prediction=(number % 1000 == 500) & bad,
        broken_label=(number % 1000 == 750) & bad,
    )


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def predictions(data: Data) -> Iterator[tuple[str, bytes]]:
    """(id, record) in event-time order, padded to the same length."""
    columns = zip(
        data.ids,
        data.at_ms.tolist(),
        data.score.tolist(),
        data.features.tolist(),
        data.channel.tolist(),
        data.country.tolist(),
        data.bad_field.tolist(),
        data.broken_prediction.tolist(),
        strict=True,
    )
    for id_, at, score, row, channel, country, bad_field, broken in columns:
        features: dict[str, object] = dict(zip(NUMERIC, row, strict=True))
        if bad_field:
            features["visits_30d"] = "n/a"
        features |= {"channel": CHANNELS[channel], "country": COUNTRIES[country]}
        record = {
            "id": id_,
            "model": MODEL,
            "version": VERSION,
            "at": at,
            "score": score,
            "prediction": int(score >= THRESHOLD),
            "features": features,
        }
        value = _padded(record, PREDICTION_BYTES)
        yield id_, value[:-40] if broken else value


def labels(data: Data) -> Iterator[tuple[str, bytes]]:
    """(id, record) in event-time order, padded to the same length."""
    order = np.argsort(data.label_at_ms, kind="stable").tolist()
    at, label, broken = data.label_at_ms.tolist(), data.label.tolist(), data.broken_label.tolist()
    for i in order:
        record = {"id": data.ids[i], "at": at[i], "label": label[i], "source": "chargebacks"}
        value = _padded(record, LABEL_BYTES)
        yield data.ids[i], value[:-40] if broken[i] else value


def _padded(record: dict[str, object], size: int) -> bytes:
    """JSON of exactly `size` bytes: a field that nobody reads takes what is left."""
    value = json.dumps(record, separators=(",", ":"))
    room = size - len(value) - len(',"trace":""')
    assert room >= 0, f"a record has {-room} bytes too many: {value}"
    trace = (record["id"] * 8)[:room] if isinstance(record["id"], str) else ""
    return f'{value[:-1]},"trace":"{trace}"}}'.encode()


def truth(data: Data) -> dict[tuple[str, int], Counts]:
    """(segment, start of the hour) -> counts that any right reader of the records arrives at."""
    seen = ~data.broken_prediction
    labelled = seen & ~data.broken_label
    hour = data.at_ms // HOUR_MS * HOUR_MS
    predicted, positive = data.score >= THRESHOLD, data.label == 1
    found: dict[tuple[str, int], Counts] = {}
    for segment, mask in {
        "all": np.ones(len(data), np.bool_),
        **{f"channel={name}": data.channel == i for i, name in enumerate(CHANNELS)},
    }.items():
        for start in np.unique(hour).tolist():
            here = mask & (hour == start)
            known = here & labelled
            found[segment, start] = {
                "seen": int((here & seen).sum()),
                "labelled": int(known.sum()),
                "tp": int((known & predicted & positive).sum()),
                "fp": int((known & predicted & ~positive).sum()),
                "fn": int((known & ~predicted & positive).sum()),
                "tn": int((known & ~predicted & ~positive).sum()),
            }
    return {key: counts for key, counts in found.items() if counts["seen"]}


def produce(data: Data, bootstrap: str, predictions_topic: str, labels_topic: str) -> None:
    """Both streams into their topics, keyed by id, placed as a Java producer would place them."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "batch.num.messages": 10_000,
            "queue.buffering.max.messages": 1_000_000,
            "compression.type": "lz4",
        }
    )
    failed: list[str] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failed.append(str(error))

    for topic, records in ((predictions_topic, predictions(data)), (labels_topic, labels(data))):
        for n, (id_, value) in enumerate(records):
            producer.produce(topic, value, id_, on_delivery=delivered)
            if n % 10_000 == 0:
                producer.poll(0)
                while len(producer) > 200_000:
                    producer.poll(0.1)
    if producer.flush(60) or failed:
        raise RuntimeError(f"the records of the benchmark could not be produced: {failed[:1] or 'timeout'}")


def write(data: Data, folder: Path) -> None:
    """Both streams as JSON lines, and the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predictions.jsonl").write_bytes(b"".join(value + b"\n" for _, value in predictions(data)))
    (folder / "labels.jsonl").write_bytes(b"".join(value + b"\n" for _, value in labels(data)))
    (folder / "truth.json").write_text(json.dumps({f"{s} {t}": c for (s, t), c in truth(data).items()}, indent=1))


def fingerprint(data: Data) -> int:
    """Checksum of every byte of both streams."""
    sum_ = 0
    for stream in (predictions(data), labels(data)):
        for _, value in stream:
            sum_ = zlib.crc32(value, sum_)
    return sum_


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.generate", description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--bad", action="store_true")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--bootstrap")
    parser.add_argument("--predictions", default="predictions")
    parser.add_argument("--labels", default="labels")
    arguments = parser.parse_args()
    data = make(arguments.pairs, arguments.seed, bad=arguments.bad)
    if arguments.out:
        write(data, arguments.out)
    if arguments.bootstrap:
        produce(data, arguments.bootstrap, arguments.predictions, arguments.labels)
    print(f"{len(data)} pairs, checksum {fingerprint(data):08x}")


if __name__ == "__main__":
    main()
