"""What is done in each state of a run. Each step is a function from a task to the next state, or None while it has to wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET

from pipelines.beside import UNPAIRED, Counted, by_serving, counted, point, unpaired
from pipelines.errors import ConfigError, NotFound, NotInstalled, StepFailed
from pipelines.firing import Kind, concerning
from pipelines.gate import BASE_RATE, CHAMPION, GateReport, NotTested, Outcome, Paired
from pipelines.journal import Reason
from pipelines.judging import importance, judged, kept, taken_in
from pipelines.looks import keep, look
from pipelines.policy import DAY_MS, Policy, Probation, Promotion, ScoredBy, Shadow
from pipelines.ports import OTHER_SCORE, SERVED_SCORE, Draft, Known, Move, Serving
from pipelines.probation import watch
from pipelines.runs import Mode
from pipelines.shadow import shadow_watch
from pipelines.states import State
from pipelines.task import Next, Task

T = TypeVar("T")
SEEN: Final = "seen_ms"
"""When it was found out that predictions name the new version: the acknowledgement of its promotion."""


SHADOW: Final = "shadow"
"""What was found in the shadow: a report, as of the gate."""
IMPORTANCE: Final = "permutation_importance"
"""By how much the challenger's loss rises without each feature: a fact of the run, and a parameter of the version unless the
policy says one of that name."""
UNTESTED: Final = "not_tested"
"""What was not looked at before training; the gate's report lists it."""


def request(task: Task) -> Next:
    """Take the run up, unless what it was begun for is over."""
    causes = {(cause.fingerprint, cause.episode) for cause in task.admission.causes}
    if causes and not causes & {(alert.fingerprint, alert.episode) for alert in task.ports.alerts.firing()}:
        return Next(State.SKIPPED, Reason.ALERT_OVER, "none of the alerts that it was begun for fires any more")
    return Next(State.COLLECTING, Reason.BEGUN)


def collect(task: Task) -> Next:
    """Fix the rows, as they were known when the run was admitted."""
    dataset = task.ports.data.collect(task.policy, task.admission.at_ms, task.alive)
    facts = {"dataset": msgspec.to_builtins(dataset)}
    rows = dataset.train_rows + dataset.test_rows
    if rows < task.policy.trigger.labels_min or not dataset.train_rows or not dataset.test_rows:
        detail = f"{dataset.train_rows:,} rows to train on, {dataset.test_rows:,} to judge by"
        return Next(State.REJECTED, Reason.FEW_LABELS, detail, facts)
    return Next(State.VALIDATING, Reason.DONE, f"{rows:,} rows", facts)


def validate(task: Task) -> Next:
    """Look at the rows before anything is spent on them, at where their labels come from, and at the alerts once more."""
    findings = [f"{finding.check}: {finding.detail}" for finding in task.ports.data.validate(task.policy, task.dataset)]
    about = concerning(task.ports.alerts.firing(), task.admission.model)
    findings += [f"alert {alert.name} ({alert.episode}) fires" for alert in about if alert.kind is Kind.DATA_QUALITY]
    if findings:
        return Next(State.REJECTED, Reason.DATA_QUALITY, "; ".join(findings))
    champion = task.ports.models.serving(task.policy)
    odd, skipped = taken_in(task.ports, task.policy, task.dataset, champion, task.alive)
    if odd:
        return Next(State.REJECTED, Reason.DATA_QUALITY, "; ".join(f"{each.check}: {each.detail}" for each in odd))
    return Next(State.TRAINING, Reason.DONE, facts={UNTESTED: msgspec.to_builtins(skipped)} if skipped else {})


def train(task: Task) -> Next:
    """Run the user's code. The attempt is named by the fence: two workers never share a directory."""
    assert task.view.lease is not None
    artifact = task.ports.trainer.train(
        task.policy, task.admission.run, task.view.lease.fence, task.dataset, task.alive
    )
    return Next(State.EVALUATING, Reason.DONE, facts={"artifact": msgspec.to_builtins(artifact)})


