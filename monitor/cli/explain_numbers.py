"""What a run over the topics was given when it told an alert, kept so that the alert's numbers can be worked out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.alerts.event import AdvisoryAlert, BudgetAlert, RuleAlert
from monitor.alerts.recompute import AN_ALARM, Line, counted_again, lines
from monitor.windows.view import SeriesKey, WindowKey

if TYPE_CHECKING:
    from monitor.alerts.advice import Begun
    from monitor.alerts.event import AlertEvent, CitedWindow
    from monitor.alerts.watching import Look
    from monitor.config.types import Config
    from monitor.evaluator import Basis, TickOutput
    from monitor.events import Int64s
    from monitor.plan import Plan


@dataclass(slots=True)
class Kept:
    """Of one alert, while ticks close. `told`: the event as the run tells it; `cells`: of the window that it is about."""

    event: AlertEvent
    told: AlertEvent | None = None
    looks: list[Look] = field(default_factory=list)
    begun: Begun | None = None
    cells: Int64s | None = None

    def observe(self, output: TickOutput) -> None:
        """Take a tick; nothing after the one that tells the alert."""
        if self.told is not None:
            return
        self.told = next((one for one in output.events if one.id == self.event.id), None)
        if output.basis is not None:
            self._keep(output, output.basis)

    def _keep(self, output: TickOutput, basis: Basis) -> None:
        data = self.event.data
        if isinstance(data, BudgetAlert) and output.kind is data.kind:
            self.looks += [look for own, look in basis.looks if own == (data.model, data.version)]
        elif isinstance(data, AdvisoryAlert):
            for one in basis.begun:
                if one.advisory.name == data.rule and one.series == _series(data):
                    self.begun = one
                    self.cells = basis.lookup.cells(_key(data, data.window), data.window.kind)
        elif isinstance(data, RuleAlert) and data.evidence is not None and self.told is not None:
            window = data.evidence.window
            self.cells = basis.lookup.cells(_key(data, window), window.kind)


def all_lines(event: AlertEvent, kept: Kept | None, config: Config | None, plan: Plan | None) -> list[Line]:
    """Every number of an alert. Without a run that told it (`kept` with its configuration and plan) those that follow from
    others in it."""
    data, found = event.data, lines(event.data)
    if kept is None or kept.told is None or config is None or plan is None:
        return found
    if isinstance(data, BudgetAlert) and config.budget is not None:
        from monitor.alerts.recompute_budget import budget_lines

        if more := budget_lines(data, plan.of_window(data.model, data.config), config.budget, kept.looks):
            found = _by_cause([*(line for line in found if line.name != AN_ALARM), *more])
    else:
        found += _of_window(event, kept, plan)
    return [*found, *counted_again(data, kept.told.data, found)]


def _by_cause(found: list[Line]) -> list[Line]:
    """What is about one cause stands together, in the order of the causes; then the rest."""
    causes = {line.path.rpartition(".")[0] for line in found if line.path.startswith("causes.")}
    order = sorted(causes, key=lambda path: int(path.partition(".")[2]))
    own = [line for path in order for line in found if line.path.startswith(f"{path}.")]
    return [*own, *(line for line in found if not line.path.startswith("causes."))]


def _of_window(event: AlertEvent, kept: Kept, plan: Plan) -> list[Line]:
    """Of the value of a window only where its cells give it: the engine adds up several ticks at once, so they can be those of a
    later tick, or gone. The value is then counted again like any other number."""
    from monitor.alerts.recompute_windows import advisory_lines, window_lines

    data, found = event.data, list[Line]()
    if isinstance(data, AdvisoryAlert):
        if kept.cells is not None:
            kind = data.window.kind
            made = window_lines(
                data.metric, data.value, "value", plan.of_window(data.model, data.config), kind, kept.cells
            )
            found += [line for line in made if line.agrees]
        if kept.begun is not None:
            found += advisory_lines(data, kept.begun)
    elif isinstance(data, RuleAlert) and data.evidence is not None and kept.cells is not None:
        evidence, own = data.evidence, plan.of_window(data.model, data.evidence.config)
        there = {line.path for line in lines(data)}
        made = window_lines(evidence.metric, evidence.value, "evidence.value", own, evidence.window.kind, kept.cells)
        found += [line for line in made if line.path not in there and line.agrees]
    return found


def _series(data: RuleAlert | AdvisoryAlert) -> SeriesKey:
    return SeriesKey(data.model, data.version, data.segment)


def _key(data: RuleAlert | AdvisoryAlert, window: CitedWindow) -> WindowKey:
    return WindowKey(_series(data), window.name, window.start_ms, window.end_ms)
