"""What a backtest must not show."""

from __future__ import annotations

import pytest

from monitor.backtest.gates import Broken, GateError, gate_of, judge, metric_gates, refuse_unknown, too_small
from tests.backtest.made import window

COUNTS = {"pages": 3.0, "missed": 0.0, "delay_hours": None}


@pytest.mark.parametrize(
    ("text", "fails"),
    [("pages > 3", False), ("pages >= 3", True), ("pages<3", False), ("pages <= 3", True), ("delay_hours >= 0", False)],
)
def test_counts_are_of_the_whole_range(text: str, fails: bool) -> None:
    expected = [Broken(gate=text, value=3.0, where="the whole range")] if fails else []
    assert judge([gate_of(text)], COUNTS, []) == expected


@pytest.mark.parametrize("text", ["delay_hours > 3", "delay_hours >= 3"])
def test_a_missed_incident_has_no_delay_that_is_small_enough(text: str) -> None:
    for delay in (None, 1.0):
        (broken,) = judge([gate_of(text)], {"missed": 2.0, "delay_hours": delay}, [])
        assert (broken.value, broken.where) == (None, "2 incidents that no alert found")
    assert judge([gate_of("delay_hours < 3")], {"missed": 2.0, "delay_hours": None}, []) == []


def test_a_metric_fails_by_its_worst_window() -> None:
    windows = [
        window(0.7), window(0.2, 86_400_000), window(None, 1), window(0.1, segment="a=b"), window(0.05, window="1h")
    ]  # fmt: skip
    (broken,) = judge([gate_of("recall@day < 0.5")], {}, windows)
    assert (broken.value, broken.where) == (0.2, "m/1 day from 1970-01-02T00:00:00.000Z")
    (broken,) = judge([gate_of("recall > 0.1")], {}, windows)
    assert broken.value == 0.7
    assert judge([gate_of("recall@day < 0.2")], {}, windows) == []


def test_a_window_of_a_few_rows_decides_nothing() -> None:
    windows = [window(0.7, rows=200), window(0.0, 1, rows=3), window(0.65, 2, rows=99), window(None, 3, rows=0)]
    gate = gate_of("recall < 0.69")
    assert judge([gate], {}, windows) == []
    assert too_small([gate, gate_of("recall@1h < 1")], windows, 100) == {"recall < 0.69": 2}
    assert [broken.value for broken in judge([gate], {}, windows, 99)] == [0.65]
    assert [broken.value for broken in judge([gate], {}, windows, 0)] == [0.0]
    (broken,) = judge([gate], {}, windows, 201)
    assert (broken.value, broken.judged) == (None, False)
    assert broken.where.startswith("a window on 201 rows: the largest has 200; --min-rows")
    counts = [gate_of("seen < 11"), gate_of("volume < 1")]
    assert [broken.gate for broken in judge(counts, {}, [*windows, window(None, kind="input")])] == ["seen < 11"]
    assert metric_gates([gate, gate_of("pages > 3")]) == [gate]


@pytest.mark.parametrize(
    ("text", "value"),
    [("volume < 8", 7), ("seen >= 10", 10), ("labelled < 6", 5), ("coverage < 1", 0.5), ("coverage < 0.5", None)],
)
def test_counts_of_windows_are_metrics_of_their_kind(text: str, value: float | None) -> None:
    windows = [
        window(0.5, seen=10, labelled=5, coverage=0.5),
        window(None, seen=0, labelled=0, coverage=None),
        window(None, kind="input", seen=7, labelled=0, coverage=None),
    ]
    if text.startswith("labelled"):
        del windows[1]
    found = judge([gate_of(text)], {}, windows)
    assert [broken.value for broken in found] == ([] if value is None else [value])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("acuracy < 1", "'acuracy' is no count and no metric of final windows; did you mean 'accuracy'"),
        ("page > 1", "did you mean 'pages'"),
        ("accuracy@2h < 1", "there are no windows '2h'; there are: 1h, day"),
        ("pages@day > 1", "pages is of the whole range; leave @day out"),
    ],
)
def test_what_no_window_will_have_is_refused_beforehand(text: str, sentence: str) -> None:
    with pytest.raises(GateError, match=sentence):
        refuse_unknown([gate_of(text)], ["accuracy", "recall"], ["1h", "day"])
    refuse_unknown([gate_of(each) for each in ("accuracy@day < 1", "pages > 3", "coverage < 1")], ["accuracy"], ["day"])


@pytest.mark.parametrize("text", ["pages", "pages > many", "pages = 3", "> 3", "pages > 3 or else", ""])
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(GateError, match="write NAME OP NUMBER"):
        gate_of(text)


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(GateError, match="false_alarms needs --incidents"):
        judge([gate_of("false_alarms > 0")], COUNTS, [])
    with pytest.raises(GateError, match=r"no final window has recal in windows of 1h.*day, recall"):
        judge([gate_of("recal@1h > 0")], COUNTS, [window(0.5)])


@pytest.mark.parametrize("text", ["missed > 0", "delay_hours > 3", "delay_hours < 3"])
def test_where_no_incident_was_scored_what_is_asked_of_them_was_not_tried(text: str) -> None:
    counted = {"missed": 0.0, "delay_hours": None, "false_alarms": 4.0}
    (broken,) = judge([gate_of(text)], counted, [], scored=False)
    assert (broken.value, broken.judged) == (None, False)
    (alarms,) = judge([gate_of("false_alarms > 3")], counted, [], scored=False)
    assert (alarms.value, alarms.judged) == (4.0, True)