def evaluate(task: Task) -> Next:
    """Score both on the held-out rows, ask the gate, and register what passed. The gate's word is entered before anything
    follows from it."""
    facts = task.view.facts if "gate" in task.view.facts else _gate(task)
    outcome, detail = Outcome(facts["gate"]["outcome"]), facts["gate"]["detail"]
    reasons = {
        Outcome.FAIL: Reason.GATE_FAILED,
        Outcome.INCONCLUSIVE: Reason.GATE_INCONCLUSIVE,
        Outcome.ERROR: Reason.GATE_ERROR,
    }
    candidate = task.admission.mode is Mode.CANDIDATE and outcome is not Outcome.ERROR
    if outcome is not Outcome.PASS and not candidate:
        return Next(State.REJECTED, reasons[outcome], detail)
    draft = Draft(
        task.admission.model,
        task.admission.run,
        task.dataset.digest,
        task.artifact,
        {**({IMPORTANCE: facts[IMPORTANCE]} if IMPORTANCE in facts else {}), **task.policy.train.params},
        task.policy.train.code_revision,
        facts["gate"]["report"],
    )
    version = task.ports.models.register(draft, task.owner, task.now_ms)
    return Next(State.REGISTERED, Reason.DONE, f"version {version}; {detail}", {"version": version})


def _gate(task: Task) -> Mapping[str, Any]:
    champion = task.ports.models.serving(task.policy)
    more = msgspec.convert(task.view.facts.get(UNTESTED, ()), tuple[NotTested, ...])
    rival = CHAMPION if champion else BASE_RATE
    report = judged(
        task.ports, task.policy, task.dataset, task.artifact, champion, task.alive, task.admission.alpha, rival, more
    )
    against = f"{task.admission.model}@{champion.version}" if champion else rival
    title = f"run {task.admission.run[:12]} of {task.admission.model} against {against}"
    facts: dict[str, Any] = {
        "champion": champion.version if champion else None,
        "gate": kept(task.ports, report, title, rival),
    }
    if leans := importance(report):
        facts[IMPORTANCE] = leans
    task.note(facts)
    return facts


def propose(task: Task) -> Next:
    """Ask, promote, or leave it at that. The first version of a model is never promoted without a person."""
    if task.admission.mode is Mode.CANDIDATE:
        return Next(State.SETTLED, Reason.CANDIDATE_ONLY, "registered; nothing is promoted")
    if task.policy.shadow is not UNSET and task.view.facts["champion"] is not None:
        return Next(State.SHADOWING, Reason.SHADOW, _point(task))
    return _onward(task)


def _point(task: Task) -> str:
    version = task.view.facts["version"]
    return point(task, version) if by_serving(task.policy) else f"version {version} is scored on what comes in"


def shadow(task: Task) -> Next | None:
    """Compare the challenger with the champion on what comes in, before anybody is asked."""
    facts, policy, asked = task.view.facts, task.policy, task.policy.shadow
    assert asked is not UNSET
    champion = task.ports.models.serving(policy)
    if champion is None or champion.version != facts["champion"]:
        return Next(State.SUPERSEDED, Reason.CHAMPION_MOVED, "it was compared with a champion that is gone")
    mine = task.ports.models.version(policy, facts["version"])
    since_ms, now_ms, alive = task.view.since_ms, task.now_ms, task.alive
    rows = _looked(lambda: task.ports.data.compared(policy, champion.names, mine.names, since_ms, now_ms, alive))
    found = _looked(lambda: counted(task, policy, champion, rows))
    paired = None
    if rows is not None:
        known = Known(SERVED_SCORE, OTHER_SCORE) if asked.scored_by is ScoredBy.SERVING else Known(policy.data.score)
        paired = task.ports.evaluator.losses(policy, rows, task.artifact, champion, task.alive, known)
    reason, report, detail = shadow_watch(policy, asked, paired, task.admission.alpha, since_ms, now_ms)
    _keep(task, asked, found, report, detail)
    if said := _unpaired(task, champion, mine, found, asked):
        detail = f"{detail}; {said}"
    if reason is None:
        return None
    title = f"shadow of version {facts['version']} of {task.admission.model} beside version {champion.version}"
    kept_as = {SHADOW: kept(task.ports, report, title)} if report is not None else {}
    if reason is not Reason.SHADOW_PASSED:
        return Next(State.REJECTED, reason, detail, kept_as)
    onward = _onward(task)
    return Next(onward.to, reason, "; ".join(part for part in (detail, onward.detail) if part), kept_as)


