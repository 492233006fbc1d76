"""Whole deployments in memory against a dict, and against each other."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.oracle import join as oracle
from tests.oracle.join import Label, Prediction
from tests.simulation.histories import START, labels, predictions, split
from tests.simulation.world import PARAMS, World, alerts, config, counts, finals, revisions, topics, worker


def run(log: World, namespace: str, rows: int, labels_at_once: int | None = None) -> None:
    """Read and commit about `rows` records at a time."""
    log.paces = {"predictions": rows, "labels": labels_at_once or rows}
    worker(log, config(namespace, rows)).run()


@settings(max_examples=examples(80), deadline=None)
@given(predictions, labels, st.integers(1, 20))
def test_final_windows_are_the_dicts(p: list[Prediction], q: list[Label], rows: int) -> None:
    log = topics(split(p), split(q))
    run(log, "one", rows)
    expected = {k: v for k, v in oracle.final_windows(split(p), split(q), PARAMS).items() if any(v.values())}
    assert counts(log, "one") == expected


@settings(max_examples=examples(50), deadline=None)
@given(predictions, labels, st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_the_cuts_between_commits_are_seen_nowhere(
    p: list[Prediction], q: list[Label], one: int, two: int, labels_at_once: int
) -> None:
    log = topics(split(p), split(q))
    run(log, "one", one)
    run(log, "two", two, labels_at_once)
    assert finals(log, "one") == finals(log, "two")
    assert revisions(log, "one") == revisions(log, "two")
    assert alerts(log, "one") == alerts(log, "two")


def test_the_cuts_are_cut() -> None:
    at = [Prediction(id=f"{i}", model="m", version="1", at=START + i, score=0.9, prediction=1.0) for i in range(40)]
    log = topics(split(at), split([]))
    for namespace, rows in (("one", 3), ("two", 40)):
        run(log, namespace, rows)
    commits = [len(log.records(f"{namespace}.ledger", 0)) for namespace in ("one", "two")]
    assert commits[0] > 2 * commits[1]


@settings(max_examples=examples(50), deadline=None)
@given(predictions, labels, st.randoms(use_true_random=False))
def test_no_order_within_the_lateness_changes_a_final_window(
    p: list[Prediction], q: list[Label], rng: random.Random
) -> None:
    logs = []
    for namespace in ("one", "two"):
        log = topics(split(p), split(q))
        log.paces = {"predictions": rng.randint(1, 20), "labels": rng.randint(1, 20)}
        worker(log, config(namespace, 7, lateness_s=400)).run()
        logs.append(finals(log, namespace))
        rng.shuffle(p)
        rng.shuffle(q)
    assert logs[0] == logs[1]
