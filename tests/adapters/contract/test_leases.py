"""Who may own which partition."""

from __future__ import annotations

from itertools import combinations

from tests.adapters.contract.worlds import World, fresh, settle, topic


def disjoint(held: list[frozenset[int]]) -> bool:
    return all(not left & right for left, right in combinations(held, 2))


def test_a_lone_holder_gets_every_partition(world: World) -> None:
    leases = world.log.leases(topic(world, "tasks", 4), fresh("group"))
    assert settle([leases], lambda held: held[0] == {0, 1, 2, 3})
    leases.close()


def test_two_holders_share_and_never_overlap_once_settled(world: World) -> None:
    name, group = topic(world, "tasks", 4), fresh("group")
    first = world.log.leases(name, group)
    settle([first], lambda held: len(held[0]) == 4)
    second = world.another().leases(name, group)
    held = settle([first, second], lambda held: sorted(map(len, held)) == [2, 2] and disjoint(held))
    assert (first.joined, second.joined) == (True, True)
    assert held[0] | held[1] == {0, 1, 2, 3}
    second.close()
    assert settle([first], lambda held: held[0] == {0, 1, 2, 3})
    first.close()


def test_a_single_lease_has_a_single_holder_and_a_successor(world: World) -> None:
    name, group = topic(world, "evaluator", 1), fresh("group")
    first = world.log.leases(name, group)
    settle([first], lambda held: held[0] == {0})
    second = world.another().leases(name, group)
    settle([first, second], lambda held: disjoint(held) and len(held[0] | held[1]) == 1 and second.joined)
    first.close()
    assert (first.joined, second.joined) == (False, True), "who stands by belongs to the group, who left does not"
    assert settle([second], lambda held: held[0] == {0})
    second.close()


def test_groups_do_not_disturb_each_other(world: World) -> None:
    name = topic(world, "tasks", 2)
    first, second = world.log.leases(name, fresh("group")), world.another().leases(name, fresh("group"))
    settle([first, second], lambda held: held == [{0, 1}, {0, 1}])
    first.close()
    second.close()


def test_reporting_offsets_of_another_topic_is_harmless(world: World) -> None:
    name, source = topic(world, "tasks", 2), topic(world, "source", 2)
    leases = world.log.leases(name, fresh("group"))
    settle([leases], lambda held: held[0] == {0, 1})
    leases.report({(source, 0): 0, (source, 1): 0})
    leases.report({("no-such-topic", 9): 12})
    assert settle([leases], lambda held: held[0] == {0, 1})
    leases.close()
