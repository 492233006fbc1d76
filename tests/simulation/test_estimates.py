"""The whole daemon with `estimates`: what windows say while labels are missing, and that nothing else changes by it."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from monitor.config import Config, loads
from monitor.ledger.checkpoints import EDITION_FORMAT
from tests.config.examples import problems
from tests.replay.proving import prove, sentences
from tests.simulation import saving as deployments
from tests.simulation import test_budget
from tests.simulation.fragile import Fault, FragileWorld
from tests.simulation.histories import split
from tests.simulation.test_crashes import pace
from tests.simulation.world import finals, revisions, topics, worker

HISTORY = test_budget.history(test_budget.nothing)
HALF = HISTORY[0][:2_000], [label for label in HISTORY[1] if int(label["id"][1:]) < 2_000]
"""Labels that are wrong come later than those that are right; all of them come."""


def config(namespace: str, rows: int = 1_000, more: str = "estimates: true", state: str = "") -> Config:
    text = test_budget.CONFIG.replace("budget: {budget}\n", f"{more}\n").replace(
        "commit_interval: 1ms", f"commit_interval: 1ms{state}"
    )
    return loads(text.format(namespace=namespace, rows=rows))


def world() -> FragileWorld:
    """A log on which a namespace without estimates, `plain`, and one with them, `calm`, have come to their end."""
    log = topics(split(HALF[0]), split(HALF[1]), FragileWorld())
    for own in (config("plain", more=""), config("calm")):
        worker(log, own).run()
    return log


@pytest.fixture(scope="module")
def ended() -> FragileWorld:
    return world()


def told(log: FragileWorld, namespace: str = "calm") -> list[dict[str, Any]]:
    """Every revision of performance windows that was published, in order."""
    found = [orjson.loads(stored.record.value) for stored in log.records(f"{namespace}.windows") if stored.record.value]
    return [window for window in found if window["kind"] == "performance"]


def test_windows_are_otherwise_what_they_are_without(ended: FragileWorld) -> None:
    plain, own = told(ended, "plain"), told(ended)
    assert len(plain) == len(own)
    for without, window in zip(plain, own, strict=True):
        same = {key: value for key, value in window.items() if key not in ("outlook", "config")}
        same["counts"] = {key: value for key, value in window["counts"].items() if key != "called"}
        assert same == {key: value for key, value in without.items() if key != "config"}


def test_what_labels_have_not_said_yet_is_bounded_and_estimated(ended: FragileWorld) -> None:
    ends = {(w["window"], w["start_ms"]): w["metrics"]["accuracy"]["value"] for w in told(ended) if w["final"]}
    assert len(ends) > 30
    open_windows = [w for w in told(ended) if not w["final"] and w["coverage"] < 0.9]
    naive, completed, off, late = [], [], [], 0
    for window in open_windows:
        end, outlook = ends[window["window"], window["start_ms"]], window["outlook"]
        bounds = outlook["bounds"]["metrics"]["accuracy"]
        if window["seen"] == window["counts"]["called"]:
            continue
        # predictions that are still to come are in no bound
        if window["tick_ms"] >= window["end_ms"] + 10_000:
            assert bounds["lowest"] - 1e-9 <= end <= bounds["highest"] + 1e-9
        if window["tick_ms"] < HALF[0][0]["at"] + 600_000 or window["labelled"] < 20:
            continue
        late += 1
        naive.append(window["metrics"]["accuracy"]["value"] - end)
        completed.append(outlook["completed"]["metrics"]["accuracy"]["value"] - end)
        off.append(outlook["expected_coverage"] - window["coverage"])
    assert late > 50
    assert sum(naive) / late > 0.03, "right labels come first"
    assert abs(sum(completed)) < sum(naive) / 2
    assert abs(sum(off) / late) < 0.05


def test_the_same_is_told_however_it_is_cut(ended: FragileWorld) -> None:
    log = topics(split(HALF[0]), split(HALF[1]), FragileWorld())
    pace(log, 17)
    worker(log, config("calm", rows=23)).run()
    assert revisions(log, "calm") == revisions(ended, "calm")
    assert finals(log, "calm") == finals(ended, "calm")


def test_what_was_learned_of_labels_is_in_checkpoints() -> None:
    log = world()
    pace(log, 40)
    own = config("saved", rows=60, state=", checkpoint_records: 6")
    rng = random.Random(3)
    deployments.run_through(log, [(rng.randint(60, 260), Fault.CRASH_BEFORE) for _ in range(4)], own)
    deployments.assert_the_same(log)
    assert {found.manifest.format for found in deployments.whole(log)} == {EDITION_FORMAT}


def test_a_replay_makes_the_estimates_again(ended: FragileWorld) -> None:
    assert sentences(prove(ended, config("calm")).differences) == []


def test_estimates_of_what_has_none_are_refused() -> None:
    text = test_budget.CONFIG.replace("budget: {budget}", "estimates: true").format(namespace="one", rows=9)
    regression = text.replace("{name: m}", "{name: m, task: regression}").replace(", prediction: $.prediction", "")
    assert any(
        "the task is 'regression'; estimates are made of binary models only" in told for told in problems(regression)
    )
    start, stop = text.index("  labels:"), text.index("time:")
    assert any("there is no streams.labels, so nothing waits" in told for told in problems(text[:start] + text[stop:]))
