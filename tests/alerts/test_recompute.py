"""The numbers of an alert, worked out from others in it: all agree, and one that was changed is found."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from monitor.alerts.event import BudgetAlert, OperationalAlert, RuleAlert
from monitor.alerts.examples import example_events
from monitor.alerts.explained import Explanation
from monitor.alerts.recompute import lines
from monitor.metrics.intervals import wilson
from monitor.windows.view import Estimate, WindowView
from tests.alerts.story import DELAYS, Story, rule, window
from tests.alerts.test_explanation import EWR, JFK, counted, plan


def explained() -> RuleAlert:
    story = Story(rule(metric="accuracy", threshold=0.7), plan=plan())
    for hour, (ewr, jfk) in enumerate(((10, 12), (11, 10), (10, 80))):
        start = f"{hour:02d}:00"
        parts = (counted(EWR, start, 100, ewr), counted(JFK, start, 90, jfk))
        whole = counted(DELAYS, start, 190, ewr + jfk)
        views = [with_accuracy(one) for one in (whole, *parts)]
        story.tick(f"{hour + 1:02d}:00", *views, series=(DELAYS, EWR, JFK))
    data = story.events[0].data
    assert isinstance(data, RuleAlert)
    return data


def with_accuracy(view: WindowView) -> WindowView:
    """The window with accuracy and its interval, as the engine has them."""
    wrong, rows = view.counts["fp"], view.labelled
    lower, upper = wilson(np.array([rows - wrong]), np.array([rows]))
    return replace(view, metrics={"accuracy": Estimate((rows - wrong) / rows, float(lower[0]), float(upper[0]), rows)})


def test_every_number_of_a_rule_and_its_explanation_agrees() -> None:
    data = explained()
    found = {line.name: line for line in lines(data)}
    assert all(line.agrees for line in found.values()), [line for line in found.values() if not line.agrees]
    assert {"rows", "accuracy", "lower", "upper", "coverage", "broken", "rise along origin"} <= found.keys()
    assert {"origin=JFK: expected", "origin=JFK: z", "origin=JFK: excess"} <= found.keys()
    assert found["accuracy"].formula == "(tp + tn) / (tp + fp + fn + tn)"
    assert found["accuracy"].inputs == {"tp": 0, "fp": 90, "fn": 0, "tn": 100}


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("value", 0.53, "accuracy"),
        ("lower", 0.1, "lower"),
        ("rows", 191, "rows"),
        ("coverage", 0.5, "coverage"),
        ("broken", False, "broken"),
    ],
)
def test_a_number_of_the_evidence_that_was_changed_is_found(field: str, value: object, name: str) -> None:
    data = explained()
    assert data.evidence is not None
    changed = msgspec.structs.replace(data, evidence=msgspec.structs.replace(data.evidence, **{field: value}))
    assert name in [line.name for line in lines(changed) if not line.agrees]


def test_a_number_of_the_explanation_that_was_changed_is_found() -> None:
    data = explained()
    assert isinstance(data.explanation, Explanation)
    (part,) = data.explanation.slices
    why = msgspec.structs.replace(data.explanation, slices=[msgspec.structs.replace(part, errors=part.errors - 1)])
    wrong = {line.name for line in lines(msgspec.structs.replace(data, explanation=why)) if not line.agrees}
    assert wrong == {"origin=JFK: z", "origin=JFK: excess"}


def test_the_numbers_of_the_budget_agree_and_of_the_daemon_there_are_none() -> None:
    budget = example_events()["budget"].data
    assert isinstance(budget, BudgetAlert)
    told = lines(budget)
    assert [line.agrees for line in told] == [True] * 3
    assert told[0].name == "confusion, missed positives: lower"
    assert told[2].inputs["log_evidence"] == budget.log_evidence
    operational = example_events()["operational"].data
    assert isinstance(operational, OperationalAlert)
    assert lines(operational) == []


def test_violations_are_counted_by_the_check_that_asks() -> None:
    data = example_events()["data_quality"].data
    assert isinstance(data, RuleAlert)
    line = next(line for line in lines(data) if line.name == "out_of_range:distance")
    assert line.inputs == {"above_max": 281, "rows": 769}
    assert line.agrees


def test_a_rule_that_is_gone_has_no_numbers() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    data = story.events[0].data
    assert isinstance(data, RuleAlert)
    assert lines(msgspec.structs.replace(data, evidence=None)) == []
