"""What must hold beside the average loss, what of it is listed as not tested, and how the page says both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines import codec
from pipelines.anchor import Anchor
from pipelines.explanation import Differing, Explanation, Importance, dealt, differing, importances, sample
from pipelines.gate import (
    FORMAT,
    GateReport,
    GateSpec,
    Goal,
    NotTested,
    Outcome,
    Paired,
    Reason,
    Untested,
    judge,
)
from pipelines.gate_page import page
from pipelines.guards import calibration_error, flips_ratio, guarded
from pipelines.losses import Loss, LossSpec

GOLDEN = Path(__file__).parents[1] / "golden"
DIGEST = "sha256:" + "a" * 64
ROWS = 2400
LABELS = np.array([1.0, 0.0] * (ROWS // 2))
OLD, NEW = np.where(LABELS == 1, 0.6, 0.4), np.where(LABELS == 1, 0.9, 0.1)
BRIER = LossSpec()


def pair(new: Any = NEW, old: Any = OLD, labels: Any = LABELS, **segments: Any) -> Paired:
    return Paired(BRIER.of(labels, old), BRIER.of(labels, new), segments, labels, old, new, 12.0)


def said(spec: GateSpec, given: Paired | None = None, anchor: Paired | None = None, size_bytes: int = 10) -> GateReport:
    given = pair() if given is None else given
    return guarded(judge(given, spec), given, anchor, size_bytes)


def test_a_challenger_that_keeps_to_every_limit_passes_and_the_report_says_what_was_found() -> None:
    spec = GateSpec(calibration_max=0.2, flips_ratio_max=0.0, size_bytes_max=10, scoring_ms=12, anchor=Anchor(DIGEST))
    report = said(spec, anchor=pair())
    assert report.outcome is Outcome.PASS
    assert isinstance(report.guards, tuple)
    found = {guard.name: (guard.outcome, guard.found) for guard in report.guards}
    assert found == {
        Reason.ANCHOR: (Outcome.PASS, -0.15), Reason.CALIBRATION: (Outcome.PASS, 0.1), Reason.FLIPS: (Outcome.PASS, 0.0),
        Reason.SIZE: (Outcome.PASS, 10.0), Reason.SCORING: (Outcome.PASS, 12.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (GateSpec(calibration_max=0.09), Reason.CALIBRATION),
        (GateSpec(flips_ratio_max=0.4), Reason.FLIPS),
        (GateSpec(size_bytes_max=9), Reason.SIZE),
        (GateSpec(scoring_ms=11), Reason.SCORING),
    ],
)
def test_one_limit_that_does_not_hold_fails_a_challenger_that_is_better(spec: GateSpec, reason: Reason) -> None:
    given = pair(old=1 - OLD)  # the champion decides everything the other way
    assert judge(given, spec).outcome is Outcome.PASS
    report = said(spec, given)
    assert (report.outcome, report.reasons) == (Outcome.FAIL, (Reason.BETTER, reason))
    assert "at most" in report.detail


@pytest.mark.parametrize(
    ("anchor", "given", "outcome"),
    [
        (Anchor(DIGEST), pair(NEW), Outcome.PASS),
        (Anchor(DIGEST), pair(OLD - 0.01), Outcome.PASS),  # worse for 1, better for 0, by the same
        (Anchor(DIGEST), pair(1 - NEW), Outcome.FAIL),
        (Anchor(DIGEST, margin=1.0), pair(1 - NEW), Outcome.PASS),
        (Anchor(DIGEST, loss_max=0.009), pair(NEW), Outcome.FAIL),
        (Anchor(DIGEST, loss_max=0.011), pair(NEW), Outcome.PASS),
        (Anchor(DIGEST), pair(NEW * np.nan), Outcome.ERROR),
        (Anchor(DIGEST), pair(*(np.zeros(0),) * 3), Outcome.ERROR),
    ],
)
def test_the_anchor_set_has_the_last_word(anchor: Anchor, given: Paired, outcome: Outcome) -> None:
    spec = GateSpec(anchor=msgspec.structs.replace(anchor, margin=anchor.margin + 1e-3))
    assert said(spec, anchor=given).outcome is outcome


def test_a_guarded_segment_of_the_anchor_set_cannot_hide_in_the_rest() -> None:
    few = np.arange(ROWS) < 40
    country = np.where(few, "AT", "DE")
    poisoned = pair(np.where(few, 1 - LABELS, NEW), country=country)
    assert poisoned.challenger.mean() < poisoned.champion.mean()
    whole = said(GateSpec(anchor=Anchor(DIGEST)), pair(country=country), poisoned)
    by_segment = said(GateSpec(anchor=Anchor(DIGEST), segments=("country",)), pair(country=country), poisoned)
    assert whole.outcome is Outcome.PASS
    assert by_segment.outcome is Outcome.FAIL
    assert by_segment.reasons[-1] is Reason.ANCHOR
    assert "country=AT of the anchor set" in by_segment.detail
    without = said(GateSpec(anchor=Anchor(DIGEST), segments=("country",)), pair(country=country), pair())
    assert without.outcome is Outcome.ERROR


def test_a_segment_that_the_anchor_set_has_no_row_of_is_listed() -> None:
    country, few = np.where(np.arange(ROWS) < 400, "AT", "DE"), np.full(ROWS, "DE")
    report = said(GateSpec(anchor=Anchor(DIGEST), segments=("country",)), pair(country=country), pair(country=few))
    assert report.outcome is Outcome.PASS
    assert isinstance(report.not_tested, tuple)
    assert report.not_tested[0] == NotTested(
        "country=AT on the anchor set", Untested.FEW_ROWS, "no row of it has this value"
    )


@pytest.mark.parametrize(
    ("spec", "lack", "what"),
    [
        (GateSpec(scoring_ms=500), {"scoring_ms": None}, "scoring"),
        (GateSpec(flips_ratio_max=0.1), {"challenger_scores": None}, "flips"),
        (GateSpec(calibration_max=0.1), {"labels": None}, "calibration"),
    ],
)
def test_a_limit_that_nobody_could_look_at_holds_the_gate(spec: GateSpec, lack: dict[str, Any], what: str) -> None:
    assert said(spec).outcome is not Outcome.INCONCLUSIVE
    report = said(spec, replace(pair(), **lack))
    assert (report.outcome, report.reasons) == (Outcome.INCONCLUSIVE, (Reason.BETTER, Reason.UNTESTED))
    assert report.detail.startswith(f"{what} could not be tested: ")


def test_a_first_version_flips_nobodys_decisions_and_what_cannot_be_judged_is_an_error_first() -> None:
    assert said(GateSpec(flips_ratio_max=0.1), replace(pair(), champion_scores=None)).outcome is Outcome.PASS
    report = said(GateSpec(flips_ratio_max=0.1, scoring_ms=5), pair(NEW * np.nan))
    assert (report.outcome, report.reasons) == (Outcome.ERROR, (Reason.NOT_FINITE,))
    assert report.detail.startswith("2,400 losses")


def test_better_by_less_than_it_is_worth_is_futile_and_ends_the_matter() -> None:
    luck = np.random.default_rng(1)
    old, new = (luck.random((2, 40_000)) < np.array([[0.100], [0.098]])).astype(np.float64)
    spec = GateSpec(LossSpec(Loss.ZERO_ONE), worth=0.02)
    report = judge(Paired(old, new), spec)
    assert (report.outcome, report.reasons) == (Outcome.FAIL, (Reason.FUTILE,))
    assert judge(Paired(old, new), GateSpec(LossSpec(Loss.ZERO_ONE))).outcome is Outcome.INCONCLUSIVE


def test_what_was_not_tested_is_listed_with_the_reason_and_with_what_could_not_show() -> None:
    origin = np.array((["EWR"] * 12 + ["JFK"] * 12 + ["LGA"]) * 96)
    given = Paired(BRIER.of(LABELS, OLD), BRIER.of(LABELS, NEW), {"origin": origin})
    report = said(GateSpec(segments=("origin",), flips_ratio_max=0.1), given)
    assert isinstance(report.not_tested, tuple)
    why = {each.what: each.why for each in report.not_tested}
    assert why == {
        "origin=LGA": Untested.FEW_ROWS, "anchor": Untested.NOT_ASKED, "calibration": Untested.NOT_ASKED,
        "flips": Untested.NOT_HERE, "size": Untested.NOT_ASKED, "scoring": Untested.NOT_ASKED,
    }  # fmt: skip
    lga = report.not_tested[0].detail
    assert lga.startswith("96 rows, 200 are needed; differences up to 0.")
    text = page(report, "flights@2")
    assert f"- origin=LGA: too few rows ({lga})" in text
    assert "- anchor: the policy does not ask for it" in text


def test_a_calibrated_score_has_no_error_and_luck_adds_none() -> None:
    luck = np.random.default_rng(3)
    scores = luck.random(20_000)
    labels = (luck.random(20_000) < scores).astype(np.float64)
    assert calibration_error(labels, scores) < 0.01
    assert calibration_error(labels[:400], scores[:400]) < 0.05
    assert calibration_error(labels, np.clip(scores + 0.1, 0, 1)) == pytest.approx(0.095, abs=0.01)
    assert flips_ratio(np.array([0.4, 0.6, 0.5, 0.1]), np.array([0.6, 0.7, 0.4, 0.2]), 0.5) == 0.5


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"worth": 0.0}, "worth"),
        ({"worth": 0.1, "goal": "not_worse", "margin": 0.01}, "worth"),
        ({"flips_ratio_max": 1.0}, "flips_ratio_max"),
        ({"calibration_max": 0.1, "loss": {"name": "absolute", "bound": 9}}, "is for a label of 0 or 1"),
        ({"size_bytes_max": 0}, "size_bytes_max"),
        ({"scoring_ms": 0}, "scoring"),
        ({"anchor": {"digest": "sha256:12"}}, "sha256sum"),
        ({"anchor": {"digest": DIGEST, "margin": -1}}, "margin"),
        ({"explain_rows": -1}, "explain_rows"),
    ],
)
def test_guards_that_cannot_be_meant_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.convert(wrong, GateSpec)


# ------------------------------------------------------------------------------------------------------- explanation


def test_a_feature_that_a_model_leans_on_is_important_and_one_that_it_ignores_is_not() -> None:
    drawn = np.random.default_rng(5).integers(0, 2, 200).tolist()
    rows = [{"x": float(x), "noise": float(n % 7), "label": float(x)} for n, x in enumerate(drawn)]
    chosen = sample(rows, 100)
    assert len(chosen) == 100
    many = dealt(chosen, ("x", "noise"))
    assert [row["label"] for row in many] == [row["label"] for row in chosen] * 3, "only features are dealt out"
    assert many == dealt(chosen, ("x", "noise")), "by a fixed rule"
    scores = np.array([row["x"] for row in many])
    labels = np.array([row["label"] for row in chosen])
    leans = dict(zip(("x", "noise"), importances(labels, scores, BRIER, ("x", "noise")), strict=True))
    assert leans["noise"] == 0.0
    assert 0.3 < leans["x"] < 0.7
    assert sample([], 10) == []


def test_the_rows_where_the_two_differ_most_are_named_by_their_line() -> None:
    found = differing(np.array([1.0, 0, 1]), np.array([0.5, 0.5, 0.5]), np.array([0.6, 0.1, 0.5]))
    assert found == (Differing(2, 0.0, 0.5, 0.1), Differing(1, 1.0, 0.5, 0.6))


# ------------------------------------------------------------------------------------------------------------ format


def example() -> GateReport:
    """A report with every part of one."""
    origin = np.array((["EWR"] * 12 + ["JFK"] * 12 + ["LGA"]) * 96)
    spec = GateSpec(
        segments=("origin",), worth=0.01, anchor=Anchor(DIGEST, 0.01, 0.3), calibration_max=0.05, flips_ratio_max=0.2,
        size_bytes_max=2_000_000, scoring_ms=500,
    )  # fmt: skip
    given = pair(origin=origin)
    censored = NotTested("rows without a label", Untested.CENSORED, "they are not among them")
    report = guarded(judge(given, spec, 0.03), given, pair(origin=origin), 1_000_000, [censored])
    seen = (Importance("hour", 0.01, 0.04), Importance("origin|x", None, -0.001))
    explanation = Explanation(200, seen, 3, (Differing(7, 1.0, 0.2, 0.9),), DIGEST)
    return msgspec.structs.replace(report, explanation=explanation)


def test_the_report_is_what_it_was_when_format_2_was_published() -> None:
    report = example()
    raw = (GOLDEN / "pipelines-gate-v2.json").read_bytes()
    kept = codec.decode(GateReport, raw, "the golden report", FORMAT)
    assert codec.encode(kept) == raw
    assert (kept.outcome, kept.reasons, kept.spec, kept.guards) == (
        report.outcome,
        report.reasons,
        report.spec,
        report.guards,
    )
    assert kept.explanation == report.explanation
    # The page is for people: since segments have their own word, the row of all rows says what these say.
    assert page(kept, "flights@2 against flights@1") == (GOLDEN / "pipelines-gate-v2-named-segments.md").read_text()


def test_goal_not_worse_has_no_use_for_worth() -> None:
    assert GateSpec(goal=Goal.NOT_WORSE, margin=0.1).worth is msgspec.UNSET


if __name__ == "__main__":
    (GOLDEN / "pipelines-gate-v2.json").write_bytes(codec.encode(example()))
    (GOLDEN / "pipelines-gate-v2-named-segments.md").write_text(page(example(), "flights@2 against flights@1"))
