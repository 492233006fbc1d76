"""An archive beside a real broker whose records are deleted: rows and windows are there when the topics are empty."""

from __future__ import annotations

import json
from pathlib import Path

from monitor.cli.common import open_kafka
from tests.cli.driving import Outcome, driftline
from tests.kafka.broker import Kafka
from tests.kafka.deployment import FLIGHTS, Deployment
from tests.kafka.fixtures import FreshTopics


def succeed(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def test_rows_and_windows_outlive_the_records_of_the_topics(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    names = fresh_topics("predictions"), fresh_topics("labels")
    month = ("--from", "2013-01-01", "--until", "2013-02-01")
    store = tmp_path / "store"
    with Deployment(kafka.bootstrap_servers, *names, tmp_path) as flights:
        flights.produce_all()
        where = (*flights.config(fresh_topics("none")), "--store", store)
        succeed(driftline("archive", "write", *where, "--name", "flights"))
        succeed(driftline("dataset", "create", *where, *month, "--name", "topics", "--until-end"))
        log = open_kafka(kafka.bootstrap_servers)
        try:
            # What the archive does not begin at again is deleted: DeleteRecords.
            from pipelines.dataset.archive import Archive
            from registry.directory import DirectoryStore

            for partition, reached in Archive(DirectoryStore(store), "flights").state().reached.items():
                assert reached.predictions is not None
                assert reached.labels is not None
                log.delete_records(names[0], partition, reached.predictions.offset)
                log.delete_records(names[1], partition, reached.labels.offset)
            assert sum(log.begin_offsets(names[0])) > 50_000
            ended = succeed(
                driftline("archive", "write", *where, "--name", "flights", "--until-end", "-o", "json")
            ).json
            assert ended["lost_offsets"] == 0
            for name in names:
                for partition, end in enumerate(log.end_offsets(name)):
                    log.delete_records(name, partition, end)
            assert log.begin_offsets(names[0]) == log.end_offsets(names[0])
        finally:
            log.close()
        succeed(driftline("archive", "dataset", "flights", "--store", store, *month, "--name", "archived"))
        first, second = (
            driftline("dataset", "show", name, "--store", store, "-o", "json").json["manifest"]
            for name in ("topics", "archived")
        )
        assert (first["rows_digest"], first["rows"]) == (second["rows_digest"], second["rows"])
        truth = json.loads((FLIGHTS / "truth.json").read_text())["month"]["2013-01"]
        assert (second["rows"], second["rows"] - second["unlabelled_rows"]) == (truth["predictions"], truth["labelled"])
        counted = driftline("archive", "count", "flights", "--store", store, "--window", "1d", *month).lines
        assert sum(each["seen"] for each in counted if each["segment"] == "all") == truth["predictions"]
        assert sum(each["labelled"] for each in counted if each["segment"] == "all") == truth["labelled"]
        again = driftline("dataset", "create", *where, *month, "--name", "gone")
        assert again.code == 2
        assert "would have no row" in again.err
