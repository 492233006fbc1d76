"""Whole deployments in memory against a dict, and against each other."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.memory import MemoryLog
from tests.oracle import join as oracle
from tests.oracle.join import Label, Prediction
from tests.simulation.world import PARAMS, alerts, config, counts, finals, revisions, topics, worker

PARTITIONS = 2
seconds = st.integers(0, 300).map(lambda s: s * 1_000 + 1_700_000_000_000)
ids = st.sampled_from("abcdefgh")
predictions = st.lists(
    st.builds(
        lambda at, i, y, v, w, hue: Prediction(
            id=i, model="m", version=v, at=at, score=0.9 if y else 0.1, prediction=y, withdrawn=w, segments={"hue": hue}
        ),
        seconds,
        ids,
        st.sampled_from([0.0, 1.0]),
        st.sampled_from("123"),
        st.sampled_from([False] * 9 + [True]),
        st.sampled_from(["red", "blue", "green", None]),
    ),
    max_size=40,
)
labels = st.lists(
    st.builds(lambda at, i, y: Label(id=i, at=at, label=y), seconds, ids, st.sampled_from([0.0, 1.0, 1.0, None])),
    max_size=40,
)


def split(records: list, n: int = PARTITIONS) -> list[list]:  # type: ignore[type-arg]
    """By id, as a producer's partitioner would."""
    logs: list[list] = [[] for _ in range(n)]  # type: ignore[type-arg]
    for record in records:
        logs[ord(record["id"]) % n].append(record)
    return logs


def run(log: MemoryLog, namespace: str, rows: int) -> None:
    worker(log, config(namespace, rows)).run()


@settings(max_examples=80, deadline=None)
@given(predictions, labels, st.integers(1, 20))
def test_final_windows_are_the_dicts(p: list[Prediction], q: list[Label], rows: int) -> None:
    log = topics(split(p), split(q))
    run(log, "one", rows)
    expected = {k: v for k, v in oracle.final_windows(split(p), split(q), PARAMS).items() if any(v.values())}
    assert counts(log, "one") == expected


@settings(max_examples=50, deadline=None)
@given(predictions, labels, st.integers(1, 20), st.integers(1, 20))
def test_the_cuts_between_commits_are_seen_nowhere(p: list[Prediction], q: list[Label], one: int, two: int) -> None:
    log = topics(split(p), split(q))
    run(log, "one", one)
    run(log, "two", two)
    assert finals(log, "one") == finals(log, "two")
    assert revisions(log, "one") == revisions(log, "two")
    assert alerts(log, "one") == alerts(log, "two")


@settings(max_examples=50, deadline=None)
@given(predictions, labels, st.randoms(use_true_random=False))
def test_no_order_within_the_lateness_changes_a_final_window(
    p: list[Prediction], q: list[Label], rng: random.Random
) -> None:
    from tests.simulation import world

    logs = []
    for namespace in ("one", "two"):
        log = topics(split(p), split(q))
        worker(log, world.config(namespace, 7, lateness_s=400)).run()
        logs.append(finals(log, namespace))
        rng.shuffle(p)
        rng.shuffle(q)
    assert logs[0] == logs[1]
