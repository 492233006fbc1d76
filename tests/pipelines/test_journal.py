"""The state table, the rules of the journal, and the bytes that were published."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines import codec
from pipelines.anchor import Anchor
from pipelines.book import Book
from pipelines.errors import FormatError, Refused, StepFailed, StoreError
from pipelines.gate import GateSpec
from pipelines.intake import Intake, Surprise
from pipelines.journal import FORMAT, Claimed, Moved, Reason, Record, RunView, Tried, Verdict, decode_record, fold
from pipelines.orchestrator import Orchestrator
from pipelines.policy import DAY_MS, HOUR_MS, Brakes, Data, Labels, Policy, Shadow
from pipelines.ports import Alive
from pipelines.states import SUCCESSORS, State, cancellable, legal, terminal
from pipelines.switch import Switch, Turn
from tests.pipelines.memory import Fakes, MemoryStore, alert, fakes, policy

GOLDEN = Path(__file__).parents[1] / "golden" / "pipelines-v1.json"
GOLDEN_2 = GOLDEN.with_name("pipelines-v2.json")
ENDS = {"settled", "rejected", "rolled_back", "failed", "timed_out", "cancelled", "superseded", "skipped"}


def test_every_state_leads_to_an_end_and_nothing_comes_after_one() -> None:
    assert {state for state in State if terminal(state)} == ENDS
    for state in State:
        reached, ahead = {state}, [state]
        while ahead:
            new = SUCCESSORS[ahead.pop()] - reached
            reached |= new
            ahead += new
        assert terminal(state) or State.SETTLED in reached


def test_the_way_of_a_run_is_the_one_that_is_drawn() -> None:
    way = [s for s in State if s not in ENDS] + [State.SETTLED]
    assert all(legal(before, after) for before, after in pairwise(way))
    assert not legal(State.TRAINING, State.REGISTERED), "nothing is registered without a gate"
    assert not legal(State.REGISTERED, State.PROBATION), "nothing serves without a promotion"
    assert [state for state in State if cancellable(state)] == way[:8]


def apply(view: RunView, record: Any) -> tuple[RunView, Verdict]:
    return fold(view, record, codec.encode(record))


def head(view: RunView, actor: str = "w1", **more: Any) -> dict[str, Any]:
    return {"format": FORMAT, "previous": view.chain, "actor": actor, "at_ms": 5, **more}


def moved(view: RunView, to: State, actor: str = "w1", fence: int = 1) -> Moved:
    return Moved(**head(view, actor, fence=fence), to=to, reason=Reason.DONE, detail="", facts={})


def claimed(view: RunView, actor: str = "w1") -> RunView:
    after, verdict = apply(view, Claimed(**head(view, actor), until_ms=100))
    assert verdict is Verdict.FINE
    return after


def test_a_worker_that_was_taken_over_can_enter_nothing_more() -> None:
    view = claimed(claimed(RunView()), "w2")
    assert apply(view, moved(view, State.COLLECTING))[1] is Verdict.NOT_OWNER
    assert apply(view, moved(view, State.COLLECTING, "w2", 1))[1] is Verdict.NOT_OWNER
    assert apply(view, moved(view, State.COLLECTING, "w2", 2))[1] is Verdict.FINE


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_every_transition_is_judged_by_the_table(before: State, after: State) -> None:
    view = standing_at(claimed(RunView()), before)
    found, verdict = apply(view, moved(view, after))
    if terminal(before):
        assert verdict is Verdict.ENDED
    else:
        assert verdict is (Verdict.FINE if after in SUCCESSORS[before] else Verdict.ILLEGAL)
    assert found.state is (after if verdict is Verdict.FINE else before)


def standing_at(view: RunView, state: State) -> RunView:
    return replace(view, state=state)


def test_a_try_that_failed_gives_the_lease_back_and_is_counted() -> None:
    view = claimed(RunView())
    view, _ = apply(view, Tried(**head(view, fence=1), why="evicted", not_before_ms=900))
    assert (view.lease, view.tries, view.not_before_ms) == (None, 1, 900)
    assert apply(view, moved(view, State.COLLECTING))[1] is Verdict.NOT_OWNER


PLAIN = policy()
ASKING = policy(
    data=Data("label", ("x",), reviewed="lot"),
    gate=GateSpec(worth=0.01, anchor=Anchor("sha256:" + "a" * 64, 0.01), size_bytes_max=10**6, explain_rows=0),
    labels=Labels.REVIEWED,
    intake=Intake("source", 0.9, Surprise(ratio_max=0.5)),
    shadow=Shadow(least_ms=DAY_MS),
    brakes=Brakes(tenure_ms=HOUR_MS, rollbacks_in_row=3),
)
"""What only format 2 can say."""


def tell(asked: Policy = PLAIN) -> MemoryStore:
    """A run that settles, after a step that failed and one that took long, and one that is cancelled."""
    ports: Fakes = fakes(fires=[alert()])

    def slowly(alive: Alive) -> None:
        ports.clock.ms += 40_000
        if ports.trained == 1:
            raise StepFailed("the node", "was lost", "It is tried again.", again=True)
        alive()

    ports.on_train = slowly
    book = Book(ports.store)
    if asked.shadow:
        switch = Switch(ports.store)
        for turn, model in ((Turn.STOP, None), (Turn.START, "fraud"), (Turn.RESET, "fraud")):
            switch.turn(turn, model, "ada", "to try it", ports.clock.ms)
    orchestrator = Orchestrator(ports, [asked], "w1")
    orchestrator.round()
    ports.clock.ms += HOUR_MS
    orchestrator.round()
    (admission,) = book.active()
    book.approve(admission, "eve", "fine", ports.clock.ms)
    ports.clock.ms += HOUR_MS
    orchestrator.round()
    ports.clock.ms += 2 * DAY_MS
    orchestrator.round()
    ports.fires = [alert(episode="f" * 32)]
    ports.clock.ms += 2 * DAY_MS
    orchestrator.round()
    if asked.shadow:
        ports.clock.ms += 2 * DAY_MS
        orchestrator.round()
    (admission,) = book.active()
    book.cancel(admission.run, "ada", "holiday", ports.clock.ms)
    book.approve(admission, "eve", "no", ports.clock.ms, decline=True)
    orchestrator.round()
    return ports.store


def entries(store: MemoryStore) -> Mapping[str, str]:
    """But for looks, which are beside the journals (tests/pipelines/test_looks_kept.py)."""
    kept = ((key, body) for key, body in sorted(store.entries.items()) if not key[0].startswith("looks/"))
    return {f"{log}#{number:03d}": body.decode() for (log, number), body in kept}


def test_journals_are_what_they_were_when_the_format_was_published() -> None:
    book = read_back(json.loads(GOLDEN.read_text()))
    assert [summary.state for summary in book.summaries("fraud")] == [State.SETTLED, State.CANCELLED]
    assert all(admission.policy == policy() for admission in book.admissions("fraud"))


def read_back(kept: Mapping[str, str]) -> Book:
    store = MemoryStore()
    for key, body in kept.items():
        log, _, number = key.partition("#")
        store.create_entry(log, int(number), body.encode())
    return Book(store)


def test_journals_are_what_they_were_when_format_2_was_published() -> None:
    """What they say to people may be said better; nothing else may change."""
    kept = json.loads(GOLDEN_2.read_text())
    book, told = read_back(kept), entries(tell(ASKING))
    assert [summary.state for summary in book.summaries("fraud")] == [State.SETTLED, State.CANCELLED]
    assert all(admission.policy == ASKING for admission in book.admissions("fraud"))
    assert {key: without_words(body) for key, body in told.items()} == {
        key: without_words(body) for key, body in kept.items()
    }


def without_words(body: str) -> str:
    """An entry without its sentences for people, and without what digests of such sentences are."""
    return re.sub(r"[0-9a-f]{64}", "digest", re.sub(r'"detail":"(?:[^"\\]|\\.)*"', '"detail":""', body))


def test_an_admission_has_the_lowest_format_that_can_say_what_it_says() -> None:
    formats = [Book(tell(each)).admissions("fraud")[0].format for each in (policy(), ASKING)]
    assert formats == [1, 2]


def test_a_newer_format_is_refused_with_advice_and_foreign_bytes_by_name() -> None:
    raw = codec.encode(Claimed(**head(RunView()), until_ms=1))
    with pytest.raises(FormatError, match=r"has format 3, this version of Driftline reads up to 2\. Run the version"):
        decode_record(raw.replace(b'"format":2', b'"format":3'), "entry 1")
    for wrong in (b"{", b"[]", b'{"format":true}', raw.replace(b'"until_ms"', b'"untilms"')):
        with pytest.raises(FormatError, match="entry 1"):
            decode_record(wrong, "entry 1")


def test_a_record_that_was_changed_or_taken_out_is_found() -> None:
    store = tell()
    (log,) = {log for log, _ in store.entries if log.startswith("runs/")} & {
        f"runs/{Book(store).admissions('fraud')[0].run}"
    }
    body = store.entries[log, 2]
    store.entries[log, 2] = body.replace(b'"at_ms":17', b'"at_ms":18')
    with pytest.raises(StoreError, match=r"entry 3 .* does not continue entry 2"):
        Book(store).history(log.removeprefix("runs/"))
    del store.entries[log, 2]
    with pytest.raises(StoreError, match=r"entry 2 .* is missing"):
        Book(store).history(log.removeprefix("runs/"))


def test_kinds_of_records_are_all_in_the_golden_file() -> None:
    text = GOLDEN.read_text()
    kinds = {kind.__struct_config__.tag for kind in Record.__args__}
    assert {kind for kind in kinds if f'\\"kind\\":\\"{kind}\\"' in text} == kinds


def test_nobody_enters_what_may_not_stand_there() -> None:
    store = tell()
    book = Book(store)
    run = book.admissions("fraud")[0].run
    with pytest.raises(Refused, match="it is settled"):
        book.cancel(run, "ada", "late", 0)
    assert msgspec.to_builtins(book.journal(run).view)["state"] == "settled"


if __name__ == "__main__":
    GOLDEN_2.write_text(json.dumps(entries(tell(ASKING)), indent=1) + "\n")
