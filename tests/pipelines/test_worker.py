"""One run at a time, each way it can go, told as a story."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pipelines.book import Book, Journal
from pipelines.errors import NotFound, Refused, StepFailed
from pipelines.explanation import Explanation, Importance
from pipelines.firing import Kind
from pipelines.gate import GateSpec, Outcome
from pipelines.journal import Reason
from pipelines.local_models import LocalModels
from pipelines.orchestrator import Orchestrator
from pipelines.policy import DAY_MS, HOUR_MS, Policy, Promotion, Trigger
from pipelines.ports import Alive, Dataset, Finding
from pipelines.states import State
from pipelines.steps import SEEN
from pipelines.switch import Switch, Turn
from pipelines.trigger import Asked, Plan, Why
from pipelines.worker import LEASE_MS
from tests.pipelines.memory import BORN_MS, Fakes, alert, fakes, policy

AUTO = policy(promote=Promotion.AUTO, trigger=Trigger(cooldown_ms=0, versions="any"))


class Story:
    """A model with a first champion, and one worker."""

    def __init__(self, ports: Fakes, policy: Policy = AUTO, champion: bool = True) -> None:
        self.ports, self.policy = ports, policy
        self.book = Book(ports.store)
        self.incident = 0
        if champion:
            self.fire()
            self.round()
            self.book.approve(self.book.active()[0], "eve", "the first one", ports.clock.ms)
            self.round()
            self.later(2 * DAY_MS)

    def fire(self, kind: Kind = Kind.PERFORMANCE) -> None:
        self.incident += 1
        self.ports.fires = [alert(episode=f"{self.incident:032x}", kind=kind)]

    def round(self, owner: str = "w1") -> list[tuple[State, Reason]]:
        done = Orchestrator(self.ports, [self.policy], owner).round()
        return [(moved.after, moved.reason) for moved in done.happened]

    def later(self, ms: int) -> list[tuple[State, Reason]]:
        self.ports.clock.ms += ms
        return self.round()

    def plan(self) -> Plan:
        return Orchestrator(self.ports, [self.policy], "w1").plan(self.policy)

    def switch(self, turn: str, model: str | None = "fraud") -> None:
        Switch(self.ports.store).turn(Turn(turn), model, "ada", "to look", self.ports.clock.ms)

    @property
    def journal(self) -> Journal:
        """Of the newest run."""
        return self.book.journal(self.book.admissions("fraud")[-1].run)

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.journal.view.facts

    @property
    def champion(self) -> int | None:
        serving = LocalModels(self.ports.store).serving(self.policy)
        return None if serving is None else serving.version


def test_a_challenger_that_passes_is_promoted_watched_and_settles() -> None:
    story = Story(fakes())
    story.fire()
    assert [state for state, _ in story.round()] == [
        State.COLLECTING, State.VALIDATING, State.TRAINING, State.EVALUATING, State.REGISTERED, State.PROMOTING,
        State.PROBATION,
    ]  # fmt: skip
    assert story.champion == 2
    assert story.later(HOUR_MS) == []
    assert story.later(DAY_MS) == [(State.SETTLED, Reason.NOT_WORSE)]


def test_what_a_challenger_leans_on_is_a_parameter_of_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Story(fakes())
    plain.fire()
    plain.round()
    assert "permutation_importance" not in LocalModels(plain.ports.store).versions("fraud")[-1].draft.params
    leans = (Importance("amount", 0.1, 0.25), Importance("country", None, 0.0))

    def explained(self: Fakes, _: Policy, dataset: Dataset, *more: object) -> Explanation:
        return Explanation(200, leans, 0, (), dataset.test)

    monkeypatch.setattr(Fakes, "explained", explained)
    story = Story(fakes())
    story.fire()
    story.round()
    versions = LocalModels(story.ports.store).versions("fraud")
    assert versions[-1].draft.params["permutation_importance"] == {"amount": 0.25, "country": 0.0}


def test_the_first_version_needs_a_person_even_where_promotion_is_automatic() -> None:
    story = Story(fakes(), champion=False)
    story.fire()
    assert story.round()[-1] == (State.AWAITING_APPROVAL, Reason.APPROVAL_NEEDED)
    assert story.champion is None
    details = [
        record.detail for record, _ in story.book.history(story.book.active()[0].run) if hasattr(record, "detail")
    ]
    assert any("the base rate's" in detail for detail in details), "there is no champion to compare with"
    assert not any("the champion's" in detail for detail in details)


def test_a_version_that_turns_out_worse_is_rolled_back_without_asking() -> None:
    story = Story(fakes())
    story.fire()
    story.round()
    story.ports.live = -0.2
    assert story.later(HOUR_MS) == [(State.ROLLED_BACK, Reason.WORSE)]
    assert story.champion == 1
    assert story.journal.view.detail.startswith(
        "version 1 is champion again: the challenger is not what was asked for: on 3,000"
    )


def test_a_probation_without_labels_never_counts_as_passed() -> None:
    story = Story(fakes())
    story.fire()
    story.round()
    story.ports.live = None
    assert story.later(2 * DAY_MS) == []
    assert story.later(20 * DAY_MS) == [(State.TIMED_OUT, Reason.UNDECIDED)]


def test_that_predictions_name_the_new_version_is_entered_once() -> None:
    story = Story(fakes())
    story.ports.sighted, story.ports.live = False, None
    story.fire()
    story.round()
    assert story.later(HOUR_MS) == []
    assert SEEN not in story.facts
    story.ports.sighted = True
    story.later(HOUR_MS)
    seen_ms = story.facts[SEEN]
    assert (seen_ms, set(story.ports.asked_for)) == (story.ports.clock.ms, {"2", "v2", "fraud@2"})
    length = len(story.journal.bodies)
    story.ports.sighted = False  # a pause of the traffic later is no matter
    story.later(2 * HOUR_MS)
    assert (story.facts[SEEN], len(story.journal.bodies)) == (seen_ms, length)


@pytest.mark.parametrize(("sighted", "said"), [(False, True), (None, False), (True, False)])
def test_a_probation_that_ends_without_labels_says_when_nobody_serves_the_version(
    sighted: bool | None, said: bool
) -> None:
    story = Story(fakes())
    story.ports.sighted, story.ports.live = sighted, None
    story.fire()
    story.round()
    assert story.later(20 * DAY_MS) == [(State.TIMED_OUT, Reason.UNDECIDED)]
    assert ("no prediction names it" in story.journal.view.detail) is said


def test_a_process_looks_at_a_probation_no_more_often_than_the_policy_says() -> None:
    ports = fakes()
    story = Story(ports)
    story.fire()
    orchestrator = Orchestrator(ports, [AUTO], "w1")
    orchestrator.round()
    ports.live, looks = None, []
    for _ in range(12):
        ports.clock.ms += HOUR_MS // 4
        before = ports.watches
        orchestrator.round()
        looks.append(ports.watches - before)
    assert looks == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]


def test_drift_alone_registers_a_candidate_and_promotes_nothing() -> None:
    story = Story(fakes())
    story.fire(Kind.DRIFT)
    story.ports.better = -0.1  # even one that is worse: it is a candidate, with its report
    assert story.round()[-1] == (State.SETTLED, Reason.CANDIDATE_ONLY)
    assert (story.champion, len(LocalModels(story.ports.store).versions("fraud"))) == (1, 2)


@pytest.mark.parametrize(("better", "reason"), [(-0.1, Reason.GATE_FAILED), (0.0, Reason.GATE_INCONCLUSIVE)])
def test_what_does_not_pass_the_gate_is_not_even_registered(better: float, reason: Reason) -> None:
    story = Story(fakes())
    story.ports.better = better
    story.fire()
    assert story.round()[-1] == (State.REJECTED, reason)
    assert len(LocalModels(story.ports.store).versions("fraud")) == 1


def test_a_gate_that_cannot_judge_rejects_a_candidate_too() -> None:
    story = Story(fakes(), policy(promote=Promotion.OBSERVE, gate=GateSpec(segments=("country",))), champion=False)
    story.fire(Kind.DRIFT)
    assert story.round()[-1] == (State.REJECTED, Reason.GATE_ERROR)
    run = story.book.admissions("fraud")[0].run
    assert story.book.journal(run).view.facts["gate"]["outcome"] == Outcome.ERROR


def broken(story: Story) -> None:
    story.ports.findings = (Finding("missing", "x is missing in 80% of the rows"),)


def pages(story: Story) -> None:
    story.ports.on_train = lambda _: pytest.fail("it was trained on broken data")
    admit = Orchestrator(story.ports, [story.policy], "w1")
    assert admit.admit(story.policy).begins
    story.ports.fires.append(alert("9" * 32, kind=Kind.DATA_QUALITY))


def test_an_incident_whose_rows_were_broken_has_its_run_once_they_are_right_again() -> None:
    story = Story(fakes(), policy(promote=Promotion.AUTO, trigger=Trigger(cooldown_ms=DAY_MS, versions="any")))
    story.fire()
    broken(story)
    assert story.later(DAY_MS)[-1] == (State.REJECTED, Reason.DATA_QUALITY)
    story.ports.findings = ()
    assert story.later(DAY_MS // 2) == []
    assert story.later(DAY_MS // 2 + 1)[-1] == (State.PROBATION, Reason.PROMOTED)
    story.later(2 * DAY_MS)
    assert story.later(2 * DAY_MS) == [], "it has had its run"
    first, second = story.book.admissions("fraud")[-2:]
    assert (first.causes, first.run != second.run) == (second.causes, True)


@pytest.mark.parametrize("breaks", [broken, pages])
def test_broken_data_is_never_trained_on(breaks: Callable[[Story], None]) -> None:
    story = Story(fakes())
    story.fire()
    breaks(story)
    trained = story.ports.trained
    assert story.round()[-1] == (State.REJECTED, Reason.DATA_QUALITY)
    assert story.ports.trained == trained


def test_an_incident_that_is_over_before_anybody_begins_trains_nothing() -> None:
    story = Story(fakes())
    story.fire()
    Orchestrator(story.ports, [story.policy], "w1").admit(story.policy)
    story.ports.fires = []
    assert story.round() == [(State.SKIPPED, Reason.ALERT_OVER)]


def test_an_approval_is_void_when_the_champion_is_another_one() -> None:
    asking = policy(trigger=Trigger(cooldown_ms=0, versions="any"))
    story = Story(fakes(), asking)
    story.fire()
    assert story.round()[-1][0] is State.AWAITING_APPROVAL
    LocalModels(story.ports.store).promote(asking, "by hand", 2, 1, {}, "ada", BORN_MS)
    story.book.approve(story.book.active()[0], "eve", "fine", BORN_MS)
    assert story.round() == [(State.SUPERSEDED, Reason.CHAMPION_MOVED)]


def test_nobody_approves_what_he_asked_for_or_twice() -> None:
    asking = policy(approvals=2)
    ports = fakes()
    book, orchestrator = Book(ports.store), Orchestrator(ports, [asking], "w1")
    assert orchestrator.admit(asking, Asked("k", "ada", "new feature")).why is Why.MANUAL
    orchestrator.round()
    (admission,) = book.active()
    with pytest.raises(Refused, match="was asked for by ADA , who cannot approve it as well"):
        book.approve(admission, "ADA ", "mine", BORN_MS)
    book.approve(admission, "eve", "fine", BORN_MS)
    with pytest.raises(Refused, match="has the approval of Eve already"):
        book.approve(admission, "Eve", "again", BORN_MS)
    assert orchestrator.round().happened == ()
    book.approve(admission, "bob", "fine", BORN_MS)
    assert orchestrator.round().happened[-1].after is State.PROBATION


def test_an_approval_that_nobody_gives_expires() -> None:
    story = Story(fakes(), champion=False)
    story.fire()
    story.round()
    assert story.later(8 * DAY_MS) == [(State.TIMED_OUT, Reason.APPROVAL_EXPIRED)]


def test_a_run_that_is_cancelled_while_it_trains_stops_there() -> None:
    story = Story(fakes())

    def asked(alive: Alive) -> None:
        story.book.cancel(story.book.active()[0].run, "ada", "wrong labels", story.ports.clock.ms)
        alive()
        pytest.fail("it went on")

    story.fire()
    story.ports.on_train = asked
    assert story.round()[-1] == (State.CANCELLED, Reason.ASKED)
    assert story.champion == 1


def failing(again: bool) -> Callable[[Any], None]:
    def fail(alive: Alive) -> None:
        raise StepFailed("the step", "ended with code 1", "Look.", again=again)

    return fail


def test_user_code_that_fails_is_not_tried_again() -> None:
    story = Story(fakes())
    story.fire()
    story.ports.on_train = failing(again=False)
    assert story.round()[-1] == (State.FAILED, Reason.STEP_FAILED)


def test_a_fault_of_the_machine_is_tried_again_later_and_later_and_then_given_up() -> None:
    story = Story(fakes())
    story.fire()
    story.ports.on_train = failing(again=True)
    before = story.ports.trained
    story.round()
    assert story.later(29_000) == []
    assert story.ports.trained == before + 1
    story.later(2_000)
    assert story.ports.trained == before + 2
    assert story.later(121_000) == [(State.FAILED, Reason.STEP_FAILED)]


def test_a_run_that_is_held_is_left_alone_until_the_lease_is_over() -> None:
    story = Story(fakes())
    seen: list[Any] = []

    def meanwhile(alive: Alive) -> None:
        seen.append(story.round("w2"))
        story.ports.clock.ms += LEASE_MS - 1_000
        alive()  # renews
        story.ports.clock.ms += LEASE_MS - 1_000
        seen.append(story.round("w2"))

    story.fire()
    story.ports.on_train = meanwhile
    assert story.round()[-1][0] is State.PROBATION
    assert seen == [[], []]


def test_a_run_that_does_not_get_anywhere_in_time_is_given_up() -> None:
    story = Story(fakes())
    story.fire()
    story.ports.on_train = failing(again=True)
    story.round()
    assert story.later(2 * DAY_MS) == [(State.TIMED_OUT, Reason.RUN_TIMED_OUT)]


def test_a_run_that_waits_does_not_fill_its_journal() -> None:
    story = Story(fakes(), champion=False)
    story.fire()
    story.round()
    run = story.book.active()[0].run
    length = story.book.journal(run).view.length
    for _ in range(50):
        story.later(HOUR_MS)
    assert story.book.journal(run).view.length == length


def test_what_cannot_be_read_begins_nothing_and_stops_no_other_model(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = fakes(fires=[alert(), alert("b" * 32, model="churn")])

    def mature(policy: Policy, now_ms: int) -> int:
        if policy.model == "fraud":
            raise NotFound("file 'joined.jsonl'", "is not there", "Name a file.")
        return 10_000

    monkeypatch.setattr(ports, "mature", mature)
    plans = Orchestrator(ports, [policy(), policy(model="churn")], "w1").round().plans
    assert [each.why for each in plans] == [Why.UNREADABLE, Why.PERFORMANCE]
    assert plans[0].detail == "file 'joined.jsonl' is not there. Name a file."


def test_a_run_whose_rows_are_gone_fails_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story(fakes())

    def collect(policy: Policy, until_ms: int, alive: Alive) -> Dataset:
        raise NotFound("file 'joined.jsonl'", "is not there", "Name a file.")

    monkeypatch.setattr(story.ports, "collect", collect)
    story.fire()
    assert story.round()[-1] == (State.FAILED, Reason.STEP_FAILED)
