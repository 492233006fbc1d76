"""A model is added and taken out under running workers on a real broker, one of which is killed while the others take it over."""

from __future__ import annotations

import gzip
import signal
from pathlib import Path

import orjson

from monitor.adapters.kafka_log import KafkaLog
from monitor.daemon.begun import kept
from monitor.daemon.counted import newest
from monitor.ledger.roster import Roster
from tests.kafka.broker import free_ports
from tests.kafka.deployment import DEMO, FLIGHTS, Deployment, eventually, published, succeed, without_config
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_faults import JANUARY, STOP_SECS, Deploy, deploy, january, produce
from tests.kafka.test_reload import Reloading

__all__ = ["deploy"]

MODELS = f"""
models:
  - name: arrival-delay
    task: binary
    threshold: 0.25
    reference: {DEMO / "flights.reference.json"}
    segments: {{origin: [EWR, JFK, LGA]}}
"""
SECOND = f"  - {{name: second, features: [hour, origin], reference: {DEMO / 'flights.reference.json'}}}\n"


def listed(log: KafkaLog, namespace: str) -> Roster | None:
    topic = f"{namespace}.configs"
    return newest(kept(log, topic), topic) if log.topic(topic) is not None else None


def produce_second(flights: Deployment, secs: float) -> list[str]:
    """The same flights as another model scored them, as a file; and how to send it."""
    file = flights.folder / "second.jsonl.gz"
    with gzip.open(FLIGHTS / "predictions.jsonl.gz", "rt") as lines, gzip.open(file, "wt") as out:
        for _, line in zip(range(JANUARY["predictions"]), lines, strict=False):
            out.write(line.replace('"arrival-delay"', '"second"', 1))
    rate = str(int(JANUARY["predictions"] / secs))
    return ["produce", flights.predictions, str(file), "-q", "--bootstrap", flights.bootstrap, "--rate", rate]


def of_model(found: dict[bytes, bytes] | dict[str, bytes], model: str) -> dict[str, bytes]:
    return {str(key): value for key, value in found.items() if orjson.loads(value)["model"] == model}


def test_a_model_comes_and_goes_while_workers_die_and_its_windows_are_whole(
    deploy: Deploy, fresh_topics: FreshTopics
) -> None:
    changed, calm = fresh_topics("changed"), fresh_topics("calm")
    with deploy() as flights:
        log = KafkaLog(flights.bootstrap)
        arriving = [*produce(flights, secs=40), flights.start(*produce_second(flights, secs=40))]
        one, two = (Reloading(flights, changed, f"worker{n}", port) for n, port in enumerate(free_ports(2)))
        for each in (one, two):
            each.use("before", MODELS)
        eventually(lambda: one.evaluates or two.evaluates, 60, "one evaluates", one.process, two.process)
        evaluator, other = (one, two) if one.evaluates else (two, one)

        evaluator.use("before", MODELS + SECOND)
        evaluator.process.send(signal.SIGHUP)
        eventually(lambda: listed(log, changed) is not None, 20, "the model is announced", evaluator.process)
        evaluator.process.kill()  # its file was the only one that lists the model
        eventually(lambda: other.evaluates, 60, "the other one takes over", other.process)
        eventually(
            lambda: (found := listed(log, changed)) is not None and not found.waits, 60, "it began", other.process
        )
        roster = listed(log, changed)
        assert roster is not None
        (second,) = [each for each in roster.models if each.name == "second"]
        assert second.from_ms is not None
        succeed(*arriving, secs=120)
        other.process.send(signal.SIGTERM)
        succeed(other.process, secs=STOP_SECS)

        both: Path = flights.folder / "both.yaml"
        both.write_text(evaluator.path.read_text())
        files = ["-c", str(both)]
        last = flights.start("run", "--no-http", "--until-end", *flights.config(changed), *files)
        whole = flights.start("run", "--no-http", "--until-end", *flights.config(calm), *files)
        succeed(last, whole, secs=180)

        mine, theirs = (without_config(published(flights.source, name)) for name in (changed, calm))
        assert of_model(mine, "arrival-delay") == of_model(theirs, "arrival-delay")
        began = {
            key: value
            for key, value in of_model(theirs, "second").items()
            if orjson.loads(value)["start_ms"] >= second.from_ms
        }
        assert began, "windows of it began while records came"
        assert of_model(mine, "second") == began
        assert [one for one in january(flights, changed) if "'second'" not in one] == []
        verify = flights.start("replay", "--verify", *flights.config(changed), *files)
        assert verify.wait(180) == 0, verify.said
        assert flights.audits(changed) == []
        shown = flights.start("config", "history", *flights.config(changed), *files)
        assert shown.wait(60) == 0, shown.said
