"""Whether a promoted version stays: the gate turned round, on rows that came after the promotion.

The version that was replaced is scored on the same rows. As soon as the new one is surely worse than it by more than the
margin, overall or in a guarded segment, the alias goes back; that needs no approval. Rows that decide nothing are no proof
that all is well: a probation without labels ends undecided, and a person is told.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from pipelines.gate import GateReport, GateSpec, Goal, Outcome, Paired, judge
from pipelines.journal import Reason
from pipelines.policy import Policy


def probation_spec(policy: Policy) -> GateSpec:
    """What is asked of a version on probation. Without a margin it has to be better: that it is not worse by more than 0 no
    number of rows shows. What a change is worth was asked before it was promoted, and is no reason to go back."""
    watched = policy.probation
    return msgspec.structs.replace(
        policy.gate, goal=Goal.NOT_WORSE if watched.margin else Goal.BETTER, margin=watched.margin, alpha=watched.alpha,
        rows_min=watched.rows_min, worth=UNSET,
    )  # fmt: skip


def watch(policy: Policy, paired: Paired | None, since_ms: int, now_ms: int) -> tuple[Reason | None, GateReport | None]:
    """(why the probation ends, or None while it goes on; the report). `paired`: None while there are no labelled rows."""
    lasted_ms = now_ms - since_ms
    report = None if paired is None else judge(paired, probation_spec(policy))
    if report is not None and report.outcome is Outcome.FAIL:
        return Reason.WORSE, report
    if report is not None and report.outcome is Outcome.PASS and lasted_ms >= policy.probation.least_ms:
        return Reason.NOT_WORSE, report
    return (Reason.UNDECIDED if lasted_ms >= policy.probation.most_ms else None), report
