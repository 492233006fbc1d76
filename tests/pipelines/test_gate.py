"""The gate: what it says to whom, and how often it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines import codec
from pipelines.gate import FORMAT, GateReport, GateSpec, Goal, Outcome, Paired, Reason, judge
from pipelines.gate_page import page
from pipelines.losses import Loss, LossSpec
from pipelines.sequential import average_bounds

GOLDEN = Path(__file__).parents[1] / "golden"
ZERO_ONE = LossSpec(Loss.ZERO_ONE)


def paired(luck: np.random.Generator, rows: int, champion: float, challenger: float, shared: float = 0.8) -> Paired:
    """Errors of two models that are wrong together where the rows are hard."""
    hard = luck.random(rows)
    own = luck.random((2, rows))
    together = luck.random(rows) < shared
    draws = [np.where(together, hard, each) for each in own]
    return Paired((draws[0] < champion).astype(np.float64), (draws[1] < challenger).astype(np.float64))


def test_a_better_challenger_passes_a_worse_one_fails_an_equal_one_stays_open() -> None:
    luck = np.random.default_rng(1)
    spec = GateSpec(ZERO_ONE)
    said = [judge(paired(luck, 20_000, 0.10, rate), spec) for rate in (0.08, 0.12, 0.10)]
    assert [report.outcome for report in said] == [Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE]
    assert [report.reasons for report in said] == [(Reason.BETTER,), (Reason.WORSE,), (Reason.UNDECIDED,)]


def test_an_equal_challenger_passes_when_it_only_must_not_be_worse() -> None:
    spec = GateSpec(ZERO_ONE, goal=Goal.NOT_WORSE, margin=0.01)
    report = judge(paired(np.random.default_rng(1), 20_000, 0.1, 0.1), spec)
    assert (report.outcome, report.reasons) == (Outcome.PASS, (Reason.NOT_WORSE,))


NOTHING = np.zeros(0)


@pytest.mark.parametrize(
    ("given", "outcome", "reason"),
    [
        (Paired(NOTHING, NOTHING), Outcome.INCONCLUSIVE, Reason.NO_ROWS),
        (Paired(np.ones(40), np.zeros(40)), Outcome.INCONCLUSIVE, Reason.FEW_ROWS),
        (Paired(np.ones(40), np.zeros(41)), Outcome.ERROR, Reason.LENGTHS),
        (Paired(np.ones(40), np.full(40, np.nan)), Outcome.ERROR, Reason.NOT_FINITE),
        (Paired(np.ones(40), np.full(40, 1.5)), Outcome.ERROR, Reason.OUT_OF_BOUNDS),
        (Paired(np.ones(40), np.full(40, -0.5)), Outcome.ERROR, Reason.OUT_OF_BOUNDS),
    ],
)
def test_what_cannot_be_judged_never_passes(given: Paired, outcome: Outcome, reason: Reason) -> None:
    report = judge(given, GateSpec())
    assert (report.outcome, report.reasons) == (outcome, (reason,))


def test_a_guarded_dimension_that_is_not_in_the_rows_is_an_error() -> None:
    report = judge(Paired(np.ones(900), np.zeros(900)), GateSpec(segments=("country",)))
    assert (report.outcome, report.reasons) == (Outcome.ERROR, (Reason.NO_SEGMENT,))


def test_better_on_the_whole_and_worse_in_a_segment_fails() -> None:
    luck = np.random.default_rng(5)
    most, few = paired(luck, 20_000, 0.2, 0.1), paired(luck, 3_000, 0.1, 0.3)
    both = Paired(
        np.concatenate([most.champion, few.champion]),
        np.concatenate([most.challenger, few.challenger]),
        {"country": np.array(["DE"] * 20_000 + ["AT"] * 3_000)},
    )
    assert judge(both, GateSpec(ZERO_ONE)).outcome is Outcome.PASS
    report = judge(both, GateSpec(ZERO_ONE, segments=("country",)))
    assert report.outcome is Outcome.FAIL
    assert report.reasons == (Reason.BETTER, Reason.SEGMENT_WORSE)
    assert report.detail.startswith(
        "the challenger is not what was asked for: worse in country=AT (difference -0.198, "
    )
    assert "country=DE" not in report.detail
    shown = {
        row.split("|")[1].strip(): row.split("|")[-2].strip() for row in page(report, "m@2").splitlines() if "|" in row
    }
    assert (shown["all"], shown["country=AT"], shown["country=DE"]) == ("pass", "worse", "not worse")
    assert [(s.name, s.outcome) for s in report.segments] == [
        ("country=AT", Outcome.FAIL),
        ("country=DE", Outcome.PASS),
    ]


def test_segments_too_small_to_test_are_named_and_hold_the_gate_when_they_are_many() -> None:
    pair = paired(np.random.default_rng(5), 10_000, 0.2, 0.1)
    few = ["big"] * 9_850 + ["small"] * 150
    many = [f"s{i % 100}" for i in range(10_000)]
    spec = GateSpec(ZERO_ONE, segments=("c",), segment_margin=0.1)
    said = [judge(Paired(pair.champion, pair.challenger, {"c": np.array(names)}), spec) for names in (few, many)]
    assert [report.outcome for report in said] == [Outcome.PASS, Outcome.INCONCLUSIVE]
    assert all(any(segment.outcome is None for segment in report.segments) for report in said)
    assert said[1].reasons == (Reason.BETTER, Reason.UNTESTED)
    assert "Not tested" in page(said[0], "fraud@2")


def test_thousands_of_challengers_that_are_not_better_looked_at_many_times_pass_within_alpha() -> None:
    luck, alpha = np.random.default_rng(20), 0.05
    looks = np.arange(200, 4001, 200)
    passed = 0
    wrong, lower = [np.zeros((0, 0))], np.zeros((0, 0))
    for rate in (0.02, 0.1, 0.3):
        shared, own = luck.random((1000, 4000)), luck.random((2, 1000, 4000))
        together = luck.random((1000, 4000)) < 0.7
        wrong = [(np.where(together, shared, each) < rate).astype(np.float64) for each in own]
        _, lower, _ = average_bounds((wrong[0] - wrong[1]) / 2 + 0.5, alpha, looks)
        passed += int((lower > 0.5).any(axis=1).sum())
    assert passed <= alpha * 3000
    # and the gate itself reads the same bound
    report = judge(Paired(wrong[0][0], wrong[1][0]), GateSpec(ZERO_ONE))
    assert report.overall.lower == pytest.approx(float(lower[0, -1]) * 2 - 1, rel=1e-9, abs=1e-12)


def test_real_improvements_are_found() -> None:
    """Median rows until a pass, errors of 10 % before: 8 % after within 3,000, 9 % within 12,000."""
    luck = np.random.default_rng(4)
    looks = np.arange(250, 20_001, 250)
    for after, most in ((0.08, 3_000), (0.09, 12_000)):
        streams = [paired(luck, 20_000, 0.10, after) for _ in range(100)]
        values = np.array([(s.champion - s.challenger) / 2 + 0.5 for s in streams])
        _, lower, _ = average_bounds(values, 0.05, looks)
        first = np.where((lower > 0.5).any(axis=1), looks[(lower > 0.5).argmax(axis=1)], 10**9)
        assert np.median(first) <= most
        assert (first < 10**9).mean() > 0.9


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"alpha": 0.7}, "alpha"),
        ({"margin": -1.0}, "margin"),
        ({"goal": "not_worse"}, "needs a margin above 0"),
        ({"segment_margin": 0.0}, "segment_margin"),
        ({"loss": {"name": "squared"}}, "has no bound of its own"),
        ({"rows_min": 0}, "at least 1"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=sentence):
        msgspec.convert(wrong, GateSpec)


def example() -> GateReport:
    """A report with every part of one. Made of whole numbers: the same on every machine."""
    champion = np.array([1.0, 0, 0, 1] * 600)
    challenger = np.array([0.0, 0, 0, 1] * 600)
    segments = {"origin": np.array((["EWR"] * 12 + ["JFK"] * 12 + ["LGA"]) * 96)}
    return judge(Paired(champion, challenger, segments), GateSpec(ZERO_ONE, segments=("origin",)), 0.03)


def test_the_report_is_what_it_was_when_it_was_published() -> None:
    report = example()
    raw = (GOLDEN / "pipelines-gate-v1.json").read_bytes()
    kept = codec.decode(GateReport, raw, "the golden report", FORMAT)
    assert codec.encode(kept) == raw
    assert (kept.outcome, kept.reasons, kept.spec) == (report.outcome, report.reasons, report.spec)
    assert kept.overall.lower == pytest.approx(report.overall.lower, rel=1e-9)
    assert page(kept, "flights@2 against flights@1") == (GOLDEN / "pipelines-gate-v1.md").read_text()


def test_losses_are_cut_at_their_bound_and_nan_where_there_is_no_score() -> None:
    labels, scores = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.0, 0.25, 1.0, np.nan])
    assert LossSpec(Loss.LOG_LOSS).of(labels, scores)[:3] == pytest.approx([4.0, 0.2876820724, 0.0])
    assert LossSpec(Loss.BRIER).of(labels, scores)[:3] == pytest.approx([1.0, 0.0625, 0.0])
    assert LossSpec(Loss.ZERO_ONE).of(labels, scores)[:3] == pytest.approx([1.0, 0.0, 0.0])
    assert LossSpec(Loss.SQUARED, 9.0).of(labels * 10, scores)[:3] == pytest.approx([9.0, 0.0625, 9.0])
    assert LossSpec(Loss.ABSOLUTE, 5.0).of(labels, scores)[:3] == pytest.approx([1.0, 0.25, 0.0])
    assert all(np.isnan(LossSpec(loss, 1.0).of(labels, scores)[3]) for loss in Loss)
