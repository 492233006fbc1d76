"""The join of whole logs against the dict: the same rows, the same labels, the same outcomes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.ingest.clocks import ClockState, advance
from monitor.join import whole
from monitor.join.timeline import Bounds
from monitor.join.whole import Fate, Use
from tests.examples import examples
from tests.join.driver import NO_JUMP, hash_of
from tests.join.test_join_equals_oracle import PARAMS, labels, lateness, predictions
from tests.oracle import join as oracle
from tests.oracle.join import Label, Params, Prediction

Row = tuple[str, str, int, float | None, float | None, int | None]


def _columns(records: list[Prediction] | list[Label], params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids = np.array([[hash_of(r["id"]), len(r["id"])] for r in records], np.uint64).reshape(-1, 2)
    at = np.array([r["at"] for r in records], np.int64)
    return ids, at, advance(ClockState(), at, ids, params.max_jump_ms or NO_JUMP)[1]


def _joined(p: list[Prediction], q: list[Label], params: Params) -> tuple[list[Row], Counter[str], Counter[str]]:
    ids, at, before = _columns(p, params)
    key = np.array([int(r["version"]) for r in p], np.int64)
    withdrawn = np.array([bool(r.get("withdrawn")) for r in p], np.bool_)
    records = whole.Predictions(ids, key, at, before, withdrawn)
    fates = whole.fates(records, whole.same_keys(records), params.lateness_ms, lambda i: params.content(p[i]))
    asked = np.flatnonzero(fates == Fate.STANDS)
    label_ids, label_at, label_before = _columns(q, params)
    value = np.array([np.nan if r["label"] is None else r["label"] for r in q], np.float64)
    given_labels = whole.Labels(label_ids, label_at, label_before, value)
    usable = ~whole.late(label_at, label_before, params.lateness_ms)
    bounds = Bounds(params.horizon_ms, params.skew_ms)
    winner, use = whole.match(ids[asked], at[asked], given_labels, usable, bounds)
    rows: list[Row] = []
    for i, w in zip(asked.tolist(), winner.tolist(), strict=True):
        label = None if w < 0 else q[w]
        score = p[i].get("score")
        rows.append((p[i]["id"], p[i]["version"], p[i]["at"], score, label and label["label"], label and label["at"]))
    return rows, Counter(Fate(f).name for f in fates.tolist()), Counter(Use(u).name for u in use.tolist())


@settings(max_examples=examples(800), deadline=None)
@given(predictions, labels, lateness, st.sampled_from([30, NO_JUMP]))
def test_rows_and_labels_are_the_dicts(p: list[Prediction], q: list[Label], late: int, jump: int) -> None:
    params = replace(PARAMS, lateness_ms=late, disorder_ms=min(20, late), max_jump_ms=jump)
    rows, fates, uses = _joined(p, q, params)
    expected = [
        (r.prediction["id"], r.prediction["version"], r.prediction["at"], r.prediction.get("score"), r.value,
         r.label and r.label["at"])
        for r in oracle.final_rows([p], [q], params)
    ]  # fmt: skip
    assert Counter(rows) == Counter(expected)
    of_predictions, of_labels = oracle.outcomes([p], [q], params)
    assert (fates["LATE"], fates["DUPLICATE"], fates["WITHDRAWN"]) == (
        of_predictions["late"], of_predictions["duplicate"], of_predictions["withdrawn"],
    )  # fmt: skip
    assert fates["STANDS"] == of_predictions["matched"] + of_predictions["expired"]
    # Withdrawn predictions are not among the rows, so what their labels came to is told apart less finely.
    assert (uses["LATE"], uses["DUPLICATE"]) == (of_labels["late"], of_labels["duplicate"])
    assert uses.total() == of_labels.total()


@given(predictions, labels)
def test_without_withdrawals_every_label_has_the_outcome_of_the_dict(p: list[Prediction], q: list[Label]) -> None:
    p = [Prediction({**r, "withdrawn": False}) for r in p]
    _, _, uses = _joined(p, q, PARAMS)
    _, of_labels = oracle.outcomes([p], [q], PARAMS)
    assert {name.lower(): n for name, n in uses.items()} == {name: n for name, n in of_labels.items() if n}
