"""What `power` promises is what the daemon's own watch does on the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.alerts.power import NEVER, beats_of_learning, delays, learned, limit_of
from monitor.alerts.watching import Series
from monitor.config.budget import Budget
from monitor.events import Int64s
from monitor.windows.view import Kind
from tests.alerts.test_watching import HOUR_MS, plan

DAY = 24


def budget(**keys: object) -> Budget:
    return Budget.model_validate({"learn": "5d", **keys})


def drawn(seed: int, beats: int, wrong: float, rows: int = 400) -> Int64s:
    rng = np.random.default_rng(seed)
    return rng.multinomial(rows, [0.4 * (1 - wrong), 0.6 * wrong, 0.4 * wrong, 0.6 * (1 - wrong)], beats)


@pytest.mark.parametrize("season", ["none", "day"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_delay_is_that_of_the_running_watch(season: str, seed: int) -> None:
    own = budget(season=season)
    before = drawn(seed, beats_of_learning(own), 0.1)
    future = np.concatenate([drawn(seed + 10, DAY, 0.1), drawn(seed + 20, 200, 0.16)])
    detector = learned(plan(), own, before)
    assert detector is not None
    (delay,) = delays(detector, own, future[:, np.newaxis], DAY)

    series = Series(plan(), Kind.PERFORMANCE, own, horizon_ms=HOUR_MS, pane_ms=HOUR_MS)
    start = -(-len(before) // DAY) * DAY  # the future begins with a day here, too
    alarms = []
    for beat, matrix in [*enumerate(before), *enumerate(future, start)]:
        series.add(beat, beat * HOUR_MS, np.concatenate([[matrix.sum()] * 2, matrix]))
        if series.close() is not None:
            alarms.append(beat - start - DAY + 1)
    assert 0 < delay == alarms[0]


def test_a_drop_below_the_limit_is_never_seen_and_a_larger_one_sooner() -> None:
    own = budget()
    detector = learned(plan(), own, drawn(1, beats_of_learning(own), 0.1))
    assert detector is not None
    limit = limit_of(detector)
    assert limit.reference == pytest.approx(0.1, abs=0.005)
    assert limit.limit > limit.reference + own.materiality.performance
    assert limit.dispersion >= 1.0
    medians = []
    for wrong in (limit.limit - 0.005, limit.limit + 0.02, limit.limit + 0.1):
        lanes = [np.concatenate([drawn(s, DAY, 0.1), drawn(100 + s, 300, wrong)]) for s in range(20)]
        medians.append(int(np.median(delays(detector, own, np.stack(lanes, axis=1), DAY))))
    assert medians[0] == NEVER
    assert medians[1] > medians[2] > 0


def test_too_few_rows_teach_nothing() -> None:
    own = budget()
    assert learned(plan(), own, np.zeros((beats_of_learning(own), 4), np.int64)) is None
