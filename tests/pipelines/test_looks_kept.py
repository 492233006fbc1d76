"""What a look at a shadow or a probation counted and said stays to be read, and fills no journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import codec, looks
from pipelines.errors import FormatError
from pipelines.gate import Outcome
from pipelines.journal import Reason
from pipelines.looks import Look, decode_look, keep, latest, told
from pipelines.policy import DAY_MS, HOUR_MS
from pipelines.references import of_entry
from pipelines.states import State
from tests.pipelines.memory import BORN_MS, MemoryStore
from tests.pipelines.test_beside import promoted as served_by_two
from tests.pipelines.test_looks import promoted
from tests.pipelines.test_shadow import SHADOW, begun
from tests.pipelines.test_worker import Story

GOLDEN = Path(__file__).parents[1] / "golden" / "pipelines-looks-v1.json"


def of(story: Story) -> Look | None:
    return latest(story.ports.store, story.book.active()[0].run)


def made(at_ms: int = BORN_MS, **changes: Any) -> Look:
    given: dict[str, Any] = {
        "format": 1, "state": State.PROBATION, "at_ms": at_ms, "next_ms": at_ms + HOUR_MS, "labelled": 3000, "paired": 2900,
        "needed": 200, "newest_ms": BORN_MS - 5, "outcome": Outcome.INCONCLUSIVE, "difference": 0.01, "lower": -0.03,
        "upper": 0.05, "asked": -0.02, "detail": "these rows do not decide it",
    }  # fmt: skip
    return Look(**{**given, **changes})


def test_a_look_at_a_shadow_says_how_many_of_how_many_rows_and_the_bounds_now() -> None:
    story = begun()
    story.later(HOUR_MS)
    found = of(story)
    assert found is not None
    assert (found.state, found.labelled, found.paired, found.needed) == (State.SHADOWING, 3000, 3000, SHADOW.rows_min)
    assert (found.at_ms, found.next_ms) == (story.ports.clock.ms, story.ports.clock.ms + SHADOW.every_ms)
    assert found.outcome is Outcome.PASS
    assert found.difference == pytest.approx(0.1)
    assert found.lower is not None
    assert found.upper is not None
    assert found.asked == 0
    assert 0 < found.lower < 0.1 < found.upper


def test_a_probation_without_labels_has_looks_that_count_nothing() -> None:
    story = promoted()
    story.ports.live = None
    story.later(HOUR_MS)
    found = of(story)
    assert found is not None
    assert (found.state, found.labelled, found.paired, found.outcome) == (State.PROBATION, 0, 0, None)
    assert found.detail == "no prediction of version 2 has its label yet"


def test_where_serving_scores_both_a_look_says_how_many_could_have_been_pairs() -> None:
    story = served_by_two()
    story.ports.shade, story.ports.lonely = 0.02, 100
    story.later(HOUR_MS)
    found = of(story)
    assert found is not None
    assert (found.labelled, found.paired) == (3000, 2900)
    assert found.newest_ms == story.journal.view.since_ms + 2899


def test_looks_leave_the_journal_alone_and_one_that_is_young_stands_for_those_after_it() -> None:
    story = promoted()
    story.ports.live = 0.0
    story.later(HOUR_MS)
    length, log = len(story.journal.bodies), looks.looks_log(story.book.active()[0].run)
    kept = story.ports.store.last(log)
    for _ in range(12):  # a process of its own each time, every five minutes
        story.later(HOUR_MS // 12)
    assert len(story.journal.bodies) == length
    assert story.ports.store.last(log) == kept + 1


def test_a_look_that_says_something_else_is_kept_however_young_the_last_one_is() -> None:
    store = MemoryStore()
    keep(store, "a", made())
    keep(store, "a", made(BORN_MS + 1, labelled=3001))
    assert latest(store, "a") == made()
    keep(store, "a", made(BORN_MS + 2, outcome=Outcome.FAIL))
    assert latest(store, "a") == made(BORN_MS + 2, outcome=Outcome.FAIL)
    keep(store, "a", made(BORN_MS + 3, outcome=Outcome.FAIL, state=State.SHADOWING))
    assert store.last("looks/a") == 3


def test_the_last_look_of_a_shadow_is_not_that_of_the_probation_after_it() -> None:
    story = begun()
    assert story.later(2 * DAY_MS)[-1] == (State.PROBATION, Reason.PROMOTED)
    found = of(story)
    assert found is not None
    assert found.state in (State.SHADOWING, State.PROBATION)


def test_a_look_is_told_with_what_it_counted_what_is_enough_and_when_the_next_one_is() -> None:
    assert told(made()) == (
        "last looked at 2025-10-09 08:53:20: 3,000 labelled predictions of the version that serves, 2,900 of them scored by both"
        ", of 200 needed; difference +0.01, within -0.03 and +0.05; enough is a lower bound above -0.02, an upper bound that is "
        "not above it ends it; these rows say inconclusive; the next look is due 2025-10-09 09:53:20"
    )
    bare = made(outcome=None, difference=None, labelled=0, paired=0, newest_ms=None)
    assert told(bare) == (
        "last looked at 2025-10-09 08:53:20: 0 labelled predictions scored by both, of 200 needed; nothing to compare; "
        "the next look is due 2025-10-09 09:53:20"
    )


# ------------------------------------------------------------------------------------------------------ durable format


LOOKS = (made(), made(newest_ms=None, outcome=None, difference=None, lower=None, upper=None, asked=None))


def test_looks_are_what_they_were_when_the_format_was_published() -> None:
    for body, each in zip(json.loads(GOLDEN.read_text()), LOOKS, strict=True):
        assert decode_look(body.encode(), "a look") == each
        assert codec.encode(each) == body.encode()
        assert of_entry("looks/a", body.encode(), "a look") == []


def test_a_look_of_a_newer_format_is_refused_and_keeps_nobody_from_looking() -> None:
    store = MemoryStore()
    raw = codec.encode(made()).replace(b'"format":1', b'"format":2')
    store.create_entry("looks/a", 1, raw)
    with pytest.raises(FormatError, match=r"entry 1 of 'looks/a' has format 2"):
        latest(store, "a")
    keep(store, "a", made(BORN_MS + DAY_MS))
    assert store.last("looks/a") == 1


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps([codec.encode(each).decode() for each in LOOKS], indent=1) + "\n")
