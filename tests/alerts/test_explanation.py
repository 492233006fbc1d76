"""Why an alert fired: what the segments say, held to numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from monitor.alerts.cloudevents import encode, parse
from monitor.alerts.event import RuleAlert
from monitor.alerts.explained import Explanation
from monitor.alerts.explanation import errors_of
from monitor.config import loads
from monitor.plan import ModelPlan, compile_plan
from monitor.windows.view import Kind, SeriesKey, WindowKey, WindowView
from tests.alerts.story import DELAYS, Story, ms, rule, window
from tests.alerts.test_watching import CONFIG
from tests.drift.profiles import small

EWR, JFK = SeriesKey("delays", "1", "origin=EWR"), SeriesKey("delays", "1", "origin=JFK")
HOUR_MS = 3_600_000


def plan() -> ModelPlan:
    return compile_plan(loads(CONFIG), {"arrival-delay": small()}).models["arrival-delay"]


def counted(series: SeriesKey, start: str, rows: int, errors: int) -> WindowView:
    """A window of which so many labelled rows are wrong; recall stands for how good it is."""
    view = window(start, 1.0 - errors / rows, rows=rows, seen=rows, labelled=rows, series=series)
    return replace(view, counts={"tp": 0, "fp": errors, "fn": 0, "tn": rows - errors})


def told(*hours: tuple[tuple[int, int], tuple[int, int]]) -> Explanation | None:
    """What the first alert says, when hour by hour (rows, errors) come of EWR and of JFK. The rule breaks at 30 % errors."""
    story = Story(rule(threshold=0.7), plan=plan())
    for hour, parts in enumerate(hours):
        start = f"{hour:02d}:00"
        whole = counted(DELAYS, start, sum(p[0] for p in parts), sum(p[1] for p in parts))
        views = [whole, *(counted(s, start, *p) for s, p in zip((EWR, JFK), parts, strict=True))]
        story.tick(f"{hour + 1:02d}:00", *views, series=(DELAYS, EWR, JFK))
        if story.events:
            data = story.events[0].data
            assert isinstance(data, RuleAlert)
            assert parse(encode(story.events[0])) == story.events[0]
            return data.explanation if isinstance(data.explanation, Explanation) else None
    raise AssertionError("no alert")


def test_a_segment_that_became_worse_is_named_and_the_rise_lies_within_it() -> None:
    why = told(((100, 10), (100, 10)), ((100, 10), (100, 10)), ((100, 10), (100, 80)))
    assert why is not None
    assert (why.before_start_ms, why.before_end_ms, why.before_windows) == (0, 2 * HOUR_MS, 2)
    assert (why.rows, why.errors, why.before_rows, why.before_errors) == (200, 90, 400, 40)
    (split,) = why.splits
    assert split.feature == "origin"
    assert (split.mix, split.harm) == (0.0, 0.0)
    assert split.within == pytest.approx(90 / 200 - 40 / 400)
    (part,) = why.slices
    assert (part.segment, part.rows, part.errors, part.before_rows, part.before_errors) == (
        "origin=JFK",
        100,
        80,
        200,
        20,
    )
    assert part.expected == pytest.approx((20 + 20 * 0.1) / 220)
    pooled = (80 + 20 + 2) / 320
    assert part.z == pytest.approx((0.8 - 0.1) / math.sqrt(pooled * (1 - pooled) * (1 / 100 + 1 / 220)), rel=1e-9)
    assert part.excess == pytest.approx(70)


def test_more_of_the_hard_cases_is_mix_and_no_slice_became_worse() -> None:
    why = told(((180, 9), (20, 10)), ((60, 3), (140, 70)))
    assert why is not None
    assert why.slices == []
    (split,) = why.splits
    rise = 73 / 200 - 19 / 200
    assert split.within == pytest.approx(0.0)
    assert split.mix == pytest.approx(rise)
    assert split.harm == pytest.approx(rise), "the shift alone explains it, without a label of now"


def test_mix_and_within_add_up_to_the_rise() -> None:
    why = told(((170, 20), (30, 8)), ((120, 14), (80, 60)))
    assert why is not None
    (split,) = why.splits
    assert split.mix + split.within == pytest.approx(74 / 200 - 28 / 200)


def test_without_windows_before_nothing_is_said() -> None:
    assert told(((100, 50), (100, 50))) is None


def test_a_window_that_broke_the_rule_itself_is_not_what_is_compared_with() -> None:
    story = Story(rule(threshold=0.7), plan=plan())
    for hour, errors in enumerate((10, 60, 10, 60)):
        start = f"{hour:02d}:00"
        story.tick(f"{hour + 1:02d}:00", counted(DELAYS, start, 100, errors), series=(DELAYS,))
    last = story.events[-1].data
    assert isinstance(last, RuleAlert)
    assert isinstance(last.explanation, Explanation)
    assert (last.explanation.before_windows, last.explanation.before_errors) == (2, 20)


def test_an_alert_of_a_distance_says_which_bins_moved() -> None:
    own, model = rule(metric="psi:origin", op=">", threshold=0.2), plan()
    story = Story(own, plan=model)
    view = window("00:00", 0.5, metric="psi:origin", kind=Kind.INPUT)
    feature = next(one for one in model.features if one.name == "origin")
    sums = np.zeros(model.input_cells.size, np.int64)
    labels = [feature.base.label(i) for i in range(feature.base.bins)]
    sums[feature.start + labels.index("'JFK'")] = 90
    sums[feature.start + labels.index("missing")] = 10
    story.windows.sums[WindowKey(DELAYS, "1h", ms("00:00"), ms("01:00")), Kind.INPUT] = sums
    story.tick("01:00", view, kind=Kind.INPUT)
    data = story.events[0].data
    assert isinstance(data, RuleAlert)
    assert isinstance(data.explanation, Explanation)
    bins = [(one.bin, one.share, one.reference) for one in data.explanation.bins]
    assert bins[:2] == [("'JFK'", 0.9, 150 / 400), ("'EWR'", 0.0, 200 / 400)]


def test_without_explanations_an_alert_is_what_it_was() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    assert b"explanation" not in encode(story.events[0])


def test_errors_of_classes_are_what_is_off_the_diagonal() -> None:
    view = replace(
        window("00:00", 0.5, labelled=10),
        counts={"labelled": 10, "confusion:a:a": 4, "confusion:b:b": 3, "confusion:a:b": 3},
    )
    assert errors_of(view) == (10, 3)
    assert errors_of(replace(view, counts={"labelled": 10})) is None
