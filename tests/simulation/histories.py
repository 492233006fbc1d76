"""Histories of a few minutes: predictions of three versions sharing ids, labels, corrections, withdrawals; in any order."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.oracle.join import Label, Prediction

PARTITIONS = 2
START = 1_700_000_000_000
seconds = st.integers(0, 300).map(lambda s: s * 1_000 + START)
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
        logs[sum(record["id"].encode()) % n].append(record)
    return logs
