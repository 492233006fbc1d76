"""The configuration is changed under running workers on a real broker: by signal, by file, and one worker after the other."""

from __future__ import annotations

import signal
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import orjson

from monitor.adapters.kafka_log import KafkaLog
from monitor.daemon.generations import history
from monitor.ledger.generations import GenerationRecord
from tests.kafka.broker import free_ports
from tests.kafka.deployment import Deployment, Process, differences, eventually, succeed
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_faults import SMALL_CUTS, STOP_SECS, Deploy, deploy, january, produce

__all__ = ["deploy"]

RULE = "rules:\n  - {{name: {name}, metric: recall, op: '<', threshold: 0.45, window: day, min_rows: 20, min_coverage: 0.5}}\n"


class Reloading:
    """A worker with a file of its own beside those of the deployment."""

    def __init__(self, flights: Deployment, namespace: str, name: str, port: int) -> None:
        self.path: Path = flights.folder / f"{name}.yaml"
        self.port = port
        self.use("before")
        config = flights.config(namespace, *SMALL_CUTS, f"http.port={port}")
        self.process: Process = flights.start("run", *config, "-c", str(self.path))

    def use(self, rule: str, more: str = "") -> None:
        """Write another rule into the file."""
        self.path.write_text(RULE.format(name=rule) + more)

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except URLError:
            return 0, ""

    @property
    def evaluates(self) -> bool:
        return 'driftline_evaluator_active{driftline_namespace="' in (page := self.ask("metrics")[1]) and any(
            line.startswith("driftline_evaluator_active{") and line.endswith(" 1") for line in page.splitlines()
        )


def generations(log: KafkaLog, namespace: str) -> list[GenerationRecord]:
    topic = f"{namespace}.configs"
    return list(history(log, topic)) if log.topic(topic) is not None else []


def test_a_signal_and_a_changed_file_are_followed_and_an_older_file_takes_nothing_back(
    deploy: Deploy, fresh_topics: FreshTopics
) -> None:
    changed, calm = fresh_topics("changed"), fresh_topics("calm")
    with deploy() as flights:
        log = KafkaLog(flights.bootstrap)
        arriving = produce(flights, secs=15)
        one, two = (Reloading(flights, changed, f"worker{n}", port) for n, port in enumerate(free_ports(2)))
        eventually(lambda: len(generations(log, changed)) == 1, 40, "something is decided", one.process, two.process)
        eventually(lambda: one.evaluates or two.evaluates, 20, "one says that it evaluates", one.process, two.process)
        evaluator, other = (one, two) if one.evaluates else (two, one)

        evaluator.use("after")
        evaluator.process.send(signal.SIGHUP)
        eventually(lambda: len(generations(log, changed)) == 2, 20, "the second generation holds", evaluator.process)
        assert [(g.number, g.reason) for g in generations(log, changed)] == [(1, "start"), (2, "signal")]

        evaluator.use("never", "time: {horizon: 100h}\n")
        evaluator.process.send(signal.SIGHUP)
        eventually(lambda: "time.horizon" in evaluator.ask("readyz?verbose")[1], 20, "the refusal is told")
        status, checks = evaluator.ask("readyz?verbose")
        assert status == 200, "it goes on with what it had"
        assert "gives rows another meaning, which a namespace keeps" in checks
        metrics = evaluator.ask("metrics")[1]
        for outcome, times in (("applied", 1), ("refused", 1), ("invalid", 0)):
            assert (
                f'driftline_config_reloads_total{{driftline_namespace="{changed}",outcome="{outcome}"}} {times}'
                in metrics
            )
        assert f'driftline_config_last_reload_successful{{driftline_namespace="{changed}"}} 0' in metrics

        evaluator.process.kill()
        eventually(lambda: other.evaluates, 40, "the other one takes over", other.process)
        eventually(lambda: "older than generation 2" in other.ask("readyz?verbose")[1], 20, "it says that it follows")
        assert len(generations(log, changed)) == 2, "it took nothing back"

        other.use("after")  # and no signal
        eventually(
            lambda: "configuration read again (file)" in other.process.said, 20, "the file is read", other.process
        )
        eventually(lambda: "older than" not in other.ask("readyz?verbose")[1], 20, "it has what holds")
        succeed(*arriving)
        other.process.send(signal.SIGTERM)
        succeed(other.process, secs=STOP_SECS)

        last = flights.start("run", "--no-http", "--until-end", *flights.config(changed), "-c", str(other.path))
        succeed(last, flights.worker(calm), secs=120)
        assert [g.number for g in generations(log, changed)][:2] == [1, 2]
        differing = differences((flights.source, changed), (flights.source, calm))
        assert [each for each in differing if "alert" not in each] == [], "rules have no part in windows"
        assert january(flights, changed) == []
        verify = flights.start("replay", "--verify", *flights.config(changed), "-c", str(other.path))
        assert verify.wait(120) == 0, verify.said
        assert flights.audits(changed) == []
        said = [orjson.loads(r.value or b"{}") for r in flights.source.read(f"{changed}.alerts")[0]]
        rules = {e["data"]["rule"] for e in said if "rule" in e["data"]}
        assert "after" in rules
        assert rules <= {"before", "after"}, "what was refused never watched"
