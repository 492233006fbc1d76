"""A difference is named as closely as it can be."""

from __future__ import annotations

import msgspec
import pytest

from monitor.daemon.replay.differences import Difference, document_differences, of_commits, of_payloads
from monitor.ledger.records import Commit, GroupName, pack
from monitor.plan import plan_of
from tests.ledger.records import DELTA, RECORDS
from tests.simulation.world import config

PLAN = plan_of(config("n"))


def _commit() -> Commit:
    record = RECORDS["commit"]
    assert isinstance(record, Commit)
    return record


COMMIT = _commit()


def changed(**fields: object) -> Commit:
    return msgspec.structs.replace(COMMIT, **fields)


def test_equal_commits_do_not_differ() -> None:
    assert of_commits(PLAN, 3, changed(), changed()) is None


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("records", (1_507, 800), "records[0]"),
        ("state", 1, "state"),
        ("held", (1_400, 791), "held[1]"),
        ("stalled", False, "stalled"),
        ("full", True, "full"),
        ("config", "sha256:00", "config"),
        ("label_outcomes", {"applied": 1}, "label_outcomes.applied"),
    ],
)
def test_the_field_of_a_commit_is_named(field: str, value: object, path: str) -> None:
    found = of_commits(PLAN, 3, changed(**{field: value}), changed())
    assert found is not None
    assert (found.what, found.field) == ("commit", path)
    assert found.where == {"partition": 3, "commit": 41, "predictions": "[1017, 1523)", "labels": "[804, 804)"}


def test_who_wrote_a_commit_and_where_a_rebuild_would_start_is_not_compared() -> None:
    other = changed(epoch=9, owner="x", previous=b"", prediction_floor=COMMIT.label_floor)
    assert of_commits(PLAN, 3, other, changed()) is None


def test_the_order_of_groups_and_slots_is_not_compared() -> None:
    """It depends on which category a process saw first."""
    swapped = msgspec.structs.replace(
        DELTA,
        group=pack([0, 1, 1]),
        pane=pack([19_723, 19_723, 19_724]),
        tick=pack([472_222, 472_222, 472_223]),
        length=pack([2, 2, 1]),
        cell=pack([0, 200, 0, 2, 1]),
        amount=pack([1, 1 << 40, 3, -1, 70_000]),
    )
    assert of_commits(PLAN, 3, changed(groups=COMMIT.groups[::-1], inputs=swapped), changed()) is None


def test_the_first_cell_of_a_delta_is_named_with_tick_pane_group_and_both_amounts() -> None:
    groups = (GroupName("m", "1", ()), GroupName("m", "1", (("hue", "red"),)))
    ours = changed(groups=groups, performance=DELTA, inputs=None)
    theirs = changed(
        groups=groups, inputs=None, performance=msgspec.structs.replace(DELTA, amount=pack([3, -1, 7, 1, 0]))
    )
    found = of_commits(PLAN, 0, ours, theirs)
    assert found is not None
    assert (found.ours, found.theirs) == (1 << 40, 0)
    assert found.where["segments"] == "hue=red"
    assert found.where["tick"] == 472_223 * 10_000
    assert found.where["pane"] == 19_723 * 50_000
    assert found.field == "performance.positives[189]"
    gone = of_commits(PLAN, 0, changed(groups=(), inputs=None), msgspec.structs.replace(ours, performance=DELTA))
    assert gone is not None
    assert (gone.ours, gone.theirs, gone.field) == (0, 3, "performance.seen")


def test_documents_differ_in_their_leaves() -> None:
    ours = {"a": {"b": [1, 2]}, "c": 1, "d": 1, "same": None}
    theirs = {"a": {"b": [1, 3]}, "c": 1.0, "e": None, "same": None}
    assert [path for path, _, _ in document_differences(ours, theirs)] == ["a.b[1]", "c", "d", "e"]


def test_what_follows_from_another_configuration_is_told_before_its_digest() -> None:
    ours, theirs = b'{"config":"x","counts":{"tp":1}}', b'{"config":"y","counts":{"tp":2}}'
    assert of_payloads("window", {}, ours, theirs).field == "counts.tp"
    assert of_payloads("window", {}, ours, ours.replace(b'"x"', b'"y"')).field == "config"
    assert of_payloads("window", {}, ours, ours.replace(b":1", b": 1")).field == "the spelling"
    assert of_payloads("window", {}, ours, b"\xff").field == "the bytes"
    assert of_payloads("window", {}, None, theirs).field == "the record"


def test_the_sentence_says_where_what_and_both_values() -> None:
    found = Difference("window", {"window": "w", "tick": 5}, "counts.tp", 1, "x" * 500)
    sentence = found.sentence()
    assert sentence.startswith("window (window w, tick 5): counts.tp is 1 here, xxx")
    assert sentence.endswith("… (500 characters) in the record")
    assert found.document()["theirs"] == "x" * 500
    assert "nothing in the record" in Difference("alert", {}, "the record", 1, None).sentence()
