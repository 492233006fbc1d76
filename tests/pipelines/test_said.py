"""What somebody is told before a run is spent, of what ends a stop, and of how long a look lasts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipelines.anchor import Anchor
from pipelines.cli.showing import _described
from pipelines.errors import NotFound, StepFailed
from pipelines.gate import GateSpec, Outcome, Paired, Reason, judge
from pipelines.losses import Loss, LossSpec
from pipelines.policy import DAY_MS, Trigger, senseless
from pipelines.rows import need_past
from pipelines.runner import Job
from pipelines.states import State
from pipelines.switch import Switch, Turn
from pipelines.tables import Row, write_rows
from pipelines.trainer import train
from pipelines.trigger import Why
from tests.pipelines.inprocess import Loop
from tests.pipelines.memory import BORN_MS, fakes, policy
from tests.pipelines.test_worker import AUTO, Story


def test_segments_that_are_too_small_are_said_to_be_what_keeps_it_open() -> None:
    luck = np.random.default_rng(3)
    names = np.array(["A"] * 700 + ["C"] * 166)
    losses = [(luck.random(866) < rate).astype(np.float64) for rate in (0.5, 0.1)]
    pair = Paired(losses[0], losses[1], {"seg": names})
    report = judge(pair, GateSpec(LossSpec(Loss.ZERO_ONE), segments=("seg",)))
    assert (report.outcome, report.reasons) == (Outcome.INCONCLUSIVE, (Reason.BETTER, Reason.UNTESTED))
    assert report.detail.startswith(
        "too little of it could be tested: untested with fewer than 200 rows: seg=C (166), over 10% of all; on 866 rows"
    )


def test_an_anchor_set_that_is_not_there_keeps_a_run_from_beginning_and_uses_up_no_incident(tmp_path: Path) -> None:
    rows = write_rows([{"at_ms": BORN_MS + i, "x": i % 7, "label": i % 2} for i in range(50)])
    digest = f"sha256:{hashlib.sha256(rows).hexdigest()}"
    gate = GateSpec(anchor=Anchor(digest))
    asked = policy(gate=gate, trigger=Trigger(labels_min=10))
    loop = Loop(tmp_path, asked, {"fraud": tmp_path / "anchor.jsonl"})
    loop.write([{"at_ms": BORN_MS - 9_000 + i, "x": i % 7, "label": (i // 7) % 2} for i in range(2_000)])
    loop.fire()
    assert loop.round() is None
    (tmp_path / "anchor.jsonl").write_bytes(b"{}\n")
    assert loop.round() is None, "not those that the policy names"
    (tmp_path / "anchor.jsonl").write_bytes(rows)
    assert loop.round() not in (None, State.FAILED), "the same incident"


def test_a_run_that_waits_after_a_look_is_held_by_nobody() -> None:
    story = Story(fakes(), AUTO)
    story.fire()
    story.ports.live, story.ports.sighted = None, True
    story.round()
    story.later(DAY_MS)
    (run,) = [each.run for each in story.book.active()]
    view = story.book.journal(run).view
    assert (view.state, "seen_ms" in view.facts) == (State.PROBATION, True)
    assert view.lease is None or view.lease.until_ms <= story.ports.clock.ms


def test_until_when_a_probation_is_looked_at_is_shown() -> None:
    story = Story(fakes(), AUTO)
    story.fire()
    story.ports.live, story.ports.sighted = None, False
    story.round()
    (admission,) = story.book.active()
    said = _described(story.book, admission, story.ports.clock.ms)["watched"]
    assert said.startswith("looked at every 60 min")
    assert "with 200 labelled rows" in said
    assert said.endswith("no look has found a prediction that names it")
    ended = story.book.admissions("fraud")[0]
    assert _described(story.book, ended, story.ports.clock.ms)["watched"] is None


def test_what_ends_a_stop_is_said_with_it() -> None:
    story = Story(fakes(), AUTO)
    story.switch("stop")
    story.fire()
    plan = story.plan()
    assert (plan.why, plan.detail) == (
        Why.STOPPED,
        "ada stopped fraud: to look; `driftline retrain start` lets it go on",
    )
    Switch(story.ports.store).turn(Turn.START, "fraud", "ada", "seen", 1)
    assert story.plan().why is not Why.STOPPED


@pytest.mark.parametrize(("threshold", "wrong"), [(7.0, True), (0.0, True), (-1.0, True), (0.5, False), (1.0, False)])
def test_a_threshold_that_no_score_can_pass_cannot_be_meant(threshold: float, wrong: bool) -> None:
    gate = GateSpec(LossSpec(Loss.ZERO_ONE, threshold=threshold))
    assert [each.at for each in senseless(policy(gate=gate))] == ["gate.loss.threshold"] * wrong
    other = msgspec.structs.replace(gate, loss=LossSpec(Loss.SQUARED, bound=100.0, threshold=threshold))
    assert [each.at for each in senseless(policy(gate=other))] == []


def test_rows_in_the_future_are_told_and_not_left_out() -> None:
    rows = [{"at_ms": BORN_MS}, {"at_ms": BORN_MS + DAY_MS}, {"at_ms": BORN_MS * 1_000}, {"at_ms": BORN_MS * 1_000}]
    need_past(rows[:2], policy(), "'here'", BORN_MS)
    with pytest.raises(NotFound, match=r"more than a day ahead in 2 rows, first in row 3. Write times in ms"):
        need_past(rows, policy(), "'here'", BORN_MS)


def _job(tmp_path: Path, rows: list[Row]) -> Job:
    return Job("train", ("x",), "label", {}, 1, rows, tmp_path / "model")


def test_a_feature_of_texts_and_numbers_and_a_third_label_are_said_as_what_they_are(tmp_path: Path) -> None:
    mixed: list[Row] = [{"x": i if i % 3 else f"v{i}", "label": i % 2} for i in range(3_000)]
    with pytest.raises(StepFailed, match="is text in 1,000 rows, first in row 1 to train on, and a number in 2,000"):
        train(_job(tmp_path, mixed))
    with pytest.raises(StepFailed, match="is not both 0 and 1 in the rows, and nothing else: it is 0, 1, 2"):
        train(_job(tmp_path, [{"x": i, "label": i % 3} for i in range(30)]))
