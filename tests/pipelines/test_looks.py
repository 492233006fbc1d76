"""Looks at what is watched: a version on probation and one in the shadow are not left alone when a look goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines.errors import ConfigError, NotFound, StepFailed
from pipelines.gate import GateSpec, Outcome, Paired
from pipelines.journal import Reason
from pipelines.orchestrator import Orchestrator
from pipelines.policy import DAY_MS, HOUR_MS, Data, Policy, Probation, Train, Trigger
from pipelines.ports import Alive, Artifact, Dataset, Move, Moving, Serving
from pipelines.probation import probation_spec, watch
from pipelines.states import State
from pipelines.trigger import Asked, Why
from tests.pipelines.inprocess import Loop
from tests.pipelines.memory import BORN_MS, alert, fakes, policy
from tests.pipelines.test_shadow import SHADOWED, begun, stream
from tests.pipelines.test_worker import AUTO, Story

GONE = NotFound("rows of fraud", "are not there", "Restore them.")
CUT = StepFailed("line 7 of rows.jsonl", "is not JSON", "Write one object a line.")
AWAY = StepFailed("the topics", "cannot be read", "It is tried again.", again=True)
ODD = ConfigError("the feature 'x'", "is none of the configuration's", "There are: y.")
SLOW = StepFailed("the step", "took too long", "Look.", timed_out=True)


def paired(better: float, rows: int) -> Paired:
    """Losses of which the challenger's is lower by so much."""
    base = np.tile([0.3, 0.5], rows // 2)
    return Paired(base, np.clip(base - better, 0, 1))


def promoted() -> Story:
    story = Story(fakes())
    story.fire()
    assert story.round()[-1][0] is State.PROBATION
    return story


def failing(fault: Exception) -> Callable[..., Any]:
    def look(*_: object) -> None:
        raise fault

    return look


@pytest.mark.parametrize("fault", [GONE, CUT, AWAY, ODD, SLOW])
@pytest.mark.parametrize("port", ["watched", "losses"])
def test_a_promoted_version_is_watched_on_however_often_a_look_fails(
    port: str, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = promoted()
    story.ports.live = -0.2
    with monkeypatch.context() as patch:
        patch.setattr(story.ports, port, failing(fault))
        for _ in range(2 * AUTO.tries_max):
            assert story.later(HOUR_MS) == []
            assert str(fault) in story.journal.view.tried
    assert story.champion == 2
    assert story.later(HOUR_MS) == [(State.ROLLED_BACK, Reason.WORSE)], "within an hour of when it can be seen again"
    assert story.champion == 1


def test_a_process_that_could_not_look_looks_again_before_the_next_look_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    story = promoted()
    story.ports.live = -0.2
    orchestrator = Orchestrator(story.ports, [AUTO], "w1")
    story.ports.clock.ms += HOUR_MS
    with monkeypatch.context() as patch:
        patch.setattr(story.ports, "watched", failing(AWAY))
        assert orchestrator.round().happened == ()
    story.ports.clock.ms += 30_001
    assert [moved.after for moved in orchestrator.round().happened] == [State.ROLLED_BACK]


def test_a_probation_that_could_not_be_looked_at_for_all_its_time_ends_undecided_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = promoted()
    monkeypatch.setattr(story.ports, "watched", failing(GONE))
    assert story.later(15 * DAY_MS) == [], "its last look is tried as often as any step"
    assert story.later(HOUR_MS) == []
    assert story.later(HOUR_MS) == [(State.TIMED_OUT, Reason.UNDECIDED)]
    assert story.journal.view.detail == f"it could not be looked at: {GONE}"


def test_what_is_worse_and_cannot_go_back_is_no_undecided_end(monkeypatch: pytest.MonkeyPatch) -> None:
    story = promoted()
    story.ports.live = -0.2
    monkeypatch.setattr(
        "pipelines.local_models.LocalModels.rollback", failing(NotFound("version 1", "is gone", "Look."))
    )
    for _ in range(3):
        assert story.later(HOUR_MS) == []
    story.later(15 * DAY_MS)
    assert story.journal.view.state is State.FAILED
    assert story.journal.view.detail.startswith("it is worse and could not be rolled back: version 1 is gone")


def test_what_is_worse_under_a_frozen_alias_goes_back_when_it_is_unfrozen(monkeypatch: pytest.MonkeyPatch) -> None:
    story = promoted()
    story.ports.live = -0.2
    with monkeypatch.context() as patch:
        patch.setattr(
            "pipelines.local_models.LocalModels.rollback", lambda *_: Moving(Move.FROZEN, "champion is frozen")
        )
        for _ in range(8):
            assert story.later(HOUR_MS) == []
        assert "version 2 is worse and cannot go back: champion is frozen" in story.journal.view.tried
    story.ports.live = 0.1  # it was worse: what comes later is not asked any more
    assert story.later(HOUR_MS) == [(State.ROLLED_BACK, Reason.WORSE)]
    assert story.champion == 1


def test_a_rollback_that_a_rule_refuses_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    story = promoted()
    story.ports.live = -0.2
    monkeypatch.setattr(
        "pipelines.local_models.LocalModels.rollback", lambda *_: Moving(Move.REFUSED, "the registry says retired")
    )
    assert story.later(HOUR_MS) == [(State.FAILED, Reason.MOVE_REFUSED)]
    assert story.journal.view.detail == "it is worse and could not be rolled back: the registry says retired"


@pytest.mark.parametrize("fault", [GONE, CUT, AWAY])
def test_a_shadow_whose_rows_cannot_be_read_for_a_while_goes_on(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = begun()
    with monkeypatch.context() as patch:
        patch.setattr(story.ports, "compared", failing(fault))
        for _ in range(2 * SHADOWED.tries_max):
            assert story.later(HOUR_MS) == []
            assert str(fault) in story.journal.view.tried
    assert story.later(2 * DAY_MS)[-1] == (State.PROBATION, Reason.PROMOTED)


def test_a_shadow_that_could_not_be_looked_at_ends_and_the_champion_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    story = begun()
    monkeypatch.setattr(story.ports, "compared", failing(AWAY))
    for _ in range(2):
        assert story.later(40 * DAY_MS) == []
    assert story.later(HOUR_MS) == [(State.REJECTED, Reason.SHADOW_UNDECIDED)]
    assert "it could not be looked at: the topics cannot be read" in story.journal.view.detail
    assert story.champion == 1


def test_a_challenger_that_cannot_be_scored_in_the_shadow_is_no_matter_of_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = begun()
    monkeypatch.setattr(story.ports, "losses", failing(CUT))
    assert story.later(DAY_MS) == [(State.FAILED, Reason.STEP_FAILED)]


# ------------------------------------------------------------------------------------------- looks that are to stop


def asking(what: Callable[[], None]) -> Callable[..., Any]:
    """A look in which somebody does something, and which then asks whether it is to go on."""

    def losses(_: Policy, dataset: Dataset, challenger: Artifact, champion: Serving, alive: Alive, *more: Any) -> None:
        what()
        alive()
        pytest.fail("it went on")

    return losses


@pytest.mark.parametrize("turn", ["stop", "cancel"])
def test_a_look_at_the_shadow_ends_when_somebody_stops_it(turn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    story = begun()
    run = story.book.active()[0].run

    def what() -> None:
        if turn == "stop":
            story.switch("stop")
        else:
            story.book.cancel(run, "ada", "no more", story.ports.clock.ms)

    orchestrator = Orchestrator(story.ports, [story.policy], "w1")
    story.ports.clock.ms += 2 * DAY_MS
    with monkeypatch.context() as patch:
        patch.setattr(story.ports, "losses", asking(what))
        assert orchestrator.round().happened == ()
    after = [moved.after for moved in orchestrator.round().happened]
    if turn == "stop":
        assert after == []
        story.switch("start")
        assert orchestrator.round().happened[0].after is State.PROMOTING, "and looks at once"
    else:
        assert after == [State.CANCELLED]


def test_a_look_at_a_probation_goes_on_while_all_is_stopped() -> None:
    story = promoted()
    story.switch("stop", None)
    story.ports.live = -0.2
    assert story.later(HOUR_MS) == [(State.ROLLED_BACK, Reason.WORSE)]


def test_a_mistake_in_the_rows_of_one_model_is_no_matter_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that shows only when a run would begin."""
    story = promoted()
    story.ports.live = -0.2
    other = msgspec.structs.replace(AUTO, model="churn")
    story.ports.fires = [alert(model="churn", fired_ms=BORN_MS)]
    monkeypatch.setattr(story.ports, "mature", failing(ODD))
    story.ports.clock.ms += HOUR_MS
    orchestrator = Orchestrator(story.ports, [other, AUTO], "w1")
    done = orchestrator.round()
    assert (done.plans[0].why, done.plans[0].detail) == (Why.UNREADABLE, str(ODD))
    assert [moved.after for moved in done.happened] == [State.ROLLED_BACK]
    with pytest.raises(ConfigError):
        orchestrator.admit(other, Asked("k", "ada", "new feature"))


# ---------------------------------------------------------------------------------------- what is asked on probation


@pytest.mark.parametrize("margin", [0.0, 0.02])
def test_what_a_change_is_worth_is_no_reason_to_go_back(margin: float) -> None:
    """Better by less than it is worth: nobody would have promoted it, but it serves, and it is not worse."""
    asked = policy(gate=GateSpec(worth=0.05), probation=Probation(margin=margin))
    assert probation_spec(asked).worth is msgspec.UNSET
    reason, report = watch(asked, paired(0.01, 5_000), BORN_MS, BORN_MS + 2 * DAY_MS)
    assert report is not None
    assert (reason, report.outcome) == (Reason.NOT_WORSE, Outcome.PASS)
    reason, _ = watch(asked, paired(-0.1, 5_000), BORN_MS, BORN_MS + HOUR_MS)
    assert reason is Reason.WORSE


def test_without_a_margin_only_what_is_better_settles() -> None:
    asked = policy(probation=Probation(margin=0.0))
    assert watch(asked, paired(0.0, 5_000), BORN_MS, BORN_MS + 2 * DAY_MS)[0] is None
    assert watch(asked, paired(0.0, 5_000), BORN_MS, BORN_MS + 20 * DAY_MS)[0] is Reason.UNDECIDED
    assert watch(policy(), paired(0.0, 20_000), BORN_MS, BORN_MS + 2 * DAY_MS)[0] is Reason.NOT_WORSE


def test_the_whole_of_a_probation_is_looked_at_however_short_the_window_to_train_on(tmp_path: Path) -> None:
    """Two bad days, then good ones: a look that forgets the bad days with the window finds nothing wrong."""
    luck, asked = np.random.default_rng(3), policy(
        data=Data("label", ("x",), window_ms=2 * DAY_MS),
        train=Train(params={"format": "json"}),
        gate=GateSpec(explain_rows=0),
        trigger=Trigger(cooldown_ms=0, versions="any"),
        promote=AUTO.promote,
        probation=Probation(least_ms=30 * DAY_MS, most_ms=40 * DAY_MS, rows_min=50),
    )  # fmt: skip
    loop = Loop(tmp_path, asked)
    loop.write(stream(luck, 3_000, BORN_MS - DAY_MS, BORN_MS, 1))
    loop.first()
    turned_ms = loop.clock.ms = loop.clock.ms + 40 * DAY_MS
    loop.write(stream(luck, 3_000, turned_ms - DAY_MS, turned_ms, -1))
    loop.fire()
    assert loop.round() is State.PROBATION
    rows = stream(luck, 1_200, turned_ms + 1, turned_ms + 2 * DAY_MS, 1)
    loop.write([*rows, *stream(luck, 300, turned_ms + 3 * DAY_MS, turned_ms + 6 * DAY_MS, -1)])
    loop.clock.ms = turned_ms + 7 * DAY_MS
    assert loop.round() is State.ROLLED_BACK
