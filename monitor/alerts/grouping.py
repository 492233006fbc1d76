"""Alerts that have one cause, in one group: a unit bug in one feature breaks a limit of quality, moves distances and scores,
and costs accuracy, of several segments and versions, maybe of several models.

An alert that fires joins the newest group that is about its model, or about its feature, and whose time it judged: the
group's time begins with what its first alert judged and ends `within` after that alert fired. Otherwise it begins a group.
Of alerts of one tick the one nearest to a cause comes first: broken data, then features, then scores, then what is lost.

Labels come later than inputs, and how much later a tick of theirs is closed differs from run to run. So that what is told does
not: alerts about inputs know of inputs only; those about labels know of both, up to their own tick. An alert about inputs that
fires when a loss has been told already therefore begins a group of its own.

Not done: lineage of features (host, source), groups of groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from monitor.alerts.event import AdvisoryAlert, AlertEvent, BudgetAlert, Change, OperationalAlert, RuleAlert
from monitor.alerts.grouped import AlertGroup, Member, Role
from monitor.alerts.traffic import BY_TICKS
from monitor.config.grouping import Grouping
from monitor.config.metric_names import SCORE, VOLUME, is_drift, needs_labels, subject
from monitor.drift.budget import Area
from monitor.plan import Plan
from monitor.windows.view import Kind

MEMBERS_MAX: Final = 50
"""Alerts of a kind that a group remembers: those that come later belong to it, and are not listed."""
LISTED_MAX: Final = 10
_MONTH_MS: Final = 31 * 86_400_000
_SEVERITIES: Final = ("info", "ticket", "page")
_QUALITY, _FEATURES, _SCORES, _LOSS, _ADVICE = range(5)
"""How near to a cause: what is broken, then what moved, then what it costs."""
_RANKS: Final = {"quality": _QUALITY, "features": _FEATURES, "predictions": _SCORES, "performance": _LOSS}


@dataclass(frozen=True, slots=True)
class Joined:
    """An alert in a group, since `told_ms`; one that was told again as a page is there twice. `rank`: how near to a cause;
    `features`: what it is about."""

    kind: Kind
    told_ms: int
    rank: int
    features: tuple[str, ...]
    member: Member


@dataclass(slots=True)
class Group:
    """One group. `subject`: that of its first event; `start_ms`: where what that alert judged begins."""

    id: str
    subject: str
    kind: Kind
    start_ms: int
    began_ms: int
    joined: list[Joined] = field(default_factory=list)

    def seen_by(self, kind: Kind, tick_ms: int) -> list[Joined]:
        """Its alerts as one of this kind may know them at a tick."""
        if kind is Kind.INPUT:
            return [one for one in self.joined if one.kind is Kind.INPUT]
        return [one for one in self.joined if one.kind is kind or one.told_ms <= tick_ms]

    def highest(self, kind: Kind, tick_ms: int) -> int:
        """The highest severity among them."""
        return max(_severity(one.member) for one in self.seen_by(kind, tick_ms))


@dataclass(frozen=True, slots=True)
class _Fired:
    """An alert that fires now, and the span of event time that it judged."""

    event: AlertEvent
    own: Joined
    start_ms: int
    end_ms: int


class GroupBook:
    """The groups of a deployment. Mutable; a function of the closed ticks of each kind, however the kinds interleave."""

    def __init__(self, oldest_ms: int, grouping: Grouping | None, slowest: Kind) -> None:
        """`oldest_ms`: how long ago may begin what is judged; `slowest`: the kind whose ticks close last."""
        self.grouping, self._slowest = grouping, slowest
        self._reach_ms = oldest_ms + (0 if grouping is None else grouping.within_ms)
        self.groups: list[Group] = []
        """In the order of their kind and beginning."""
        self.firing: dict[str, str] = {}
        """Episode -> its group, of alerts that fire."""
        self.closed_ms = 0
        """The last tick that the slower kind closed."""

    @classmethod
    def of(cls, plan: Plan, grouping: Grouping | None) -> GroupBook:
        """The groups of a deployment, as yet none."""
        join = plan.join
        oldest_ms = join.bounds.horizon_ms + join.lateness_ms + join.settle_ms + _MONTH_MS
        return cls(oldest_ms, grouping, Kind.PERFORMANCE if plan.has_labels else Kind.INPUT)

    def step(self, kind: Kind, tick_ms: int, events: Sequence[AlertEvent]) -> list[AlertEvent]:
        """A tick of a kind closed and tells this: the same events, each with its group."""
        if self.grouping is None:
            return list(events)
        fired = [_fired(kind, event) for event in events if self._is_new(event)]
        joined = [(one, *self._join(one, kind, tick_ms)) for one in sorted(fired, key=_order)]
        roles = _roles(joined)
        found = {one.event.id: self._told(group, roles[one.event.id], kind, tick_ms) for one, group, _ in joined}
        told = [self._with(event, kind, tick_ms, found) for event in events]
        if kind is self._slowest:
            self.closed_ms = tick_ms
        self.forget()
        return told

    def end(self, tick_ms: int, events: Sequence[AlertEvent]) -> list[AlertEvent]:
        """Other rules came into force, and end these alerts: the same events, each with its group."""
        return [self._with(event, Kind.INPUT, tick_ms, {}) for event in events]

    def _is_new(self, event: AlertEvent) -> bool:
        """Whether an alert begins that is grouped: all but those about the daemon itself."""
        data = event.data
        if isinstance(data, OperationalAlert) and data.condition not in BY_TICKS:
            return False
        return event.change is Change.FIRING and data.episode not in self.firing

    def _join(self, one: _Fired, kind: Kind, tick_ms: int) -> tuple[Group, int]:
        """The group that it joins or begins, and the highest severity in it before; -1 where it begins."""
        group = self._place_of(one, kind, tick_ms)
        before = -1 if group is None else group.highest(kind, tick_ms)
        if group is None:
            group = Group(one.event.id, one.event.subject, kind, one.start_ms, tick_ms)
            self.groups.append(group)
            self.groups.sort(key=lambda each: (each.kind, each.began_ms, each.subject))
        _add(group, one.own)
        self.firing[one.own.member.episode] = group.id
        return group, before

    def _place_of(self, one: _Fired, kind: Kind, tick_ms: int) -> Group | None:
        """The newest group that it belongs to."""
        assert self.grouping is not None
        found = [
            group
            for group in self.groups
            if (group.kind is Kind.INPUT or kind is Kind.PERFORMANCE)
            and group.began_ms <= tick_ms <= group.began_ms + self._reach_ms
            and one.start_ms < group.began_ms + self.grouping.within_ms
            and group.start_ms < one.end_ms
            and _alike(one.own, group.seen_by(kind, tick_ms))
        ]
        return max(found, key=lambda group: (group.began_ms, group.subject), default=None)

    def _with(self, event: AlertEvent, kind: Kind, tick_ms: int, found: dict[str, AlertGroup]) -> AlertEvent:
        """The event with its group; one whose alert ends leaves it."""
        data = event.data
        told = found.get(event.id)
        if told is None and data.episode in self.firing:
            group = next(each for each in self.groups if each.id == self.firing[data.episode])
            told = self._follow(group, event, kind, tick_ms)
        if event.change is Change.RESOLVED:
            self.firing.pop(data.episode, None)
        if told is None:
            return event
        return msgspec.structs.replace(event, data=msgspec.structs.replace(data, group=told))

    def _follow(self, group: Group, event: AlertEvent, kind: Kind, tick_ms: int) -> AlertGroup:
        """Of an alert that is a member already; it may be told again as a page."""
        own = next((one for one in group.joined if one.member.episode == event.data.episode), None)
        kind, role = (kind if own is None else own.kind), Role.FOLLOWS
        if own is not None and event.change is Change.FIRING:
            member = msgspec.structs.replace(own.member, severity=event.data.severity)
            if _severity(member) > group.highest(kind, tick_ms):
                role = Role.RAISES
            _add(group, Joined(own.kind, tick_ms, own.rank, own.features, member))
        return self._told(group, role, kind, tick_ms)

    def _told(self, group: Group, role: Role, kind: Kind, tick_ms: int) -> AlertGroup:
        newest = {one.member.episode: one for one in sorted(group.seen_by(kind, tick_ms), key=lambda one: one.told_ms)}
        members = [one.member for one in sorted(newest.values(), key=_nearest)]
        return AlertGroup(
            id=group.id,
            role=role,
            severity=_SEVERITIES[group.highest(kind, tick_ms)],
            began_ms=group.began_ms,
            size=len(members),
            members=members[:LISTED_MAX],
        )

    def forget(self) -> None:
        """Drop groups that nothing can join any more and of which nothing fires. By the clock of the slower kind, which the
        other one is never behind, so that nobody can see when they were forgotten."""
        needed = set(self.firing.values())
        joinable = self.closed_ms - self._reach_ms
        self.groups = [each for each in self.groups if each.id in needed or joinable <= each.began_ms]


def _roles(joined: Sequence[tuple[_Fired, Group, int]]) -> dict[str, Role]:
    """What the events of a tick are to their groups, by id: of each group one at most is told of first, which begins it or
    has a higher severity than all before the tick."""
    before: dict[str, int] = {}
    for _, group, highest in joined:
        before.setdefault(group.id, highest)
    found: dict[str, Role] = {}
    for id_, highest in before.items():
        own = [one for one, group, _ in joined if group.id == id_]
        top = max(_severity(one.own.member) for one in own)
        first = own[0] if highest < 0 else next(one for one in own if _severity(one.own.member) == top)
        found |= dict.fromkeys((one.event.id for one in own), Role.JOINS)
        if highest < top:
            found[first.event.id] = Role.OPENS if highest < 0 else Role.RAISES
    return found


def _add(group: Group, own: Joined) -> None:
    """Remember an alert, while there is room or nothing as severe is remembered."""
    alike = [_severity(each.member) for each in group.joined if each.kind is own.kind]
    if len(alike) < MEMBERS_MAX or _severity(own.member) > max(alike):
        group.joined.append(own)


def _nearest(one: Joined) -> tuple[int, int, str, str, str, str]:
    """What is nearest to a cause first."""
    member = one.member
    return one.rank, member.fired_ms, member.rule, member.model, member.version, member.segment


def _severity(member: Member) -> int:
    return _SEVERITIES.index(member.severity)


def _order(one: _Fired) -> tuple[int, int, str]:
    """Of alerts that fire at one tick: what is nearest to a cause, then the most severe."""
    return one.own.rank, -_severity(one.own.member), one.event.subject


def _alike(one: Joined, others: Iterable[Joined]) -> bool:
    """Whether it is about a model, or a feature, that some of the others are about."""
    model, features = one.member.model, set(one.features)
    return any(other.member.model == model or features & set(other.features) for other in others)


def _fired(kind: Kind, event: AlertEvent) -> _Fired:
    """What an event that fires is about: not one about the daemon, which is not grouped."""
    data = event.data
    match data:
        case RuleAlert():
            assert data.evidence is not None, "a rule fires for what it judged"
            window, (rank, features) = data.evidence.window, _of_metric(data.evidence.metric)
            return _Fired(event, _joined(kind, rank, features, event), window.start_ms, window.end_ms)
        case AdvisoryAlert():
            features = _of_metric(data.metric)[1]
            return _Fired(event, _joined(kind, _ADVICE, features, event), data.window.start_ms, data.window.end_ms)
        case BudgetAlert():
            told = [cause for cause in data.causes if cause.listed] or data.causes[:1]
            rank = min(_RANKS[cause.area] for cause in told)
            features = tuple(
                dict.fromkeys(
                    cause.channel.removeprefix("missing:")
                    for cause in told
                    if cause.area in (Area.QUALITY, Area.FEATURES)
                )
            )
            return _Fired(event, _joined(kind, rank, features, event), data.since_ms, data.tick_ms)
        case OperationalAlert():
            start_ms = int(data.facts.get("start_ms", data.tick_ms - 1000 * int(data.facts.get("silent_s", 0))))
            return _Fired(event, _joined(kind, _QUALITY, (), event), start_ms, data.tick_ms)


def _of_metric(metric: str) -> tuple[int, tuple[str, ...]]:
    """How near to a cause a metric is, and the feature that it is about."""
    about = subject(metric)
    if is_drift(metric):
        return (_FEATURES, (about,)) if about not in (None, SCORE) else (_SCORES, ())
    if about is not None:
        return _QUALITY, (about,)
    broken = metric == VOLUME or metric in ("seen", "labelled", "coverage") or not needs_labels(metric)
    return (_QUALITY if broken else _LOSS), ()


def _joined(kind: Kind, rank: int, features: tuple[str, ...], event: AlertEvent) -> Joined:
    data = event.data
    if isinstance(data, OperationalAlert):
        rule, model, version, segment = data.condition, str(data.facts["model"]), "", ""
    else:
        rule, model, version, segment = data.rule, data.model, data.version, data.segment
    member = Member(
        episode=data.episode,
        rule=rule,
        model=model,
        version=version,
        segment=segment,
        severity=data.severity,
        feature=features[0] if features else None,
        fired_ms=data.fired_ms,
    )
    return Joined(kind, data.tick_ms, rank, features, member)
