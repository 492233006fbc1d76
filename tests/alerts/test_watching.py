"""Cohorts, beats and learning of one version, without a daemon around it."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.alerts.watched import watched
from monitor.alerts.watching import SEASONS, Alarm, Cohorts, Release, Series, seasons_of
from monitor.config import loads
from monitor.config.budget import Budget
from monitor.drift.budget import Area
from monitor.drift.edetector import Detector
from monitor.events import Int64s
from monitor.plan import ModelPlan, compile_plan
from monitor.windows.losses import IsLost
from monitor.windows.view import Kind
from tests.drift.profiles import small

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CONFIG = """
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: $.model, version: $.version, at: $.at, score: $.score}
    features: {hour: numeric, origin: categorical}
  labels: {topic: labels, fields: {id: $.id, at: $.at, label: $.label}}
models: [{name: arrival-delay}]
"""


def plan(*, reference: bool = True) -> ModelPlan:
    return compile_plan(loads(CONFIG), {"arrival-delay": small()} if reference else {}).models["arrival-delay"]


def budget(**keys: object) -> Budget:
    return Budget.model_validate({"learn": "5d", **keys})


def test_what_is_watched_of_a_model() -> None:
    assert [(part.name, part.area) for part in watched(plan(), Kind.INPUT)] == [
        ("hour", Area.FEATURES),
        ("missing:hour", Area.QUALITY),
        ("origin", Area.FEATURES),
        ("missing:origin", Area.QUALITY),
        ("$score", Area.PREDICTIONS),
    ]
    assert [part.name for part in watched(plan(reference=False), Kind.INPUT)] == ["missing:hour", "missing:origin"]
    assert [part.area for part in watched(plan(), Kind.PERFORMANCE)] == [Area.PERFORMANCE]


def test_of_other_tasks_the_same_inputs_are_watched() -> None:
    text = CONFIG.replace("{name: arrival-delay}", "{name: arrival-delay, task: regression}")
    text = text.replace("score: $.score", "prediction: $.prediction")
    model = compile_plan(loads(text), {"arrival-delay": small()}).models["arrival-delay"]
    assert [part.name for part in watched(model, Kind.INPUT)] == [part.name for part in watched(plan(), Kind.INPUT)]


def test_a_declared_quality_changes_nothing_of_what_is_watched() -> None:
    quality = "quality: {features: {hour: {min: 5, max: 13}, origin: {values: [EWR]}}}"
    text = CONFIG.replace("{name: arrival-delay}", f"{{name: arrival-delay, {quality}}}")
    declared = compile_plan(loads(text), {"arrival-delay": small()}).models["arrival-delay"]
    assert declared.input_cells.size > plan().input_cells.size
    random = np.random.default_rng(43)
    vector = random.integers(1, 100, (3, declared.input_cells.size))
    for with_quality, without in zip(watched(declared, Kind.INPUT), watched(plan(), Kind.INPUT), strict=True):
        own = with_quality.read(vector)
        assert own.shape[1] == without.functionals(own[0]).bins == without.cells.stop - without.cells.start
        assert own.sum(axis=1).tolist() == vector[:, with_quality.cells].sum(axis=1).tolist()
        asked = with_quality.functionals(own.sum(axis=0)), without.functionals(own.sum(axis=0))
        assert asked[0].names == asked[1].names
        assert asked[0].values.tolist() == asked[1].values.tolist()


def pane(seen: int, right: int, wrong: int) -> Int64s:
    """seen, labelled, tp, fp, fn, tn."""
    return np.array([seen, right + wrong, right, 0, wrong, 0])


def inputs(missing: float) -> Int64s:
    """A hundred predictions like those of the reference, this share of the hours missing."""
    cells = plan().input_cells.zeros()
    for name, profile in small().features.items():
        cells.histogram(f"bins:{name}")[0] = profile.reference // 4
        if name == "hour":
            cells.histogram(f"bins:{name}")[0, profile.binning.missing] += int(missing * 100)
    cells.count("seen")[:] = 100
    found: Int64s = cells.array[0]
    return found


def told(found: Release | None) -> dict[int, list[int]]:
    assert found is not None
    assert not found.late.keys() & found.cohorts.keys()
    return {pane_ms: cells.tolist() for pane_ms, cells in (found.late | found.cohorts).items()}


def test_a_cohort_is_looked_at_when_it_is_over_and_nine_tenths_of_it_are_labelled() -> None:
    cohorts = Cohorts(horizon_ms=10 * HOUR_MS, pane_ms=HOUR_MS)
    cohorts.take(0, pane(20, 17, 0))  # 17 of 20, all right: they came early because they are
    assert cohorts.release(5 * HOUR_MS) is None
    cohorts.take(0, pane(0, 0, 1))
    assert cohorts.release(HOUR_MS - 1) is None
    assert told(cohorts.release(HOUR_MS)) == {0: [20, 18, 17, 0, 1, 0]}


def test_what_comes_for_a_cohort_later_joins_the_next_one() -> None:
    cohorts = Cohorts(horizon_ms=10 * HOUR_MS, pane_ms=HOUR_MS)
    cohorts.take(0, pane(20, 17, 1))
    assert list(told(cohorts.release(HOUR_MS))) == [0]
    cohorts.take(0, pane(0, 0, 2))  # slow labels only: alone they say nothing about the model
    assert cohorts.release(2 * HOUR_MS) is None
    cohorts.take(HOUR_MS, pane(10, 9, 0))
    assert told(cohorts.release(3 * HOUR_MS)) == {0: [0, 2, 0, 0, 2, 0], HOUR_MS: [10, 9, 9, 0, 0, 0]}


@pytest.mark.parametrize(
    ("rows", "begin"),
    [
        ({5: 20, 6: 20}, 5),
        ({1: 2, 5: 9, 6: 9, 7: 9}, 5),  # a small cohort that waited for its horizon
        ({1: 3, 5: 9, 6: 9, 7: 9}, 1),
        (dict.fromkeys(range(24), 10), 2),  # labels come once a day
        ({5: 0, 6: 0}, 5),
    ],
)
def test_what_is_released_begins_with_the_cohorts_not_with_stragglers(rows: dict[int, int], begin: int) -> None:
    released = Release({hour * HOUR_MS: pane(n, n, 0) for hour, n in rows.items()}, {0: pane(0, 500, 0)})
    assert released.begin_ms == begin * HOUR_MS


def touches(*spans: tuple[int, int]) -> IsLost:
    """What was lost: spans of event time."""
    return lambda start_ms, end_ms: any(start < end_ms and start_ms < end for start, end in spans)


def test_a_cohort_that_lost_something_is_left_out_and_so_is_what_came_late_for_one() -> None:
    cohorts = Cohorts(horizon_ms=10 * HOUR_MS, pane_ms=HOUR_MS)
    for hour in range(3):
        cohorts.take(hour * HOUR_MS, pane(10, 10, 0))
    assert list(told(cohorts.release(HOUR_MS))) == [0]
    cohorts.take(0, pane(0, 0, 5))  # late, and waits
    cohorts.leave_out_lost(touches((HOUR_MS // 2, HOUR_MS + 1)))
    assert told(cohorts.release(9 * HOUR_MS)) == {2 * HOUR_MS: pane(10, 10, 0).tolist()}


@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_beat_that_lost_records_brought_is_no_evidence_and_teaches_nothing(kind: Kind) -> None:
    """In learning and after it half of the beats are bad, and just these lost records."""
    usual, bad = (pane(100, 90, 10), pane(100, 40, 60)) if kind is Kind.PERFORMANCE else (inputs(0.0), inputs(0.6))
    found: dict[bool, list[Alarm]] = {}
    limits = []
    for lost in (True, False):
        series = Series(plan(), kind, budget(season="none"), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)
        alarms = found.setdefault(lost, [])
        for beat in range(240):
            broken = beat in (30, 31, 32, 180, 181, 182, 183)
            series.add(beat, beat * HOUR_MS, bad if broken else usual)
            is_lost = touches(*([(beat * HOUR_MS + 7, beat * HOUR_MS + 9)] if broken and lost else []))
            alarms += [alarm] if (alarm := series.close(is_lost=is_lost)) is not None else []
        limits.append([null.limit.tolist() for channel in detector_of(series).channels for null in channel.nulls])
    assert found[True] == []
    assert found[False], "without the loss it is evidence"
    assert limits[0] != limits[1], "and it was learned"


def test_a_cohort_whose_labels_do_not_come_is_looked_at_when_the_horizon_is_over() -> None:
    cohorts = Cohorts(horizon_ms=10 * HOUR_MS, pane_ms=HOUR_MS)
    cohorts.take(0, pane(20, 5, 0))
    assert cohorts.release(11 * HOUR_MS - 1) is None
    assert told(cohorts.release(11 * HOUR_MS)) == {0: pane(20, 5, 0).tolist()}
    assert not cohorts.waiting
    cohorts.take(50 * HOUR_MS, pane(1, 1, 0))
    assert list(told(cohorts.release(51 * HOUR_MS))) == [50 * HOUR_MS]
    assert cohorts.released == {50 * HOUR_MS}  # what is long over is forgotten


def play(
    series: Series, beats: range, wrong: float, random: np.random.Generator, night: float = 0.0
) -> list[tuple[int, Alarm]]:
    """A hundred labelled pairs an hour; before six in the morning `night` more of them are wrong."""
    found = []
    for beat in beats:
        rate = wrong + (night if beat % 24 < 6 else 0.0)
        series.add(beat, beat * HOUR_MS, pane(100, 100 - (missed := int(random.binomial(100, rate))), missed))
        if (alarm := series.close()) is not None:
            found.append((beat, alarm))
    return found


def test_a_version_is_compared_with_its_own_beginning_and_the_alarm_says_since_when() -> None:
    random, series = (
        np.random.default_rng(41),
        Series(plan(), Kind.PERFORMANCE, budget(), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS),
    )
    assert play(series, range(119), 0.1, random) == []
    learned_after = [series.learning]
    assert play(series, range(119, 300), 0.1, random) == []
    assert [*learned_after, series.learning] == [True, False]
    alarms = play(series, range(300, 330), 0.25, random)
    beat, alarm = alarms[0]
    assert beat <= 315
    assert abs(alarm.began_ms - 300 * HOUR_MS) <= 3 * HOUR_MS
    assert alarm.causes[0].functional in ("errors", "missed positives")
    assert alarm.areas == (Area.PERFORMANCE,)
    assert len(alarms) > 1  # it starts again and finds again what has changed for good


@pytest.mark.parametrize(("days_late", "together"), [(0, 1), (3, 1), (3, 6)])
def test_a_change_began_when_it_was_predicted_however_late_its_labels_come(days_late: int, together: int) -> None:
    """Labels come `days_late`, each hour those of an hour, or every six those of six."""
    random = np.random.default_rng(51)
    series = Series(plan(), Kind.PERFORMANCE, budget(), horizon_ms=5 * DAY_MS, pane_ms=HOUR_MS)
    alarms: list[Alarm] = []
    wrong: dict[int, int] = {}
    for beat in range(530 + 24 * days_late + together):
        wrong[beat] = int(random.binomial(100, 0.1 if beat < 500 else 0.25))
        series.add(beat, beat * HOUR_MS, pane(100, 0, 0))
        known = beat - 24 * days_late
        for hour in range(max(0, known - together + 1), known + 1):
            if beat % together == 0:
                series.add(beat, hour * HOUR_MS, pane(0, 100 - wrong[hour], wrong[hour]))
        if (alarm := series.close()) is not None:
            alarms.append(alarm)
        bets = 0 if series.detector is None else sum(channel.cells for channel in series.detector.channels)
        assert len(series._begins) <= bets
    first = alarms[0]
    assert first.begins == (first.began_ms,)
    assert abs(first.began_ms - 500 * HOUR_MS) <= max(3, together) * HOUR_MS
    assert first.causes[0].since >= 500 + 24 * days_late - 3, "the beat knows when labels came, not what they are about"


def test_bad_nights_are_no_news_where_nights_were_always_bad_and_a_bad_day_is() -> None:
    random, series = (
        np.random.default_rng(42),
        Series(plan(), Kind.PERFORMANCE, budget(learn="10d"), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS),
    )
    assert play(series, range(600), 0.05, random, night=0.2) == []
    assert play(series, range(600, 660), 0.2, random)  # never worse than a night, but all day long
    flat = Series(
        plan(), Kind.PERFORMANCE, budget(learn="10d", season="none"), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS
    )
    random = np.random.default_rng(42)
    assert play(flat, range(600), 0.05, random, night=0.2) == []  # then it is burstiness, and costs delay


@pytest.mark.parametrize(
    ("every", "parts"), [("1h", 8), ("2h", 6), ("3h", 8), ("4h", 6), ("5h", 1), ("1d", 1), ("2d", 1)]
)
def test_parts_of_a_day_are_whole_beats(every: str, parts: int) -> None:
    assert seasons_of(budget(every=every, learn="130d")) == parts
    assert seasons_of(budget(every=every, learn="130d", season="none")) == 1


def detector_of(series: Series) -> Detector:
    assert series._detector is not None
    return series._detector


def test_the_parts_of_a_day_have_limits_of_their_own_and_a_cause_speaks_of_those_of_its_rows() -> None:
    random = np.random.default_rng(43)
    series = Series(plan(), Kind.PERFORMANCE, budget(), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)
    play(series, range(144), 0.1, random, night=0.2)
    limits = [null.limit[0] for null in detector_of(series).channels[0].nulls]
    assert len(limits) == SEASONS
    assert limits[0] > limits[4] + 0.1  # midnight to three, noon to three
    days = [beat for beat in range(144, 400) if beat % 24 >= 12]
    found = [alarm for beat in days for _, alarm in play(series, range(beat, beat + 1), 0.3, random)]
    cause = found[0].causes[0]
    assert cause.reference < 0.15
    assert cause.limit < limits[0] - 0.1


def test_nothing_is_bet_on_in_a_part_of_the_day_that_was_never_seen_and_the_others_go_on() -> None:
    random = np.random.default_rng(44)
    series = Series(plan(), Kind.PERFORMANCE, budget(learn="10d"), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)
    for beat in range(300):
        if beat % 24 >= 3:
            assert play(series, range(beat, beat + 1), 0.1 if beat % 24 < 12 else 0.3, random) == []
    limits = [null.limit[0] for null in detector_of(series).channels[0].nulls]
    assert limits[0] == 1.0
    assert max(limits[1:]) < 0.4
    assert play(series, range(312, 315), 1.0, random) == []  # nobody knows what nights are like
    assert play(series, range(315, 330), 0.6, random)


def test_a_version_with_too_few_rows_is_never_watched() -> None:
    series = Series(plan(), Kind.PERFORMANCE, budget(), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)
    for beat in range(200):
        series.add(beat, beat * HOUR_MS, pane(1 if beat == 0 else 0, 1 if beat == 0 else 0, 0))
        assert series.close() is None


def test_the_two_kinds_share_the_budget_by_weight() -> None:
    random = np.random.default_rng(45)
    performance = Series(plan(), Kind.PERFORMANCE, budget(), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)
    play(performance, range(130), 0.1, random)
    inputs = Series(plan(), Kind.INPUT, budget(), horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)
    layout, profiles = plan().input_cells, small().features
    for beat in range(130):
        cells = layout.zeros()
        cells.count("seen")[:] = 50
        for name, profile in profiles.items():
            cells.histogram(f"bins:{name}")[0] = random.multinomial(50, profile.reference / profile.rows)
        inputs.add(beat, beat * HOUR_MS, cells.array[0])
        assert inputs.close() is None
    false = [HOUR_MS / detector_of(s).patience for s in (performance, inputs)]
    assert sum(false) == pytest.approx(HOUR_MS / budget().patience)  # at most F in the period, together
    assert false[0] == pytest.approx(0.5 * sum(false))


def informative_delays(runs: int, beats: int) -> tuple[list[int], float]:
    """Alarms in each run of a world in which nothing changes but wrong labels take longer, traffic has a daily cycle, and
    the label feed stands still for half a day now and then; and the bound for one run."""
    settings_ = budget(per="100h", every="1h", learn="5d", materiality={"performance": 0.0})
    found, patience = [], 1.0
    for seed in range(runs):
        random = np.random.default_rng(1_000 + seed)
        series = Series(plan(), Kind.PERFORMANCE, settings_, horizon_ms=36 * HOUR_MS, pane_ms=HOUR_MS)
        due: dict[int, dict[int, Int64s]] = {}
        alarms = 0
        for beat in range(120 + beats):
            size = int(random.poisson(100 if 6 <= beat % 24 < 22 else 15))
            wrong = random.random(size) < 0.2
            delay = np.where(wrong, random.integers(1, 9, size), random.integers(0, 3, size))
            known = beat + delay
            stalled = (known // 12) % 17 == 0  # then labels come when it goes on
            known = np.where(stalled, (known // 12 + 1) * 12, known)
            for hour in np.unique(known).tolist():
                own = wrong[known == hour]
                due.setdefault(hour, {})[beat] = pane(0, int((~own).sum()), int(own.sum()))
            series.add(beat, beat * HOUR_MS, pane(size, 0, 0))
            for cohort, cells in due.pop(beat, {}).items():
                series.add(beat, cohort * HOUR_MS, cells)
            alarms += series.close() is not None
        found.append(alarms)
        patience = detector_of(series).patience
    return found, beats / patience


def test_labels_that_come_late_because_of_what_they_say_raise_nothing() -> None:
    found, bound = informative_delays(10, 400)
    assert np.mean(found) <= bound + 3 * np.std(found, ddof=1) / len(found) ** 0.5


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_labels_that_come_late_because_of_what_they_say_raise_nothing_in_the_long_run() -> None:
    found, bound = informative_delays(60, 800)
    print(f"\ninformative delays: {np.mean(found):.2f} alarms, bound {bound:.1f}")
    assert len(found) * bound >= 100
    assert np.mean(found) <= bound + 3 * np.std(found, ddof=1) / len(found) ** 0.5
