"""Multiclass and regression on a real broker, from two topics that nobody described: proposed, run, and right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monitor.metrics.multiclass import ORDER
from tests.cli.driving import driftline
from tests.cli.test_other_tasks import days, records
from tests.kafka.broker import Kafka
from tests.kafka.fixtures import FreshTopics
from tests.metrics.streams import approval, segments

STREAMS = {"multiclass": segments, "regression": approval}


@pytest.mark.parametrize("task", list(STREAMS))
def test_two_unseen_topics_become_the_numbers_of_scikit_learn(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path, task: str
) -> None:
    stream = STREAMS[task]()
    names = fresh_topics("answers"), fresh_topics("truths")
    config, at = tmp_path / "driftline.yaml", ("--bootstrap", kafka.bootstrap_servers)
    for topic, rows in zip(names, records(stream), strict=True):
        path = tmp_path / f"{topic}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if row["id"] != "gone"))
        sent = driftline("produce", topic, path, *at, "--key", "id", "--partitions", 3, "-q")
        assert sent.code == 0, sent.err
    asked = ("--from-topic", names[0], "--labels", names[1], "--namespace", fresh_topics.namespace)
    proposed = driftline("init", *asked, *at, "-o", config)
    assert proposed.code == 0, proposed.err
    assert f"task: {task}" in config.read_text()
    checked = driftline("check", "-c", config, "--live", "-o", "json")
    assert checked.code == 0, checked.out
    ran = driftline("run", "-c", config, "--until-end", "--no-http", "-q")
    assert ran.code == 0, ran.err
    windows = driftline("windows", "-c", config, "--window", "1d", "-o", "json").json["windows"]
    found, metrics = days(windows), [m for m in (*ORDER, "bias", "mae", "rmse", "r2") if m in stream.table[0]]
    for row in stream.table:
        if row["window"] == "all":
            continue
        window = found[row["window"]]
        assert window["labelled"] == int(row["n"])
        for name in (m for m in metrics if m in window["metrics"]):
            metric = window["metrics"][name]
            allowed = 1e-9 + 1e-11 * abs(metric["value"]) + metric["bound"]
            assert metric["value"] == pytest.approx(float(row[name]), abs=allowed, rel=0), (row["window"], name)
    assert set(metrics) & found["0"]["metrics"].keys() >= {"log_loss"} if task == "multiclass" else {"rmse"}
    assert driftline("ledger", "audit", "-c", config, "-o", "json").json["holds"]