def _looked(ask: Callable[[], T]) -> T:
    """Rows that somebody else keeps, and that may be there again later. Raises StepFailed."""
    try:
        return ask()
    except (ConfigError, NotFound, NotInstalled, StepFailed) as error:
        raise StepFailed(error.what, error.why, error.remedy, again=True) from error


def _onward(task: Task) -> Next:
    if task.policy.promote is Promotion.AUTO and task.view.facts["champion"] is not None:
        return Next(State.PROMOTING, Reason.AUTOMATIC)
    return Next(State.AWAITING_APPROVAL, Reason.APPROVAL_NEEDED, f"{_needed(task.policy)} to approve")


def _needed(policy: Policy) -> int:
    return max(1, policy.approvals)


def approve(task: Task) -> Next | None:
    """Wait for people. What they agreed to is void when the champion is another one by then."""
    view = task.view
    if view.declined is not None:
        return Next(State.REJECTED, Reason.DECLINED, f"{view.declined.actor}: {view.declined.reason}")
    champion = task.ports.models.serving(task.policy)
    if (champion.version if champion else None) != view.facts["champion"]:
        return Next(State.SUPERSEDED, Reason.CHAMPION_MOVED, "it was compared with a champion that is gone")
    if len(view.approvals) >= _needed(task.policy):
        return Next(State.PROMOTING, Reason.APPROVED, ", ".join(given.actor for given in view.approvals))
    if task.now_ms >= view.since_ms + task.policy.approval_ms:
        return Next(State.TIMED_OUT, Reason.APPROVAL_EXPIRED, "nobody decided in time")
    return None


def promote(task: Task) -> Next:
    """Move the alias, from the champion that the gate compared with and from no other."""
    facts = task.view.facts
    approvers = {given.actor: given.reason for given in task.view.approvals}
    done = task.ports.models.promote(
        task.policy, task.admission.run, facts["version"], facts["champion"], approvers, task.owner, task.now_ms
    )
    match done.move:
        case Move.MOVED | Move.ALREADY:
            detail = f"version {facts['version']} is {task.policy.alias}"
            if by_serving(task.policy) and facts["champion"] is not None:
                detail += f"; {point(task, facts['champion'])}"
            return Next(State.PROBATION, Reason.PROMOTED, detail, {UNPAIRED: None} if UNPAIRED in facts else {})
        case Move.CONFLICT:
            return Next(State.SUPERSEDED, Reason.CHAMPION_MOVED, done.detail)
        case Move.REFUSED | Move.FROZEN:
            return Next(State.REJECTED, Reason.MOVE_REFUSED, done.detail)


def probation(task: Task) -> Next | None:
    """Watch the new version on what comes in, and go back if it is worse."""
    facts, policy = task.view.facts, task.policy
    if (found := facts.get("probation")) is not None:
        return _concluded(task, Reason(found), facts.get("probation_detail", ""))
    serving = task.ports.models.serving(policy)
    if serving is None or serving.version != facts["version"]:
        return Next(State.SUPERSEDED, Reason.CHAMPION_MOVED, "somebody moved the alias during probation")
    seen = True if SEEN in facts else task.ports.data.seen(policy, serving.names)
    if seen and SEEN not in facts:
        task.note({SEEN: task.now_ms})
    if facts["champion"] is None:
        if task.now_ms < task.view.since_ms + policy.probation.least_ms:
            return None
        return Next(State.SETTLED, Reason.NOTHING_REPLACED, "the first version: there is nothing to compare it with")
    before = task.ports.models.version(policy, facts["champion"])
    paired, found, trouble = _reversed(task, serving, before)
    reason, report = watch(policy, paired, task.view.since_ms, task.now_ms)
    detail = report.detail if report else trouble
    _keep(task, policy.probation, found, report, detail)
    if said := _unpaired(task, serving, before, found, policy.probation):
        detail += f"; {said}"
    if seen is False:
        detail += "; no prediction names it: does whoever serves follow the alias?"
    if reason is None:
        return None
    if reason is Reason.WORSE or by_serving(policy):  # what is found stands before an alias moves that brings the rows
        task.note({"probation": str(reason), "probation_detail": detail})
    return _concluded(task, reason, detail)


