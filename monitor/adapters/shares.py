"""Who holds which partitions of a lease topic, where no Kafka group coordinator decides: pure, used by the embedded
log and its twins.

Every member applies the same rule to the same table, so nobody needs to talk: members stand in the order in which they
joined, the first ones get one partition more when the division leaves a rest, a member keeps what it holds up to its
share and takes only free partitions. A partition therefore always has at most one owner, and only what must move moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def settle(me: str, members: Sequence[str], owners: Mapping[int, str], partitions: int) -> frozenset[int]:
    """The partitions `me` holds after one look at the table.

    `members` are the live ones in joining order and contain `me`; `owners` maps held partitions to their members, an
    owner that is not in `members` counts as gone. What `me` must give up is free for the others at their next look.
    """
    share = partitions // len(members) + (1 if members.index(me) < partitions % len(members) else 0)
    alive = set(members)
    held = sorted(p for p in range(partitions) if owners.get(p) == me)
    kept = held[:share]
    free = [p for p in range(partitions) if owners.get(p) not in alive]
    return frozenset(kept + free[: share - len(kept)])
