"""Who is woken by an alarm of the budget: nobody by drift alone, somebody as soon as data break."""

from __future__ import annotations

import numpy as np

from monitor.alerts.budget import BudgetWatch
from monitor.alerts.event import AlertEvent, BudgetAlert
from monitor.config import loads
from monitor.events import Int64s
from monitor.plan import Plan, compile_plan
from monitor.windows.arrivals import Arrival
from monitor.windows.view import Kind
from tests.alerts.test_watching import CONFIG
from tests.drift.profiles import small

LEARN = 64
ROWS = 400
BUDGET = "budget: {false_pages: 1, per: 5h, every: 1m, learn: 64m, season: none, quiet: 10m}\nwindows: [1m]\n"


def beat_of(plan: Plan, *, moved: int = 0, missing: int = 0) -> Int64s:
    """A beat of rows as in the reference, but for so many whose origin moved to its first category, and whose hour is
    missing."""
    model = plan.model("arrival-delay")
    cells = np.zeros(model.input_cells.size, np.int64)
    cells[0] = ROWS
    assert model.reference is not None
    for feature in (*model.features, *([model.score] if model.score else [])):
        was = np.asarray(model.reference.features[feature.name].reference)
        own = was * ROWS // was.sum()
        own[int(own.argmax())] += ROWS - own.sum()
        if feature.name == "origin":
            away = min(moved, int(own[1]))
            own[0], own[1] = own[0] + away, own[1] - away
        if feature.name == "hour":
            full = int(own.argmax())
            own[full], own[feature.base.missing] = own[full] - missing, own[feature.base.missing] + missing
        cells[feature.start : feature.start + len(own)] = own
    return cells


def told(*changes: tuple[int, dict[str, int]]) -> list[AlertEvent]:
    """What is told of a version that learns, and then has so many beats of each sort."""
    config = loads(CONFIG + BUDGET)
    plan = compile_plan(config, {"arrival-delay": small()})
    watch = BudgetWatch.of(config, plan)
    found: list[AlertEvent] = []
    stories: list[dict[str, int]] = [{} for _ in range(LEARN + 3)] + [
        change for beats, change in changes for _ in range(beats)
    ]
    for number, change in enumerate(stories, 1_000):
        arrival = Arrival("arrival-delay", "1", number * 60_000, beat_of(plan, **change))
        found += watch.step(Kind.INPUT, number, [arrival])
    return found


def said(events: list[AlertEvent]) -> list[tuple[str, str, str]]:
    datas = [event.data for event in events if isinstance(event.data, BudgetAlert)]
    return [(data.severity, data.state, data.causes[0].area) for data in datas]


def test_drift_alone_is_a_ticket() -> None:
    assert said(told((8, {"moved": 150}))) == [("ticket", "firing", "features")]


def test_broken_data_are_a_page() -> None:
    assert said(told((8, {"missing": 40}))) == [("page", "firing", "quality")]


def test_data_that_break_while_drift_fires_are_a_page_of_the_same_episode() -> None:
    events = told((5, {"moved": 150}), (8, {"moved": 150, "missing": 60}))
    ticket, page = (event.data for event in events)
    assert isinstance(ticket, BudgetAlert)
    assert isinstance(page, BudgetAlert)
    assert (ticket.severity, page.severity) == ("ticket", "page")
    assert (page.episode, page.fired_ms, page.state) == (ticket.episode, ticket.fired_ms, "firing")
    assert page.tick_ms > ticket.tick_ms
    assert page.alarms > ticket.alarms
    assert "missing:hour" in {cause.channel for cause in page.causes if cause.listed}
    assert len({event.id for event in events}) == 2


def test_broken_data_are_a_page_though_a_louder_drift_comes_with_them() -> None:
    (event,) = told((8, {"moved": 150, "missing": 40}))
    assert isinstance(event.data, BudgetAlert)
    assert event.data.causes[0].channel == "origin"
    assert event.data.severity == "page"


def test_a_feature_of_which_every_value_is_missing_is_told_by_what_has_rows() -> None:
    (event,) = told((3, {"missing": ROWS}))
    assert isinstance(event.data, BudgetAlert)
    assert event.data.causes[0].channel == "missing:hour"
    assert all(cause.rows for cause in event.data.causes)
