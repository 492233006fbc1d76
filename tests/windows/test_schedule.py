"""Which windows are begun when, of which sense of a model."""

from __future__ import annotations

import numpy as np

from monitor.config.windows import Window
from monitor.groups import sense_of
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.windows.schedule import Schedule
from monitor.windows.spans import by_size, shortest

SECOND = sense_of("m", 1)
MINUTE_MS = 60_000


def schedule() -> Schedule:
    """Windows of two minutes; `m` is another from minute 4 on, and records count as before up to minute 6."""
    made = Schedule([Window.parse("2m")])
    begun = 4 * MINUTE_MS
    made.list_models({
        "m": ((NEVER, begun, 6 * MINUTE_MS),), "n": ((NEVER, FOREVER, FOREVER),), SECOND: ((begun, FOREVER, FOREVER),),
    })  # fmt: skip
    return made


def test_a_window_is_of_the_sense_that_held_at_its_start() -> None:
    made = schedule()
    assert [made.sense_at("m", minute * MINUTE_MS) for minute in (0, 3, 4, 9)] == ["m", "m", SECOND, SECOND]
    assert made.sense_at("n", 9 * MINUTE_MS) == "n"
    starts = [
        start // MINUTE_MS for sense in ("m", SECOND) for _, start, _ in made.spans_of_model(sense, 5 * MINUTE_MS)
    ]
    assert starts == [4], "and of no other"


def test_panes_count_for_each_sense_as_long_as_its_windows_ask_for_them() -> None:
    made, panes = schedule(), np.arange(3, 8) * MINUTE_MS
    assert made.counts("m", panes).tolist() == [True, True, True, False, False]
    assert made.counts(SECOND, panes).tolist() == [False, True, True, True, True]
    assert made.in_force("m", panes).tolist() == [True, False, False, False, False]
    assert made.in_force(SECOND, panes).tolist() == [False, True, True, True, True]
    assert made.in_force("n", panes).all(), "of a model that is always the same it is not asked"


def test_a_model_goes_on_while_any_sense_of_it_does() -> None:
    made = schedule()
    assert made.goes_on("m")
    assert made.has_begun("m", 0)
    assert made.has_begun("m", 9 * MINUTE_MS)
    made.list_models({"m": ((NEVER, 4, 6),), SECOND: ((4, 9, 12),)})
    assert not made.goes_on("m")
    assert not made.has_begun("m", 10)


def test_what_counts_by_a_template_always_counts() -> None:
    made = schedule()
    assert made.goes_on("nobody")
    assert made.has_begun("nobody", 0)
    assert made.counts("nobody", np.array([0])).all()
    assert made.spans_of_model("nobody", 0)


def test_windows_are_in_the_order_of_their_size_whatever_the_order_they_are_listed_in() -> None:
    listed = [Window.parse(name) for name in ("month", "1h", "6h/1h", "24h", "15m", "1d")]
    wanted = ["15m", "1h", "1d", "24h", "month", "6h/1h"]
    assert by_size(listed) == by_size(listed[::-1]) == wanted
    assert shortest(listed) == "15m"
