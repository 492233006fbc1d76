"""Windows that wait for labels: the book against a plain reading of the rows, and what follows from it against the truth."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import loads
from monitor.editions import FIRST
from monitor.events import Float64s, Int32s, Int64s
from monitor.metrics.delays import NO_LABEL, DelayCounts
from monitor.metrics.foreseen import ForeseenBinary
from monitor.metrics.task import evaluate
from monitor.plan import Plan, plan_of
from monitor.sketches.cells import Cells
from monitor.windows.arrivals import Arrival
from monitor.windows.losses import Losses
from monitor.windows.measure import Revision
from monitor.windows.outlook import SHORTEST_EPOCH_MS, LabelBook
from monitor.windows.saved import _save_book
from monitor.windows.view import Kind, Outlook, SeriesKey, WindowKey
from tests.examples import examples

CONFIG = """
streams:
  predictions:
    topic: predictions
    fields: {id: $.id, model: {const: m}, version: {const: "1"}, at: {from: $.at, unit: ms}, score: $.score}
  labels: {topic: labels, fields: {id: $.id, at: {from: $.at, unit: ms}, label: $.label}}
time: {horizon: 6h, lateness: 1h, disorder: 1m, tick: 1m}
models: [{name: m, threshold: 0.5}]
windows: [1h]
estimates: true
"""
PLAN: Plan = plan_of(loads(CONFIG))
MODEL = PLAN.model("m")
assert isinstance(MODEL.task, ForeseenBinary)
TASK = MODEL.task
MINUTE, HOUR = 60_000, 3_600_000
HORIZON = 6 * HOUR
START = 1_700_006_400_000


@dataclass(frozen=True)
class Row:
    """A prediction, when its label came (None: never), and what both said."""

    at_ms: int
    label_ms: int | None
    score: float
    positive: bool


@cache
def contributions(rows: tuple[Row, ...]) -> Mapping[int, Mapping[int, Int64s]]:
    """By tick, by pane: the cells that become known."""
    found: dict[int, dict[int, Int64s]] = defaultdict(lambda: defaultdict(lambda: TASK.cells.zeros().array[0]))

    def add(rows: Sequence[Row], ticks: Int64s, cell: Int64s | Int32s, amount: Int64s) -> None:
        for row, tick, cells, amounts in zip(rows, ticks.tolist(), cell, amount, strict=True):
            np.add.at(found[tick][row.at_ms // PLAN.pane_ms * PLAN.pane_ms], cells, amounts)

    def columns(rows: Sequence[Row]) -> tuple[Int64s, Float64s, Float64s]:
        score = np.array([row.score for row in rows])
        return np.array([row.at_ms for row in rows]), score, (score >= 0.5).astype(np.float64)

    if rows:
        at, score, called = columns(rows)
        waits, amount = TASK.foresee(score, called)
        seen = np.column_stack((np.full(len(rows), TASK.cells.index("seen")), waits))
        add(rows, at // MINUTE, seen, np.column_stack((np.ones(len(rows), np.int64), amount)))
    if known := [row for row in rows if row.label_ms is not None]:
        at, score, called = columns(known)
        ticks = np.array([row.label_ms for row in known]) // MINUTE
        label = np.array([float(row.positive) for row in known])
        add(known, ticks, *TASK.contribute(score, called, label, 1.0, delay_ms=ticks * MINUTE + MINUTE // 2 - at))
    return found


def book_of(rows: Sequence[Row], now_ms: int, look_at: Iterable[int] = ()) -> LabelBook:
    """The book at a time, having been looked at where nothing came too."""
    book, ticks = LabelBook(PLAN), contributions(tuple(rows))
    for tick in sorted({*ticks, *look_at}):
        if (tick + 1) * MINUTE <= now_ms:
            book.take(tick, [Arrival("m", "1", pane, cells) for pane, cells in ticks.get(tick, {}).items()])
    book.take(now_ms // MINUTE - 1, ())
    return book


def test_cohorts_that_lost_something_are_no_sample_of_how_labels_come_before_and_after_it_is_known() -> None:
    """Labels come within an hour; of two hours they were lost."""
    rng = random.Random(5)
    lost = (START + 3 * HOUR, START + 5 * HOUR)
    rows = [
        Row(at, None if lost[0] <= at < lost[1] else at + rng.randint(MINUTE, HOUR), 0.7, True)
        for at in range(START, START + 9 * HOUR, MINUTE)
    ]
    now = START + 9 * HOUR + 10 * MINUTE
    biased = book_of(rows, now).curve("m", now)
    assert biased.around(np.array([4 * HOUR]))[0] < 0.9
    losses, ticks = Losses(), contributions(tuple(rows))
    book = LabelBook(PLAN, partial(losses.touch, Kind.PERFORMANCE))
    for tick in sorted(ticks):
        if tick * MINUTE == START + 4 * HOUR:
            losses.add(Kind.PERFORMANCE, *lost)
            book.leave_out_lost()
        book.take(tick, [Arrival("m", "1", pane, cells) for pane, cells in ticks[tick].items()])
    book.take(now // MINUTE - 1, ())
    kept = book_of([row for row in rows if not touched(book, row, lost)], now)
    assert book.curve("m", now).around(np.arange(1, 9) * HOUR).tolist() == pytest.approx(
        kept.curve("m", now).around(np.arange(1, 9) * HOUR).tolist()
    )
    assert book.curve("m", now).around(np.array([4 * HOUR]))[0] == pytest.approx(1.0)


def touched(book: LabelBook, row: Row, lost: tuple[int, int]) -> bool:
    start = row.at_ms // book.span_ms * book.span_ms
    return start < lost[1] and lost[0] < start + book.span_ms


def window(start_ms: int, rows: Iterable[Row], now_ms: int) -> tuple[WindowKey, Cells]:
    """The hour that begins there, as it is at a time."""
    total = TASK.cells.zeros().array[0]
    for tick, panes in contributions(tuple(r for r in rows if start_ms <= r.at_ms < start_ms + HOUR)).items():
        if (tick + 1) * MINUTE <= now_ms:
            total = total + sum(panes.values())
    return WindowKey(SeriesKey("m", "1", "all"), "1h", start_ms, start_ms + HOUR), Cells(TASK.cells, total[np.newaxis])


def outlook(rows: Sequence[Row], start_ms: int, now_ms: int) -> Outlook:
    key, cells = window(start_ms, rows, now_ms)
    (found,) = book_of(rows, now_ms).outlooks(MODEL, [Revision(key, 1, False, now_ms)], cells)
    assert found is not None
    return found


rows_ = st.lists(
    st.builds(
        Row,
        st.integers(START, START + 12 * HOUR),
        st.none(),
        st.sampled_from([0.1, 0.4, 0.5, 0.9]),
        st.booleans(),
    ).flatmap(lambda row: st.one_of(
        st.just(row), st.integers(0, HORIZON).map(lambda delay: Row(row.at_ms, row.at_ms + delay, row.score, row.positive))
    )),
    max_size=40,
)  # fmt: skip


@settings(max_examples=examples(150))
@given(rows_, st.integers(1, 13 * 60))
def test_the_curve_is_that_of_the_rows(rows: list[Row], minutes: int) -> None:
    """Read plainly: a row's delay goes to the middle of the tick, its age is that of its cohort's youngest. Nothing
    is history before a horizon and the lateness have gone by."""
    now = START + minutes * MINUTE
    book = book_of(rows, now)
    known = [row for row in rows if (row.at_ms // MINUTE + 1) * MINUTE <= now]
    delays, ages = [], []
    for row in known:
        if row.at_ms // book.span_ms * book.span_ms + book.span_ms + HORIZON + HOUR + PLAN.join.settle_ms <= now:
            return
        ages.append(now - (row.at_ms // book.span_ms + 1) * book.span_ms)
        came = None if row.label_ms is None else (row.label_ms // MINUTE + 1) * MINUTE
        delays.append(NO_LABEL if came is None or came > now else min(max(came - MINUTE // 2 - row.at_ms, 0), HORIZON))
    expected = DelayCounts.of(book.shape.ends, np.array(delays, np.int64), np.array(ages, np.int64)).curve()
    np.testing.assert_array_equal(book.curve("m", now).share, expected.share)


@settings(max_examples=examples(60))
@given(rows_, st.lists(st.integers(0, 60 * 60), max_size=20))
def test_it_does_not_matter_how_often_it_is_looked_at(rows: list[Row], minutes: list[int]) -> None:
    now = START + 60 * HOUR
    one, other = book_of(rows, now), book_of(rows, now, [START // MINUTE + m for m in minutes])
    assert msgspec.msgpack.encode(_save_book(one)) == msgspec.msgpack.encode(_save_book(other))


def late_flights(seed: int, hours: int, worse_from_ms: int | None = None) -> list[Row]:
    """Two hundred predictions an hour. Bad news takes longer: labels of positives come after 2 h, others after 30
    minutes; one in twenty never. Scores mean what they say, until they do not."""
    rng = random.Random(seed)
    found = []
    for number in range(hours * 200):
        at = START + number * HOUR // 200
        score = rng.choice([0.05, 0.2, 0.35, 0.65, 0.8, 0.95])
        positive = rng.random() < score
        if worse_from_ms is not None and at >= worse_from_ms:
            positive = rng.random() < 0.5
        delay = rng.expovariate(1 / (2 * HOUR if positive else HOUR / 2))
        label = None if rng.random() < 0.05 or delay > HORIZON else at + int(delay)
        found.append(Row(at, label, score, positive))
    return found


FLIGHTS = late_flights(1, 40)
NOW = START + 37 * HOUR


def truth(start_ms: int, rows: Sequence[Row]) -> dict[str, float]:
    """What the window ends at."""
    ended = [r for r in rows if start_ms <= r.at_ms < start_ms + HOUR and r.label_ms is not None]
    right = sum((r.score >= 0.5) == r.positive for r in ended)
    positives = [r for r in ended if r.positive]
    return {"accuracy": right / len(ended), "recall": sum(r.score >= 0.5 for r in positives) / len(positives)}


@pytest.mark.parametrize("hours_ago", [0, 1, 2, 4])
def test_the_coverage_that_is_expected_is_the_one_that_there_is(hours_ago: int) -> None:
    expected, labelled = [], []
    for step in range(8):
        now = NOW - step * HOUR
        start = now - (hours_ago + 1) * HOUR
        key, cells = window(start, FLIGHTS, now)
        found = outlook(FLIGHTS, start, now)
        labelled.append(int(cells.count("labelled")[0]) / int(cells.count("seen")[0]))
        assert found.expected_coverage is not None
        expected.append(found.expected_coverage)
        assert found.eventual_coverage == pytest.approx(0.93, abs=0.025)  # 5 % never, and some beyond the horizon
        assert found.settled_ms is not None
        assert 4 * HOUR < found.settled_ms - key.end_ms <= HORIZON
    assert np.mean(expected) == pytest.approx(np.mean(labelled), abs=0.02)


@pytest.mark.parametrize("hours_ago", [0, 1, 2, 4])
def test_what_is_completed_is_nearer_to_the_truth_than_the_labels_that_have_come(hours_ago: int) -> None:
    naive, completed, by_score = 0.0, 0.0, 0.0
    for step in range(4):
        now = NOW - step * HOUR
        start = now - (hours_ago + 1) * HOUR
        found, final = outlook(FLIGHTS, start, now), truth(start, FLIGHTS)
        _, cells = window(start, FLIGHTS, now)
        tp, fn = int(cells.count("tp")[0]), int(cells.count("fn")[0])
        positives = (tp + fn) / max(int(cells.count("labelled")[0]), 1)
        rows = [r for r in FLIGHTS if start <= r.at_ms < start + HOUR and r.label_ms is not None]
        prevalence = sum(r.positive for r in rows) / len(rows)
        naive += abs(positives - prevalence)
        accuracy, recall = found.completed["accuracy"], found.completed["recall"]
        assert accuracy.value is not None and recall.value is not None and accuracy.lower is not None  # noqa: PT018
        completed += abs(accuracy.value - final["accuracy"])
        assert recall.value == pytest.approx(final["recall"], abs=0.08)
        score = found.unlabelled["accuracy"].value
        assert score is not None
        by_score += abs(score - final["accuracy"])
        low, high = found.bounds["accuracy"]
        everything = [r for r in FLIGHTS if start <= r.at_ms < start + HOUR]
        possible = [sum((r.score >= 0.5) == r.positive for r in everything) / len(everything)]
        assert all(low <= value <= high for value in possible)
    assert completed / 4 < 0.03
    assert by_score / 4 < 0.04
    if hours_ago < 2:
        assert naive / 4 > 0.08, "the labels that come first are those of negatives"


def test_scores_that_no_longer_mean_what_they_meant_show_in_the_residual_before_the_window_is_whole() -> None:
    rows = late_flights(2, 38, worse_from_ms=START + 34 * HOUR)
    before, after = outlook(rows, START + 31 * HOUR, NOW), outlook(rows, START + 35 * HOUR, NOW)
    calm, changed = before.unlabelled["residual"], after.unlabelled["residual"]
    assert calm.lower is not None and calm.upper is not None and changed.value is not None  # noqa: PT018
    assert calm.lower < 0.05
    assert calm.upper > -0.05
    promised, true = after.unlabelled["accuracy"].value, truth(START + 35 * HOUR, rows)["accuracy"]
    assert promised is not None
    assert promised - true > 0.2, "an estimate without labels is blind to it"


def test_nothing_is_said_before_anything_is_known() -> None:
    found = outlook(FLIGHTS[:30], START, START + 2 * MINUTE)
    assert (found.expected_coverage, found.settled_ms, found.completed, found.unlabelled) == (None, None, {}, {})
    assert found.bounds["accuracy"] == (0.0, 1.0)


def test_a_final_window_has_bounds_that_its_rows_alone_decide() -> None:
    key, cells = window(START, FLIGHTS, START + 39 * HOUR)
    (found,) = LabelBook(PLAN).outlooks(MODEL, [Revision(key, 1, True, NOW)], cells)
    assert found is not None
    assert (found.expected_coverage, found.completed) == (None, {})
    low, high = found.bounds["accuracy"]
    assert low < truth(START, FLIGHTS)["accuracy"] < high
    assert high - low < 0.1
    so_far = evaluate(MODEL.task, cells, ["roc_auc", "f1"])
    for name, column in so_far.items():
        assert found.bounds[name][0] < (column.at(0).value or 0.0) < found.bounds[name][1], name


def test_bounds_that_an_edition_did_not_know_are_not_told_by_it() -> None:
    key, cells = window(START, FLIGHTS, START + 39 * HOUR)
    first = replace(MODEL, task=TASK.of_edition(FIRST))
    (found,) = LabelBook(PLAN).outlooks(first, [Revision(key, 1, True, NOW)], cells)
    assert found is not None
    assert list(found.bounds) == ["accuracy", "precision", "recall", "specificity"]


def test_history_is_forgotten() -> None:
    rows = [row for row in FLIGHTS if row.at_ms < START + HOUR]
    week = START // SHORTEST_EPOCH_MS + 1
    times = [START + 7 * HOUR, START + 9 * HOUR, week * SHORTEST_EPOCH_MS, (week + 1) * SHORTEST_EPOCH_MS]
    held = [book_of(rows, time).history(("m", "1")) for time in times]
    assert [None if own is None else int(own[0]) for own in held] == [None, 200, 200, None]
