"""Events of v1 stay what they were, byte for byte: fields that came later are absent where they do not apply."""

from __future__ import annotations

import pytest

from monitor.alerts.cloudevents import encode, parse
from tests.alerts.golden import EVENTS, golden

KEPT = golden()


def test_every_example_is_kept() -> None:
    assert KEPT.keys() == EVENTS.keys()


@pytest.mark.parametrize("name", EVENTS)
def test_what_was_written_is_read_and_what_is_written_now_is_that(name: str) -> None:
    assert parse(KEPT[name]) == EVENTS[name]
    assert encode(EVENTS[name]) == KEPT[name]


@pytest.mark.parametrize("name", sorted(set(EVENTS) - {"data_quality", "grouped"}))
def test_events_about_anything_else_know_nothing_of_data_quality(name: str) -> None:
    assert not any(word in KEPT[name] for word in (b'"about"', b'"feature"', b'"violations"'))
