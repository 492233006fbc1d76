"""The bytes of a window: canonical, readable, and for final windows free of everything that depends on order."""

from __future__ import annotations

import functools
import json
import math
import operator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from monitor.metrics.estimates import CODE_OF, DEFINED, Estimates
from monitor.windows.canonical import FormatError, canonical_bytes, rounded, rounded_all
from monitor.windows.payload import encode, encode_all, headers, parse, topic_key
from monitor.windows.schema import example_outlook, example_tasks, example_windows
from monitor.windows.view import Estimate, Kind, Outlook, SeriesKey, Undefined, WindowKey, WindowView

DAY = WindowKey(SeriesKey("verspätung", "1", "origin=EWR"), "1d", 0, 86_400_000)


def view(**changes: object) -> WindowView:
    plain = WindowView(
        key=DAY,
        kind=Kind.PERFORMANCE,
        revision=3,
        final=False,
        tick_ms=90_000_000,
        seen=4,
        labelled=3,
        metrics={
            "recall": Estimate(2 / 3, 0.2, 0.9, 3),
            "precision": Estimate(None, None, None, 0, undefined=Undefined.ZERO_DENOMINATOR),
        },
        counts={"tp": 2, "fn": 1},
        config_digest="sha256:c0",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_the_bytes_of_a_provisional_window() -> None:
    assert encode(view()).decode() == (
        '{"config":"sha256:c0","counts":{"fn":1,"tp":2},"coverage":0.75,"end_ms":86400000,"final":false,"format":1,'
        '"kind":"performance","labelled":3,"metrics":{'
        '"precision":{"reason":"zero_denominator","rows":0,"value":null},'
        '"recall":{"bound":0.0,"lower":0.2,"rows":3,"upper":0.9,"value":0.666666666667}},'
        '"model":"verspätung","reference":null,"revision":3,"seen":4,"segment":"origin=EWR","start_ms":0,'
        '"tick_ms":90000000,"version":"1","window":"1d"}'
    )


def test_a_final_value_does_not_depend_on_how_many_revisions_led_there_nor_when_the_last_one_closed() -> None:
    one, other = view(final=True), view(final=True, revision=9, tick_ms=99_000_000)
    assert encode(one) == encode(other)
    assert b"revision" not in encode(one)
    assert b"tick_ms" not in encode(one)
    assert headers(one) != headers(other)


def test_a_provisional_value_depends_on_both() -> None:
    assert len({encode(view()), encode(view(revision=9)), encode(view(tick_ms=99_000_000))}) == 3


def test_equal_numbers_that_were_summed_in_another_order_give_equal_bytes() -> None:
    added_up = functools.reduce(operator.add, [0.1] * 10)  # the builtin sum compensates from Python 3.12 on
    assert added_up != 1.0
    metrics = [{"brier": Estimate(value, None, None, 10)} for value in (added_up, 1.0)]
    assert encode(view(metrics=metrics[0])) == encode(view(metrics=metrics[1]))


@pytest.mark.parametrize("final", [False, True])
def test_a_window_that_lost_records_says_so_and_no_other_speaks_of_it(final: bool) -> None:
    whole, partial = view(final=final, metrics={}), view(final=final, metrics={}, partial=True)
    assert b"partial" not in encode(whole)
    assert json.loads(encode(partial)) == {**json.loads(encode(whole)), "partial": True}
    assert encode_all([whole, partial], {}) == [encode(whole), encode(partial)]
    assert parse(encode(partial), headers(partial)) == partial


def test_input_windows_have_no_coverage() -> None:
    assert json.loads(encode(view(kind=Kind.INPUT, labelled=0)))["coverage"] is None
    assert json.loads(encode(view(seen=0, labelled=0)))["coverage"] is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_a_bug_and_not_a_payload(value: float) -> None:
    with pytest.raises(ValueError, match="no publishable number"):
        encode(view(metrics={"log_loss": Estimate(value, None, None, 3)}))


def test_the_key_is_shared_by_revisions_and_by_nothing_else() -> None:
    assert topic_key(DAY, Kind.INPUT) == '["verspätung","1","origin=EWR","1d",0,"input"]'.encode()
    series = DAY.series
    others = [
        structs.replace(DAY, series=structs.replace(series, model="m")),
        structs.replace(DAY, series=structs.replace(series, version="2")),
        structs.replace(DAY, series=structs.replace(series, segment="all")),
        structs.replace(DAY, window="24h/1h"),
        structs.replace(DAY, start_ms=86_400_000),
    ]
    keys = {topic_key(key, kind) for key in [DAY, *others] for kind in Kind}
    assert len(keys) == 2 * (1 + len(others))


@pytest.mark.parametrize(
    "shown",
    [*example_windows(), *example_tasks().values(), example_outlook()],
    ids=lambda shown: f"{shown.key.series.model}-{shown.kind}",
)
def test_a_window_reads_back_as_published(shown: WindowView) -> None:
    read = parse(encode(shown), headers(shown))
    assert encode(read) == encode(shown)
    assert (read.key, read.kind, read.revision, read.tick_ms) == (shown.key, shown.kind, shown.revision, shown.tick_ms)
    assert read.metrics.keys() == shown.metrics.keys()
    assert all(read.metrics[name].undefined == estimate.undefined for name, estimate in shown.metrics.items())


def test_an_outlook_says_what_each_estimate_assumes_and_reads_back() -> None:
    shown = example_outlook()
    told = json.loads(encode(shown))["outlook"]
    assert {name: told[name]["assumes"] for name in ("bounds", "completed", "unlabelled")} == {
        "bounds": "nothing", "completed": "labels_come_as_before", "unlabelled": "scores_mean_the_same"
    }  # fmt: skip
    read = parse(encode(shown)).outlook
    assert read is not None
    assert shown.outlook is not None
    assert (read.expected_coverage, read.settled_ms) == (0.5213, 1_357_480_800_000)
    assert read.completed["accuracy"] == shown.outlook.completed["accuracy"]
    assert read.bounds["accuracy"] == pytest.approx(shown.outlook.bounds["accuracy"], abs=1e-12)


def test_without_estimates_there_is_no_word_of_an_outlook() -> None:
    assert b"outlook" not in encode(view())


def test_a_final_window_without_headers_has_no_revision() -> None:
    read = parse(encode(view(final=True)))
    assert (read.revision, read.tick_ms, read.final) == (0, 0, True)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b"\xff", b'{"format":1}', b'{"format":"1"}'])
