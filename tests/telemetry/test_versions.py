"""How many versions of a model there are at a time: counted, exported, warned of; those that are over leave."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from monitor.adapters.exposition import Exposer
from monitor.cli.many_versions import MANY, ManyVersions
from monitor.newest import Newest
from monitor.view import Evaluator, ModelStatus, View
from monitor.windows.over import OVER_KEPT
from monitor.windows.view import SeriesKey, WindowView
from tests.telemetry.samples import DAY_MS, START_MS, input_window, performance_window, sample_view


def windows(model: str, versions: range, *, final: bool = False) -> list[WindowView]:
    series = (SeriesKey(model, f"v{n:03}", segment) for n in versions for segment in ("all", "hue=red"))
    return [performance_window(own, start_ms=START_MS + int(own.version[1:]) * DAY_MS, final=final) for own in series]


def view(unlisted: ModelStatus | None = None) -> View:
    models = tuple(ModelStatus(name, "binary") for name in ("few", "many", "silent"))
    found = [*windows("many", range(70)), *windows("many", range(70, 90), final=True), *windows("few", range(2))]
    found += [*windows("stray", range(3)), *windows("lost", range(5)), input_window(SeriesKey("few", "v001", "all"))]
    return replace(sample_view(), models=models, unlisted=unlisted, windows=tuple(found))


def test_versions_with_windows_that_can_still_change_are_counted() -> None:
    assert view().versions() == {"few": 2, "many": 70, "silent": 0}
    assert view(ModelStatus("*", "binary")).versions() == {"few": 2, "many": 70, "silent": 0, "*": 5}


def test_they_are_exported_by_the_evaluator_also_where_nothing_else_has_room() -> None:
    text = Exposer().render(replace(view(), series_budget=1)).text.decode()
    assert 'driftline_model_versions{driftline_namespace="flights",model="many"} 70\n' in text
    standing_by = Exposer().render(replace(view(), evaluator=Evaluator())).text.decode()
    assert "driftline_model_versions{" not in standing_by


def test_it_is_warned_of_once_and_again_when_they_double(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "driftline.versions")
    many = ManyVersions()
    for number in (3, MANY, MANY + 1, MANY + 2, 2 * MANY + 1, 2 * MANY + 2, MANY, MANY + 3):
        many.look({"m": number, "*": 0})
    said = [record.getMessage() for record in caplog.records]
    assert [line.split()[3] for line in said] == [str(n) for n in (MANY + 1, 2 * MANY + 2, MANY + 3)]
    assert said[0].startswith(f"model 'm' has {MANY + 1} versions with windows that can still change")
    assert "streams.predictions.fields.version" in said[0]


def test_versions_that_are_over_leave_but_for_the_last_ones() -> None:
    newest = Newest()
    for n in range(OVER_KEPT + 20):
        newest.add(windows("m", range(n, n + 1)))
        newest.add(windows("m", range(n, n + 1), final=n != 3))
    shown = sorted({view.key.series.version for view in newest.views()})
    assert shown == ["v003", *(f"v{n:03}" for n in range(20, OVER_KEPT + 20))]
    assert len(newest.views()) == 2 * len(shown)
