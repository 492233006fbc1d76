"""Groups of one sense of a model, and of several."""

from __future__ import annotations

from itertools import permutations

from monitor.groups import Group, Groups, model_of, sense_of, together

FIRST = Group("m", "1", (("hue", "red"),))
SECOND = Group(sense_of("m", 1), "1", (("hue", "red"), ("kind", "other")))
BARE = Group(sense_of("m", 2), "1")


def test_what_was_put_together_comes_apart() -> None:
    for parts in ([FIRST], [SECOND], [BARE], *map(list, permutations([FIRST, SECOND, BARE])), [BARE, SECOND]):
        assert together(parts).parts() == tuple(parts)
    assert together([FIRST]) == FIRST
    assert (model_of(sense_of("m", 12)), sense_of("m", 0)) == ("m", "m")


def test_a_key_is_the_same_in_every_sense() -> None:
    groups = Groups()
    codes = [
        groups.code(one) for one in (FIRST, SECOND, BARE, together([FIRST, SECOND]), Group("n", "1"), Group("m", "2"))
    ]
    keys = groups.key_codes[codes].tolist()
    assert len(set(keys[:4])) == 1
    assert len(set(keys)) == 3
    assert len(set(groups.hashes[codes].tolist())) == 6


def test_contents_are_ordered_by_the_first_sense_whether_a_later_one_counts_or_not() -> None:
    blue = Group("m", "1", (("hue", "blue"),))
    for red in (FIRST, together([FIRST, SECOND])):
        for other in (blue, together([blue, BARE])):
            assert other.order()[0] < red.order()[0]
    assert FIRST.order()[0] == together([FIRST, SECOND]).order()[0]
    assert together([FIRST, SECOND]).order()[1] == (SECOND,)
