"""The alias that tells whoever serves which version to score beside the champion, where serving scores both.

    in the shadow    champion at 1, challenger at 2    the challenger that passed the gate
    on probation     champion at 2, challenger at 1    the version that was replaced: the reverse shadow
    afterwards       both at the version that serves   nobody is beside it

So a server that follows both aliases does the right thing all along, and needs to know nothing of runs. That nobody is beside
the champion is said by the two being equal, not by a record that takes the alias away: readers of any age understand it.

The champion moves first, and the journal says that it did after both have: who ends between the two leaves a step that is
done again. Each move is made at most once for a run, as `promote` and `rollback` of the registry are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from msgspec import UNSET

from pipelines.looks import moment
from pipelines.policy import Policy, ScoredBy
from pipelines.ports import Dataset, Move, Serving
from pipelines.states import terminal
from pipelines.task import Next, Task

UNPAIRED: Final = "unpaired"
"""What is to be said of a comparison that gets no pairs, or no more of them, although labels come; null when pairs came."""
EXPECTED_MIN: Final = 10
"""Pairs that should have come since the last one, at the rate before it, for their absence to be no chance: one in 20,000."""
_ALIVE_EVERY_ROWS: Final = 50_000


def by_serving(policy: Policy) -> bool:
    """Whether whoever serves scores both versions."""
    return policy.shadow is not UNSET and policy.shadow.scored_by is ScoredBy.SERVING


def point(task: Task, version: int) -> str:
    """Let the alias point at `version`, and say so. Where it cannot be moved a person is told."""
    other = _other(task.policy)
    at = task.ports.models.serving(other)
    if at is None or at.version != version:
        done = task.ports.models.promote(
            other, task.admission.run, version, at.version if at else None, {}, task.owner, task.now_ms
        )
        if done.move not in (Move.MOVED, Move.ALREADY):
            return (
                f"{other.alias} could not be moved: {done.detail}; serve version {version} beside the champion by hand"
            )
    return f"{other.alias} points at version {version}"


def stood_down(task: Task, following: Next) -> Next:
    """The end of a run that had a version beside the champion: the alias goes to the champion, if it is still where the run put
    it. Any other step is as it was."""
    if not by_serving(task.policy) or not terminal(following.to):
        return following
    facts, models, other = task.view.facts, task.ports.models, _other(task.policy)
    at, serving = models.serving(other), models.serving(task.policy)
    if at is None or serving is None or at.version == serving.version:
        return following
    if "version" not in facts or at.version not in (facts["version"], facts["champion"]):
        return following  # a person, or another run, has something else in mind
    given = (task.owner, task.now_ms)
    if serving.version == facts["version"]:
        done = models.rollback(other, task.admission.run, at.version, serving.version, *given)
    else:
        done = models.promote(other, task.admission.run, serving.version, at.version, {}, *given)
    if done.move in (Move.MOVED, Move.ALREADY):
        said = f"{other.alias} points at version {serving.version} as well: nobody is beside it"
    else:
        said = f"{other.alias} still points at version {at.version}: {done.detail}; move it by hand"
    return replace(following, detail="; ".join(part for part in (following.detail, said) if part))


@dataclass(frozen=True, slots=True)
class Counted:
    """Predictions of the version that serves since a state began, whose label is known. `paired`: those that the version beside
    it scored too; `newest_ms`: when the newest of these was predicted; `after`: how many of all are newer than that."""

    labelled: int
    paired: int
    newest_ms: int | None
    after: int


def counted(task: Task, policy: Policy, serving: Serving, pairs: Dataset | None) -> Counted:
    """How many pairs there are, of how many there could be. `pairs`: those that were found."""
    paired = 0 if pairs is None else pairs.test_rows
    if not by_serving(policy):
        return Counted(paired, paired, None, 0)
    assert policy.shadow is not UNSET
    alone = msgspec.structs.replace(
        policy, shadow=msgspec.structs.replace(policy.shadow, scored_by=ScoredBy.DRIFTLINE)
    )  # whoever scored the other: all that was served
    every = task.ports.data.compared(alone, serving.names, (), task.view.since_ms, task.now_ms, task.alive)
    times, of_pairs = _times(task, policy, every), _times(task, policy, pairs)
    newest_ms = max(of_pairs, default=None)
    after = sum(newest_ms is None or at_ms > newest_ms for at_ms in times)
    return Counted(len(times), paired, newest_ms, after)


def _times(task: Task, policy: Policy, rows: Dataset | None) -> list[int]:
    body = bytearray()
    for chunk in () if rows is None else task.ports.store.blob(rows.test):
        task.alive()
        body += chunk
    times = []
    for number, line in enumerate(body.splitlines()):
        if number % _ALIVE_EVERY_ROWS == 0:
            task.alive()
        times.append(int(json.loads(line)[policy.data.at]))
    return times


def unpaired(
    task: Task, serving: Serving, other: Serving, found: Counted, least_rows: int, least_ms: int
) -> str | None:
    """What is to be said where labels come and no row, or none any more, has been scored by both: None while so few labels have
    come, or so little time has passed, that this may be chance."""
    policy = task.policy
    assert policy.shadow is not UNSET
    from_ms = task.view.since_ms if found.newest_ms is None else found.newest_ms
    if not found.after or (found.after < least_rows and task.now_ms < from_ms + least_ms):
        return None
    since = still = ""
    if found.newest_ms is not None:
        before = max(1, found.labelled - found.after)
        if found.after * found.paired / before < EXPECTED_MIN:
            return None
        since, still = f" since {moment(found.newest_ms)}", " still"
    ended = "" if found.newest_ms is None else f", after {found.paired:,} pairs before"
    return (
        f"{found.after:,} predictions of version {serving.version}{since} have their label, and none of version {other.version} "
        f"with the same {policy.data.id}{ended}: does whoever serves{still} score the version that "
        f"{policy.shadow.alias} points at?"
    )


def _other(policy: Policy) -> Policy:
    """The policy as that of the alias beside."""
    assert policy.shadow is not UNSET
    return msgspec.structs.replace(policy, alias=policy.shadow.alias, shadow=UNSET)
