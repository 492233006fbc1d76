"""A run that tells final windows only decides what a run that tells every revision does, and its rules read the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.adapters import dead_letters
from monitor.config import Config
from monitor.daemon.worker import Worker, WorkerOptions
from monitor.evaluator import TickOutput
from monitor.plan import plan_of
from monitor.windows import payload
from monitor.windows.view import Kind, WindowKey, WindowView
from tests.examples import examples
from tests.simulation import histories, quality, world
from tests.simulation.world import World

Told = dict[tuple[Kind, WindowKey, int], bytes]
"""What a revision of a window says."""


class Looking:
    """Remembers what rules were given at every tick, and what they could read of older windows."""

    def __init__(self, every: int = 1) -> None:
        """`every`: only every so many-th window is looked at, as rules read some and not others."""
        self.changed: Told = {}
        self.held: Told = {}
        self._every, self._looked = every, 0

    def __call__(self, output: TickOutput) -> None:
        if output.basis is None:
            return
        for view in output.basis.changed:
            self._look(self.changed, output.kind, view)
            series, window = view.key.series, view.key.window
            for held in output.basis.lookup.held(series, window, output.kind).values():
                self._look(self.held, output.kind, held)

    def _look(self, told: Told, kind: Kind, view: WindowView) -> None:
        self._looked += 1
        if self._looked % self._every == 0:
            told[kind, view.key, view.revision] = payload.encode(view)


def run(log: World, configuration: Config, looking: Looking, *, finals_only: bool) -> Worker:
    plan = replace(plan_of(configuration), finals_only=finals_only)
    worker = Worker(log, configuration, plan, log.clock, dead_letters, WorkerOptions(until_end=True), looking)
    worker.run()
    return worker


def compare(every: World, only: World, configuration: Config, pace: int, asked: int) -> None:
    every.paces = only.paces = {"predictions": pace}
    whole, some = Looking(), Looking(asked)
    run(every, configuration, whole, finals_only=False)
    run(only, configuration, some, finals_only=True)
    assert world.finals(only, "one") == world.finals(every, "one")
    assert world.alerts(only, "one") == world.alerts(every, "one")
    assert some.changed.items() <= whole.changed.items()
    assert some.held.items() <= (whole.held | whole.changed).items()
    if asked == 1:
        assert some.changed.keys() == whole.changed.keys()
    assert all(payload.parse(value).final for value in world.revisions(only, "one"))


@settings(max_examples=examples(30), deadline=None)
@given(histories.predictions, histories.labels, st.sampled_from([3, 1_000]), st.sampled_from([1, 1, 3]))
def test_of_predictions_with_labels(rows: list, labels: list, pace: int, asked: int) -> None:  # type: ignore[type-arg]
    logs = histories.split(rows), histories.split(labels)
    configuration = world.config("one", rows=7)
    compare(world.topics(*logs), world.topics(*logs), configuration, pace, asked)


@pytest.mark.parametrize("declared", [quality.QUALITY, "{}"], ids=["declared", "not declared"])
@settings(max_examples=examples(30), deadline=None)
@given(quality.records, st.sampled_from([3, 1_000]), st.sampled_from([1, 1, 3]))
def test_of_features_whose_quality_is(declared: str, rows: list, pace: int, asked: int) -> None:  # type: ignore[type-arg]
    logs = quality.split(rows)
    configuration = quality.config("one", rows=7, quality=declared)
    compare(quality.topics(logs), quality.topics(logs), configuration, pace, asked)
