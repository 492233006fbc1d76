"""The benchmark's records have to be what they are said to be, or its checks check nothing."""

from __future__ import annotations

import json

import pytest

from tests.bench import generate
from tests.checker.recount import Fields, labels_of, predictions_of
from tests.checker.sources import Raw
from tests.oracle.join import Params, Window, final_windows, outcomes


def records(data: generate.Data) -> tuple[list[bytes], list[bytes]]:
    return [v for _, v in generate.predictions(data)], [v for _, v in generate.labels(data)]


def test_the_records_have_the_sizes_and_the_order_they_are_said_to_have() -> None:
    predictions, labels = records(generate.make(3000))
    assert {len(v) for v in predictions} == {418}
    assert {len(v) for v in labels} == {114}
    first = json.loads(predictions[0])
    assert (len(first["id"]), len(first["features"])) == (36, 10)
    for stream in (predictions, labels):
        times = [json.loads(v)["at"] for v in stream]
        assert times == sorted(times)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    assert generate.fingerprint(generate.make(500)) == generate.fingerprint(generate.make(500))
    assert generate.fingerprint(generate.make(500)) != generate.fingerprint(generate.make(500, seed=8))


@pytest.mark.parametrize("bad", [False, True])
def test_the_truth_of_the_generator_is_what_the_oracle_counts(bad: bool) -> None:
    data = generate.make(4000, bad=bad)
    predictions, labels = records(data)
    fields = Fields(threshold=generate.THRESHOLD)
    logs = (
        [predictions_of([Raw(0, i, None, None, v) for i, v in enumerate(predictions)], fields)],
        [labels_of([Raw(0, i, None, None, v) for i, v in enumerate(labels)], fields)],
    )
    params = Params(
        horizon_ms=2 * generate.HOUR_MS,
        lateness_ms=2 * generate.HOUR_MS,
        window=Window(size_ms=generate.HOUR_MS),
        segments={"channel": generate.CHANNELS},
    )
    counted = {(segment, start): c for (_, _, segment, start), c in final_windows(*logs, params).items()}
    assert counted == generate.truth(data)
    of_predictions, of_labels = outcomes(*logs, params)
    broken = 4 if bad else 0
    assert (of_predictions["rejected"], of_labels["rejected"]) == (broken, broken)
    assert int(data.bad_field.sum()) == (40 if bad else 0)
