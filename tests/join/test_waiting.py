"""How many labels wait is a function of the logs: a rebuild, which reads them in another order, finds as many."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.join.driver import Driver
from tests.join.test_batches import filler, prediction
from tests.join.test_join_equals_oracle import PARAMS, labels, predictions
from tests.oracle.join import Label, Prediction


def test_a_label_waits_whether_or_not_the_prediction_that_it_is_not_valid_for_is_held() -> None:
    """The prediction at 0 is dropped once both clocks are beyond 170; the label at 200, which met it, is read again."""
    label, live, rebuilt = Label(id="h", at=200, label=1.0), Driver(PARAMS), Driver(PARAMS)
    for driver in (live, rebuilt):
        driver.feed_predictions([filler(0), filler(1), filler(2)])  # a clock needs three ids
        driver.feed_labels([Label(id="nobody", at=0, label=1.0), Label(id="else", at=1, label=1.0), label])
        if driver is live:
            driver.feed_predictions([prediction(0)])
        driver.feed_predictions([filler(231)])
        driver.feed_labels([Label(id="filler 231", at=231, label=1.0)])
        driver.settle()
    assert len(live.join.predictions) == len(rebuilt.join.predictions) == 1
    assert live.join.digest == rebuilt.join.digest
    assert live.join.label_outcomes.waiting == rebuilt.join.label_outcomes.waiting == 1


@settings(max_examples=examples(100))
@given(predictions, labels, st.sampled_from([1, 16, 40]), st.randoms(use_true_random=False))
def test_how_many_labels_wait_is_a_function_of_the_logs(
    p: list[Prediction], q: list[Label], settle: int, rng: random.Random
) -> None:
    live, at_once = Driver(PARAMS, settle), Driver(PARAMS, settle)
    i = j = 0
    while i < len(p) or j < len(q):
        n = rng.randint(1, 6)
        if j >= len(q) or (i < len(p) and rng.random() < 0.5):
            live.feed_predictions(p[i : i + n])
            i += n
        else:
            live.feed_labels(q[j : j + n])
            j += n
        live.settle()
    at_once.feed_predictions(p)
    at_once.feed_labels(q)
    at_once.settle()
    assert live.join.label_outcomes.waiting == at_once.join.label_outcomes.waiting
    assert min(live.join.label_outcomes.waiting, at_once.join.label_outcomes.orphaned) >= 0
