"""Datasets of a real broker: the rows of the embedded log, made again bit for bit, and of no other cluster."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.driving import Outcome, driftline
from tests.kafka.broker import Kafka
from tests.kafka.deployment import FLIGHTS, Deployment
from tests.kafka.fixtures import FreshTopics


def _dataset(what: str, store: Path, *options: object) -> Outcome:
    return driftline("dataset", what, *options, "--store", store)


def test_flights_on_kafka_make_the_rows_of_the_embedded_log(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    names = fresh_topics("predictions"), fresh_topics("labels")
    month = ("--from", "2013-01-01", "--until", "2013-02-01")
    with Deployment(kafka.bootstrap_servers, *names, tmp_path) as flights:
        flights.produce_all()
        flights.produce_all(embedded=tmp_path / "log")
        where, store = flights.config(fresh_topics("none")), tmp_path / "store"
        made = [
            _dataset("create", store, *where, *log, *month, "--name", name, "-o", "json")
            for name, log in (("kafka", ()), ("embedded", ("--embedded", tmp_path / "log")))
        ]
        assert [one.code for one in made] == [0, 0], made[0].err + made[1].err
        first, second = (one.json["manifest"] for one in made)
        truth = json.loads((FLIGHTS / "truth.json").read_text())["month"]["2013-01"]
        assert (first["rows"], first["rows"] - first["unlabelled_rows"]) == (truth["predictions"], truth["labelled"])
        assert first["rows_digest"] == second["rows_digest"]
        assert {s["digest"] for s in first["segments"]} == {s["digest"] for s in second["segments"]}
        assert first["source"]["cluster"] != second["source"]["cluster"]
        assert _dataset("diff", store, "kafka", "embedded", "-o", "json").json["same"] == truth["predictions"]

        again = _dataset("verify", store, "kafka", *where, "-o", "json")
        assert (again.code, again.json["source"]["same"]) == (0, True)
        nobody = _dataset("verify", store, "kafka", *where, "--set", "kafka.bootstrap_servers=localhost:1")
        assert nobody.code == 69
        assert "whole" in nobody.out

        other = _dataset("verify", store, "embedded", *where, "-o", "json")
        assert other.code == 1
        assert "was made of cluster" in other.json["source"]["why"]
