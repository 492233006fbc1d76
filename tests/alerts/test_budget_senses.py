"""What a budget learned, where a model comes to mean something else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monitor.alerts.budget import BudgetWatch
from monitor.alerts.event import AlertEvent
from monitor.alerts.saved_budget import restore_budget, save_budget
from monitor.config import Config, loads
from monitor.events import Int64s
from monitor.groups import sense_of
from monitor.plan import ModelPlan, Plan, compile_plan
from monitor.windows.arrivals import Arrival
from monitor.windows.view import Kind
from tests.alerts.test_budget_severity import BUDGET, LEARN, ROWS
from tests.alerts.test_watching import CONFIG
from tests.drift.profiles import small

NAME, NOW = "arrival-delay", sense_of("arrival-delay", 1)
OWN = NAME, "1"
SEGMENTS = "{name: arrival-delay, segments: {origin: [EWR]}}"
FEWER = "{name: arrival-delay, features: [hour]}"


def of_senses(then: str, now: str) -> tuple[Config, Plan]:
    """The configuration, and the plan of a model that was as the first and is as the second."""
    made = [
        compile_plan(loads((CONFIG + BUDGET).replace("{name: arrival-delay}", one)), {NAME: small()})
        for one in (then, now)
    ]
    first, second = made[0].models[NAME], replace(made[1].models[NAME], sense=NOW, config_digest="sha256:now")
    plan = replace(made[0], models={NAME: second}, senses={NAME: first, NOW: second})
    return loads(CONFIG + BUDGET), plan


def as_usual(model: ModelPlan) -> Int64s:
    """A beat of rows as in the reference."""
    cells = np.zeros(model.input_cells.size, np.int64)
    cells[0] = ROWS
    for feature in (*model.features, *([model.score] if model.score else [])):
        assert model.reference is not None
        was = np.asarray(model.reference.features[feature.name].reference)
        own = was * ROWS // was.sum()
        own[int(own.argmax())] += ROWS - own.sum()
        cells[feature.start : feature.start + len(own)] = own
    return cells


def broken(model: ModelPlan) -> Int64s:
    """A beat in which every hour is missing."""
    cells = as_usual(model)
    hour = next(feature for feature in model.features if feature.name == "hour")
    cells[hour.start : hour.start + hour.binning.bins] = 0
    cells[hour.start + hour.base.missing] = ROWS
    return cells


def right(model: ModelPlan) -> Int64s:
    """Labelled, four of five right."""
    cells = np.zeros(model.task.cells.size, np.int64)
    cells[:6] = ROWS, ROWS, ROWS * 4 // 5, 0, ROWS // 5, 0
    return cells


class Story:
    """Beats of one version, one a tick."""

    def __init__(self, then: str, now: str) -> None:
        self.config, self.plan = of_senses(then, now)
        self.watch = BudgetWatch.of(self.config, self.plan)
        self.number = 1_000

    def beat(self, kind: Kind, sense: str, cells: Int64s, *, pane: int = 0) -> list[AlertEvent]:
        """The next one; `pane`: how many beats its rows are old."""
        arrival = Arrival(NAME, "1", (self.number - pane) * 60_000, cells, sense)
        told = self.watch.step(kind, self.number, [arrival])
        self.number += 1
        return told

    def learned(self, kind: Kind) -> bool:
        return not self.watch._series[kind][OWN].learning


def test_what_is_asked_in_the_same_way_goes_on_with_what_was_learned() -> None:
    story = Story("{name: arrival-delay}", SEGMENTS)
    cells = as_usual(story.plan.senses[NAME])
    for _ in range(LEARN + 3):
        assert story.beat(Kind.INPUT, NAME, cells) == []
    assert story.learned(Kind.INPUT)
    assert story.beat(Kind.INPUT, NOW, cells) == []
    assert story.learned(Kind.INPUT)
    assert story.beat(Kind.INPUT, NAME, cells, pane=2) == [], "what comes late of the sense before is looked at as well"
    assert story.watch._series[Kind.INPUT][OWN].sense == NOW


def test_where_other_inputs_are_watched_they_are_learned_anew_and_performance_is_not() -> None:
    story = Story("{name: arrival-delay}", FEWER)
    then, now = story.plan.senses[NAME], story.plan.senses[NOW]
    for _ in range(LEARN + 3):
        story.beat(Kind.PERFORMANCE, NAME, right(then))
    assert story.learned(Kind.PERFORMANCE)
    for _ in range(LEARN + 3):
        story.beat(Kind.INPUT, NAME, as_usual(then))
    fired = [event for _ in range(3) for event in story.beat(Kind.INPUT, NAME, broken(then))]
    assert [event.data.state for event in fired] == ["firing"]
    (ended,) = story.beat(Kind.INPUT, NOW, as_usual(now))
    assert (ended.data.state, ended.data.reason) == ("resolved", "rule_gone")
    assert ended.data.config == story.plan.config_digest, "it is about what was watched then"  # type: ignore[union-attr]
    assert not story.learned(Kind.INPUT)
    assert story.beat(Kind.INPUT, NAME, broken(then), pane=2) == [], "and what still comes of that is not looked at"
    assert story.watch._series[Kind.INPUT][OWN].sense == NOW
    story.beat(Kind.PERFORMANCE, NOW, right(now))
    assert story.learned(Kind.PERFORMANCE)
    for _ in range(LEARN + 3):
        story.beat(Kind.INPUT, NOW, as_usual(now))
    fired = [event for _ in range(3) for event in story.beat(Kind.INPUT, NOW, broken(now))]
    assert [(event.data.state, event.data.config) for event in fired] == [("firing", "sha256:now")]  # type: ignore[union-attr]


def test_who_goes_on_from_a_checkpoint_goes_on_with_the_same_sense() -> None:
    story = Story("{name: arrival-delay}", FEWER)
    then, now = story.plan.senses[NAME], story.plan.senses[NOW]
    for _ in range(LEARN + 3):
        story.beat(Kind.INPUT, NAME, as_usual(then))
    for _ in range(LEARN + 3):
        story.beat(Kind.INPUT, NOW, as_usual(now))
    saved = save_budget(story.watch)
    again = BudgetWatch.of(story.config, story.plan)
    restore_budget(again, saved)
    assert save_budget(again) == saved
    arrivals = [Arrival(NAME, "1", (story.number - 2 * LEARN) * 60_000, broken(then), NAME)]
    for watch in (story.watch, again):
        assert watch.step(Kind.INPUT, story.number, arrivals) == []
        assert watch._series[Kind.INPUT][OWN].sense == NOW
    assert save_budget(again) == save_budget(story.watch)
