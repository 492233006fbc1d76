"""Each row of two versions is in one place: the same, added, removed or changed, for one reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.dataset import manifest as m
from pipelines.dataset.diff import Changed, Difference, Gone, compare
from pipelines.dataset.table import Floats, Hashes, Ints, Table, Texts
from tests.pipelines.dataset.golden import MANIFEST

ANY = m.Selection()


@dataclass(frozen=True)
class Row:
    id: int
    at: int = 10
    model: str = "m"
    label: float | None = 1.0
    label_at: int | None = 15
    score: float = 0.5


def table(rows: list[Row]) -> Table:
    def ints(values: list[int | None]) -> Ints:
        return Ints(np.array([v or 0 for v in values], np.int64), np.array([v is None for v in values], np.bool_))

    return Table({
        "id_hash": Hashes(np.array([[r.id, 0] for r in rows], np.uint64).reshape(-1, 2)),
        "at_ms": ints([r.at for r in rows]),
        "label_at_ms": ints([r.label_at for r in rows]),
        "model": Texts(np.arange(len(rows), dtype=np.int32), [r.model for r in rows]),
        "version": Texts(np.zeros(len(rows), np.int32), ["1"]),
        "score": Floats(np.array([r.score for r in rows], np.float64)),
        "label": Floats(np.array([np.nan if r.label is None else r.label for r in rows], np.float64)),
    })  # fmt: skip


def diff(old: list[Row], new: list[Row], of_old: m.Selection = ANY, of_new: m.Selection = ANY) -> Difference:
    first, second = (msgspec.structs.replace(MANIFEST, schema=table([]).schema, selection=s) for s in (of_old, of_new))
    return compare(first, [table(old[:1]), table(old[1:])], second, [table(new)])


BASE = Row(1)


def test_every_change_of_a_label_has_its_name() -> None:
    none = replace(BASE, label=None, label_at=None)
    for old, new, kind in (
        (none, BASE, Changed.LABELLED),
        (BASE, none, Changed.UNLABELLED),
        (BASE, replace(BASE, label=0.0, label_at=20), Changed.CORRECTED),
        (BASE, replace(BASE, label_at=20), Changed.AGAIN),
        (BASE, replace(BASE, score=0.6), Changed.CONTENT),
        (none, replace(none, score=0.6), Changed.CONTENT),
        (BASE, replace(BASE, score=0.6, label=0.0), Changed.CORRECTED),
        # An absent label that then came says the same, at a time.
        (replace(BASE, label_at=None), BASE, Changed.AGAIN),
    ):
        found = diff([old, Row(2)], [Row(2), new])
        assert (found.changed, found.same, found.added, found.removed) == ({kind: 1}, 1, {}, {})
        assert not found.none


def test_a_row_that_one_has_says_why_the_other_has_not() -> None:
    both, early, late, other = Row(1), Row(2, at=5), Row(3, at=20), Row(4, model="other")
    found = diff([both], [both, early, late, other, Row(5)], m.Selection(from_ms=6, until_ms=20, models=("m",)))
    assert found.added == {Gone.RANGE: 2, Gone.MODEL: 1, Gone.REVISED: 1}
    back = diff([both, early], [both], ANY, m.Selection(offsets=(m.Offsets(0, 0, 1),)))
    assert back.removed == {Gone.RANGE: 1}


def test_a_key_that_was_used_again_is_another_row() -> None:
    assert diff([Row(1), Row(2, at=99)], [Row(1), Row(1, at=50), Row(2, at=99)]).added == {Gone.REVISED: 1}


def test_rows_beyond_those_of_the_other_are_not_said_to_have_been_replaced() -> None:
    both = [Row(1, at=10), Row(2, at=20)]
    more = [Row(3, at=5), *both, Row(4, at=15), Row(5, at=21), Row(6, at=30)]
    assert diff(both, more).added == {Gone.EARLIER: 1, Gone.REVISED: 1, Gone.LATER: 2}
    assert diff(more, both).removed == {Gone.EARLIER: 1, Gone.REVISED: 1, Gone.LATER: 2}
    assert diff([], both).added == {Gone.REVISED: 2}, "what has no row neither begins nor ends"


def test_columns_and_rules_that_differ_are_named() -> None:
    rows = table([BASE])
    more = Table({**rows.columns, "id": Texts(np.zeros(1, np.int32), ["x"])})
    old = msgspec.structs.replace(MANIFEST, schema=rows.schema)
    new = msgspec.structs.replace(MANIFEST, schema=more.schema, rules={**MANIFEST.rules, "time": {}})
    found = compare(old, [rows], new, [more])
    assert (found.same, found.fields, found.rules, found.none) == (1, ("id",), ("time",), False)


some = st.lists(
    st.builds(Row, st.integers(0, 8), st.just(10), st.just("m"), st.none() | st.sampled_from([0.0, 1.0]),
              st.none() | st.integers(11, 12), st.sampled_from([0.25, 0.5])),
    max_size=8, unique_by=lambda r: r.id,
)  # fmt: skip


@given(some, some)
def test_the_numbers_add_up_and_back_is_the_mirror(old: list[Row], new: list[Row]) -> None:
    there, back = diff(old, new), diff(new, old)
    changed = sum(there.changed.values())
    assert there.same + changed + sum(there.removed.values()) == len(old)
    assert there.same + changed + sum(there.added.values()) == len(new)
    assert (there.same, there.added, there.removed) == (back.same, back.removed, back.added)
    assert there.none == (sorted(old, key=lambda r: r.id) == sorted(new, key=lambda r: r.id))
