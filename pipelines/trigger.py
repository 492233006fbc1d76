"""Whether a run begins now, decided from what fires now, the runs so far, the labels at hand and the time. Nothing else.

The trigger is level, not edge: an alert that was delivered twice, late, or while nobody listened makes no difference, because
what is asked is what fires at this moment. Every answer has a reason; logs, tables and tests read the same one.

    data quality fires      never: training on broken data is how a bad day becomes a bad model
    labels are stalled      not now: those that are missing are not missing at random
    stopped, or the breaker  nothing: a person said so, or promoted versions were rolled back one after the other
    drift alone             a candidate is trained, judged and registered; nothing is promoted
    labelled performance    the whole cycle

A gate is a test, and a challenger every week is a test every week: the k-th challenger since a promotion settled has
alpha * 6 / (pi^2 k^2), which together is alpha.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipelines.breaker import tenure_until, tripped
from pipelines.firing import Firing, Kind, concerning
from pipelines.policy import Policy, Promotion
from pipelines.runs import Mode, RunSummary, run_id
from pipelines.states import State

MANUAL: Final = "manual"
"""Stands for the fingerprint where a person asked for the run."""
BACKOFF_MAX: Final = 8


class Why(StrEnum):
    """Why a run begins, or does not."""

    PERFORMANCE = "performance"  # begins: a labelled metric broke its rule
    DRIFT = "drift"  # begins: inputs or scores drifted; a candidate only
    MANUAL = "manual"  # begins: a person asked
    NOTHING_FIRES = "nothing_fires"
    DATA_QUALITY = "data_quality"
    LABELS_STALLED = "labels_stalled"
    NOT_A_TRIGGER = "not_a_trigger"  # alerts fire, and the policy reacts to none of them
    OTHER_VERSION = "other_version"  # alerts fire about versions that the champion has replaced
    ALREADY_RUN = "already_run"  # each incident that fires has had its run, and it was not turned away over its rows
    RUN_ACTIVE = "run_active"
    EARLY = "early"  # it does not fire for long enough yet
    COOLDOWN = "cooldown"
    BUDGET = "budget"
    FEW_LABELS = "few_labels"
    STOPPED = "stopped"  # a person threw the switch
    BREAKER = "breaker"  # too many rollbacks: a person has to look and reset it
    TENURE = "tenure"  # the version that serves was promoted too recently
    UNREADABLE = "unreadable"  # alerts or rows cannot be read: nothing is concluded from what is not known


BEGINS: Final = frozenset({Why.PERFORMANCE, Why.DRIFT, Why.MANUAL})


@dataclass(frozen=True, slots=True)
class Asked:
    """A person asks for a run. Equal keys are one run."""

    key: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """What people did to a model's retraining: why it is stopped, and when its breaker was last reset."""

    stopped: str | None = None
    reset_ms: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What would happen now. `run`, `mode` and `alpha` are those of the run that begins, or would if the reason went away."""

    model: str
    why: Why
    detail: str
    run: str | None = None
    mode: Mode | None = None
    causes: tuple[Firing, ...] = ()
    alpha: float = 0.0
    not_before_ms: int | None = None

    @property
    def begins(self) -> bool:
        """Whether a run begins."""
        return self.why in BEGINS


def plan(
    policy: Policy,
    alerts: Iterable[Firing],
    runs: Sequence[RunSummary],
    labels: int,
    now_ms: int,
    serving: frozenset[str] | None = None,
    asked: Asked | None = None,
    held: Held = Held(),
) -> Plan:
    """The decision. `labels`: mature labelled rows at hand; `serving`: what predictions call the champion, None before the
    first promotion."""
    model = policy.model
    if (still := _standing_still(policy, runs, now_ms, held)) is not None:
        return still
    about = list(dict.fromkeys(concerning(alerts, model)))
    for kind, why in ((Kind.DATA_QUALITY, Why.DATA_QUALITY), (Kind.LABELS, Why.LABELS_STALLED)):
        if blocking := [alert for alert in about if alert.kind is kind]:
            detail = f"{_named(blocking, ids=True)}: nothing is trained while this fires"
            return Plan(model, why, detail, causes=tuple(blocking))
    causes = _causes(policy, about, runs, serving) if asked is None else ()
    if isinstance(causes, Plan):
        return causes
    mode = Mode.CANDIDATE
    if policy.promote is not Promotion.OBSERVE and (asked or causes[0].kind is Kind.PERFORMANCE):
        mode = Mode.FULL
    first = (MANUAL, asked.key) if asked is not None else (causes[0].fingerprint, causes[0].episode)
    attempt = 1 + sum(first in summary.incidents for summary in runs)
    run, alpha = run_id(model, *first, policy, attempt), challenger_alpha(policy, runs)
    begins = Why.MANUAL if asked else Why(str(causes[0].kind))

    def said(why: Why, detail: str, not_before_ms: int | None = None) -> Plan:
        return Plan(model, why, detail, run, mode, causes, alpha, not_before_ms)

    if any(summary.admission.run == run for summary in runs):
        return said(Why.ALREADY_RUN, f"run {run} was for this")
    if active := [summary for summary in runs if summary.active]:
        return said(Why.RUN_ACTIVE, f"run {active[0].admission.run} is {active[0].state}; one at a time")
    if asked is None and (soon := _too_soon(policy, causes[0], runs, mode, now_ms)) is not None:
        return said(*soon)
    if (free := _budget_free(policy, runs, now_ms)) > now_ms:
        return said(Why.BUDGET, f"{policy.trigger.budget_runs} runs in the budget's window, all used", free)
    if labels < policy.trigger.labels_min:
        return said(
            Why.FEW_LABELS, f"{labels:,} mature labelled rows, at least {policy.trigger.labels_min:,} are needed"
        )
    return said(begins, _named(causes) if asked is None else asked.reason)


def _standing_still(policy: Policy, runs: Sequence[RunSummary], now_ms: int, held: Held) -> Plan | None:
    """What nobody but a person ends."""
    if held.stopped is not None:
        return Plan(policy.model, Why.STOPPED, held.stopped)
    if (rolled_back := tripped(policy, runs, now_ms, held.reset_ms)) is not None:
        detail = f"{rolled_back}; look why, then `driftline retrain reset {policy.model}`"
        return Plan(policy.model, Why.BREAKER, detail)
    return None


def challenger_alpha(policy: Policy, runs: Sequence[RunSummary]) -> float:
    """The share of alpha of the next challenger."""
    before = 0
    for summary in reversed(runs):
        if summary.promoted and summary.state is State.SETTLED:
            break
        before += summary.admission.mode is Mode.FULL and not summary.turned_away  # no gate, nothing spent
    return policy.gate.alpha * 6 / (math.pi * (before + 1)) ** 2


def _causes(
    policy: Policy, about: list[Firing], runs: Sequence[RunSummary], serving: frozenset[str] | None
) -> Plan | tuple[Firing, ...]:
    """The alerts that a run would be for, the weightiest first; a Plan where there are none."""
    model = policy.model
    own = [alert for alert in about if alert.model == model]
    if not own:
        return Plan(model, Why.NOTHING_FIRES, "no alert about this model fires")
    wanted = [alert for alert in own if alert.kind in policy.trigger.alerts]
    if not wanted:
        return Plan(
            model, Why.NOT_A_TRIGGER, f"{_named(own)}: the policy reacts to {', '.join(policy.trigger.alerts)} only"
        )
    current = [a for a in wanted if serving is None or policy.trigger.versions == "any" or a.version in serving]
    if not current:
        names = ", ".join(sorted(name for name in serving or () if not name.startswith("sha256:")))
        return Plan(model, Why.OTHER_VERSION, f"{_named(wanted)}: about other versions than the champion ({names})")
    handled = {incident for summary in runs if not summary.turned_away for incident in summary.incidents}
    new = [alert for alert in current if (alert.fingerprint, alert.episode) not in handled]
    if not new:
        return Plan(model, Why.ALREADY_RUN, f"{_named(current)}: each of these incidents has had its run")
    return tuple(sorted(new, key=lambda a: (a.kind is not Kind.PERFORMANCE, a.fired_ms, a.fingerprint)))


def _too_soon(
    policy: Policy, cause: Firing, runs: Sequence[RunSummary], mode: Mode, now_ms: int
) -> tuple[Why, str, int] | None:
    """Why an alert has to wait, and until when."""
    if (begins_ms := cause.fired_ms + policy.trigger.after_ms) > now_ms:
        return Why.EARLY, f"{cause.name} has not fired for long enough", begins_ms
    if mode is Mode.FULL and (until := tenure_until(policy, runs)) > now_ms:
        return Why.TENURE, "the version that serves was promoted too recently to be replaced", until
    if (until := _cooldown_until(policy, runs, mode)) > now_ms:
        return Why.COOLDOWN, "the last run ended too recently", until
    return None


def _cooldown_until(policy: Policy, runs: Sequence[RunSummary], mode: Mode) -> int:
    """A candidate does not hold up a run that may help; a rejection makes the next one wait twice as long."""
    alike = [
        s for s in runs if s.state is not State.SKIPPED and (mode is Mode.CANDIDATE or s.admission.mode is Mode.FULL)
    ]
    if not alike or alike[-1].ended_ms is None:
        return 0
    rejected = 0
    for summary in reversed(alike):
        if summary.state is not State.REJECTED:
            break
        rejected += 1
    return alike[-1].ended_ms + policy.trigger.cooldown_ms * min(1 << max(0, rejected - 1), BACKOFF_MAX)


def _budget_free(policy: Policy, runs: Sequence[RunSummary], now_ms: int) -> int:
    """When the budget has room again; now or before when it has."""
    trigger = policy.trigger
    used = sorted(s.admission.at_ms for s in runs if s.state is not State.SKIPPED)
    used = [at_ms for at_ms in used if at_ms > now_ms - trigger.budget_window_ms]
    if len(used) < trigger.budget_runs:
        return now_ms
    if trigger.budget_runs == 0:
        return now_ms + trigger.budget_window_ms
    return used[-trigger.budget_runs] + trigger.budget_window_ms


def _named(alerts: Sequence[Firing], *, ids: bool = False) -> str:
    """The first few by name, with the `id` of the event that fired them if asked."""
    names = list(dict.fromkeys(f"{alert.name} (alert {alert.episode})" if ids else alert.name for alert in alerts))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