def test_what_is_no_window_is_refused_with_a_hint(value: bytes) -> None:
    with pytest.raises(FormatError, match=r"a window cannot be read: .*windows topic"):
        parse(value)


def test_a_newer_format_is_refused_with_advice_before_its_fields_are_looked_at() -> None:
    with pytest.raises(FormatError, match=r"its format is 2, this code reads up to 1\. Upgrade driftline\."):
        parse(b'{"format":2,"model":["not","a","string"]}')


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_rounding_is_idempotent_close_and_writes_at_most_twelve_digits(value: float) -> None:
    once = rounded(value)
    assert rounded(once) == once
    # Below the normal range a float64 itself has fewer than twelve digits.
    assert abs(once - value) <= max(5.01e-12 * abs(value), 5e-324)
    digits = repr(abs(once)).partition("e")[0].replace(".", "").strip("0")
    assert len(digits) <= 12
    assert not repr(once).startswith("-0.0") or once != 0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    )
)
def test_canonical_bytes_read_back_and_do_not_depend_on_the_order_of_keys(document: object) -> None:
    written = canonical_bytes(document)
    assert json.loads(written) == document
    assert canonical_bytes(_turned(document)) == written
    assert b"\n" not in written


def _turned(document: object) -> object:
    if isinstance(document, dict):
        return {key: _turned(value) for key, value in reversed(document.items())}
    if isinstance(document, list):
        return [_turned(value) for value in document]
    return document


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0.0, 1.0),
    st.integers(-(10**13), 10**13).map(lambda n: n / 10**12),
    st.tuples(st.integers(10**11, 10**12), st.integers(-25, 5)).map(lambda t: (t[0] + 0.5) * 10.0 ** t[1]),
    st.sampled_from([0.0, -0.0, 1.0, 1e-4, 9.9999999999999e-5, 1e-5, 1e16, 2.0**-31, 0.9999999999995]),
)


