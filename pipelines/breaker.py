"""When a loop that works has to stand still: after rollbacks that follow each other, and while a promoted version is young.

A challenger may be right when it is promoted and wrong a day later. One rollback is the loop doing its work; several say that the
world goes to and fro faster than labels come, and that each new model is a bet. Then no run begins until a person has looked.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from pipelines.policy import Brakes, Policy
from pipelines.runs import RunSummary
from pipelines.states import State


def brakes_of(policy: Policy) -> Brakes:
    """Those of a policy that says nothing of them are on, with their defaults."""
    return Brakes() if policy.brakes is UNSET else policy.brakes


def tripped(policy: Policy, runs: Sequence[RunSummary], now_ms: int, reset_ms: int = 0) -> str | None:
    """Why the breaker is out, None while it is in. `reset_ms`: when a person last reset it; a limit of 0 is none."""
    brakes = brakes_of(policy)
    back = [run.ended_ms for run in runs if run.state is State.ROLLED_BACK and (run.ended_ms or 0) > reset_ms]
    inside = [at_ms for at_ms in back if at_ms is not None and at_ms > now_ms - brakes.window_ms]
    if brakes.rollbacks_in_window and len(inside) >= brakes.rollbacks_in_window:
        return f"{len(inside)} promoted versions were rolled back within {brakes.window_ms // 86_400_000} days"
    in_row = 0
    for run in reversed(runs):
        if (run.ended_ms or 0) <= reset_ms and not run.active:
            break
        if run.promoted and run.state is State.SETTLED:
            break
        in_row += run.state is State.ROLLED_BACK
    if brakes.rollbacks_in_row and in_row >= brakes.rollbacks_in_row:
        return f"the last {in_row} promoted versions were rolled back"
    return None


def tenure_until(policy: Policy, runs: Sequence[RunSummary]) -> int:
    """Until when the version that serves is too young to be replaced; 0 where none was promoted by a run and stayed."""
    stayed = [run.promoted_ms or 0 for run in runs if run.promoted and run.state is not State.ROLLED_BACK]
    return stayed[-1] + brakes_of(policy).tenure_ms if stayed else 0
