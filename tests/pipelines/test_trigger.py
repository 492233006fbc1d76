"""When a run begins, and every reason why it does not."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from monitor.alerts.cloudevents import encode
from monitor.alerts.examples import example_events
from monitor.config import metric_names, tasks
from pipelines.firing import Firing, Kind, firing, kind_of
from pipelines.journal import Reason
from pipelines.policy import DAY_MS, Promotion, Trigger
from pipelines.runs import Admission, Mode, RunSummary, run_id
from pipelines.states import State
from pipelines.trigger import BEGINS, Asked, Plan, Why, plan
from tests.pipelines.memory import BORN_MS, alert, policy

POLICY = policy()
BAD = alert()
DRIFT = alert("b" * 32, "f" * 32, Kind.DRIFT, name="psi-hour")
NOW = BORN_MS + 30 * DAY_MS


def ran(
    *causes: Firing,
    state: State = State.SETTLED,
    ago_ms: int = 10 * DAY_MS,
    mode: Mode = Mode.FULL,
    promoted: bool = True,
    reason: Reason | None = None,
    attempt: int = 1,
) -> RunSummary:
    at_ms = NOW - ago_ms
    run = run_id("fraud", causes[0].fingerprint, causes[0].episode, POLICY, attempt) if causes else f"{ago_ms:032x}"
    admission = Admission(1, 1, None, run, "fraud", mode, causes, 0.05, POLICY, "worker", "why", at_ms)
    ended = None if state in (State.TRAINING, State.PROBATION) else at_ms
    return RunSummary(admission, state, ended, promoted, reason)


def decide(*alerts: Firing, runs: tuple[RunSummary, ...] = (), labels: int = 5000, **more: Any) -> Plan:
    given = {"serving": frozenset({"1", "v1"})} | more
    return plan(given.pop("policy", POLICY), alerts, runs, labels, NOW, **given)


OTHER = alert("c" * 32, "d" * 32)
PATIENT = policy(trigger=Trigger(after_ms=NOW - BORN_MS + 1))
ONLY_DRIFT = policy(trigger=Trigger(alerts=(Kind.DRIFT,)))
STALLED = alert("d" * 32, kind=Kind.LABELS, model=None, version=None)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: decide(BAD), Why.PERFORMANCE),
        (lambda: decide(DRIFT), Why.DRIFT),
        (decide, Why.NOTHING_FIRES),
        (lambda: decide(alert(model="churn")), Why.NOTHING_FIRES),
        (lambda: decide(BAD, alert("d" * 32, kind=Kind.DATA_QUALITY)), Why.DATA_QUALITY),
        (lambda: decide(BAD, alert("d" * 32, kind=Kind.DATA_QUALITY, model="churn")), Why.PERFORMANCE),
        (lambda: decide(BAD, STALLED), Why.LABELS_STALLED),
        (lambda: decide(BAD, policy=PATIENT), Why.EARLY),
        (lambda: decide(policy=PATIENT, asked=Asked("k", "ada", "now")), Why.MANUAL),
        (lambda: decide(BAD, policy=ONLY_DRIFT), Why.NOT_A_TRIGGER),
        (lambda: decide(BAD, policy=policy(trigger=Trigger(alerts=()))), Why.NOT_A_TRIGGER),
        (lambda: decide(BAD, serving=frozenset({"2"})), Why.OTHER_VERSION),
        (
            lambda: decide(BAD, serving=frozenset({"2"}), policy=policy(trigger=Trigger(versions="any"))),
            Why.PERFORMANCE,
        ),
        (lambda: decide(BAD, serving=None), Why.PERFORMANCE),
        (lambda: decide(BAD, runs=(ran(BAD),)), Why.ALREADY_RUN),
        (lambda: decide(BAD, runs=(ran(OTHER, BAD),)), Why.ALREADY_RUN),
        (lambda: decide(BAD, runs=(ran(OTHER),)), Why.PERFORMANCE),
        (lambda: decide(BAD, runs=(ran(OTHER, state=State.TRAINING),)), Why.RUN_ACTIVE),
        (lambda: decide(BAD, runs=(ran(OTHER, state=State.PROBATION),)), Why.RUN_ACTIVE),
        (lambda: decide(BAD, runs=(ran(OTHER, ago_ms=DAY_MS // 2),)), Why.COOLDOWN),
        (lambda: decide(BAD, runs=(ran(DRIFT, ago_ms=DAY_MS // 2, mode=Mode.CANDIDATE),)), Why.PERFORMANCE),
        (lambda: decide(BAD, runs=(ran(OTHER, ago_ms=DAY_MS // 2, state=State.SKIPPED),)), Why.PERFORMANCE),
        (lambda: decide(BAD, runs=tuple(ran(ago_ms=n * DAY_MS) for n in (5, 4, 2))), Why.BUDGET),
        (lambda: decide(BAD, runs=tuple(ran(ago_ms=n * DAY_MS) for n in (8, 4, 2))), Why.PERFORMANCE),
        (lambda: decide(BAD, labels=999), Why.FEW_LABELS),
        (lambda: decide(asked=Asked("k", "ada", "new feature")), Why.MANUAL),
        (lambda: decide(asked=Asked("k", "ada", "x"), runs=(ran(OTHER, ago_ms=DAY_MS // 2),)), Why.MANUAL),
        (lambda: decide(alert(kind=Kind.DATA_QUALITY), asked=Asked("k", "ada", "x")), Why.DATA_QUALITY),
    ],
)
def test_every_decision_has_its_reason(made: Any, why: Why) -> None:
    decided = made()
    assert decided.why is why
    assert decided.begins is (why in BEGINS)
    assert decided.detail


def test_drift_alone_trains_a_candidate_and_performance_goes_the_whole_way() -> None:
    assert decide(DRIFT).mode is Mode.CANDIDATE
    both = decide(DRIFT, BAD)
    assert (both.mode, both.causes) == (Mode.FULL, (BAD, DRIFT))
    assert decide(BAD, policy=policy(promote=Promotion.OBSERVE)).mode is Mode.CANDIDATE


def test_the_same_incident_is_the_same_run_and_another_episode_or_policy_is_another() -> None:
    first = decide(BAD).run
    assert first == decide(BAD, DRIFT).run == decide(replace_name(BAD)).run
    others = {decide(alert(episode="9" * 32)).run, decide(BAD, policy=policy(approvals=2)).run}
    assert first not in others
    assert len(others) == 2


def replace_name(one: Firing) -> Firing:
    return alert(one.fingerprint, one.episode, name="renamed", fired_ms=one.fired_ms)


def test_each_rejection_in_a_row_makes_the_next_run_wait_twice_as_long() -> None:
    for count, days in ((1, 1), (2, 2), (3, 4), (9, 8)):
        runs = tuple(ran(ago_ms=DAY_MS // 2, state=State.REJECTED, promoted=False) for _ in range(count))
        decided = decide(BAD, runs=runs, policy=policy(trigger=Trigger(budget_runs=100)))
        assert decided.why is Why.COOLDOWN
        assert decided.not_before_ms == NOW - DAY_MS // 2 + days * DAY_MS


def test_alpha_is_spent_over_the_challengers_since_a_promotion_settled() -> None:
    lost = replace(ran(), state=State.REJECTED, promoted=False)
    shares = [decide(BAD, runs=(lost,) * count, policy=roomy()).alpha for count in range(50)]
    assert sum(shares) < 0.05
    assert shares[0] == pytest.approx(0.05 * 6 / math.pi**2)
    assert decide(BAD, runs=(lost, lost, ran()), policy=roomy()).alpha == shares[0]


def roomy() -> Any:
    return policy(trigger=Trigger(budget_runs=1000, cooldown_ms=0))


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("recall", Kind.PERFORMANCE),
        ("psi:hour", Kind.DRIFT),
        ("ks:$score", Kind.DRIFT),
        ("missing:hour", Kind.DATA_QUALITY),
        ("unheard_of:hour", Kind.DATA_QUALITY),
        ("unheard_of", Kind.DATA_QUALITY),
        ("completed", Kind.DATA_QUALITY),
        ("psi", Kind.DATA_QUALITY),
        ("seen", Kind.DATA_QUALITY),
        ("recall:cat", Kind.PERFORMANCE),
        ("completed:recall", Kind.PERFORMANCE),
        ("unlabelled:recall", Kind.DRIFT),
        ("prevalence", Kind.DRIFT),
        ("volume", Kind.DATA_QUALITY),
        (None, Kind.DATA_QUALITY),
        ("coverage", Kind.LABELS),
    ],
)
def test_what_an_alert_is_about_is_read_from_its_metric(metric: str | None, kind: Kind) -> None:
    assert kind_of(metric) is kind


def test_every_metric_of_labelled_predictions_that_a_rule_may_name_trains() -> None:
    single = {*tasks.PER_CLASS, *tasks.AREAS, tasks.COST}
    known = {*metric_names.BINARY, *tasks.MULTICLASS, *tasks.REGRESSION, *single}
    others = {"seen", "volume", "labelled", "coverage", *metric_names.DRIFT_OF_LABELS}
    assert {name for name in known if kind_of(name) is Kind.PERFORMANCE} == known - others
    assert all(kind_of(f"{name}:cat") is Kind.PERFORMANCE for name in (*tasks.PER_CLASS, "roc_auc"))
    assert all(kind_of(f"{name}:hour") is Kind.DRIFT for name in (*metric_names.DISTANCES, metric_names.DEPENDENCE))
    assert all(kind_of(f"{name}:hour") is Kind.DATA_QUALITY for name in ("missing", *metric_names.DECLARED))


def test_the_events_that_the_monitor_publishes_are_read() -> None:
    events = {name: encode(event) for name, event in example_events().items()}
    found, unreadable = firing([events["firing"], events["firing"], events["operational"]])
    assert not unreadable
    assert {(each.kind, each.model) for each in found} == {(Kind.PERFORMANCE, "arrival-delay"), (Kind.LABELS, None)}
    for order in (("firing", "resolved"), ("resolved", "firing")):
        assert firing(events[name] for name in order) == ((), ())


def test_an_alarm_of_the_budget_is_about_what_its_leading_cause_is_about() -> None:
    event = encode(example_events()["budget"])
    (found,), unreadable = firing([event])
    assert not unreadable
    assert (found.kind, found.model, found.name) == (Kind.PERFORMANCE, "arrival-delay", "budget-performance")
    for area, kind in (("features", Kind.DRIFT), ("predictions", Kind.DRIFT), ("quality", Kind.DATA_QUALITY)):
        (found,), _ = firing([event.replace(b'"area":"performance"', b'"area":"%s"' % area.encode())])
        assert found.kind is kind


def test_broken_data_that_a_budget_lists_beside_a_louder_drift_are_not_trained_on() -> None:
    event = json.loads(encode(example_events()["budget"]))
    first = event["data"]["causes"][0] | {"area": "features", "listed": True}
    for listed, kind in ((False, Kind.DRIFT), (True, Kind.DATA_QUALITY)):
        event["data"]["causes"] = [first, first | {"area": "quality", "listed": listed}]
        (found,), unreadable = firing([json.dumps(event).encode()])
        assert (found.kind, unreadable) == (kind, ())


def test_nothing_follows_from_advice() -> None:
    assert firing([encode(example_events()["advisory"])]) == ((), ())


def test_a_line_that_is_no_alert_is_named() -> None:
    found, unreadable = firing([b"", b"{}", b'{"dataschema":"urn:x","data":1}'])
    assert found == ()
    assert [each.number for each in unreadable] == [2, 3]


def test_a_run_begins_once_its_alert_has_fired_for_as_long_as_the_policy_says() -> None:
    early = decide(BAD, policy=PATIENT)
    assert early.not_before_ms == BAD.fired_ms + PATIENT.trigger.after_ms == NOW + 1
    assert plan(PATIENT, (BAD,), (), 5000, NOW + 1, frozenset({"1"})).begins


def turned_away(reason: Reason, ago_ms: int = 10 * DAY_MS, attempt: int = 1) -> RunSummary:
    return ran(BAD, ago_ms=ago_ms, state=State.REJECTED, promoted=False, reason=reason, attempt=attempt)


@pytest.mark.parametrize("reason", [Reason.DATA_QUALITY, Reason.FEW_LABELS])
def test_an_incident_whose_rows_were_turned_away_has_another_run_after_the_cooldown(reason: Reason) -> None:
    first = decide(BAD)
    once = turned_away(reason)
    assert decide(BAD, runs=(turned_away(reason, DAY_MS // 2),)).why is Why.COOLDOWN
    again = decide(BAD, runs=(once,))
    twice = turned_away(reason, attempt=2)
    assert (again.why, again.alpha) == (Why.PERFORMANCE, first.alpha), "no gate has spent anything"
    assert len({first.run, again.run, decide(BAD, runs=(once, twice)).run}) == 3
    assert twice.admission.run == again.run
    assert decide(BAD, runs=(once, ran(BAD, attempt=2))).why is Why.ALREADY_RUN
    for other in (Reason.GATE_FAILED, Reason.DECLINED):
        assert decide(BAD, runs=(turned_away(other),)).why is Why.ALREADY_RUN
