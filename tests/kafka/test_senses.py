"""What is watched of a model changes under running workers on a real broker, of which the one that announced it is killed: every
window is of one meaning, that of its start, and a replay proves it."""

from __future__ import annotations

import signal

import orjson
import pytest

from monitor.adapters.kafka_log import KafkaLog
from tests.kafka.broker import free_ports
from tests.kafka.deployment import DEMO, eventually, published, succeed, without_config
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_faults import STOP_SECS, Deploy, deploy, january, produce
from tests.kafka.test_models import listed
from tests.kafka.test_reload import Reloading

__all__ = ["deploy"]

BY_ORIGIN, BY_HOUR = (
    f"""
models:
  - name: arrival-delay
    task: binary
    threshold: 0.25
    reference: {DEMO / "flights.reference.json"}
    segments: {{{segments}}}
"""
    for segments in ("origin: [EWR, JFK, LGA]", "origin: [EWR, JFK], carrier: [UA, B6]")
)


@pytest.mark.slow
def test_segments_change_while_workers_die_and_every_window_is_of_one_meaning(
    deploy: Deploy, fresh_topics: FreshTopics
) -> None:
    changed, before, after = (fresh_topics(name) for name in ("changed", "before", "after"))
    with deploy() as flights:
        log = KafkaLog(flights.bootstrap)
        arriving = produce(flights, secs=40)
        one, two = (Reloading(flights, changed, f"worker{n}", port) for n, port in enumerate(free_ports(2)))
        for each in (one, two):
            each.use("before", BY_ORIGIN)
        eventually(lambda: one.evaluates or two.evaluates, 60, "one evaluates", one.process, two.process)
        evaluator, other = (one, two) if one.evaluates else (two, one)

        evaluator.use("before", BY_HOUR)
        evaluator.process.send(signal.SIGHUP)
        eventually(lambda: listed(log, changed) is not None, 20, "the change is announced", evaluator.process)
        evaluator.process.kill()  # its file was the only one that has the new segments
        eventually(lambda: other.evaluates, 60, "the other one takes over", other.process)
        eventually(
            lambda: (found := listed(log, changed)) is not None and not found.waits, 60, "it began", other.process
        )
        roster = listed(log, changed)
        assert roster is not None
        senses = [each for each in roster.models if each.name == "arrival-delay"]
        assert len(senses) == 2
        assert senses[1].from_ms is not None
        from_ms = senses[1].from_ms
        succeed(*arriving, secs=120)
        other.process.send(signal.SIGTERM)
        succeed(other.process, secs=STOP_SECS)

        files = {}
        for name, models in (("before", BY_ORIGIN), ("after", BY_HOUR)):
            files[name] = flights.folder / f"{name}.yaml"
            files[name].write_text(models)
        ends = [
            flights.start("run", "--no-http", "--until-end", *flights.config(namespace), "-c", str(files[name]))
            for namespace, name in ((changed, "after"), (before, "before"), (after, "after"))
        ]
        succeed(*ends, secs=240)

        mine, was, now = (without_config(published(flights.source, name)) for name in (changed, before, after))
        early = {key for key, value in was.items() if orjson.loads(value)["start_ms"] < from_ms}
        late = {key for key, value in now.items() if orjson.loads(value)["start_ms"] >= from_ms}
        assert early
        assert late
        assert mine == {key: was[key] for key in early} | {key: now[key] for key in late}
        assert any("carrier" in orjson.loads(now[key])["segment"] for key in late)
        assert january(flights, changed) == []
        verify = flights.start("replay", "--verify", *flights.config(changed), "-c", str(files["after"]))
        assert verify.wait(240) == 0, verify.said
        assert flights.audits(changed) == []
