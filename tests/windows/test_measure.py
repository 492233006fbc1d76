"""Which numbers a window carries."""

from __future__ import annotations

from monitor.config import loads
from monitor.plan import compile_plan
from monitor.windows.measure import Revision, input_views
from monitor.windows.view import SeriesKey, WindowKey
from tests.drift.profiles import small

CONFIG = """
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {hour: numeric, origin: categorical}
models: [{name: arrival-delay}]
"""


def carried(more: str) -> list[str]:
    """Names of the metrics of an input window, in order."""
    config = loads(CONFIG + more)
    plan = compile_plan(config, {"arrival-delay": small()}).models["arrival-delay"]
    revision = Revision(WindowKey(SeriesKey("arrival-delay", "1", "all"), "1d", 0, 86_400_000), 1, False, 60_000)
    views, columns = input_views(plan, config.digest, [revision], plan.input_cells.zeros())
    assert list(columns) == list(views[0].metrics)
    return list(columns)


def test_windows_carry_psi_ks_and_missing() -> None:
    assert carried("") == [
        "psi:hour", "ks:hour", "missing:hour", "psi:origin", "missing:origin", "psi:$score", "ks:$score"
    ]  # fmt: skip


def test_windows_carry_the_distances_that_are_asked_for_and_categories_none_that_needs_an_order() -> None:
    more = set(carried("drift: {distances: [wasserstein, js]}\n")) - set(carried(""))
    assert more == {"js:hour", "wasserstein:hour", "js:origin", "js:$score", "wasserstein:$score"}
