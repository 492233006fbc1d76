"""A rolling upgrade under load: workers of an earlier and of a later release share the partitions, one is replaced after the
other while records arrive, and every window and alert is as if one release had run all the time. And back: refused, by name.

January's flights. The namespace that is upgraded and those that are left alone, one for each release, read the same topics.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from monitor.editions import NEWEST
from tests.checker import windows
from tests.checker.sources import flat
from tests.kafka.deployment import ROOT, Deployment, Process, eventually, published, succeed
from tests.kafka.fixtures import FreshTopics
from tests.kafka.test_faults import JANUARY, SMALL_CUTS, STOP_SECS, Deploy, deploy, january, opened, produce
from tests.upgrade.trees import NEXT, earlier_release, next_release
from tests.verify.chaos import RECOUNT

__all__ = ["deploy"]

SOON = "state.upgrade_after=2s"
BAD_CONFIG = 78
OPEN_WITHIN_SECS = 120
LOAD_SECS = 60


def evaluates(worker: Process) -> bool:
    return worker.running and "evaluator: open, epoch" in worker.said


def replaced(old: Process, new: Callable[[], Process]) -> Process:
    """As a deployment does it: the old one is told to stop, the new one started, and waited for."""
    old.send(signal.SIGTERM)
    succeed(old, secs=STOP_SECS * 3)
    made = new()
    eventually(lambda: bool(opened(made)), OPEN_WITHIN_SECS, "the new one owns a partition", made)
    return made


def begins(*workers: Process) -> int | None:
    """Where windows of another edition begin, as the evaluator said."""
    said = [re.findall(r"edition \d+: windows that start at (\d+) ms or later are of it", one.said) for one in workers]
    found = {int(at) for each in said for at in each}
    assert len(found) <= 1
    return found.pop() if found else None


def of_both(flights: Deployment, before: str, after: str, from_ms: int | None) -> dict[str, bytes]:
    """The windows of two undisturbed runs, each of those that start where its release decides."""
    earlier, later = published(flights.source, before), published(flights.source, after)
    assert earlier.keys() == later.keys()
    assert len(earlier) > 200, "too few windows to say anything"
    return {
        key: window if from_ms is None or orjson.loads(window)["start_ms"] < from_ms else later[key]
        for key, window in earlier.items()
    }


def alerts(flights: Deployment, namespace: str) -> list[bytes]:
    """What was told, without what a later edition counts beside."""
    told, strays = windows.alerts_of(flat(flights.source.read(f"{namespace}.alerts")))
    assert not strays
    return sorted(re.sub(rb'"sure":\d+,', b"", value) for value in told.values())


def recounted(flights: Deployment, namespace: str) -> str:
    """What the checker says that counts the raw topics again, in a process of its own; nothing when all holds."""
    topics = ("--predictions", flights.predictions, "--labels", flights.labels)
    command = ["tests.checker.windows", "--bootstrap", flights.bootstrap, "--namespace", namespace, *topics, *RECOUNT]
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def check(flights: Deployment, namespace: str, before: str, after: str, from_ms: int | None, tree: Path = ROOT) -> None:
    """Everything that holds of an upgraded namespace, beside two that each release ran alone."""
    assert published(flights.source, namespace) == of_both(flights, before, after, from_ms)
    assert alerts(flights, namespace) == alerts(flights, before) != []
    assert recounted(flights, namespace) == ""
    assert january(flights, namespace) == []
    assert flights.audits(namespace) == []
    assert flights.read_offsets(namespace) == tuple(JANUARY.values())
    proof = flights.start("replay", "--verify", "-q", *flights.config(namespace), tree=tree)
    assert proof.wait(240) == 0, proof.said[-3_000:]


@pytest.mark.timeout(900)
def test_a_rolling_upgrade_from_the_release_before_is_exact(
    deploy: Deploy, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    earlier = earlier_release(tmp_path / "earlier")
    rolled, before, after = fresh_topics("rolled"), fresh_topics("before"), fresh_topics("after")
    with deploy() as flights:

        def old() -> Process:
            return flights.worker(rolled, *SMALL_CUTS, until_end=False, tree=earlier)

        def new() -> Process:
            return flights.worker(rolled, *SMALL_CUTS, until_end=False)

        arriving = produce(flights, secs=LOAD_SECS)
        workers = [old(), old()]
        eventually(lambda: all(map(opened, workers)), OPEN_WITHIN_SECS, "both old ones own partitions", *workers)
        eventually(lambda: sum(flights.read_offsets(rolled)) > 500, 60, "the first commits", *workers)

        evaluator = next((n for n, one in enumerate(workers) if evaluates(one)), 0)
        workers[evaluator] = replaced(workers[evaluator], new)
        other = workers[1 - evaluator]
        eventually(lambda: any(map(evaluates, workers)), OPEN_WITHIN_SECS, "somebody evaluates", *workers)
        for _ in range(2):  # the evaluator goes back to the old one, and to a new one again
            workers[evaluator].kill()
            eventually(lambda: len(opened(other)) == 6, OPEN_WITHIN_SECS, "the old one takes all over", other)
            eventually(lambda: evaluates(other), OPEN_WITHIN_SECS, "the old one evaluates", other)
            workers[evaluator] = new()
            eventually(lambda: bool(opened(workers[evaluator])), OPEN_WITHIN_SECS, "the new one is back", *workers)
        workers[1 - evaluator] = replaced(other, new)
        succeed(*arriving, secs=LOAD_SECS * 3)
        for worker in workers:
            worker.send(signal.SIGTERM)
        succeed(*workers, secs=STOP_SECS * 3)
        last = [flights.worker(rolled, *SMALL_CUTS) for _ in range(2)]
        succeed(*last, flights.worker(before, tree=earlier), flights.worker(after), secs=240)
        check(flights, rolled, before, after, begins(*workers, *last))


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_an_upgrade_to_a_release_with_another_edition_is_exact_and_the_way_back_is_refused(
    deploy: Deploy, fresh_topics: FreshTopics, tmp_path: Path
) -> None:
    later = next_release(tmp_path / "later")
    rolled, before, after = fresh_topics("rolled"), fresh_topics("before"), fresh_topics("after")
    with deploy() as flights:
        own = (*SMALL_CUTS, SOON)

        def new() -> Process:
            return flights.worker(rolled, *own, until_end=False, tree=later)

        arriving = produce(flights, secs=LOAD_SECS)
        workers = [flights.worker(rolled, *own, until_end=False) for _ in range(2)]
        eventually(lambda: all(map(opened, workers)), OPEN_WITHIN_SECS, "both own partitions", *workers)
        eventually(lambda: sum(flights.read_offsets(rolled)) > 500, 60, "the first commits", *workers)
        workers[0] = replaced(workers[0], new)
        assert begins(*workers) is None
        assert not any("is announced" in worker.said for worker in workers), "one of them does not know it"
        workers[1] = replaced(workers[1], new)
        eventually(lambda: begins(*workers) is not None, OPEN_WITHIN_SECS, "it goes over", *workers)

        refused = flights.worker(rolled, *own, until_end=False)
        code = refused.wait(OPEN_WITHIN_SECS)
        assert code == BAD_CONFIG, refused.said[-3_000:]
        advice = refused.said.splitlines()[-1]
        assert f"edition {NEWEST + 1}, this version of Driftline knows up to {NEWEST}" in advice
        assert f"Run Driftline {NEXT} or a newer one" in advice
        assert all(worker.running for worker in workers), "what it disturbed goes on"

        succeed(*arriving, secs=LOAD_SECS * 3)
        for worker in workers:
            worker.send(signal.SIGTERM)
        succeed(*workers, secs=STOP_SECS * 3)
        last = [flights.worker(rolled, *own, tree=later) for _ in range(2)]
        succeed(*last, flights.worker(before, SOON), flights.worker(after, SOON, tree=later), secs=240)
        from_ms = begins(*workers)
        check(flights, rolled, before, after, from_ms, tree=later)
        told = map(orjson.loads, published(flights.source, rolled).values())
        carry = {window["start_ms"] for window in told if "sureness" in window["metrics"]}
        assert min(carry) == from_ms, "days of flights begin at midnight, as panes do"