@given(st.lists(numbers, min_size=1, max_size=30))
def test_a_column_is_rounded_as_its_numbers_are(values: list[float]) -> None:
    found = rounded_all(np.array(values))
    assert list(map(repr, found)) == [repr(rounded(value)) for value in values]


def test_a_column_with_a_value_that_is_no_number_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no publishable number"):
        rounded_all(np.array([0.5, math.inf]))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@st.composite
def columns(draw: st.DrawFn, windows: int) -> Estimates:
    def some(of: st.SearchStrategy[float], nan_ratio: int) -> list[float]:
        return [
            math.nan if draw(st.integers(0, nan_ratio)) == 0 else draw(of) for _ in range(windows)
        ]  # an interval may be missing alone

    undefined = [draw(st.sampled_from([DEFINED, DEFINED, *CODE_OF.values()])) for _ in range(windows)]
    lost = np.array(undefined) != DEFINED
    return Estimates(
        value=np.where(lost, math.nan, [draw(numbers) for _ in range(windows)]),
        lower=np.where(lost, math.nan, some(numbers, 3)),
        upper=np.where(lost, math.nan, some(numbers, 3)),
        bound=np.where(lost, 0.0, [draw(numbers) for _ in range(windows)]),
        rows=np.array([draw(st.integers(0, 1 << 50)) for _ in range(windows)], np.int64),
        undefined=np.array(undefined, np.uint8),
    )


_estimates = st.dictionaries(
    texts, st.builds(Estimate, numbers, numbers, numbers, st.integers(0, 1 << 50), numbers) | st.just(Estimate(
        None, None, None, 3, undefined=Undefined.ONE_CLASS)), max_size=2,
)  # fmt: skip
outlooks = st.none() | st.builds(
    Outlook,
    st.none() | numbers,
    st.none() | numbers,
    st.none() | st.integers(0, 1 << 50),
    st.dictionaries(texts, st.tuples(numbers, numbers), max_size=2),
    _estimates,
    _estimates,
)


@given(st.data(), st.integers(1, 4), st.lists(texts, max_size=3, unique=True), st.booleans())
def test_many_windows_at_once_have_the_bytes_of_each(
    data: st.DataObject, windows: int, names: list[str], final: bool
) -> None:
    metrics = {name: data.draw(columns(windows)) for name in names}
    model, version, segment, window = (data.draw(texts) for _ in range(4))
    views = [
        view(
            key=WindowKey(SeriesKey(model, version, segment), window, i, i + 1),
            final=final,
            kind=data.draw(st.sampled_from(Kind)),
            seen=data.draw(st.sampled_from([0, 3, 1 << 45])),
            metrics={name: column.at(i) for name, column in metrics.items()},
            counts=data.draw(st.dictionaries(texts, st.integers(0, 1 << 60), max_size=3)),
            reference_digest=data.draw(st.none() | texts),
            outlook=data.draw(outlooks),
        )
        for i in range(windows)
    ]
    assert encode_all(views, metrics) == [encode(each) for each in views]
    assert [dict(zip(metrics, row, strict=True)) for row in zip(*(c.all() for c in metrics.values()), strict=True)] == (
        [dict(each.metrics) for each in views] if names else []
    )
