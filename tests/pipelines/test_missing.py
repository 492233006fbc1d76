"""A feature that vanishes between the rows to train on and those to judge by stops a run; luck does not."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipelines import codec
from pipelines.gate import FORMAT, FORMAT_MISSING, GateReport, GateSpec, Paired, judge
from pipelines.gate_page import page
from pipelines.journal import Reason
from pipelines.local_data import FileData
from pipelines.missing import RISE_MAX, Missing, lacking, missing
from pipelines.policy import DAY_MS, Data, Policy, Promotion, Train, Trigger
from pipelines.quality import AtMost, Check, failing_parts
from pipelines.states import State
from pipelines.tables import Row, write_rows
from tests.pipelines.inprocess import Loop
from tests.pipelines.memory import BORN_MS, MemoryStore, policy
from tests.pipelines.test_shadow import stream


def rows_with(missing_count: int, count: int, **more: Any) -> list[Row]:
    return [{"at_ms": n, "label": n % 2, "x": None if n < missing_count else 1.0, **more} for n in range(count)]


def said(*counts: int, ratio_max: float = 0.5, rise_max: float = RISE_MAX) -> list[str]:
    """Of a feature: missing, of how many to train on; missing, of how many to judge by."""
    return list(lacking([Missing("x", *counts)], ratio_max, rise_max))


def test_a_column_that_is_called_otherwise_since_is_named_with_both_shares() -> None:
    old, new = rows_with(0, 120), [{"x_new": 1.0} for _ in range(45)]
    found = missing([*old, *new], new, ("x",))
    assert found == (Missing("x", 45, 165, 45, 45),)
    (sentence,) = lacking(found, 0.5)
    assert sentence == (
        "x is missing in 100.0% of the 45 rows to judge by, and in 27.3% of the 165 to train on: "
        "is it called otherwise since, or no longer sent?"
    )


@pytest.mark.parametrize(
    ("counts", "limits", "sentences"),
    [
        ((0, 700, 59, 300), {}, 0),  # by less than a fifth
        ((0, 700, 61, 300), {}, 1),
        ((0, 700, 61, 300), {"rise_max": 0.3}, 0),
        ((0, 700, 300, 300), {"rise_max": 1.0, "ratio_max": 1.0}, 0),  # as the policy wishes
        ((3, 7, 2, 3), {"ratio_max": 1.0}, 0),  # by more than a fifth, of a few rows
        ((280, 700, 0, 300), {}, 0),  # it has come: the rows to judge by are as rows are now
        ((360, 700, 150, 300), {}, 1),  # often, to train on
        ((345, 700, 1_720, 3_000), {}, 1),  # often, to judge by
        ((345, 700, 155, 300), {}, 0),  # by luck
        ((0, 700, 0, 0), {}, 0),
    ],
)
def test_what_stops_a_run_is_a_rise_beyond_luck_or_a_share_that_is_too_large(
    counts: tuple[int, ...], limits: dict[str, float], sentences: int
) -> None:
    assert len(said(*counts, **limits)) == sentences


def test_features_that_are_missing_by_luck_as_often_as_before_stop_no_run() -> None:
    """30,000 features whose share does not change, in rows few and many."""
    luck = np.random.default_rng(7)
    stops = 0
    for rate, rows in product((0.001, 0.02, 0.1, 0.25, 0.45), (200, 1_000, 3_000, 10_000)):
        train, test = luck.binomial(int(rows * 0.7), rate, 1_500), luck.binomial(int(rows * 0.3), rate, 1_500)
        for a, b in zip(train.tolist(), test.tolist(), strict=True):
            stops += len(said(a, int(rows * 0.7), b, int(rows * 0.3), ratio_max=0.7))
    assert stops == 0


@pytest.mark.parametrize("rows", [1_000, 10_000])
def test_outages_that_come_as_often_as_before_hardly_stop_one(rows: int) -> None:
    """A tenth of the rows lacks the value, in a dozen outages at any time."""
    luck, stops = np.random.default_rng(8), 0
    for _ in range(1_000):
        absent = np.zeros(rows, dtype=bool)
        for start in luck.integers(0, rows, 12):
            absent[start : start + rows // 120] = True
        cut = int(rows * 0.7)
        stops += len(said(int(absent[:cut].sum()), cut, int(absent[cut:].sum()), rows - cut))
    assert stops <= 2, "of 1,000 features"


# ------------------------------------------------------------------------------------------------------ checks of parts

LIMITED = {"x": Check(max=10, missing=AtMost(0.35))}


def test_a_part_that_fails_by_itself_is_named() -> None:
    parts = {"to train on": rows_with(480, 7_000), "to judge by": rows_with(3_000, 3_000)}  # 34.8 % of all
    assert list(failing_parts(parts, LIMITED)) == [
        "missing:x in 3,000 of 3,000 rows to judge by (100.0%), at most 35.0% are allowed"
    ]


def test_a_few_more_in_the_smaller_part_are_luck() -> None:
    parts = {"to train on": rows_with(230, 700), "to judge by": rows_with(110, 300)}  # 34 % of all, 36.7 % of the part
    assert list(failing_parts(parts, LIMITED)) == []


def test_what_is_wrong_everywhere_is_said_once() -> None:
    parts = {"to train on": rows_with(700, 700), "to judge by": rows_with(300, 300)}
    assert list(failing_parts(parts, LIMITED)) == [
        "missing:x in 1,000 of 1,000 rows (100.0%), at most 35.0% are allowed"
    ]


def test_rows_that_keep_a_limit_on_the_whole_are_not_rejected_for_a_part_by_luck() -> None:
    luck, stops = np.random.default_rng(9), 0
    for rate, rows in product((0.005, 0.0095, 0.3), (200, 2_000)):
        limit = {"x": Check(missing=AtMost(rate))}
        for _ in range(300):
            absent = luck.permutation(rows) < int(rate * rows)  # as many as are allowed, anywhere
            table = [{"x": None if each else 1.0} for each in absent.tolist()]
            cut = int(rows * 0.7)
            stops += len(list(failing_parts({"a": table[:cut], "b": table[cut:]}, limit)))
    assert stops == 0


def test_rows_to_judge_by_that_are_there_twice_are_found(tmp_path: Path) -> None:
    rows = [*rows_with(0, 70), *({"at_ms": 70 + n // 2, "label": n % 4 // 2, "x": 1.0} for n in range(30))]
    path, store, asked = tmp_path / "rows.jsonl", MemoryStore(), policy(data=Data("label", ("x",)))
    path.write_bytes(write_rows(rows))
    source = FileData(store, {"fraud": path})
    dataset = source.collect(asked, 1 << 50, lambda: None)
    found = [f"{each.check}: {each.detail}" for each in source.validate(asked, dataset)]
    assert found == ["duplicates: 15 of 30 rows to judge by are there more than once"]


# ----------------------------------------------------------------------------------------------------------- the loop


def looped(tmp_path: Path, **data: Any) -> Loop:
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
    loop.write([*old, *({("x_new" if name == "x" else name): each[name] for name in each} for each in new)])
    loop.fire()
    return loop


def test_a_feature_that_was_renamed_in_the_newest_rows_begins_no_training(tmp_path: Path) -> None:
    loop = looped(tmp_path)
    assert loop.round() is State.REJECTED
    (_, run) = loop.book.admissions("fraud")
    view = loop.book.journal(run.run).view
    assert view.reason is Reason.DATA_QUALITY
    assert "missing: x is missing in 100.0% of the 1,770 rows to judge by, and in 27.4% of the 4,130" in view.detail
    assert State.TRAINING not in dict(view.entered)
    assert loop.champion == 1


def test_a_policy_may_let_a_feature_vanish_and_the_report_says_that_it_did(tmp_path: Path) -> None:
    loop = looped(tmp_path, missing_rise_max=1.0, missing_ratio_max=1.0)
    loop.round()
    view = loop.book.journal(loop.book.admissions("fraud")[-1].run).view
    assert State.EVALUATING in dict(view.entered)
    report = b"".join(loop.store.blob(view.facts["gate"]["report"]))
    found = codec.decode(GateReport, report, "the report", FORMAT_MISSING)
    assert (found.format, found.missing) == (FORMAT_MISSING, (Missing("x", 1_130, 4_130, 1_770, 1_770),))
    printed = b"".join(loop.store.blob(view.facts["gate"]["page"])).decode()
    assert "| x | 27.4% | 100.0% |" in printed


def test_a_report_without_what_is_missing_is_of_the_format_before() -> None:
    report = judge(Paired(np.full(600, 0.3), np.full(600, 0.2)), GateSpec())
    assert report.format == FORMAT == codec.decode(GateReport, codec.encode(report), "a report", FORMAT_MISSING).format
    assert "What is missing" not in page(report, "t")
    whole = msgspec.structs.replace(report, missing=(Missing("x", 0, 9, 0, 9),))
    assert "Nothing: every row has every feature." in page(whole, "t")
    part = msgspec.structs.replace(report, missing=(Missing("x", 0, 9, 0, 9), Missing("y|z", 0, 10, 1, 10)))
    assert "| y z | 0.0% | 10.0% |" in page(part, "t")
    assert "Of 1 more no row lacks a value." in page(part, "t")


def test_a_policy_that_says_nothing_of_it_keeps_its_digest() -> None:
    assert "missing_rise_max" not in policy().document()["data"]
    more = policy(data=Data("label", ("x",), missing_rise_max=0.2))
    assert isinstance(more, Policy)
    assert more.digest != policy().digest
    assert not more.is_of_format_1
