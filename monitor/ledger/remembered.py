"""What a commit says of keys that a rebuild must know beside the floor: `restamped.Known` as a record, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import UNSET, UnsetType

from monitor.groups import Group, Groups
from monitor.join.restamped import Known, Stand
from monitor.ledger.records import Commit, GroupName, Remembered, pack

KNOWN_MAX = 4096
"""Keys that a commit can name (some 30 bytes each). Where ids are used over and over, so that there are more, the floor stays
behind instead."""


def packed(known: Sequence[Known], groups: Groups) -> Remembered | UnsetType:
    """As a record, if there are any."""
    if not known:
        return UNSET
    ids = np.array([k.id for k in known], np.uint64).view(np.int64)
    codes = list(dict.fromkeys(k.group for k in known))
    place = {code: at for at, code in enumerate(codes)}
    items = [groups.items[code] for code in codes]
    names = tuple(GroupName(group.model, group.version, group.segments) for group in items)
    local = [place[k.group] for k in known]
    at, unseen = zip(*(k.stand for k in known), strict=True)
    return Remembered(names, pack(local), pack(ids[:, 0]), pack(ids[:, 1]), pack(at), pack(unseen))


def known_of(commit: Commit, groups: Groups) -> list[Known]:
    """What the commit says, with codes of `groups`."""
    said = commit.remembered
    if said is UNSET:
        return []
    names = [said.groups[place] for place in said.column("group").tolist()]
    codes = [groups.code(Group(name.model, name.version, name.segments)) for name in names]
    ids = np.stack([said.column("first"), said.column("second")], axis=1).view(np.uint64).tolist()
    rows = zip(ids, codes, said.column("at").tolist(), said.column("unseen").tolist(), strict=True)
    return [Known((first, second), code, Stand(at, bool(unseen))) for (first, second), code, at, unseen in rows]