def _concluded(task: Task, reason: Reason, detail: str) -> Next:
    if reason is Reason.WORSE:
        return _back(task, detail)
    return Next(State.SETTLED if reason is Reason.NOT_WORSE else State.TIMED_OUT, reason, detail)


def _keep(task: Task, asked: Shadow | Probation, found: Counted, report: GateReport | None, detail: str) -> None:
    """Let people see what a look counted, and what it said."""
    numbers = (found.labelled, found.paired, found.newest_ms)
    made = look(task.view.state, task.now_ms, asked.every_ms, numbers, asked.rows_min, report, detail)
    keep(task.ports.store, task.admission.run, made)


def _unpaired(task: Task, serving: Serving, other: Serving, found: Counted, asked: Shadow | Probation) -> str:
    """What is to be said where labels come and no row, or none any more, was scored by both; a fact of the run while it is so."""
    if not by_serving(task.policy):
        return ""
    known = task.view.facts.get(UNPAIRED)
    said = unpaired(task, serving, other, found, asked.rows_min, asked.least_ms)
    if said is not None and known is None:
        task.note({UNPAIRED: said})
    elif said is None and known is not None and found.paired:
        task.note({UNPAIRED: None})
    return said or ""


def _reversed(task: Task, serving: Serving, before: Serving) -> tuple[Paired | None, Counted, str]:
    """The reverse shadow: the version that was replaced, on the rows that its successor serves, and how many these are; or why
    there is none."""
    policy, version = _watching(task), task.view.facts["version"]
    since_ms, now_ms = task.view.since_ms, task.now_ms
    both = by_serving(policy)
    if both:
        rows = task.ports.data.compared(policy, serving.names, before.names, since_ms, now_ms, task.alive)
        known = Known(champion=OTHER_SCORE, challenger=SERVED_SCORE)
    else:
        rows = task.ports.data.watched(policy, serving.names, since_ms, now_ms, task.alive)
        known = Known(challenger=policy.data.score)  # what it served; the one before is asked again
    found = counted(task, policy, serving, rows)
    if rows is None:
        and_other = f" and of version {before.version}" if both else ""
        return None, found, f"no prediction of version {version}{and_other} has its label yet"
    try:
        return task.ports.evaluator.losses(policy, rows, task.artifact, before, task.alive, known), found, ""
    except StepFailed as error:
        if error.again or policy.data.score is None:
            raise
        nothing = replace(found, paired=0)
        return None, nothing, f"version {before.version} cannot be scored again: {error}"


def _watching(task: Task) -> Policy:
    """The policy with a window that holds the whole probation: a look that left the first rows out would begin anew."""
    days = 1 + -(-(task.now_ms - task.view.since_ms) // DAY_MS)
    data = task.policy.data
    return msgspec.structs.replace(
        task.policy, data=msgspec.structs.replace(data, window_ms=max(data.window_ms, days * DAY_MS))
    )


def _back(task: Task, why: str) -> Next:
    facts = task.view.facts
    done = task.ports.models.rollback(
        task.policy, task.admission.run, facts["version"], facts["champion"], task.owner, task.now_ms
    )
    if done.move is Move.FROZEN:
        remedy = "It goes back when the alias is unfrozen, or moved by a person."
        raise StepFailed(
            f"version {facts['version']}", f"is worse and cannot go back: {done.detail}", remedy, again=True
        )
    if done.move is Move.REFUSED:
        return Next(State.FAILED, Reason.MOVE_REFUSED, f"it is worse and could not be rolled back: {done.detail}")
    if done.move is Move.CONFLICT:
        return Next(State.SUPERSEDED, Reason.CHAMPION_MOVED, done.detail)
    return Next(State.ROLLED_BACK, Reason.WORSE, f"version {facts['champion']} is {task.policy.alias} again: {why}")


STEPS: Final[Mapping[State, Callable[[Task], Next | None]]] = {
    State.REQUESTED: request,
    State.COLLECTING: collect,
    State.VALIDATING: validate,
    State.TRAINING: train,
    State.EVALUATING: evaluate,
    State.REGISTERED: propose,
    State.SHADOWING: shadow,
    State.AWAITING_APPROVAL: approve,
    State.PROMOTING: promote,
    State.PROBATION: probation,
}
"""The step of each state that has one; the others are ends."""
