"""A challenger beside the champion before anybody is asked, the champion beside its successor after, and the brakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines import codec
from pipelines.errors import StepFailed
from pipelines.gate import GateReport, GateSpec, Paired
from pipelines.journal import Moved, Reason
from pipelines.local_models import LocalModels
from pipelines.losses import Loss, LossSpec
from pipelines.policy import (
    DAY_MS,
    HOUR_MS,
    Data,
    Policy,
    Probation,
    Promotion,
    ScoredBy,
    Shadow,
    Train,
    Trigger,
)
from pipelines.ports import Known
from pipelines.rows import comparable
from pipelines.shadow import shadow_watch
from pipelines.states import State
from pipelines.tables import Row
from tests.pipelines.inprocess import Loop
from tests.pipelines.memory import BORN_MS, fakes, policy
from tests.pipelines.test_worker import AUTO, Story

SHADOW = Shadow(least_ms=2 * DAY_MS, most_ms=10 * DAY_MS)
SHADOWED = msgspec.structs.replace(AUTO, shadow=SHADOW)


def begun(**changes: Any) -> Story:
    """A story whose second version is in the shadow of the first."""
    story = Story(fakes(**changes), SHADOWED)
    story.fire()
    assert story.round()[-1] == (State.SHADOWING, Reason.SHADOW)
    return story


def test_a_challenger_goes_on_after_the_least_time_when_the_labels_say_so() -> None:
    story = begun()
    assert story.later(DAY_MS) == []
    assert story.champion == 1
    assert story.later(DAY_MS) == [(State.PROMOTING, Reason.SHADOW_PASSED), (State.PROBATION, Reason.PROMOTED)]
    assert story.champion == 2
    report = b"".join(story.ports.store.blob(story.facts["shadow"]["report"]))
    assert codec.decode(GateReport, report, "the report", 2).alpha == story.book.admissions("fraud")[-1].alpha
    assert story.ports.compared_with == (("1", "v1", "fraud@1"), ("2", "v2", "fraud@2"))


def test_after_the_shadow_a_person_is_asked_where_the_policy_says_so() -> None:
    story = begun()
    story.policy = msgspec.structs.replace(SHADOWED, promote=Promotion.APPROVE)  # of the next run, not of this one
    story.later(2 * DAY_MS)
    assert story.champion == 2
    asking = Story(fakes(), msgspec.structs.replace(SHADOWED, promote=Promotion.APPROVE))
    asking.fire()
    asking.round()
    assert asking.later(2 * DAY_MS) == [(State.AWAITING_APPROVAL, Reason.SHADOW_PASSED)]


@pytest.mark.parametrize(
    ("shade", "after_ms", "end"),
    [
        (-0.2, HOUR_MS, (State.REJECTED, Reason.SHADOW_FAILED)),  # at once
        (None, 10 * DAY_MS, (State.REJECTED, Reason.SHADOW_UNDECIDED)),
        (0.0, 10 * DAY_MS, (State.REJECTED, Reason.SHADOW_UNDECIDED)),
    ],
)
def test_a_challenger_that_cannot_show_it_never_serves(shade: float | None, after_ms: int, end: object) -> None:
    story = begun(shade=shade)
    assert story.later(after_ms - 1) == [] if after_ms > HOUR_MS else True
    assert story.later(after_ms) == [end]
    assert story.champion == 1


def test_a_shadow_ends_when_the_champion_is_another_one() -> None:
    story = begun()
    story.ports.models.promote(AUTO, "by hand", 2, 1, {}, "ada", BORN_MS)
    assert story.later(HOUR_MS) == [(State.SUPERSEDED, Reason.CHAMPION_MOVED)]


def test_a_shadow_is_looked_at_no_more_often_than_the_policy_says_and_does_not_fill_its_journal() -> None:
    story = begun(shade=None)
    length = len(story.journal.bodies)
    for _ in range(40):
        story.later(HOUR_MS)
    assert len(story.journal.bodies) == length


def test_the_first_version_has_nobody_to_stand_beside() -> None:
    story = Story(fakes(), SHADOWED, champion=False)
    story.fire()
    assert story.round()[-1] == (State.AWAITING_APPROVAL, Reason.APPROVAL_NEEDED)


def test_a_record_that_older_code_cannot_read_says_so_by_its_format() -> None:
    story = begun()
    run = story.book.admissions("fraud")[-1].run
    formats = {r.to: r.format for r, _ in story.book.history(run) if isinstance(r, Moved)}
    assert (formats[State.REGISTERED], formats[State.SHADOWING]) == (1, 2)


def pair(luck: np.random.Generator, rows: int, old: float, new: float) -> Paired:
    wrong = luck.random((2, rows)) < np.array([[old], [new]])
    return Paired(*wrong.astype(np.float64))


def test_a_hopeless_shadow_ends_early_and_a_promising_one_does_not() -> None:
    luck = np.random.default_rng(4)
    asked = policy(gate=GateSpec(LossSpec(Loss.ZERO_ONE), margin=0.05), shadow=SHADOW)
    for new, reason in ((0.17, Reason.SHADOW_FAILED), (0.12, None)):
        given = pair(luck, 4_000, 0.2, new)
        found, _, said = shadow_watch(asked, SHADOW, given, 0.03, 0, 6 * DAY_MS)
        assert found is reason, said
        assert ("cannot be shown any more in time" in said) is (reason is not None)


# ----------------------------------------------------------------------------------------------- rows that both scored


def both(**more: Any) -> Policy:
    data = {"label": "y", "features": ["x"], "score": "score", "id": "id"}
    given = {"model": "fraud", "data": data, "shadow": {"scored_by": "serving"}, **more}
    return msgspec.convert(given, Policy)


def row(key: str, version: str, at_ms: int, score: float, **more: Any) -> Row:
    return {"id": key, "version": version, "at_ms": at_ms, "score": score, "x": 1, "y": 1, **more}


def test_predictions_of_two_versions_are_paired_by_id_in_the_order_of_their_labels() -> None:
    rows = [
        row("old", "1", 5, 0.1), row("old", "2", 5, 0.9),  # before it began
        row("late", "1", 11, 0.2, known_ms=99), row("late", "2", 11, 0.8),
        row("soon", "2", 12, 0.7), row("soon", "1", 12, 0.3, known_ms=20), row("soon", "1", 13, 0.5, known_ms=20),
        row("alone", "1", 14, 0.4), row("other", "2", 14, 0.6), row("third", "3", 14, 0.6),
    ]  # fmt: skip
    found = comparable(rows, {"1"}, {"2"}, 10, both())
    assert [(r["id"], r["score.served"], r["score.other"]) for r in found] == [("soon", 0.3, 0.7), ("late", 0.2, 0.8)]


def test_where_driftline_scores_the_rows_are_those_that_the_champion_predicted() -> None:
    rows = [row("a", "1", 5, 0.1), row("b", "1", 11, 0.1), row("c", "2", 12, 0.1), {"at_ms": 13, "x": 1, "y": 0}]
    asked = both(shadow={"scored_by": "driftline"})
    assert [r["at_ms"] for r in comparable(rows, {"1"}, {"2"}, 10, asked)] == [11, 13]


def test_serving_is_told_by_an_alias_whom_to_score_beside_the_champion() -> None:
    serving = Shadow(ScoredBy.SERVING, least_ms=DAY_MS, most_ms=5 * DAY_MS)
    story = Story(fakes(), policy(
        promote=Promotion.AUTO, shadow=serving, data=Data("label", ("x",), score="s", id="id"),
        trigger=Trigger(cooldown_ms=0, versions="any"),
    ))  # fmt: skip
    story.fire()
    story.round()
    assert story.journal.view.detail == "challenger points at version 2"
    pointing = msgspec.structs.replace(story.policy, alias="challenger", shadow=msgspec.UNSET)
    at = story.ports.models.serving(pointing)
    assert at is not None
    assert at.version == 2
    assert story.later(DAY_MS)[-1] == (State.PROBATION, Reason.PROMOTED)
    # After the promotion the old champion is the one beside: its predictions are compared with those of its successor.
    story.ports.shade = -0.2
    assert story.later(HOUR_MS) == [(State.ROLLED_BACK, Reason.WORSE)]
    assert story.ports.compared_with == (("2", "v2", "fraud@2"), ("1", "v1", "fraud@1"))
    assert story.champion == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"shadow": {"least_ms": 2, "most_ms": 1}}, "least must not be above most"),
        ({"shadow": {"most_ms": 91 * DAY_MS}}, "shadow.most must not be above data.window"),
        ({"data": {"label": "y", "features": ["x"]}}, "needs data.id and data.score"),
        ({"shadow": {"alias": "champion"}}, "another name than 'champion'"),
        ({"brakes": {"window_ms": 0}}, "window must be above 0"),
        ({"brakes": {"tenure_ms": -1}}, "must not be below 0"),
    ],
)
def test_a_shadow_that_cannot_be_meant_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=sentence):
        both(**wrong)


# --------------------------------------------------------------------------------------- good for a fifth, bad after it


def stream(luck: np.random.Generator, count: int, from_ms: int, until_ms: int, sign: int) -> list[Row]:
    x = luck.normal(size=count)
    label = luck.random(count) < 1 / (1 + np.exp(-3 * sign * x))
    at_ms = np.sort(luck.integers(from_ms, until_ms, count))
    return [{"at_ms": int(a), "x": float(b), "label": int(c)} for a, b, c in zip(at_ms, x, label, strict=True)]


def test_good_for_a_fifth_of_the_stream_and_bad_after_it_is_promoted_and_rolled_back_by_the_reverse_shadow(
    tmp_path: Path,
) -> None:
    luck, asked = np.random.default_rng(8), policy(
        data=Data("label", ("x",), window_ms=30 * DAY_MS),
        train=Train(params={"format": "json"}),
        gate=GateSpec(explain_rows=0),
        trigger=Trigger(cooldown_ms=0, versions="any"),
        promote=Promotion.AUTO,
        shadow=Shadow(least_ms=DAY_MS, most_ms=8 * DAY_MS),
        probation=Probation(least_ms=5 * DAY_MS, most_ms=20 * DAY_MS),
    )  # fmt: skip
    loop = Loop(tmp_path, asked)
    loop.write(stream(luck, 3_000, BORN_MS - 20 * DAY_MS, BORN_MS, 1))
    loop.first()
    # The world turns round; a challenger learns it, and is right for the first fifth of what comes.
    turned_ms = loop.clock.ms = loop.clock.ms + 40 * DAY_MS
    rows = stream(luck, 4_000, turned_ms - 5 * DAY_MS, turned_ms, -1)
    loop.write(rows)
    loop.fire()
    assert loop.round() is State.SHADOWING
    rows += stream(luck, 800, turned_ms, turned_ms + 2 * DAY_MS, -1)
    rows += stream(luck, 3_200, turned_ms + 2 * DAY_MS, turned_ms + 10 * DAY_MS, 1)  # and back
    seen: list[tuple[State | None, int | None]] = []
    for hour in range(4, 10 * 24, 4):
        loop.clock.ms = turned_ms + hour * HOUR_MS
        loop.write([each for each in rows if each["at_ms"] < loop.clock.ms])
        at = (loop.round(), loop.champion)
        if not seen or seen[-1] != at:
            seen.append(at)
    assert seen == [(State.SHADOWING, 1), (State.PROBATION, 2), (State.ROLLED_BACK, 1)]
    moves = [(move.version, move.back) for move in LocalModels(loop.store).moves("fraud")]
    assert moves == [(1, False), (2, False), (1, True)]


# ------------------------------------------------------------------------------------------- scores that rows hold


@pytest.mark.parametrize("again", [True, False])
def test_a_version_that_cannot_be_scored_again_leaves_a_probation_open_and_says_so(
    again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The column of scores is what the new version served: it says nothing of the one before."""
    data, trigger = Data("label", ("x",), score="score"), Trigger(cooldown_ms=0, versions="any")
    asked = policy(promote=Promotion.AUTO, data=data, trigger=trigger)
    story = Story(fakes(), asked)
    story.fire()
    story.round()
    known: list[Known | None] = []

    def losses(*given: Any) -> Paired:
        known.append(given[-1])
        raise StepFailed("the step", "ended with code 1", "Look.", again=again)

    monkeypatch.setattr(story.ports, "losses", losses)
    story.later(20 * DAY_MS)
    assert known[0] == Known(challenger="score")
    if again:
        assert story.journal.view.state is State.PROBATION
    else:
        assert story.journal.view.reason is Reason.UNDECIDED
        assert "version 1 cannot be scored again: the step ended with code 1" in story.journal.view.detail
