"""What the budget watches of the performance of each task, and what it says when that becomes worse."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.alerts.watched import BINARY_CELLS, COUNTED, arrival_cells, observed, watched
from monitor.alerts.watching import Alarm, Series
from monitor.config import loads
from monitor.drift.budget import Area
from monitor.events import Float64s, Int64s
from monitor.plan import ModelPlan, Plan, compile_plan
from monitor.sketches.sizes import SIGNED, signed_bins
from monitor.windows.view import Kind
from tests.alerts.test_watching import CONFIG, HOUR_MS, budget

CLASSES = ("cat", "dog", "owl")
COMMAND = CONFIG.replace("score: $.score", "prediction: $.prediction")
LARGEST = 1000.0


def compiled(task: str) -> Plan:
    model = {
        "binary": "{name: arrival-delay}",
        "multiclass": "{name: arrival-delay, task: multiclass, classes: [cat, dog, owl]}",
        "regression": f"{{name: arrival-delay, task: regression, largest: {LARGEST:g}}}",
    }[task]
    text = CONFIG if task == "binary" else COMMAND
    return compile_plan(loads(text.replace("{name: arrival-delay}", model)), {})


def plan(task: str) -> ModelPlan:
    return compiled(task).models["arrival-delay"]


def counted(own: ModelPlan, predicted: Float64s, label: Float64s) -> Int64s:
    """The cells of a window with these rows."""
    cells = own.task.cells.zeros()
    place = np.zeros(len(label), np.int64)
    cells.add(place, *own.task.contribute(predicted, predicted, label, own.positive))
    cells.count("seen")[:] = len(label)
    found: Int64s = cells.array[0]
    return found


def numbers(random: np.random.Generator, rows: int, scale: float, bias: float = 0.0) -> Int64s:
    """An hour of a regression model: residuals of this standard deviation around a bias."""
    own, label = plan("regression"), random.uniform(100, 200, rows)
    vector = counted(own, label + bias + scale * random.normal(size=rows), label)
    return observed(own, Kind.PERFORMANCE, vector)


def answers(random: np.random.Generator, rows: int, owls_missed: float) -> Int64s:
    """An hour of a multiclass model: a tenth are owls, one in ten answers to the others is wrong."""
    own = plan("multiclass")
    label = random.choice([0.0, 1.0, 2.0], rows, p=[0.45, 0.45, 0.1])
    wrong = random.random(rows) < np.where(label == 2.0, owls_missed, 0.1)
    predicted = np.where(wrong, np.where(label == 0.0, 1.0, 0.0), label)
    return observed(own, Kind.PERFORMANCE, counted(own, predicted, label))


def play(series: Series, hours: list[Int64s], first: int = 0) -> list[Alarm]:
    found = []
    for beat, vector in enumerate(hours, first):
        series.add(beat, beat * HOUR_MS, vector)
        if (alarm := series.close()) is not None:
            found.append(alarm)
    return found


def series_of(task: str, **keys: object) -> Series:
    return Series(plan(task), Kind.PERFORMANCE, budget(**keys), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)


@pytest.mark.parametrize(
    ("task", "name", "width"),
    [("binary", "confusion", 0), ("multiclass", "confusion", 0), ("regression", "errors", 0)],
)
def test_the_performance_of_each_task_is_one_channel(task: str, name: str, width: int) -> None:
    (found,) = watched(plan(task), Kind.PERFORMANCE)
    assert (found.name, found.area, found.checked) == (name, Area.PERFORMANCE, None)
    vector = observed(plan(task), Kind.PERFORMANCE, plan(task).task.cells.zeros().array[0])
    asked = found.functionals(found.read(vector[np.newaxis])[0])
    assert asked.bins == len(vector) - COUNTED
    assert asked.prior.sum() == pytest.approx(1.0)
    assert arrival_cells(compiled(task), Kind.PERFORMANCE) == (BINARY_CELLS if task == "binary" else width)
    assert arrival_cells(compiled(task), Kind.INPUT) == 0


def test_of_classes_right_missed_and_false_rows_are_read() -> None:
    random, own = np.random.default_rng(71), plan("multiclass")
    label, predicted = (random.integers(0, 5, 300).astype(float) for _ in range(2))  # 3 and beyond: not listed
    vector = observed(own, Kind.PERFORMANCE, counted(own, predicted, label))
    truth, answer = np.minimum(label, 3), np.minimum(predicted, 3)
    right, wrong = truth == answer, truth != answer
    expected = [
        300, 300,
        *(int((right & (truth == c)).sum()) for c in range(4)),
        *(int((wrong & (truth == c)).sum()) for c in range(4)),
        *(int((wrong & (answer == c)).sum()) for c in range(4)),
    ]  # fmt: skip
    assert vector.tolist() == expected
    (part,) = watched(own, Kind.PERFORMANCE)
    asked = part.functionals(vector[COUNTED:])
    counts = part.read(vector[np.newaxis])
    rates = dict(zip(asked.names, (asked.totals(counts)[0] / 2**30 / asked.rows(counts)[0]).tolist(), strict=True))
    assert rates["errors"] == pytest.approx(wrong.mean())
    assert rates["missed owl"] == pytest.approx(wrong[truth == 2].mean())
    assert rates["false dog"] == pytest.approx(wrong[answer == 1].mean())
    assert rates["missed other"] == pytest.approx(wrong[truth == 3].mean())
    assert list(rates) == [
        "errors", *(f"{kind} {name}" for kind in ("missed", "false") for name in (*CLASSES, "other"))
    ]  # fmt: skip


def test_of_numbers_residuals_by_size_and_sign_and_those_out_of_bounds_are_read() -> None:
    random, own = np.random.default_rng(72), plan("regression")
    label, predicted = random.uniform(0, 900, 200), random.uniform(0, 1100, 200)
    vector = observed(own, Kind.PERFORMANCE, counted(own, predicted, label))
    inside = predicted <= LARGEST
    resolution = own.task.resolution  # type: ignore[attr-defined]
    units = np.rint(predicted / resolution).astype(np.int64) - np.rint(label / resolution).astype(np.int64)
    histogram = np.bincount(signed_bins(units[inside]), minlength=SIGNED)
    assert vector.tolist() == [200, 200, *histogram.tolist(), int((~inside).sum())]


def test_residuals_are_asked_for_size_tails_and_shift_and_names_are_in_the_unit_of_the_label() -> None:
    random, own = np.random.default_rng(73), plan("regression")
    label = random.uniform(100, 200, 20_000)
    residual = 3.0 * random.normal(size=20_000)
    vector = observed(own, Kind.PERFORMANCE, counted(own, label + residual, label))
    (part,) = watched(own, Kind.PERFORMANCE)
    asked = part.functionals(vector[COUNTED:])
    counts = part.read(vector[np.newaxis])
    means = dict(zip(asked.names, (asked.totals(counts)[0] / 2**30 / asked.rows(counts)[0]).tolist(), strict=True))
    assert [means[name] for name in ("larger errors", "higher answers", "lower answers")] == pytest.approx([0.5] * 3)
    assert means["numbers out of bounds"] == 0.0
    tails = [name for name in means if name.startswith("errors of ")]
    assert len(tails) == 4  # of five shares two are nearest to the same end of a bin
    for name in tails:
        size = float(name.split()[2])
        assert means[name] == pytest.approx((np.abs(residual) >= size).mean(), abs=1e-3), name


def test_numbers_that_become_worse_are_an_alarm_that_says_how() -> None:
    random, series = np.random.default_rng(74), series_of("regression")
    assert play(series, [numbers(random, 200, 3.0) for _ in range(160)]) == []
    alarm = play(series, [numbers(random, 200, 4.5) for _ in range(20)], 160)[0]
    assert alarm.areas == (Area.PERFORMANCE,)
    assert alarm.causes[0].functional == "larger errors" or alarm.causes[0].functional.startswith("errors of")
    assert abs(alarm.began_ms - 160 * HOUR_MS) <= 2 * HOUR_MS

    shifted = series_of("regression")
    assert play(shifted, [numbers(random, 200, 3.0) for _ in range(160)]) == []
    (first, *_) = play(shifted, [numbers(random, 200, 3.0, bias=1.0) for _ in range(40)], 160)
    assert first.causes[0].functional == "higher answers"


def test_numbers_that_are_out_of_bounds_are_an_alarm() -> None:
    random, series = np.random.default_rng(75), series_of("regression")
    assert play(series, [numbers(random, 200, 3.0) for _ in range(140)]) == []
    broken = [numbers(random, 200, 3.0) for _ in range(10)]
    for vector in broken:
        vector[-1] += 20
        vector[:COUNTED] += 20
    assert play(series, broken, 140)[0].causes[0].functional == "numbers out of bounds"


def test_numbers_that_become_better_wake_nobody() -> None:
    random, series = np.random.default_rng(76), series_of("regression")
    assert play(series, [numbers(random, 200, 3.0) for _ in range(140)]) == []
    assert play(series, [numbers(random, 200, 1.5) for _ in range(60)], 140) == []


def test_a_class_that_is_missed_is_an_alarm_that_names_it_and_a_better_model_is_none() -> None:
    random, series = np.random.default_rng(77), series_of("multiclass")
    assert play(series, [answers(random, 200, 0.2) for _ in range(160)]) == []
    alarm = play(series, [answers(random, 200, 0.6) for _ in range(20)], 160)[0]
    assert alarm.causes[0].functional == "missed owl"
    assert alarm.causes[0].mean > alarm.causes[0].limit > alarm.causes[0].reference == pytest.approx(0.2, abs=0.03)

    better = series_of("multiclass")
    assert play(better, [answers(random, 200, 0.4) for _ in range(140)]) == []
    assert play(better, [answers(random, 200, 0.1) for _ in range(60)], 140) == []
