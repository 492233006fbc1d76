"""A feature that stands still in the newest rows stops a run, and so does another unit; drift, flags and luck do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.gate import GateSpec
from pipelines.journal import Reason
from pipelines.policy import DAY_MS, Data, Policy, Promotion, Train, Trigger, senseless
from pipelines.rescaled import CHANGE_MAX, larger, rescaled
from pipelines.states import State
from pipelines.stuck import RATIO_MAX, standing, stuck
from pipelines.tables import Row
from tests.pipelines.inprocess import Loop
from tests.pipelines.memory import BORN_MS, policy
from tests.pipelines.test_shadow import stream

Luck = np.random.Generator
ROWS = 3_000


def rows_of(values: Sequence[Any], cut: float = 0.7) -> tuple[list[Row], list[Row]]:
    rows = [{"x": value} for value in values]
    return rows[: int(len(rows) * cut)], rows[int(len(rows) * cut) :]


def still(values: Sequence[Any], ratio_max: float = RATIO_MAX) -> list[str]:
    return list(standing(stuck(*rows_of(values), ("x",)), ratio_max))


def scaled(values: Sequence[Any], change_max: float = CHANGE_MAX) -> list[str]:
    return list(larger(rescaled(*rows_of(values), ("x",)), change_max))


def then(values: Sequence[Any], since: float, value: Any) -> list[Any]:
    """The same from a share of the rows on."""
    first = int(len(values) * since)
    return [*values[:first], *[value] * (len(values) - first)]


@pytest.fixture
def luck() -> Luck:
    return np.random.default_rng(14)


@pytest.fixture
def normal(luck: Luck) -> list[float]:
    found: list[float] = luck.normal(size=ROWS).tolist()
    return found


@pytest.fixture
def towns(luck: Luck) -> list[str]:
    found: list[str] = luck.choice(["EWR", "JFK", "LGA", "BOS"], ROWS, p=[0.4, 0.3, 0.2, 0.1]).tolist()
    return found


# ----------------------------------------------------------------------------------------------------------- stuck


def test_a_feature_that_stands_still_is_named_with_shares_and_never_with_its_value(normal: list[float]) -> None:
    (sentence,) = still(then(normal, 0.4, -7.25))
    assert sentence.startswith(
        "x stands still: one value has 100.0% of the newest 900 of the 900 rows to judge by, and none had more than 1.3% in any "
        "part of the 1,200 rows before."
    )
    assert "7.25" not in sentence


@pytest.mark.parametrize(("since", "found"), [(0.12, 1), (0.4, 1), (0.7, 1), (0.8, 1), (0.88, 1), (0.95, 0)])
def test_it_does_not_matter_since_when_if_it_is_in_many_of_the_rows_to_judge_by(
    normal: list[float], since: float, found: int
) -> None:
    assert len(still(then(normal, since, 0))) == found


def test_the_limit_is_the_share_of_the_rows_to_judge_by(normal: list[float]) -> None:
    since = then(normal, 0.88, 0)  # 360 of 900
    assert (len(still(since, 0.39)), len(still(since, 0.41)), len(still(then(normal, 0.1, 0), 1.0))) == (1, 0, 0)


def test_one_of_twenty_producers_may_still_be_right(normal: list[float]) -> None:
    some = [
        value if at % 20 == 0 else old for at, (value, old) in enumerate(zip(normal, then(normal, 0.5, 3), strict=True))
    ]
    (sentence,) = still(some)
    assert "one value has 95.1% of the newest" in sentence


@pytest.mark.parametrize("value", [-999, 999, None])
def test_a_number_that_wanders_is_found_where_it_hangs(luck: Luck, value: int | None) -> None:
    wanders = (20 + 10 * np.sin(np.arange(ROWS) / 150) + luck.normal(0, 0.1, ROWS)).tolist()
    hung = wanders[int(ROWS * 0.6)] if value is None else value
    assert len(still(then(wanders, 0.6, hung))) == 1


@pytest.mark.parametrize("value", ["JFK", "XXX", "", "BOS"])
def test_a_category_of_several_that_is_always_the_same_since_is_found(towns: list[str], value: str) -> None:
    assert len(still(then(towns, 0.6, value))) == 1


def test_rows_without_a_value_are_for_another_check(normal: list[float]) -> None:
    assert still(then(normal, 0.6, None)) == []
    half = [None if at % 2 else value for at, value in enumerate(then(normal, 0.6, 1.5))]
    assert len(still(half)) == 1


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_arrays_and_objects_are_what_they_look_like(normal: list[float], value: object) -> None:
    assert len(still(then([[each] for each in normal], 0.6, value))) == 1


RIGHT: dict[str, Callable[[Luck], Sequence[Any]]] = {
    "always the same": lambda _: [1] * ROWS,
    "one country of two is off": lambda luck: then(luck.choice(["de", "fr"], ROWS, p=[0.6, 0.4]).tolist(), 0.6, "de"),
    "an experiment of two arms ends": lambda luck: then((luck.random(ROWS) < 0.5).tolist(), 0.7, True),
    "a flag is rolled out": lambda luck: then((luck.random(ROWS) < 0.1).tolist(), 0.7, True),
    "a sale is over": lambda luck: then(np.where(luck.random(ROWS) < 0.6, 0, luck.normal(9, 1, ROWS)).tolist(), 0.7, 0),
    "holidays": lambda _: [200 <= at < 300 or 1_500 <= at < 1_600 for at in range(ROWS)],
    "a first holiday": lambda _: [at > 2_500 for at in range(ROWS)],
    "months": lambda _: [at * 4 // ROWS for at in range(ROWS)],
    "weeks": lambda _: [at * 13 // ROWS for at in range(ROWS)],
    "releases": lambda luck: np.floor(np.arange(ROWS) / ROWS * 3 + luck.random(ROWS) * 0.5).tolist(),
    "a battery is full": lambda luck: np.minimum(np.arange(ROWS) / 20 + luck.normal(0, 1, ROWS), 100).tolist(),
    "few rows": lambda luck: then(luck.normal(size=150).tolist(), 0.6, 0),
    "nothing": lambda _: [],
    "nothing but null": lambda _: [None] * ROWS,
}


@pytest.mark.parametrize("what", [*RIGHT])
def test_what_is_rightly_the_same_for_a_while_stops_nothing(luck: Luck, what: str) -> None:
    assert still(RIGHT[what](luck)) == scaled(RIGHT[what](luck)) == []


# ----------------------------------------------------------------------------------------------------------- scale


def times(values: Sequence[float], since: float, factor: float, offset: float = 0) -> list[float]:
    first = int(len(values) * since)
    return [*values[:first], *(value * factor + offset for value in values[first:])]


def test_another_unit_is_named_with_both_sizes(normal: list[float]) -> None:
    (sentence,) = scaled(times(normal, 0.4, 1_000))
    assert sentence.startswith("x has changed its scale at once, by a factor of ")
    assert "its median size is 705 in the newest 1,800 rows and was 0.647 in the 1,200 before" in sentence


@pytest.mark.parametrize(
    ("since", "factor", "found"),
    [(0.4, 1e3, 1), (0.7, 1e-3, 1), (0.8, -1e3, 1), (0.4, 1e300, 1), (0.4, 60, 0), (0.95, 1e3, 0), (0.4, 1, 0)],
)
def test_only_a_large_factor_in_many_of_the_rows_to_judge_by_is_said(
    normal: list[float], since: float, factor: float, found: int
) -> None:
    assert len(scaled(times(normal, since, factor))) == found
    assert len(scaled(times(normal, since, factor), 1e301)) == 0


def test_a_policy_may_want_a_smaller_factor(normal: list[float]) -> None:
    assert len(scaled(times(normal, 0.4, 60), 20)) == 1


def test_amounts_that_are_often_0_are_found_too(luck: Luck) -> None:
    amounts = np.where(luck.random(ROWS) < 0.6, 0, luck.lognormal(3, 1, ROWS))
    assert len(scaled(times(amounts.tolist(), 0.5, 100 * 1.3))) == 1


def test_what_cannot_be_told_from_drift_is_not_said(normal: list[float], luck: Luck) -> None:
    assert scaled(times(normal, 0.4, 1.8, 3)) == []
    assert scaled(times(normal, 0.4, 0, 500)) == []  # that stands still
    assert scaled([*normal[:1_500], *(abs(1_000 * value) for value in normal[1_500:])]) == []  # another sign
    assert (
        scaled([*luck.lognormal(0, 0.1, 1_500).tolist(), *luck.lognormal(6, 2, 1_500).tolist()]) == []
    )  # another spread
    assert scaled(np.exp(np.linspace(0, 9, ROWS) + luck.normal(size=ROWS)).tolist()) == []  # it grows
    within_days = 10 ** np.interp(np.arange(ROWS), (1_350, 1_650), (0, 3)) * luck.lognormal(0, 1, ROWS)
    assert scaled(within_days.tolist()) == []
    nights = np.where(np.arange(ROWS) // 250 % 2, 1_000, 1) * luck.lognormal(0, 1, ROWS)
    assert scaled(nights.tolist()) == []


def test_numbers_beside_text_and_numbers_without_end_do_no_harm(normal: list[float]) -> None:
    mixed = [[value, "n/a", None, 10**400, float("inf"), True][at % 6] for at, value in enumerate(normal)]
    assert scaled(mixed) == []


# ------------------------------------------------------------------------------------------------------ luck


def chain(luck: Luck, moves: float) -> list[float]:
    """AR(1): each value is the one before, and `moves` of something new."""
    value, found = 0.0, []
    for new in luck.normal(size=1_500).tolist():
        value = (1 - moves) * value + (2 * moves - moves**2) ** 0.5 * new
        found.append(value)
    return found


def test_features_that_are_as_ever_or_drift_stop_no_run(luck: Luck) -> None:
    kinds: tuple[Callable[[], Sequence[Any]], ...] = (
        lambda: luck.lognormal(0, 3, 1_500).tolist(),
        lambda: luck.standard_cauchy(1_500).tolist(),
        lambda: luck.poisson(luck.uniform(0.1, 6), 1_500).tolist(),
        lambda: luck.choice(5, 1_500, p=luck.dirichlet(np.ones(5))).tolist(),
        lambda: list(np.sin(np.arange(1_500) / luck.uniform(2, 300)) > luck.uniform(-0.9, 0.9)),
        lambda: np.round(chain(luck, 10 ** luck.uniform(-3, -1))).tolist(),
        lambda: np.minimum(chain(luck, 10 ** luck.uniform(-4, -1)), 0.5).tolist(),
        lambda: np.exp(np.multiply(3, chain(luck, 10 ** luck.uniform(-3, -1)))).tolist(),
        lambda: list(luck.normal(size=1_500) + np.linspace(0, 4, 1_500)),
    )
    features = [kind() for kind in kinds for _ in range(40)]
    found = [sentence for each in features for sentence in (*still(each), *scaled(each))]
    assert found == []


# ------------------------------------------------------------------------------------------------------ the loop


def looped(tmp_path: Path, spoil: Callable[[Row], Any], **data: Any) -> Loop:
    """The newest rows have another `x`."""
    asked = policy(
        data=Data("label", ("x",), window_ms=60 * DAY_MS, **data),
        train=Train(params={"format": "json"}),
        gate=GateSpec(explain_rows=0),
        trigger=Trigger(cooldown_ms=0, versions="any"),
        promote=Promotion.AUTO,
    )
    loop = Loop(tmp_path, asked)
    luck = np.random.default_rng(2)
    loop.write(stream(luck, 3_000, BORN_MS - DAY_MS, BORN_MS, 1))
    loop.first()
    loop.clock.ms += DAY_MS
    old = stream(luck, 3_000, loop.clock.ms - 3 * DAY_MS, loop.clock.ms - 2 * DAY_MS, -1)
    new = stream(luck, 2_900, loop.clock.ms - DAY_MS, loop.clock.ms, -1)
    loop.write([*old, *({**each, "x": spoil(each)} for each in new)])
    loop.fire()
    return loop


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda _: -1, "stuck: x stands still: one value has 100.0% of the newest 1,770 of the 1,770 rows to judge by"),
        (lambda row: row["x"] * 1_000, "scale: x has changed its scale at once, by a factor of "),
    ],
)
def test_a_run_on_such_rows_trains_nothing(tmp_path: Path, spoil: Callable[[Row], Any], sentence: str) -> None:
    loop = looped(tmp_path, spoil)
    assert loop.round() is State.REJECTED
    view = loop.book.journal(loop.book.admissions("fraud")[-1].run).view
    assert view.reason is Reason.DATA_QUALITY
    assert sentence in view.detail
    assert State.TRAINING not in dict(view.entered)
    assert loop.champion == 1


@pytest.mark.parametrize(
    ("spoil", "limit"),
    [(lambda _: -1, {"stuck_ratio_max": 1.0}), (lambda row: row["x"] * 1_000, {"scale_change_max": 1e6})],
)
def test_a_policy_may_allow_it(tmp_path: Path, spoil: Callable[[Row], Any], limit: dict[str, float]) -> None:
    loop = looped(tmp_path, spoil, **limit)
    loop.round()
    view = loop.book.journal(loop.book.admissions("fraud")[-1].run).view
    assert State.EVALUATING in dict(view.entered)


# ---------------------------------------------------------------------------------------------------- the policy


def test_a_policy_that_says_nothing_of_it_keeps_its_digest() -> None:
    assert not {"stuck_ratio_max", "scale_change_max"} & set(policy().document()["data"])
    for more in (Data("label", ("x",), stuck_ratio_max=0.2), Data("label", ("x",), scale_change_max=100.0)):
        asked = policy(data=more)
        assert isinstance(asked, Policy)
        assert asked.digest != policy().digest
        assert not asked.is_of_format_1


def test_limits_that_cannot_be_meant_are_refused() -> None:
    (wrong,) = senseless(policy(data=Data("label", ("x",), stuck_ratio_max=20.0)))
    assert (wrong.at, wrong.why) == ("data.stuck_ratio_max", "is 20; write a share between 0 and 1")
    for odd in (2.0, float("nan")):
        with pytest.raises(
            ValueError, match=r"scale_change_max \(.*\) must be at least 10: a smaller factor cannot be told"
        ):
            Data("label", ("x",), scale_change_max=odd)
