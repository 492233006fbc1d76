"""One alert moved by one decision: the entry after it and what subscribers are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from monitor.alerts.cloudevents import evidence_of, rule_event
from monitor.alerts.decision import Action, Decision, amend
from monitor.alerts.event import AlertEvent, Change
from monitor.alerts.rules import Test, has_no_estimate
from monitor.alerts.state import AlertKey, Citation, Entry, Episode, Phase
from monitor.config.rules import Rule
from monitor.windows.view import WindowKey, WindowView


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose alert is moved, and when. `labels` are the merged ones, `tick_ms` the end of the tick."""

    namespace: str
    rule: Rule
    labels: Mapping[str, str]
    key: AlertKey
    tick_ms: int


def move(turn: Turn, entry: Entry, decision: Decision) -> tuple[Entry, AlertEvent | None]:
    """Carry out a decision about the alert itself. The legal moves are these.

    inactive -PEND-> pending -FIRE-> firing -RESOLVE-> inactive
    inactive -FIRE-> firing          pending -DROP-> inactive
    """
    view = decision.view
    match decision.action:
        case Action.FIRE:
            return _fire(turn, entry, decision)
        case Action.RESOLVE:
            return _resolve(turn, entry, decision)
        case Action.PEND:
            assert view is not None
            return replace(entry, phase=Phase.PENDING, since_ms=turn.tick_ms, held_ms=0, judged=view.key), None
        case Action.DROP:
            return _inactive(entry), None
        case Action.KEEP if view is not None and (decision.held_ms, view.key) != (entry.held_ms, entry.judged):
            return replace(entry, held_ms=decision.held_ms, judged=view.key), None
    return entry, None


def amendments(
    turn: Turn, entry: Entry, revised: Mapping[WindowKey, WindowView], said: WindowKey | None
) -> tuple[Entry, list[AlertEvent], list[Decision]]:
    """Compare what was said about windows with their revisions of this tick. `said` is the window that an event of this
    tick speaks of anyway. Citations of windows that became final are forgotten."""
    if not any(citation.window in revised for citation in entry.citations):
        return entry, [], []
    kept: list[Citation] = []
    events: list[AlertEvent] = []
    decisions: list[Decision] = []
    for citation in entry.citations:
        view = revised.get(citation.window)
        if view is None or citation.window == said:
            kept.append(citation)
            continue
        if has_no_estimate(
            view, citation.test.metric
        ):  # what was said stays said: the truth is for other rules to tell
            kept += [] if view.final else [citation]
            continue
        decision, last = amend(turn.rule, citation, view), citation
        if decision.action is Action.AMEND:
            event = _tell(
                turn,
                Change.AMENDED,
                decision,
                entry.episodes[citation.episode],
                latest=citation.episode == entry.current,
                citation=citation,
            )
            events.append(event)
            decisions.append(decision)
            last = _cite(event, citation.test, view, citation.episode)
        if not view.final:
            kept.append(last)
    unchanged = len(kept) == len(entry.citations) and not events
    return (entry if unchanged else _with_citations(entry, kept)), events, decisions


def gone(turn: Turn, entry: Entry, decision: Decision) -> AlertEvent | None:
    """The end of an alert whose rule no longer watches its series: told if it was firing. Nothing is remembered."""
    if entry.phase is not Phase.FIRING:
        return None
    return _resolve(turn, entry, decision)[1]


def _fire(turn: Turn, entry: Entry, decision: Decision) -> tuple[Entry, AlertEvent]:
    view = decision.view
    assert view is not None
    since_ms = entry.since_ms if entry.phase is Phase.PENDING else turn.tick_ms
    event = _tell(turn, Change.FIRING, decision, None, since_ms=since_ms)
    episode = Episode(event.id, since_ms, turn.tick_ms)
    firing = replace(
        entry,
        phase=Phase.FIRING,
        since_ms=since_ms,
        held_ms=decision.held_ms,
        judged=view.key,
        current=episode.id,
        episodes={**entry.episodes, episode.id: episode},
    )
    return _cited(turn, firing, event, view), event


def _resolve(turn: Turn, entry: Entry, decision: Decision) -> tuple[Entry, AlertEvent]:
    assert entry.current is not None
    episode = replace(entry.episodes[entry.current], resolved_ms=turn.tick_ms)
    event = _tell(turn, Change.RESOLVED, decision, episode)
    cool_until_ms = turn.tick_ms + turn.rule.cooldown_ms if turn.rule.cooldown_ms else 0
    episodes = {**entry.episodes, episode.id: episode}
    closed = _inactive(replace(entry, episodes=episodes, cool_until_ms=cool_until_ms))
    return (closed if decision.view is None else _cited(turn, closed, event, decision.view)), event


def _tell(
    turn: Turn,
    change: Change,
    decision: Decision,
    episode: Episode | None,
    *,
    since_ms: int = 0,
    latest: bool = True,
    citation: Citation | None = None,
) -> AlertEvent:
    return rule_event(
        turn.namespace,
        turn.rule,
        turn.labels,
        turn.key,
        change,
        decision,
        episode,
        since_ms=since_ms,
        tick_ms=turn.tick_ms,
        latest=latest,
        citation=citation,
    )


def _inactive(entry: Entry) -> Entry:
    return replace(entry, phase=Phase.INACTIVE, since_ms=0, held_ms=0, judged=None)


def _cited(turn: Turn, entry: Entry, event: AlertEvent, view: WindowView) -> Entry:
    """Remember what the event said about the window, in place of what was said before; nothing if it cannot change."""
    assert entry.current is not None
    others = [citation for citation in entry.citations if citation.window != view.key]
    if not view.final:
        others.append(_cite(event, Test.of(turn.rule), view, entry.current))
    return _with_citations(entry, others)


def _cite(event: AlertEvent, test: Test, view: WindowView, episode: str) -> Citation:
    evidence = evidence_of(test, view)
    return Citation(event.id, episode, view.key, view.kind, test, evidence.value, evidence.broken)


def _with_citations(entry: Entry, citations: list[Citation]) -> Entry:
    needed = {citation.episode for citation in citations} | ({entry.current} if entry.phase is Phase.FIRING else set())
    return replace(
        entry,
        citations=tuple(sorted(citations, key=lambda citation: citation.window)),
        episodes={id_: episode for id_, episode in entry.episodes.items() if id_ in needed},
    )
