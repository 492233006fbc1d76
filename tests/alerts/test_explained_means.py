"""Why an alert about a regression model fired, held to numbers that NumPy gives for the rows themselves."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from monitor.alerts.cloudevents import encode, parse
from monitor.alerts.event import RuleAlert
from monitor.alerts.explained import Explanation, Means
from monitor.alerts.recompute import lines
from monitor.config.rules import Rule
from monitor.events import Float64s
from monitor.windows.view import Estimate, SeriesKey, WindowView
from tests.alerts.story import DELAYS, Story, rule, window
from tests.alerts.test_explanation import EWR, JFK, plan


def measured(series: SeriesKey, start: str, errors: Float64s) -> WindowView:
    """A window with these errors, prediction less label."""
    rows = len(errors)
    found = {
        "bias": errors.mean(),
        "mae": np.abs(errors).mean(),
        "rmse": np.sqrt((errors**2).mean()),
        "r2": 1 - np.abs(errors).mean(),
    }
    metrics = {name: Estimate(float(value), None, None, rows) for name, value in found.items()}
    view = window(start, 0.5, rows=rows, seen=rows, labelled=rows, series=series)
    return replace(view, metrics=metrics, counts={"labelled": rows, "overflow": 0})


def told(own: Rule, *hours: tuple[Float64s, Float64s]) -> RuleAlert:
    """The first alert, when hour by hour such errors come of EWR and of JFK."""
    story = Story(own, plan=plan())
    for hour, parts in enumerate(hours):
        start = f"{hour:02d}:00"
        views = [measured(DELAYS, start, np.concatenate(parts))]
        views += [measured(series, start, part) for series, part in zip((EWR, JFK), parts, strict=True)]
        story.tick(f"{hour + 1:02d}:00", *views, series=(DELAYS, EWR, JFK))
        if story.events:
            assert parse(encode(story.events[0])) == story.events[0]
            data = story.events[0].data
            assert isinstance(data, RuleAlert)
            return data
    raise AssertionError("no alert")


def explained(data: RuleAlert) -> tuple[Explanation, Means]:
    assert isinstance(data.explanation, Explanation)
    assert isinstance(data.explanation.means, Means)
    return data.explanation, data.explanation.means


def noise(seed: int, rows: int, mean: float = 0.0, spread: float = 1.0) -> Float64s:
    return np.random.default_rng(seed).normal(mean, spread, rows)


LARGE = rule(metric="mae", op=">", threshold=1.5)


def test_a_segment_whose_errors_became_larger_is_named_with_its_numbers() -> None:
    ewr, jfk = [noise(i, 100) for i in range(3)], [noise(10 + i, 80) for i in range(3)]
    jfk[2] = noise(12, 80, spread=5.0)
    data = told(LARGE, *zip(ewr, jfk, strict=True))
    why, means = explained(data)
    assert (why.rows, why.before_rows, why.errors, why.before_windows, why.slices) == (180, 360, 0, 2, [])
    assert means.metric == "mae"
    before_all = np.abs(np.concatenate([*ewr[:2], *jfk[:2]]))
    assert means.mean == pytest.approx(np.abs(np.concatenate([ewr[2], jfk[2]])).mean())
    assert means.before_mean == pytest.approx(before_all.mean())
    (part,) = means.slices
    before, now = np.abs(np.concatenate(jfk[:2])), np.abs(jfk[2])
    assert (part.segment, part.rows, part.before_rows) == ("origin=JFK", 80, 160)
    assert part.mean == pytest.approx(now.mean())
    assert part.before_mean == pytest.approx(before.mean())
    expected = (before.sum() + 20 * before_all.mean()) / 180
    assert part.expected == pytest.approx(expected)
    mean = (now.sum() + before.sum() + 20 * before_all.mean()) / 260
    square = ((now**2).sum() + (before**2).sum() + 20 * (before_all**2).mean()) / 260
    deviation = np.sqrt((square - mean**2) * (1 / 80 + 1 / 180))
    assert part.deviation == pytest.approx(deviation)
    assert part.z == pytest.approx((now.mean() - expected) / deviation)
    assert part.z > 3
    assert part.excess == pytest.approx(80 * (now.mean() - expected))
    (split,) = why.splits
    assert split.mix + split.within == pytest.approx(means.mean - means.before_mean)
    assert abs(split.mix) < 0.01 < split.within


def test_more_of_the_hard_cases_is_mix_and_no_slice_became_worse() -> None:
    hard, easy = 5.0, 0.5
    data = told(
        LARGE,
        (noise(1, 1_800, spread=easy), noise(2, 200, spread=hard)),
        (noise(3, 60, spread=easy), noise(4, 140, spread=hard)),
    )
    why, means = explained(data)
    assert means.slices == []
    (split,) = why.splits
    assert split.mix > 0.8 * (means.mean - means.before_mean)
    assert split.harm > 0


@pytest.mark.parametrize(("op", "threshold", "moved"), [(">", 1.0, 4.0), ("<", -1.0, -4.0)])
def test_of_the_bias_the_rule_says_which_side_is_worse(op: str, threshold: float, moved: float) -> None:
    own = rule(metric="bias", op=op, threshold=threshold)
    calm, other = [noise(i, 100) for i in range(3)], [noise(10 + i, 100) for i in range(3)]
    data = told(own, (calm[0], other[0]), (calm[1], other[1]), (calm[2] - moved / 10, noise(12, 100, mean=moved)))
    _, means = explained(data)
    assert means.metric == "bias"
    (part,) = means.slices
    assert part.segment == "origin=JFK"
    assert part.z > 3
    assert (part.mean - part.expected) * moved > 0


def test_a_fall_of_r2_is_explained_by_larger_errors_and_what_is_about_the_data_is_not() -> None:
    hours = ((noise(1, 100), noise(2, 100)), (noise(3, 100), noise(4, 100, spread=6.0)))
    _, means = explained(told(rule(metric="r2", op="<", threshold=-1.0), *hours))
    assert (means.metric, [part.segment for part in means.slices]) == ("mae", ["origin=JFK"])
    story = Story(rule(metric="overflow", op=">", threshold=0.1), plan=plan())
    view = measured(DELAYS, "00:00", noise(1, 100))
    story.tick("01:00", replace(view, metrics={**view.metrics, "overflow": Estimate(0.5, None, None, 100)}))
    assert b"explanation" not in encode(story.events[0])


def test_every_number_of_it_is_worked_out_again_and_one_that_was_changed_is_found() -> None:
    data = told(LARGE, (noise(1, 100), noise(2, 90)), (noise(3, 100), noise(4, 90, spread=6.0)))
    found = {line.name: line for line in lines(data)}
    names = {"rise along origin", "origin=JFK: expected", "origin=JFK: z", "origin=JFK: excess"}
    assert names <= found.keys()
    assert all(line.agrees for line in found.values())
    why, means = explained(data)
    forged = msgspec.structs.replace(means, slices=[msgspec.structs.replace(means.slices[0], rows=91)])
    data = msgspec.structs.replace(data, explanation=msgspec.structs.replace(why, means=forged))
    assert [line.name for line in lines(data) if not line.agrees] == ["origin=JFK: excess"]
