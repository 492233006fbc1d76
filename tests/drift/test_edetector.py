"""The e-detector step by step: the recursion, restarts, documents, causes, and that nothing is lost on the way."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.drift.binning import bin_categories, bin_numbers
from monitor.drift.edetector import EFFECTS, Cause, Channel, Detector, State, e_bh
from monitor.drift.functionals import ONE, categorical, confusion, faults, numeric, single_rate
from monitor.drift.logs import exp_of_negative, log_one_plus_exp, log_weighted_sum
from monitor.drift.nulls import Null, dispersion_of, null_of
from monitor.drift.tables import MOST_ROWS
from monitor.events import Float64s, Int64s


def known(rate: float, dispersion: float = 1.0) -> Null:
    """The null of somebody who knows the rate."""
    return Null(np.array([rate]), np.array([rate]), np.array([dispersion]), np.array([0]))


def errors(rate: float = 0.1, patience: float = 100.0, dispersion: float = 1.0) -> Detector:
    return Detector((Channel("errors", single_rate("errors"), known(rate, dispersion), 1.0),), patience)


def tick(*wrong_of: tuple[int, int]) -> list[Int64s | None]:
    """Counts of one channel, a lane for each (wrong, rows)."""
    return [np.array([[rows - wrong, wrong] for wrong, rows in wrong_of])]


# -- logarithms ----------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-800, 0), min_size=1, max_size=20))
def test_the_exponential_is_within_two_units_of_the_last_place(x: list[float]) -> None:
    found = exp_of_negative(np.array(x))
    for value, ours in zip(x, found.tolist(), strict=True):
        assert ours == pytest.approx(math.exp(value) if value >= -700 else 0.0, rel=5e-16)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(-math.inf), min_size=1, max_size=20))
def test_softplus_is_softplus(x: list[float]) -> None:
    expected = np.logaddexp(0.0, np.array(x))
    assert log_one_plus_exp(np.array(x)) == pytest.approx(expected, rel=1e-14, abs=1e-15)


def test_a_weighted_sum_of_nothing_is_nothing_and_of_giants_is_finite() -> None:
    found = log_weighted_sum(np.array([[-np.inf, -np.inf], [5000.0, 5001.0], [0.0, 9e9]]), np.array([0.5, 0.0]))
    assert found.tolist() == [-np.inf, pytest.approx(5000.0 + math.log(0.5)), pytest.approx(math.log(0.5))]


# -- the recursion -------------------------------------------------------------------------------------------------


def test_evidence_is_the_sum_over_starts_of_the_products_of_bets() -> None:
    detector = errors(0.1, patience=1e9)
    rows = [(10, 50), (4, 60), (0, 30), (12, 40)]
    state, score = detector.start(), -math.inf
    for number, one in enumerate(rows):
        state, verdict, _ = detector.step(state, number, tick(one))
        score = float(verdict.log_score[0])
    stakes = np.minimum(np.array(EFFECTS) / math.sqrt(0.09), 0.95 / 0.1)
    factors = np.array([(1 + stakes * 0.9) ** k * (1 - stakes * 0.1) ** (n - k) for k, n in rows])
    cells = sum(factors[start:].prod(axis=0) for start in range(len(rows)))
    assert np.exp(state.evidence[0]) == pytest.approx(cells, rel=1e-6)
    assert score == pytest.approx(math.log(cells.mean()), rel=1e-6)


def test_no_bet_pays_more_than_it_costs_at_the_limit() -> None:
    random = np.random.default_rng(4)
    reference = np.bincount(random.integers(0, 4, 500), minlength=4)
    functionals = confusion()
    channel = Channel("performance", functionals, null_of(functionals, reference), 1.0)
    values = functionals.values[channel.owner] / ONE
    for cell, own in enumerate(channel.owner.tolist()):
        active = functionals.active[own]
        limit = channel.null.limit[own]
        win, lose = (np.exp(channel.table[active & (values[cell] == hit), cell][0] / ONE) for hit in (1.0, 0.0))
        assert limit * win + (1 - limit) * lose <= 1.0 + 1e-12
        assert (channel.table[~active, cell] == 0).all()


def test_a_tick_without_rows_changes_nothing_in_its_lane_and_an_absent_one_nothing_at_all() -> None:
    detector = errors()
    state, _, _ = detector.step(detector.start(2), 0, tick((3, 9), (3, 9)))
    after, _, _ = detector.step(state, 1, tick((0, 0), (3, 9)))
    assert after.evidence[0].tolist() == state.evidence[0].tolist()
    assert after.evidence[1].tolist() != state.evidence[1].tolist()
    absent, verdict, _ = detector.step(state, 1, [None])
    assert absent.to_document() == state.to_document()
    assert not verdict.alarm.any()


def test_an_alarm_warns_first_restarts_its_own_lane_and_says_when_it_began() -> None:
    detector, number = errors(patience=1000.0), 0
    state, warned, alarmed, causes = detector.start(2), list[int](), list[int](), list[Cause]()
    while not alarmed:
        rate = 50 if number < 30 else 85
        state, verdict, seen = detector.step(state, number, tick((50, 500), (rate, 500)))
        if verdict.warning[1]:
            warned.append(number)
        if verdict.alarm[1]:
            alarmed.append(number)
            causes = detector.explain(seen, 1)
        number += 1
    assert warned
    assert 30 <= warned[0] <= alarmed[0] <= 34
    assert np.isneginf(state.evidence[1]).all()
    assert np.isfinite(state.evidence[0]).all()
    cause = causes[0]
    assert (cause.channel, cause.functional, cause.since, cause.listed) == ("errors", "errors", 30, True)
    assert cause.mean == pytest.approx(0.17)
    assert cause.rows == 500 * (alarmed[0] - 29)
    assert cause.share == 1.0
    assert detector.explain(state, 1) == []


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(40, 80)), min_size=2, max_size=30), st.data())
def test_a_state_goes_on_from_its_document_as_if_nothing_had_happened(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    detector, cut = errors(0.2, 20.0), data.draw(st.integers(0, len(rows)))
    state = detector.start()
    interrupted = state
    for number, one in enumerate(rows):
        if number == cut:
            interrupted = State.from_document(json.loads(json.dumps(interrupted.to_document())))
        state, first, _ = detector.step(state, number, tick(one))
        interrupted, second, _ = detector.step(interrupted, number, tick(one))
        assert first.log_score.tolist() == second.log_score.tolist()
    assert interrupted.to_document() == state.to_document()


def test_the_state_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ValueError, match="has format 2, this code reads up to 1; upgrade driftline"):
        State.from_document({"format": 2})


def test_lanes_do_not_see_each_other() -> None:
    random, detector = np.random.default_rng(5), errors(0.1, 30.0)
    rows = [[(int(random.binomial(200, 0.13)), 200) for _ in range(3)] for _ in range(20)]
    together, alone = detector.start(3), [detector.start() for _ in range(3)]
    for number, lanes in enumerate(rows):
        together, all_of_them, _ = detector.step(together, number, tick(*lanes))
        for lane in range(3):
            alone[lane], one, _ = detector.step(alone[lane], number, tick(lanes[lane]))
            assert one.log_score[0] == all_of_them.log_score[lane]


def test_an_enormous_tick_is_an_alarm_and_not_an_overflow() -> None:
    detector = errors(0.1, 1000.0)
    many = 10 * MOST_ROWS
    _, verdict, seen = detector.step(detector.start(2), 0, tick((many // 5, many), (many // 20, many)))
    assert verdict.alarm.tolist() == [True, False]
    assert detector.explain(seen, 0)[0].mean == pytest.approx(0.2, rel=1e-6)
    assert np.isfinite(seen.evidence).all()


def three_channels() -> Detector:
    """Two seasons; the second channel has no question that can be broken, the third has other bins."""
    functionals, seasons = confusion(), [np.array([50, 30, 20, 900]), np.array([90, 10, 10, 90])]
    first, second = (null_of(functionals, own) for own in seasons)
    dumb = null_of(functionals, np.zeros(4, np.int64))
    binning = bin_numbers(np.arange(64.0))
    held = np.bincount(binning.codes(np.arange(64.0)), minlength=binning.bins)
    asked = numeric(binning, held)
    null = null_of(asked, held)
    return Detector(
        (
            Channel("p", functionals, first, 0.5, (second,)),
            Channel("dumb", functionals, dumb, 0.2, (dumb,)),
            Channel("x", asked, null, 0.3, (null,)),
        ),
        1e300,
    )


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([0, 1, 2, 3]), st.booleans())
def test_sums_in_doubles_are_those_of_integers_one_cell_after_another(
    seed: int, lanes: int, seasons: int, without_first: bool
) -> None:
    """`seasons`: which of the two have rows, as bits."""
    detector, random = three_channels(), np.random.default_rng(seed)
    counts: list[Int64s | None] = []
    for channel in detector.channels:
        own = random.integers(0, 10**4, (lanes, 2, channel.functionals.bins)) * (random.random((lanes, 1, 1)) < 0.7)
        own[:, 0] *= seasons & 1
        own[:, 1] *= seasons >> 1
        counts.append(own.reshape(lanes, -1))
    if without_first:
        counts[0] = None
    sums, cell = detector._tables.of(counts, lanes), 0
    for channel, given_ in zip(detector.channels, counts, strict=True):
        own = np.zeros((lanes, channel.table.shape[0]), np.int64) if given_ is None else given_
        values, active = channel.functionals.values, channel.functionals.active
        for i, place in enumerate(channel.owner.tolist()):
            asked = np.tile(active[place], 2).astype(np.int64)
            limits = np.concatenate([np.full(len(asked) // 2, round(n.limit[place] * 2**30)) for n in channel.nulls])
            expected = {
                "gained": own @ channel.table[:, i],
                "hits": (own @ (asked * np.tile(values[place], 2))) >> 14,
                "rows": own @ asked,
                "limits": (own @ (asked * limits)) >> 14,
                "busy": own.sum(axis=1) > 0,
            }
            for name, column in expected.items():
                assert getattr(sums, name)[:, cell].tolist() == column.tolist(), (channel.name, name)
            cell += 1
    assert cell == sums.gained.shape[1]
    whole = np.concatenate([np.zeros((lanes, 8), np.int64) if own is None else own for own in counts], axis=1)
    ends = np.cumsum([channel.table.shape[0] for channel in detector.channels])
    total = np.stack([part.sum(axis=1) for part in np.split(whole, ends[:-1], axis=1)], axis=1)
    fast = detector._tables.products(whole, total)
    assert (total.max(axis=0) <= detector._tables.exact).all()
    detector._tables.exact = np.zeros(3)
    assert detector._tables.products(whole, total).tolist() == fast.tolist()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"patience of 0\.5 ticks would be an alarm at every tick"):
        errors(patience=0.5)
    with pytest.raises(ValueError, match="'x' has weight 0"):
        Channel("x", single_rate("x"), known(0.1), 0.0)
    one = errors().channels[0]
    with pytest.raises(ValueError, match="each with a name of its own"):
        Detector((one, one), 10.0)


def test_weights_share_the_attention() -> None:
    quiet = Channel("quiet", single_rate("q"), known(0.1), 3.0)
    loud = Channel("loud", single_rate("l"), known(0.1), 1.0)
    detector = Detector((quiet, loud), 1e9)
    _, verdict, seen = detector.step(detector.start(), 0, [np.array([[90, 10]]), np.array([[60, 40]])])
    causes = detector.explain(seen)
    assert [cause.channel for cause in causes] == ["loud", "quiet"]
    assert sum(cause.share for cause in causes) == pytest.approx(1.0)
    expected = 0.75 * math.exp(causes[1].log_evidence) + 0.25 * math.exp(causes[0].log_evidence)
    assert verdict.log_score[0] == pytest.approx(math.log(expected))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([300.0, 2.0, 1.0], [True, False, False]),
        ([31.0, 16.0, 1.0], [True, True, False]),  # 30 / 1 and 30 / 2
        ([20.0, 16.0, 1.0], [True, True, False]),  # the second carries the first
        ([12.0, 12.0, 12.0], [True, True, True]),
        ([9.0, 9.0, 9.0], [False, False, False]),
    ],
)
def test_e_bh_lists_as_many_as_it_can(values: list[float], found: list[bool]) -> None:
    assert e_bh(np.log(values), 0.1).tolist() == found


# -- functionals and nulls -----------------------------------------------------------------------------------------


def test_numbers_are_asked_about_edges_rank_and_spread_without_missing_ones() -> None:
    values: Float64s = np.concatenate([np.random.default_rng(6).normal(size=4000), np.full(100, np.nan)])
    binning = bin_numbers(values)
    reference = np.bincount(binning.codes(values), minlength=binning.bins)
    functionals = numeric(binning, reference)
    assert len(functionals) == 2 * 19 + 4
    assert functionals.rows(reference).tolist() == [4000] * 42
    mean = dict(zip(functionals.names, functionals.totals(reference) / ONE / 4000, strict=True))
    assert mean["larger values"] == pytest.approx(0.5, abs=1e-6)
    assert mean["wider values"] == pytest.approx(0.5, abs=1e-3)
    assert mean[f"at most {binning.uppers[0]:.6g}"] == 0.0
    assert all(
        mean[name] + mean[name.replace("at most", "above")] == 1.0 for name in mean if name.startswith("at most")
    )


def test_categories_are_asked_about_one_by_one_and_the_small_ones_together() -> None:
    counts = {f"c{i:03d}": 1000 - i for i in range(60)}
    binning = bin_categories(counts)
    reference = np.array([*(counts[name] for name in binning.categories), 3, 0, 7, 1])
    functionals = categorical(binning, reference)
    assert functionals.names[:2] == ("more 'c000'", "less 'c000'")
    assert functionals.names[-6:] == (
        "more small categories", "less small categories", "more other", "less other", "more unseen", "less unseen"
    )  # fmt: skip
    assert set(functionals.rows(reference).tolist()) == {int(reference.sum()) - 8}
    assert faults(binning).totals(reference).tolist() == [7 * ONE, 1 * ONE]


def test_the_confusion_matrix_is_asked_about_four_rates() -> None:
    functionals = confusion()
    counts = np.array([50, 10, 20, 120])
    rates = functionals.totals(counts) / ONE / functionals.rows(counts)
    assert dict(zip(functionals.names, rates.tolist(), strict=True)) == pytest.approx(
        {"errors": 0.15, "missed positives": 20 / 70, "false alarms": 10 / 130, "false among alarms": 10 / 60}
    )


def test_a_limit_is_never_below_the_mean_and_holds_what_is_forgiven() -> None:
    reference = np.array([900, 100])
    plain, forgiving = (null_of(single_rate("e"), reference, materiality=m) for m in (0.0, 0.05))
    assert plain.mean[0] == 0.1
    assert 0.12 < plain.limit[0] < 0.13  # Clopper-Pearson at 1 % one-sided
    assert forgiving.limit[0] == pytest.approx(plain.limit[0] + 0.05)
    bursty = null_of(single_rate("e"), reference, dispersion=np.array([4.0]))
    assert bursty.limit[0] - 0.1 == pytest.approx(2 * (plain.limit[0] - 0.1), rel=0.1)


def test_the_true_mean_lies_below_every_limit_of_a_model_almost_always() -> None:
    random, broken, runs = np.random.default_rng(7), 0, 300
    shares = np.array([0.001, 0.009, 0.19, 0.3, 0.5])
    binning = bin_categories({"a": 500, "b": 300, "c": 190})
    shares = np.concatenate([shares[[4, 3, 2, 1, 0]], [0.0, 0.0]])
    for _ in range(runs):
        reference = random.multinomial(2000, shares)
        functionals = categorical(binning, reference)
        truth = shares @ np.where(functionals.active, functionals.values, 0).T / ONE / shares[:5].sum()
        broken += bool((null_of(functionals, reference).limit < truth - 1e-12).any())
    assert broken <= 0.01 * runs + 3 * math.sqrt(0.01 * runs)


def test_a_limit_over_slots_is_the_largest_of_them() -> None:
    slots = np.array([[950, 50], [800, 200], [0, 0]])
    null = null_of(single_rate("e"), slots)
    assert null.mean[0] == 0.125
    assert null.limit[0] > 0.2
    assert null_of(single_rate("e"), np.array([0, 0])).limit[0] == 1.0


def test_what_no_row_took_part_in_gets_no_bets() -> None:
    functionals = confusion()
    channel = Channel("p", functionals, null_of(functionals, np.array([0, 5, 0, 95])), 1.0)
    assert set(channel.owner.tolist()) == {0, 2, 3} - {3}  # no positives: no misses; every alarm was false
    assert Detector((channel,), 10.0).start().evidence.shape == (1, 12)


def test_dispersion_is_near_one_for_independent_rows_and_found_where_there_is_some() -> None:
    random = np.random.default_rng(8)
    sizes = random.integers(100, 900, 4000)

    def measured(rate: Float64s) -> float:
        wrong = random.binomial(sizes, rate)
        return float(dispersion_of(single_rate("e"), np.stack([sizes - wrong, wrong], axis=1))[0])

    assert 1.0 <= measured(np.full(4000, 0.1)) < 1.5
    bursts = random.beta(0.1 * 50, 0.9 * 50, 4000)  # intraclass correlation 1/51
    by_size = float((sizes * sizes).sum() / sizes.sum())  # what blocks of ragged ticks vary by
    assert 1 + by_size / 51 < measured(bursts) < 1.5 * (1 + by_size / 51)
    walk = np.zeros(4000)
    for t in range(1, 4000):
        walk[t] = 0.8 * walk[t - 1] + random.normal(0, 0.004)
    alone = 1 + 500 * (0.004**2 / 0.36) / 0.09
    assert measured(np.clip(0.1 + walk, 0, 1)) > 2 * alone  # neighbours go together: long blocks see it


def test_what_the_season_explains_is_no_burst() -> None:
    random = np.random.default_rng(9)
    slot = np.arange(2400) % 24
    wrong = random.binomial(500, 0.1 + 0.05 * np.sin(slot / 24 * 2 * np.pi))
    counts = np.stack([500 - wrong, wrong], axis=1)
    assert dispersion_of(single_rate("e"), counts)[0] > 5
    assert dispersion_of(single_rate("e"), counts, slot)[0] < 1.6


def test_a_question_that_few_ticks_can_answer_gets_no_benefit_of_the_doubt() -> None:
    """Every other tick of one slot is all wrong, of the other slots none ever is."""
    slot = np.arange(128) % 4
    wrong = np.where((slot == 0) & (np.arange(128) % 8 == 0), 100, 0)
    assert dispersion_of(single_rate("e"), np.stack([100 - wrong, wrong], axis=1), slot)[0] > 100


def test_too_few_ticks_say_nothing_about_bursts() -> None:
    assert dispersion_of(single_rate("e"), np.array([[9, 1]] * 63)).tolist() == [1.0]
