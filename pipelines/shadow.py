"""Whether a challenger that passed on held-out rows goes on, by how it does on what comes in. It serves nothing meanwhile.

The same question as at the gate, and the same bounds: they hold at every look, so there may be one an hour. The share of alpha
is that of the gate as well: a challenger that is not better would have to fool both.

It ends early in two ways: when the answer is no, and when it cannot become yes any more (*futility*): even if the truth were the
upper end of what is still possible, the rows that come by `most` would not show it. Stopping for that cannot make a false
promotion likelier.
"""

from __future__ import annotations

import math

import msgspec

from pipelines.gate import GateReport, GateSpec, Goal, Outcome, Paired, judge
from pipelines.journal import Reason
from pipelines.policy import Policy, Shadow


def shadow_spec(policy: Policy, shadow: Shadow) -> GateSpec:
    """What is asked of a challenger in the shadow."""
    return msgspec.structs.replace(policy.gate, rows_min=shadow.rows_min)


def shadow_watch(
    policy: Policy, shadow: Shadow, paired: Paired | None, alpha: float, since_ms: int, now_ms: int
) -> tuple[Reason | None, GateReport | None, str]:
    """(why it ends, or None while it goes on; the report; what there is to say). `paired`: None while there are no rows."""
    lasted_ms = now_ms - since_ms
    over = lasted_ms >= shadow.most_ms
    if paired is None:
        return (Reason.SHADOW_UNDECIDED if over else None), None, "no row was scored by both and has its label yet"
    report = judge(paired, shadow_spec(policy, shadow), alpha)
    if report.outcome in (Outcome.FAIL, Outcome.ERROR):
        return Reason.SHADOW_FAILED, report, report.detail
    if report.outcome is Outcome.PASS:
        return (Reason.SHADOW_PASSED if lasted_ms >= shadow.least_ms else None), report, report.detail
    if over:
        return Reason.SHADOW_UNDECIDED, report, report.detail
    if hopeless(report, shadow, lasted_ms):
        return Reason.SHADOW_FAILED, report, f"it cannot be shown any more in time: {report.detail}"
    return None, report, report.detail


def hopeless(report: GateReport, shadow: Shadow, lasted_ms: int) -> bool:
    """Whether the rows that are to be expected by the deadline cannot show it, whatever is still possible. Half of an interval
    shrinks no faster than the root of the number of rows grows."""
    overall, spec = report.overall, report.spec
    if overall.lower is None or overall.upper is None or overall.rows < spec.rows_min or lasted_ms <= 0:
        return False
    half = (overall.upper - overall.lower) / 2 * math.sqrt(lasted_ms / shadow.most_ms)
    asked = spec.margin if spec.goal is Goal.BETTER else -spec.margin
    return overall.upper - half <= asked
