"""The recount against scikit-learn's figures on the flights, and on records with something wrong."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.checker import windows
from tests.checker.recount import Fields, label_of, labels_of, prediction_of, predictions_of, recount, roc_auc, window
from tests.checker.sources import Files, Raw
from tests.oracle.join import Params

FLIGHTS = Path("monitor/demo/flights")
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def streams() -> tuple[list[list[Raw]], list[list[Raw]]]:
    return Files().read(str(FLIGHTS / "predictions.jsonl.gz")), Files().read(str(FLIGHTS / "labels.jsonl.gz"))


@pytest.mark.parametrize("name", ["month", "day"])
def test_the_flights_recounted_are_what_scikit_learn_says(
    name: str, streams: tuple[list[list[Raw]], list[list[Raw]]]
) -> None:
    fields = Fields(threshold=0.25)
    predictions = [predictions_of(log, fields) for log in streams[0]]
    labels = [labels_of(log, fields) for log in streams[1]]
    params = Params(horizon_ms=36 * HOUR_MS, lateness_ms=36 * HOUR_MS, max_jump_ms=24 * HOUR_MS, window=window(name))
    truth = {key[4]: e for key, e in windows.truth(FLIGHTS / "truth.json").items() if key[3] == name}
    found = {key[3]: r for key, r in recount(predictions, labels, params).items()}
    assert found.keys() == truth.keys()
    for start, expected in truth.items():
        counts, metrics = found[start].counts, found[start].metrics
        assert (counts["seen"], counts["labelled"]) == (expected.seen, expected.labelled)
        assert {c: counts[c] for c in expected.cells} == expected.cells
        assert {m: metrics[m] for m in expected.metrics} == pytest.approx(dict(expected.metrics), abs=1e-12)


def test_roc_auc_counts_a_tie_as_one_half() -> None:
    assert roc_auc([0.9, 0.5], [0.5, 0.1]) == (1 + 1 + 0.5 + 1) / 4
    assert roc_auc([], [0.5]) is None


def raw(document: object, **more: object) -> Raw:
    value = document if isinstance(document, bytes) else orjson.dumps(document)
    return Raw(0, 0, None, None, value)


GOOD = {"id": "a", "model": "m", "version": "1", "at": 10, "score": 0.3, "prediction": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": None},
        {"at": "10"},
        {"at": -1},
        {"at": True},
        {"score": 1.5},
        {"score": "0.3"},
        {"prediction": 2},
    ],
    ids=str,
)
def test_a_prediction_with_a_bad_field_is_rejected(change: dict[str, object]) -> None:
    assert prediction_of(raw({**GOOD, **change}), Fields()).get("rejected")


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b'{"id":"a","at":1,"score":NaN}'])
def test_what_is_no_object_is_rejected(value: bytes) -> None:
    assert prediction_of(raw(value), Fields()).get("rejected")
    assert label_of(raw(value), Fields()).get("rejected")


def test_the_threshold_speaks_only_where_there_is_no_class() -> None:
    assert prediction_of(raw(GOOD), Fields(threshold=0.5))["prediction"] == 1.0
    assert prediction_of(raw({**GOOD, "prediction": None}), Fields(threshold=0.5))["prediction"] == 0.0
    assert prediction_of(raw({**GOOD, "prediction": None}), Fields(threshold=0.3))["prediction"] == 1.0


def test_a_null_label_withdraws_and_an_absent_one_is_rejected() -> None:
    assert label_of(raw({"id": "a", "at": 1, "label": None}), Fields()) == {"id": "a", "at": 1, "label": None}
    assert label_of(raw({"id": "a", "at": 1}), Fields()).get("rejected")
    assert label_of(raw({"id": "a", "at": 1, "label": "yes"}), Fields(label_values={"yes": 1}))["label"] == 1.0
