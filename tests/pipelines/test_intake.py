"""Which labels are taken: caps of sources, and labels that contradict a champion that is nearly certain."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines.intake import Intake, Surprise, capped, surprising
from pipelines.journal import Reason
from pipelines.losses import Loss, LossSpec
from pipelines.policy import Data, Policy
from pipelines.ports import Scored, Serving
from pipelines.rows import predicted_by, split
from pipelines.states import State
from tests.pipelines.memory import fakes, policy
from tests.pipelines.test_worker import AUTO, Story

ROWS = 5_000
LUCK = np.random.default_rng(11)
SCORES = np.where(LUCK.random(ROWS) < 0.5, 0.97, 0.03)
TRUTH = (LUCK.random(ROWS) < SCORES).astype(np.float64)
SOURCE = np.where(LUCK.random(ROWS) < 0.06, "shop-9", np.where(LUCK.random(ROWS) < 0.5, "bank", "desk"))


def flipped(inside: np.ndarray) -> np.ndarray:
    return np.where(inside, 1 - TRUTH, TRUTH)


def test_honest_labels_surprise_nobody() -> None:
    assert list(surprising(TRUTH, SCORES, {"source": SOURCE}, Surprise(ratio_max=0.05))) == []


def test_a_source_that_contradicts_a_sure_champion_is_named_alone() -> None:
    (sentence,) = surprising(flipped(SOURCE == "shop-9"), SCORES, {"source": SOURCE}, Surprise())
    assert sentence.startswith("source=shop-9: ")
    assert "of the others do; at most 10.0% more are allowed" in sentence


def test_a_world_that_changed_everywhere_is_no_poison_unless_a_share_is_said() -> None:
    changed = flipped(LUCK.random(ROWS) < 0.4)
    assert list(surprising(changed, SCORES, {"source": SOURCE}, Surprise())) == []
    said = list(surprising(changed, SCORES, {"source": SOURCE}, Surprise(ratio_max=0.2)))
    assert said[0].startswith("all rows: ")


def test_a_few_odd_labels_of_a_small_group_are_luck() -> None:
    few = np.zeros(ROWS, dtype=bool)
    few[:3] = True
    group = np.where(few, "new", "old")
    assert list(surprising(flipped(few), SCORES, {"source": group}, Surprise())) == []


def test_honest_groups_are_turned_away_by_luck_at_most_once_in_a_thousand_times() -> None:
    luck, said = np.random.default_rng(2), 0
    for _ in range(1000):
        scores = np.full(400, 0.95)
        labels = (luck.random(400) < 0.8).astype(np.float64)  # a fifth contradicts: the champion is too sure of itself
        groups = {"source": luck.integers(0, 8, 400).astype(str)}
        said += bool(list(surprising(labels, scores, groups, Surprise(gap_max=0.0, ratio_max=0.2))))
    assert said <= 4


def test_a_source_with_more_than_its_share_is_named() -> None:
    groups = {"source": np.array(["a"] * 60 + ["b"] * 30 + ["(none)"] * 10)}
    said = list(capped(groups, Intake("source", 0.5)))
    assert said == ["source=a gave 60 of 100 labels (60.0%), at most 50.0% are allowed"]
    assert list(capped(groups, Intake("source", 0.6))) == []
    assert list(capped({}, Intake())) == []


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (Intake("source", 0.4), Reason.DATA_QUALITY),
        (Intake("source", 0.6), Reason.PROMOTED),
        (Intake(surprise=Surprise(ratio_max=0.1)), Reason.DATA_QUALITY),
        (Intake(surprise=Surprise(ratio_max=0.5)), Reason.PROMOTED),
    ],
)
def test_a_run_is_turned_away_for_its_labels_before_anything_is_trained(
    more: Intake, reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story(fakes())
    trained = story.ports.trained
    story.policy = msgspec.structs.replace(AUTO, intake=more)
    labels = np.tile([0.0, 1.0, 1.0], 100)  # the champion says 0 for each third of them

    def scored(policy: Policy, rows: str, model: Serving | None, alive: Any, known: str | None = None) -> Scored:
        assert (model is None) is (policy.intake.surprise is msgspec.UNSET)  # type: ignore[union-attr]
        scores = None if model is None else np.tile([0.05, 0.95, 0.05], 100)
        return Scored(labels, scores, {"source": np.tile(["a", "b"], 150)})

    monkeypatch.setattr(story.ports, "scored", scored)
    story.fire()
    assert story.round()[-1][1] is reason
    assert story.ports.trained == trained + (reason is Reason.PROMOTED)


def test_what_could_not_be_asked_of_the_first_version_is_in_its_report() -> None:
    asking = policy(intake=Intake(surprise=Surprise()))
    story = Story(fakes(), asking, champion=False)
    story.fire()
    assert story.round()[-1][0] is State.AWAITING_APPROVAL
    report = b"".join(story.ports.store.blob(story.facts["gate"]["report"]))
    said = {each["what"]: each["why"] for each in msgspec.json.decode(report)["not_tested"]}
    assert (said["label surprise"], said["label sources"]) == ("not_here", "not_asked")


# ------------------------------------------------------------------------------------------------- who decides labels


def test_censored_labels_forbid_automatic_promotion_and_stand_in_the_report() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"labels: censored forbids promote: auto"):
        convert(labels="censored", promote="auto")
    story = Story(fakes(), convert(labels="censored"), champion=False)
    story.fire()
    story.round()
    page = b"".join(story.ports.store.blob(story.facts["gate"]["page"])).decode()
    assert "rows without a label: the champion decided which labels there are" in page


def test_reviewed_labels_need_a_column_and_only_those_rows_judge() -> None:
    for wrong in ({"labels": "reviewed"}, {"data": {"label": "y", "features": ["x"], "reviewed": "lot"}}):
        with pytest.raises(msgspec.ValidationError, match="need each other"):
            convert(**wrong)
    chosen = convert(labels="reviewed", promote="auto", data={"label": "y", "features": ["x"], "reviewed": "lot"})
    rows = [{"at_ms": n, "y": 1, "x": 1, "lot": n % 3 == 0} for n in range(30)]
    train, test = split(rows, chosen)
    assert len(train) == 21, "all are trained on"
    assert [row["at_ms"] for row in test] == [21, 24, 27]
    assert [row["at_ms"] for row in predicted_by(rows, (), 20, chosen)] == [21, 24, 27]


def convert(**given: Any) -> Policy:
    return msgspec.convert({"model": "fraud", "data": {"label": "y", "features": ["x"]}, **given}, Policy)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"source_ratio_max": 0.3}, "needs source"),
        ({"source": "s", "source_ratio_max": 0.0}, "above 0"),
        ({"surprise": {"confident": 0.5}}, "confident"),
        ({"surprise": {"gap_max": 2.0}}, "between 0 and 1"),
    ],
)
def test_an_intake_that_cannot_be_meant_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.convert(wrong, Intake)


def test_surprise_is_for_labels_of_0_or_1() -> None:
    gate = policy().gate
    with pytest.raises(ValueError, match="surprise is for a label of 0 or 1"):
        policy(
            gate=msgspec.structs.replace(gate, loss=LossSpec(Loss.ABSOLUTE, 9.0)), intake=Intake(surprise=Surprise())
        )


def test_policies_that_ask_for_nothing_new_keep_their_digest() -> None:
    assert policy(data=Data("label", ("x",))).digest == policy().digest
    assert policy(intake=Intake()).digest != policy().digest
