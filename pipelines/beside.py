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

from dataclasses import replace
from typing import Final

import msgspec
from msgspec import UNSET

from pipelines.policy import Policy, ScoredBy
from pipelines.ports import Move, Serving
from pipelines.states import terminal
from pipelines.task import Next, Task

UNPAIRED: Final = "unpaired"
"""What is to be said of a comparison that gets no pairs although labels come; null when pairs came after all."""


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


def unpaired(
    task: Task, policy: Policy, serving: Serving, other: Serving, least_rows: int, least_ms: int
) -> str | None:
    """What is to be said where no row has been scored by both: None while so few labels have come, or so little time has
    passed, that this may be chance."""
    rows = task.ports.data.watched(policy, serving.names, task.view.since_ms, task.now_ms, task.alive)
    if rows is None or (rows.test_rows < least_rows and task.now_ms < task.view.since_ms + least_ms):
        return None
    assert policy.shadow is not UNSET
    return (
        f"{rows.test_rows:,} predictions of version {serving.version} have their label, and none of version {other.version} with "
        f"the same {policy.data.id}: does whoever serves score the version that {policy.shadow.alias} points at?"
    )


def _other(policy: Policy) -> Policy:
    """The policy as that of the alias beside."""
    assert policy.shadow is not UNSET
    return msgspec.structs.replace(policy, alias=policy.shadow.alias, shadow=UNSET)
