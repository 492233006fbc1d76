"""The table of decisions: what was published just so is struck off, what is left is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitor.adapters.comparison import DiskDecisions
from monitor.ports import Decided

TOPIC = "n.windows"


def decided(key: bytes, revision: int, value: bytes | None, order: int = 1, *, tick_ms: int = 0) -> Decided:
    return Decided(TOPIC, key, revision, tick_ms, value, order)


@pytest.fixture
def table() -> Iterator[DiskDecisions]:
    made = DiskDecisions()
    made.add([decided(b"a", 1, b"x"), decided(b"a", 2, b"y", 2), decided(b"b", 1, b"z", 3), decided(b"c", 0, None, 3)])
    yield made
    made.close()


def test_only_what_is_the_same_in_everything_but_order_is_struck(table: DiskDecisions) -> None:
    strange = [
        decided(b"a", 1, b"y"),
        decided(b"a", 3, b"x"),
        decided(b"ax", 1, b""),
        decided(b"c", 0, b""),
        decided(b"a", 1, b"x", tick_ms=5),
        Decided("n.alerts", b"a", 1, 0, b"x", 1),
    ]
    assert table.strike([*strange, decided(b"a", 1, b"x", 99)]) == list(range(len(strange)))
    assert table.like(strange[0]) == decided(b"a", 1, b"x")
    assert table.like(strange[1]) is None


def test_what_is_left_is_told_in_the_order_of_decisions(table: DiskDecisions) -> None:
    assert table.unpublished(TOPIC, 9, newest_only=False) == decided(b"a", 1, b"x")
    table.strike([decided(b"a", 1, b"x"), decided(b"b", 1, b"z")])
    assert table.unpublished(TOPIC, 9, newest_only=False) == decided(b"a", 2, b"y", 2)
    assert table.unpublished(TOPIC, 2, newest_only=False) is None
    assert table.unpublished("n.alerts", 9, newest_only=False) is None


def test_what_compaction_takes_is_not_missed(table: DiskDecisions) -> None:
    assert table.unpublished(TOPIC, 9, newest_only=True) == decided(b"a", 2, b"y", 2)
    table.strike([decided(b"a", 2, b"y"), decided(b"b", 1, b"z")])
    assert table.unpublished(TOPIC, 9, newest_only=True) is None
    assert table.unpublished(TOPIC, 9, newest_only=False) == decided(b"a", 1, b"x")
