"""The roster: which models are counted, in which senses, and since when."""

from __future__ import annotations

import msgspec
import pytest

from monitor.groups import model_of
from monitor.ingest.clocks import FOREVER, NEVER
from monitor.ledger.roster import Listed, Roster, decode, encode


def wanted(*models: str) -> list[Listed]:
    """As a configuration lists them: `m:2` is model m with its second section."""
    return [
        Listed(name, section, f"document {one}", None, 0, None) for one in models for name, section in [one.split(":")]
    ]


def beginning(*models: str) -> Roster:
    return Roster(0, tuple(msgspec.structs.replace(one, from_ms=NEVER) for one in wanted(*models)))


def followed(roster: Roster, number: int, *models: str) -> Roster:
    found = roster.followed_by(number, wanted(*models), 1_000, 3_000)
    assert found is not None
    return found


def test_what_a_roster_lists_already_changes_nothing() -> None:
    roster = beginning("m:1", "n:1")
    assert roster.followed_by(2, wanted("n:1", "m:1"), 1_000, 3_000) is None
    waits = followed(roster, 2, "m:2", "n:1")
    assert waits.followed_by(3, wanted("m:2", "n:1"), 1_000, 3_000) is None
    assert not roster.several


def test_a_model_goes_on_as_it_was_until_its_next_sense_begins() -> None:
    roster = followed(beginning("m:1", "n:1"), 2, "m:2", "n:1")
    assert roster.waits
    assert roster.senses[0] == "m"
    assert [model_of(sense) for sense in roster.senses] == ["m", "n", "m"]
    later = roster.senses[2]
    assert roster.counts_as(1) == {"m": (("m", FOREVER),), "n": (("n", FOREVER),)}
    assert roster.counts_as(2)["m"] == (("m", FOREVER), (later, FOREVER))
    assert roster.terms() == {
        "m": ((NEVER, FOREVER, FOREVER),), "n": ((NEVER, FOREVER, FOREVER),), later: ((FOREVER, FOREVER, NEVER),),
    }  # fmt: skip
    begun = roster.begun(5_000, 9_000)
    assert begun.number == 3, "owners count otherwise from there on"
    assert begun.counts_as(2) == roster.counts_as(2), "and an owner that does not know it yet as before"
    assert begun.counts_as(3)["m"] == (("m", 9_000), (later, FOREVER))
    assert begun.terms() == {
        "m": ((NEVER, 5_000, 9_000),), "n": ((NEVER, FOREVER, FOREVER),), later: ((5_000, FOREVER, FOREVER),),
    }  # fmt: skip
    assert not begun.waits
    assert {one.name for one in begun.listed} == {"m", "n"}


def test_models_that_are_only_added_need_no_second_number() -> None:
    assert followed(beginning("m:1"), 4, "m:1", "n:1").begun(5_000, 9_000).number == 4


def test_a_sense_that_waits_is_given_up_for_another_or_for_what_was() -> None:
    first = followed(beginning("m:1"), 2, "m:2")
    another = followed(first, 3, "m:3")
    assert [(one.section, one.waits, one.left) for one in another.models] == [
        ("1", False, None),
        ("2", False, 3),
        ("3", True, None),
    ]
    back = followed(first, 3, "m:1")
    assert [(one.section, one.waits, one.left) for one in back.models] == [("1", False, None), ("2", False, 3)]
    assert back.terms() == {"m": ((NEVER, FOREVER, FOREVER),), back.senses[1]: ((NEVER, NEVER, NEVER),)}


def test_a_model_that_is_taken_out_takes_the_sense_that_waits_along() -> None:
    gone = followed(followed(beginning("m:1", "n:1"), 2, "m:2", "n:1"), 3, "n:1")
    assert [(one.name, one.left, one.until_ms, one.ends_ms) for one in gone.models if one.name == "m"] == [
        ("m", 3, 1_000, 3_000), ("m", 3, NEVER, NEVER),
    ]  # fmt: skip


def test_what_a_model_was_before_is_the_same_sense_again() -> None:
    roster = followed(followed(beginning("m:1"), 2, "m:2").begun(5_000, 9_000), 4, "m:1").begun(20_000, 24_000)
    assert roster.senses[0] == roster.senses[2] == "m"
    terms = roster.terms()
    assert terms is not None
    assert terms["m"] == ((NEVER, 5_000, 9_000), (20_000, FOREVER, FOREVER))
    assert roster.counts_as(3)["m"] == (("m", 9_000), (roster.senses[1], FOREVER))
    assert roster.counts_as(5)["m"] == (("m", FOREVER), (roster.senses[1], 24_000))


def test_in_hindsight_everything_counts_from_the_beginning_as_far_as_windows_ask_for_it() -> None:
    roster = followed(beginning("m:1"), 2, "m:2").begun(5_000, 9_000).in_hindsight()
    assert roster.counts_as(0) == roster.counts_as(roster.number)
    assert roster.counts_as(0)["m"] == (("m", 9_000), (roster.senses[1], FOREVER))


@pytest.mark.parametrize("number", range(4))
def test_a_record_is_of_the_format_that_its_reader_needs(number: int) -> None:
    roster = followed(followed(beginning("m:1"), 2, "m:1", "n:1"), 3, "m:2", "n:1")
    assert bool(roster.several_at(number)) is (number == 3)
    assert decode(encode(roster), "the copy") == roster
