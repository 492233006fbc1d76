"""Slices of two segments: found where two together became worse, and not where one says it, or nothing happened."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from scipy.stats import hypergeom

from monitor.alerts.event import RuleAlert
from monitor.alerts.explained import Crossed, CrossedSlice, Explanation
from monitor.alerts.explained_crossed import crossed_slices, log_evidence
from monitor.alerts.recompute import lines
from monitor.windows.crossed import Combination, Errors
from tests.alerts.story import DELAYS, Story, ms, rule
from tests.alerts.test_explanation import EWR, JFK, counted, plan

Counts = dict[Combination, Errors]
ORIGINS, CARRIERS = ("EWR", "JFK", "LGA"), ("AA", "B6", "UA", "other")


def cell(origin: str, carrier: str) -> Combination:
    return (("origin", origin), ("carrier", carrier))


def even(rows: int, errors: int) -> Counts:
    """As many rows and errors in every combination."""
    return {cell(origin, carrier): (rows, errors) for origin in ORIGINS for carrier in CARRIERS}


def named(found: list[CrossedSlice]) -> list[list[str]]:
    return [one.segments for one in found]


def test_two_segments_that_became_worse_together_are_named_with_their_numbers() -> None:
    before = even(1_000, 200)
    found, searched = crossed_slices(before | {cell("EWR", "B6"): (1_000, 500)}, before)
    (part,) = found
    assert searched == 3 + 4 + 12
    assert part.segments == ["origin=EWR", "carrier=B6"]
    assert (part.rows, part.errors, part.before_rows, part.before_errors) == (1_000, 500, 1_000, 200)
    assert part.expected == pytest.approx(0.2)
    pooled = 704 / 2_020
    assert part.z == pytest.approx(0.3 / math.sqrt(pooled * (1 - pooled) * (1 / 1_000 + 1 / 1_020)), rel=1e-9)
    assert part.excess == pytest.approx(300)
    assert part.share == pytest.approx(1.0), "all errors beyond the rate of before are in it"


def test_one_segment_that_became_worse_is_not_told_as_pairs() -> None:
    before = even(1_000, 200)
    now = before | {cell("EWR", carrier): (1_000, 400) for carrier in CARRIERS}
    assert crossed_slices(now, before)[0] == []


def test_what_became_worse_everywhere_is_no_slice() -> None:
    assert crossed_slices(even(1_000, 400), even(1_000, 200))[0] == []


def test_two_pairs_that_share_no_row_are_both_named_the_worse_one_first() -> None:
    before = even(1_000, 200)
    now = before | {cell("EWR", "B6"): (1_000, 400), cell("LGA", "UA"): (1_000, 600)}
    assert named(crossed_slices(now, before)[0]) == [["origin=LGA", "carrier=UA"], ["origin=EWR", "carrier=B6"]]


def test_of_three_dimensions_the_two_that_say_it_are_named_and_not_those_that_overlap() -> None:
    before: Counts = {(*c, ("hour", hour)): (500, 100) for c in even(1, 1) for hour in ("day", "night")}
    now: Counts = {c: (500, 250) if c[:2] == cell("JFK", "AA") else (500, 100) for c in before}
    assert named(crossed_slices(now, before)[0]) == [["origin=JFK", "carrier=AA"]]


def test_what_did_not_occur_before_is_not_compared_with_anything() -> None:
    before = {c: n for c, n in even(1_000, 200).items() if c != cell("EWR", "B6")}
    assert crossed_slices(before | {cell("EWR", "B6"): (1_000, 900)}, before)[0] == []


@pytest.mark.parametrize(("now", "before"), [({}, even(10, 2)), (even(10, 2), {}), ({}, {})])
def test_without_rows_on_one_side_nothing_is_found(now: Counts, before: Counts) -> None:
    assert crossed_slices(now, before)[0] == []


@pytest.mark.parametrize(("rows", "before_rows", "wrong"), [(40, 100, 30), (100, 40, 60), (7, 300, 12), (60, 60, 3)])
def test_without_a_change_an_e_value_is_one_at_most_on_average(rows: int, before_rows: int, wrong: int) -> None:
    """Exactly: over every number of errors that the rows of now can have, given those of both."""
    errors = np.arange(max(0, wrong - before_rows), min(rows, wrong) + 1)
    e = np.exp(log_evidence([((rows, int(k)), (before_rows, wrong - int(k))) for k in errors]))
    mean = float((hypergeom.pmf(errors, rows + before_rows, wrong, rows) * e).sum())
    assert 0.0 < mean <= 1.0


def test_without_a_change_hardly_anything_is_ever_found() -> None:
    rng, runs = np.random.default_rng(11), 300
    found = 0
    for _ in range(runs):
        rates = rng.uniform(0.05, 0.4, 12)
        now, before = (
            {c: (400, int(rng.binomial(400, p))) for c, p in zip(even(1, 1), rates, strict=True)} for _ in "12"
        )
        found += bool(crossed_slices(now, before)[0])
    assert found <= 0.1 * runs


def test_a_slice_of_the_size_that_was_measured_with_is_found_first_with_its_excess() -> None:
    """70,000 rows, of which a slice of 1,760 goes from .22 to .49 (statistics on a census: excess 442 of 408 net)."""
    rng = np.random.default_rng(3)
    names = [(("age", f"a{i}"), ("state", f"s{j}"), ("sex", s)) for i in range(8) for j in range(10) for s in "fm"]
    sizes = {c: 880 if c[:2] == (("age", "a3"), ("state", "s7")) else 430 for c in names}
    before: Counts = {c: (n, int(rng.binomial(n, 0.22 if n == 880 else 0.172))) for c, n in sizes.items()}
    now: Counts = {c: (n, int(rng.binomial(n, 0.49 if n == 880 else 0.172))) for c, n in sizes.items()}
    (part,), searched = crossed_slices(now, before)
    assert searched == 20 + 80 + 16 + 20
    assert part.segments == ["age=a3", "state=s7"]
    assert part.z > 12
    assert 400 < part.excess < 560


def told(*, whole: bool = True) -> RuleAlert:
    """An alert about an hour in which B6 at EWR became worse; `whole`: all rows are among the combinations."""
    story = Story(rule(threshold=0.7), plan=plan())
    for hour, ewr in enumerate((20, 20, 180)):
        start = f"{hour:02d}:00"
        parts: Counts = {(("origin", o), ("carrier", c)): (100, 10) for o in ("EWR", "JFK") for c in ("AA", "B6")}
        parts[cell("EWR", "B6")] = (200 if whole else 199, ewr)
        story.windows.together[DELAYS, "1h", ms(start)] = parts
        views = [
            counted(DELAYS, start, 500, 30 + ewr),
            counted(EWR, start, 300, 10 + ewr),
            counted(JFK, start, 200, 20),
        ]
        story.tick(f"{hour + 1:02d}:00", *views, series=(DELAYS, EWR, JFK))
    data = story.events[0].data
    assert isinstance(data, RuleAlert)
    return data


def test_an_alert_tells_them_and_each_of_their_numbers_is_worked_out_again() -> None:
    data = told()
    assert isinstance(data.explanation, Explanation)
    assert isinstance(data.explanation.crossed, Crossed)
    assert named(data.explanation.crossed.slices) == [["origin=EWR", "carrier=B6"]]
    found = {line.name: line for line in lines(data) if line.name.startswith("origin=EWR & carrier=B6")}
    assert {name.rpartition(": ")[2] for name in found} == {"expected", "z", "excess", "share"}
    assert all(line.agrees for line in found.values())
    (part,) = data.explanation.crossed.slices
    other = msgspec.structs.replace(part, before_errors=part.before_errors + 1)
    crossed = msgspec.structs.replace(data.explanation.crossed, slices=[other])
    why = msgspec.structs.replace(data.explanation, crossed=crossed)
    again = lines(msgspec.structs.replace(data, explanation=why))
    wrong = {line.name for line in again if not line.agrees and line.name in found}
    assert {name.rpartition(": ")[2] for name in wrong} == {"expected", "z", "excess"}


def test_combinations_that_are_not_all_of_the_rows_say_nothing() -> None:
    data = told(whole=False)
    assert isinstance(data.explanation, Explanation)
    assert data.explanation.crossed is msgspec.UNSET
