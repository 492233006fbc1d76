"""Replay of a real broker: what two workers did, one of them killed, is proved from the topics and from a recording."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import msgspec

from tests.checker.sources import Source
from tests.cli.driving import driftline
from tests.kafka.broker import Kafka
from tests.kafka.deployment import Deployment, eventually, published, succeed
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_faults import SMALL_CUTS, opened, produce

STOP_SECS = 20


def test_a_run_with_a_killed_worker_is_identical_live_and_recorded(
    kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    names = fresh_topics.create("predictions", 3), fresh_topics.create("labels", 3)
    live = fresh_topics("live")
    recording, again = tmp_path / "recording", fresh_topics("again")
    with Deployment(kafka.bootstrap_servers, *names, tmp_path / "deployment") as flights:
        where = flights.config(live, *SMALL_CUTS)
        arriving = produce(flights, secs=8)
        workers = [flights.worker(live, *SMALL_CUTS, until_end=False) for _ in range(2)]
        eventually(lambda: sum(flights.read_offsets(live)) > 5_000, 60, "the first commits")

        running = driftline("replay", *where, "--verify", "-q", "-o", "json")  # while it goes on
        assert running.code == 0, running.err
        assert running.json["commits"] > 0

        workers[0].kill()
        time.sleep(0.5)
        workers[0] = flights.worker(live, *SMALL_CUTS, until_end=False)
        eventually(lambda: all(map(opened, workers)), 30, "both workers own something")
        succeed(*arriving)
        for worker in workers:
            worker.send(signal.SIGTERM)
        succeed(*workers, secs=STOP_SECS)
        unfinished = driftline("replay", *where, "--verify", "--without-decisions", "-q", "-o", "json")
        assert unfinished.code == 0, unfinished.err
        succeed(flights.worker(live, *SMALL_CUTS))
        epochs = sum(len(walk.epochs) for walk in flights.walks(live))
        assert epochs > 3, "the kill took no partition away from anybody"

        decided = how_many_count(flights.source, live)
        made = driftline("record", *where, "--decisions", "--to", recording, "-q")
        assert made.code == 0, made.err
        assert driftline("record", "verify", recording, "-q").code == 0
        for source in ((), ("--recording", recording)):
            proved = driftline("replay", *where, *source, "--verify", "-q", "-o", "json")
            assert proved.code == 0, proved.err
            read = sum(flights.read_offsets(live))
            assert (proved.json["records"], proved.json["skipped_commits"]) == (read, 0)
            assert proved.json["evaluations"] == decided > 2  # how many there are depends on how quick the machine is
            run = driftline("replay", *where, *source, "--verify", "--without-decisions", "-q", "-o", "json")
            assert run.code == 0, run.err
            assert run.json["windows"] == len(published(flights.source, live)) > 200
            assert run.json["alerts"] > 0

        out = driftline("replay", *where, "--recording", recording, "--to", tmp_path / "out", "-q")
        assert out.code == 0, out.err
        lines = (tmp_path / "out" / "windows.jsonl").read_bytes().splitlines()
        finals = published(flights.source, live)
        assert sorted(lines) == sorted(finals.values())

        ours = ("--to-topics", "--namespace", again)
        assert driftline("replay", *where, *ours, "-q").code == 0
        assert published(flights.source, again) == finals
        assert flights.audits(again) == []
        refused = driftline("replay", *where, "--to-topics", "--namespace", live)
        assert (refused.code, f"live topics of namespace '{live}'" in refused.err) == (1, True)

        changed = tmp_path / "changed.yaml"
        rule = {"name": "low-recall", "metric": "recall", "op": "<", "threshold": 0.35, "window": "day", "min_rows": 20}
        changed.write_text(json.dumps({"rules": [{**rule, "min_coverage": 0.5}]}))
        found = driftline("replay", *where, "-c", changed, "--verify", "--without-decisions", "-q", "-o", "json")
        assert found.code == 3, found.err
        assert found.json["windows"] == len(finals)
        assert {d["what"] for d in found.json["differences"]} == {"alert"}

        victim = max((recording / "topics" / flights.labels).rglob("*.seg"))
        raw = bytearray(victim.read_bytes())
        raw[len(raw) // 3] ^= 0x10
        victim.write_bytes(raw)
        damaged = driftline("replay", *where, "--recording", recording, "--verify", "-q")
        assert (damaged.code, f"{victim}: the file is damaged" in damaged.err) == (1, True)


def test_a_range_between_times_is_the_brokers_own(kafka: Kafka, fresh_topics: FreshTopics, tmp_path: Path) -> None:
    names = fresh_topics.create("predictions", 2), fresh_topics.create("labels", 2)
    with Deployment(kafka.bootstrap_servers, *names, tmp_path / "deployment") as flights:
        succeed(*produce(flights, share=0.05))
        time.sleep(0.05)
        between = time.time_ns() // 1_000_000
        time.sleep(0.05)
        first = [flights.source.read(name) for name in names]
        succeed(*produce(flights, share=0.02))
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(between / 1000)) + f".{between % 1000:03d}Z"
        where = flights.config(fresh_topics("none"))
        for number, (bound, of_first) in enumerate((("--until", True), ("--from", False))):
            folder = tmp_path / f"r{number}"
            assert driftline("record", *where, bound, moment, "--to", folder, "-q").code == 0
            shown = driftline("record", "show", folder, "-o", "json").json
            for topic, before in zip(shown["topics"], first, strict=True):
                cuts = [len(partition) for partition in before]
                assert [r[1 if of_first else 0] for r in topic["ranges"]] == cuts


def how_many_count(source: Source, namespace: str) -> int:
    """Evaluations that count: as the newest owner numbers its last one."""
    records = [
        msgspec.msgpack.decode(raw.value) for raw in source.read(f"{namespace}.evals")[0] if raw.value is not None
    ]
    newest = max(record.get("epoch", 0) for record in records)
    return max(int(record["sequence"]) for record in records if "sequence" in record and record["epoch"] == newest)
