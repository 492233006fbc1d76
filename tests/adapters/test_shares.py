from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.shares import settle

MEMBERS = ["a", "b", "c", "d"]


def look(member: str, members: Sequence[str], owners: dict[int, str], partitions: int) -> dict[int, str]:
    mine = settle(member, members, owners, partitions)
    return {p: who for p, who in owners.items() if who != member} | dict.fromkeys(mine, member)


@given(st.integers(0, 9), st.lists(st.sampled_from(MEMBERS), min_size=1, unique=True), st.data())
def test_from_any_table_everybody_gets_a_fair_share_within_two_rounds(
    partitions: int, members: list[str], data: st.DataObject
) -> None:
    owners = data.draw(
        st.dictionaries(st.integers(0, 8).filter(lambda p: p < partitions), st.sampled_from([*MEMBERS, "gone"]))
    )
    for _ in range(2):
        for member in members:
            owners = look(member, members, owners, partitions)
    shares = [sum(who == member for who in owners.values()) for member in members]
    assert sum(shares) == partitions
    assert shares == [partitions // len(members) + (i < partitions % len(members)) for i in range(len(members))]


@given(st.integers(1, 9), st.dictionaries(st.integers(0, 8), st.sampled_from(MEMBERS)))
def test_nobody_takes_what_a_live_member_holds(partitions: int, owners: dict[int, str]) -> None:
    taken = {p for p, who in owners.items() if who != "a"}
    assert not settle("a", MEMBERS, owners, partitions) & taken


def test_a_newcomer_moves_only_what_must_move() -> None:
    assert settle("a", ["a", "b"], dict.fromkeys(range(4), "a"), 4) == {0, 1}
    assert settle("b", ["a", "b"], {0: "a", 1: "a"}, 4) == {2, 3}
    assert settle("b", ["a", "b"], dict.fromkeys(range(4), "a"), 4) == frozenset()
