"""Alerts of one cause in one group: who joins, who begins one, and that nobody can see how the kinds interleaved."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from monitor.alerts.cloudevents import comparable, encode
from monitor.alerts.event import AlertEvent, Change, RuleAlert, Standing
from monitor.alerts.examples import example_events
from monitor.alerts.fingerprint import event_id, fingerprint
from monitor.alerts.grouped import AlertGroup
from monitor.alerts.grouping import MEMBERS_MAX, GroupBook
from monitor.alerts.saved_grouping import SavedGroups, restore_groups, save_groups
from monitor.config.grouping import Grouping
from monitor.ledger.checkpoints import encode_body
from monitor.windows.view import Kind, SeriesKey
from tests.alerts.generated import ROOT
from tests.examples import examples

HOUR_MS = 3_600_000
LIKE = example_events()
INPUT, LABELS = Kind.INPUT, Kind.PERFORMANCE


def book(within: str = "6h") -> GroupBook:
    return GroupBook(48 * HOUR_MS, Grouping.model_validate({"within": within}), LABELS)


def alert(
    rule: str,
    metric: str,
    hour: int,
    *,
    model: str = "m",
    segment: str = "all",
    severity: str = "ticket",
    judged: tuple[int, int] | None = None,
    fired: int | None = None,
    namespace: str = "n",
) -> AlertEvent:
    """An alert that fires at the end of an hour, or (with `fired`, when it did) that ends then."""
    example = LIKE["firing"].data
    assert isinstance(example, RuleAlert)
    assert example.evidence is not None
    start, end = judged or (hour - 1, hour)
    print_, tick_ms = fingerprint(namespace, rule, SeriesKey(model, "1", segment)), hour * HOUR_MS
    began_ms = (hour if fired is None else fired) * HOUR_MS
    change = Change.FIRING if fired is None else Change.RESOLVED
    window = structs.replace(example.evidence.window, start_ms=start * HOUR_MS, end_ms=end * HOUR_MS)
    data = structs.replace(
        example,
        fingerprint=print_,
        episode=event_id(print_, began_ms, Change.FIRING),
        state=Standing(change),
        rule=rule,
        model=model,
        version="1",
        segment=segment,
        severity=severity,
        tick_ms=tick_ms,
        fired_ms=began_ms,
        evidence=structs.replace(example.evidence, metric=metric, window=window),
    )
    kept = LIKE["firing"] if fired is None else LIKE["resolved"]
    id_ = event_id(print_, tick_ms, change)
    return structs.replace(kept, id=id_, subject=f"{model}/1/{segment}/{rule}", data=data)


def group(event: AlertEvent) -> AlertGroup:
    assert isinstance(event.data.group, AlertGroup), "it has a group"
    return event.data.group


def roles(events: Sequence[AlertEvent]) -> list[tuple[str, str, str, int]]:
    return [(event.data.rule, group(event).role, group(event).severity, group(event).size) for event in events]  # type: ignore[union-attr]


def test_what_breaks_at_one_tick_is_one_group_that_the_broken_data_lead() -> None:
    told = book().step(
        INPUT,
        10 * HOUR_MS,
        [
            alert("psi", "psi:hour", 10),
            alert("psi-red", "psi:hour", 10, segment="hue=red"),
            alert("score", "ks:$score", 10),
            alert("range", "out_of_range:hour", 10, severity="page"),
        ],
    )
    assert roles(told) == [
        ("psi", "joins", "page", 4),
        ("psi-red", "joins", "page", 4),
        ("score", "joins", "page", 4),
        ("range", "opens", "page", 4),
    ]
    (id_,) = {group(event).id for event in told}
    assert id_ == told[3].id
    assert [member.rule for member in group(told[2]).members] == ["range", "psi", "psi-red", "score"]
    assert [member.feature for member in group(told[2]).members] == ["hour", "hour", "hour", None]


def test_a_loss_that_labels_tell_days_later_joins_and_raises() -> None:
    own = book()
    (first,) = own.step(INPUT, 10 * HOUR_MS, [alert("psi", "psi:hour", 10)])
    late = alert("accuracy", "accuracy", 40, severity="page", judged=(9, 11))
    (loss,) = own.step(LABELS, 40 * HOUR_MS, [late])
    assert roles([first, loss]) == [("psi", "opens", "ticket", 1), ("accuracy", "raises", "page", 2)]
    assert group(loss).id == group(first).id
    other = alert("accuracy", "accuracy", 41, segment="hue=red", severity="page", judged=(20, 21))
    (apart,) = own.step(LABELS, 41 * HOUR_MS, [other])  # it judged what came more than 6h later
    assert roles([apart]) == [("accuracy", "opens", "page", 1)]


def test_of_what_raises_a_group_at_one_tick_one_says_so() -> None:
    own = book()
    own.step(INPUT, 10 * HOUR_MS, [alert("psi", "psi:hour", 10, severity="info")])
    told = own.step(
        INPUT,
        11 * HOUR_MS,
        [
            alert("ks", "ks:hour", 11),
            alert("lost", "missing:hour", 11, segment="hue=red", severity="page"),
            alert("lost", "missing:hour", 11, severity="page"),
        ],
    )
    assert [(role, severity) for _, role, severity, _ in roles(told)] == [
        ("joins", "page"), ("joins", "page"), ("raises", "page")
    ]  # fmt: skip


def test_models_that_read_the_same_broken_feature_are_one_group_and_others_are_not() -> None:
    told = book().step(
        INPUT,
        10 * HOUR_MS,
        [
            alert("a", "out_of_range:hour", 10, model="m"),
            alert("b", "missing:hour", 10, model="n"),
            alert("c", "psi:hue", 10, model="n"),
            alert("d", "psi:hue", 10, model="o"),
            alert("e", "missing:age", 10, model="p"),
        ],
    )
    by_rule = {event.data.rule: group(event).id for event in told}  # type: ignore[union-attr]
    assert len({by_rule[rule] for rule in "abcd"}) == 1
    assert by_rule["e"] != by_rule["a"]


def test_the_end_of_an_alert_says_its_group_and_a_new_episode_may_join_it() -> None:
    own = book()
    (first,) = own.step(INPUT, 10 * HOUR_MS, [alert("psi", "psi:hour", 10)])
    (ended,) = own.step(INPUT, 12 * HOUR_MS, [alert("psi", "psi:hour", 12, fired=10)])
    assert roles([ended]) == [("psi", "follows", "ticket", 1)]
    assert own.firing == {}
    (again,) = own.step(INPUT, 13 * HOUR_MS, [alert("psi", "psi:hour", 13)])
    assert (group(again).role, group(again).id, group(again).size) == ("joins", group(first).id, 2)
    (over,) = own.end(14 * HOUR_MS, [alert("psi", "psi:hour", 14, fired=13)])
    assert (group(over).role, own.firing) == ("follows", {})


def test_a_ticket_that_is_told_again_as_a_page_raises_its_group() -> None:
    own = book()
    (first,) = own.step(INPUT, 10 * HOUR_MS, [alert("budget-input", "psi:hour", 10)])
    page = alert("budget-input", "psi:hour", 12, severity="page")
    page = structs.replace(page, data=structs.replace(page.data, episode=first.data.episode))
    (again,) = own.step(INPUT, 12 * HOUR_MS, [page])
    assert roles([again]) == [("budget-input", "raises", "page", 1)]


def test_alerts_about_the_daemon_and_those_of_a_deployment_without_grouping_have_none() -> None:
    events = [LIKE["operational"], alert("psi", "psi:hour", 10)]
    told = book().step(INPUT, 10 * HOUR_MS, events)
    assert told[0] == events[0]
    assert GroupBook(0, None, LABELS).step(INPUT, 10 * HOUR_MS, events) == events


def test_what_is_remembered_is_bounded() -> None:
    own = book()
    for hour in range(10, 400):
        own.step(INPUT, hour * HOUR_MS, [alert(f"r{n}", "psi:hour", hour) for n in range(60)])
        told = own.step(INPUT, hour * HOUR_MS, [alert(f"r{n}", "psi:hour", hour, fired=hour) for n in range(60)])
        assert group(told[0]).size <= MEMBERS_MAX
        own.step(LABELS, hour * HOUR_MS, [])
        assert len(own.groups) <= (48 + 6) // 6 + 2
        assert all(len(each.joined) <= MEMBERS_MAX for each in own.groups)
    assert own.firing == {}


def test_a_page_raises_a_group_that_remembers_no_more_tickets() -> None:
    own = book()
    own.step(INPUT, 10 * HOUR_MS, [alert(f"r{n}", "psi:hour", 10) for n in range(MEMBERS_MAX + 5)])
    first, second = own.step(
        INPUT, 11 * HOUR_MS, [alert(f"broken{n}", "missing:hour", 11, severity="page") for n in range(2)]
    )
    assert (group(first).role, group(first).severity, group(second).role) == ("raises", "page", "joins")
    (third,) = own.step(INPUT, 12 * HOUR_MS, [alert("more", "missing:hour", 12, severity="page")])
    assert (group(third).role, group(third).severity, group(third).size) == ("joins", "page", MEMBERS_MAX + 1)


stories = st.lists(
    st.tuples(
        st.sampled_from([INPUT, LABELS]),
        st.integers(1, 3),  # hours since the one before it of its kind
        st.sampled_from(["psi:hour", "missing:hour", "psi:hue", "accuracy"]),
        st.sampled_from(["m", "n"]),
        st.integers(0, 12),  # how many hours ago that began which it judged
        st.sampled_from(["ticket", "page"]),
        st.booleans(),  # whether what fires of it ends
    ),
    max_size=30,
)


Tick = tuple[Kind, int, list[AlertEvent]]


def ticks_of(story: list[tuple[Kind, int, str, str, int, str, bool]], namespace: str = "n") -> dict[Kind, list[Tick]]:
    """What each kind tells at its ticks. A rule fires and ends in turn."""
    at, fired = dict.fromkeys(Kind, 20), dict[tuple[Kind, str, str], int]()
    found: dict[Kind, list[Tick]] = {kind: [] for kind in Kind}
    for kind, passed, metric, model, ago, severity, ends in story:
        at[kind] += passed
        hour, key = at[kind], (kind, metric, model)
        judged = (hour - ago - 1, hour - ago)
        if key in fired and not ends:
            continue
        was = fired.pop(key, None)
        if was is None:
            fired[key] = hour
        name = f"{kind}-{metric.replace(':', '-')}"
        event = alert(name, metric, hour, model=model, severity=severity, judged=judged, fired=was, namespace=namespace)
        found[kind].append((kind, hour, [event]))
    return found


def run(own: GroupBook, ticks: Sequence[Tick]) -> dict[Kind, list[bytes]]:
    told: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
    for kind, hour, events in ticks:
        told[kind] += [encode(event) for event in own.step(kind, hour * HOUR_MS, events)]
    return told


@settings(max_examples=examples(200))
@given(stories, st.lists(st.integers(0, 40), max_size=40), st.integers(0, 30))
def test_nobody_sees_how_the_kinds_interleaved_nor_that_it_was_saved(
    story: list[tuple[Kind, int, str, str, int, str, bool]], leads: list[int], cut: int
) -> None:
    """Ticks of inputs come before those of labels of the same hour, or any time earlier."""
    by_kind = ticks_of(story)
    at_once = sorted([*by_kind[INPUT], *by_kind[LABELS]], key=lambda tick: (tick[1], tick[0] is LABELS))
    ahead, inputs = list[Tick](), list(by_kind[INPUT])
    for number, tick in enumerate(by_kind[LABELS]):
        lead = leads[number] if number < len(leads) else 0
        while inputs and inputs[0][1] <= tick[1] + lead:
            ahead.append(inputs.pop(0))
        ahead.append(tick)
    ahead += inputs
    one, other = book(), book()
    expected = run(one, at_once)
    before = run(other, ahead[:cut])
    saved = save_groups(other)
    again = book()
    if isinstance(saved, SavedGroups):
        restore_groups(again, msgspec.msgpack.decode(encode_body(saved), type=SavedGroups))
        back = save_groups(again)
        assert isinstance(back, SavedGroups)
        assert encode_body(back) == encode_body(saved)
    else:
        again.closed_ms = other.closed_ms
    after = run(again, ahead[cut:])
    assert {kind: before[kind] + after[kind] for kind in Kind} == expected
    ends = [save_groups(each) for each in (one, again)]
    assert ends[0] == ends[1]


@settings(max_examples=examples(50))
@given(stories)
def test_another_namespace_groups_the_same(story: list[tuple[Kind, int, str, str, int, str, bool]]) -> None:
    def told(namespace: str) -> list[bytes]:
        by_kind = ticks_of(story, namespace)
        found = run(book(), [*by_kind[INPUT], *by_kind[LABELS]])
        return [comparable(value) for kind in Kind for value in found[kind]]

    assert told("n") == told("another")


def test_the_example_tells_a_group_once_and_when_it_is_over() -> None:
    own = book()
    told = own.step(INPUT, 10 * HOUR_MS, [alert("psi", "psi:hour", 10), alert("range", "out_of_range:hour", 10)])
    told += own.step(LABELS, 12 * HOUR_MS, [alert("accuracy", "accuracy", 12, severity="page", judged=(9, 10))])
    told += own.step(INPUT, 13 * HOUR_MS, [alert("psi", "psi:hour", 13, fired=10)])
    told += own.step(INPUT, 14 * HOUR_MS, [alert("range", "out_of_range:hour", 14, fired=10)])
    told += own.step(LABELS, 15 * HOUR_MS, [alert("accuracy", "accuracy", 15, fired=12)])
    lines = b"\n".join(encode(event) for event in [*told, *told])
    shown = subprocess.run(
        [sys.executable, ROOT / "docs/examples/groups.py"], input=lines, capture_output=True, check=True
    ).stdout.decode()
    said = [line.partition("Z ")[2] for line in shown.splitlines()]
    assert said == ["ticket range of m and 1 more", "page range of m and 2 more", "over: range of m"]
    assert json.loads(lines.splitlines()[0])["data"]["group"]["role"] == "joins"
