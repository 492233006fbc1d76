"""What is remembered between ticks can be saved, restored, and is refused when it is too new."""

from __future__ import annotations

import json

import pytest

from monitor.alerts.state import AlertState
from monitor.windows.canonical import FormatError
from tests.alerts.story import Story, rule, window


def busy() -> Story:
    """One firing alert with an older episode that is still cited, one pending one."""
    story = Story(rule(), rule(name="slow", **{"for": "9h"}))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    story.tick("03:00", window("02:00", 0.2))
    return story


def test_a_saved_state_reads_back_as_it_was() -> None:
    state = busy().state
    assert [str(entry.phase) for _, entry in state.open()] == ["firing", "pending"]
    assert AlertState.from_document(json.loads(json.dumps(state.to_document()))) == state


def test_a_cooldown_is_saved_in_the_second_format_and_what_has_none_in_the_first() -> None:
    assert busy().state.to_document()["format"] == 1
    story = Story(rule(cooldown="1h"))
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    document = story.state.to_document()
    assert document["format"] == 2
    assert AlertState.from_document(json.loads(json.dumps(document))) == story.state


def test_equal_states_are_saved_equally_whatever_the_order_in_which_they_came_about() -> None:
    state = busy().state
    turned = AlertState(dict(reversed(list(state.entries.items()))))
    assert json.dumps(turned.to_document()) == json.dumps(state.to_document())


def test_a_newer_format_is_refused_with_advice() -> None:
    with pytest.raises(
        FormatError, match=r"saved state of the alerts .* its format is 3, .* up to 2. Upgrade driftline"
    ):
        AlertState.from_document({"format": 3, "entries": []})


def test_a_step_does_not_touch_the_state_it_was_given() -> None:
    story = busy()
    before = json.dumps(story.state.to_document())
    given = story.state
    story.tick("03:20", window("02:00", 0.9), window("00:00", 0.9))
    assert len(story.events) > 3
    assert json.dumps(given.to_document()) == before


def test_an_alert_that_is_over_is_forgotten_when_all_that_was_cited_is_final() -> None:
    story = Story(rule())
    story.tick("01:00", window("00:00", 0.3))
    story.tick("02:00", window("01:00", 0.9))
    assert len(story.state.entries) == 1
    story.tick("30:00", window("00:00", 0.3, final=True))
    story.tick("31:00", window("01:00", 0.9, final=True))
    assert story.state == AlertState()
    assert len(story.told) == 2
