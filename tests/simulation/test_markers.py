"""A transactional producer's markers take offsets without being records."""

from __future__ import annotations

from tests.oracle.join import Label, Prediction
from tests.simulation.world import config, counts, topics, worker

START = 1_700_000_000_000


def test_markers_at_the_end_of_both_topics_do_not_hold_up_the_end() -> None:
    predictions = [
        Prediction(id=f"p{i}", model="m", version="1", at=START + i, score=0.9, prediction=1.0) for i in range(9)
    ]
    labels = [Label(id=f"p{i}", at=START + i + 5, label=1.0) for i in range(9)]
    log = topics([predictions], [labels])
    for topic in ("predictions", "labels"):
        log.mark(topic, 0)
        log.mark(topic, 0)
    worker(log, config("one")).run()
    assert counts(log, "one")["m", "1", "all", START]["tp"] == 9
