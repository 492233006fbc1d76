"""The decision about one alert at one tick, with its reason. Pure: logs, metrics, events and tests all read this
value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from monitor.alerts.event import Reason
from monitor.alerts.rules import Test, enough, measure
from monitor.alerts.state import AlertKey, Citation, Entry, Phase
from monitor.config.rules import Rule
from monitor.windows.canonical import rounded
from monitor.windows.view import WindowView


class Action(StrEnum):
    """What is done about the alert. Only FIRE, RESOLVE and AMEND are told to subscribers."""

    NOTHING = "nothing"
    PEND = "pend"  # inactive -> pending
    DROP = "drop"  # pending -> inactive
    FIRE = "fire"  # inactive or pending -> firing
    KEEP = "keep"  # pending or firing stays
    RESOLVE = "resolve"  # firing -> inactive
    AMEND = "amend"  # something that was said is taken back


@dataclass(frozen=True, slots=True)
class Decision:
    """`view` is the window that was judged, None when none was mature. `held_ms` is how much of `for` is over."""

    action: Action
    reason: Reason
    view: WindowView | None = None
    held_ms: int = 0


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision and whose it is."""

    key: AlertKey
    decision: Decision


def decide(
    rule: Rule, entry: Entry, view: WindowView | None, *, rows_came: bool, tick_size_ms: int, tick_ms: int = 0
) -> Decision:
    """What becomes of the alert at the end of tick `tick_ms`, given the newest mature window (None: no window is mature).

    `rows_came`: the series had rows in this tick; only such ticks advance `for`, by one tick each. The tick at which
    the rule begins to break is tick 0 of `for`, as in Prometheus: `for: 0s` fires there, `for: 2h` two hours of ticks
    later.
    """
    if view is None:
        return Decision(
            Action.NOTHING if entry.phase is Phase.INACTIVE else Action.KEEP, Reason.IMMATURE, None, entry.held_ms
        )
    firing = entry.phase is Phase.FIRING
    test = Test.to_clear(rule) if firing else Test.of(rule)
    if not test.broken_by(measure(view, rule.metric)):
        return _not_broken(entry, view)
    if firing:
        return Decision(Action.KEEP, Reason.STILL_BREAKS, view, entry.held_ms)
    return _broken(rule, entry, view, rows_came, tick_size_ms, cooling=tick_ms < entry.cool_until_ms)


def hold(entry: Entry) -> Decision:
    """What becomes of an alert whose labels are late: it stays what it is, and `for` stands."""
    action = Action.NOTHING if entry.phase is Phase.INACTIVE else Action.KEEP
    return Decision(action, Reason.HELD, None, entry.held_ms)


def amend(rule: Rule, citation: Citation, view: WindowView) -> Decision:
    """Whether a revision takes back what was said of the window. NOTHING or AMEND.

    Before the window is final only a turned verdict on enough rows counts; when it is final, any other value does.
    Reason IMMATURE: the revision has too little to contradict anything, or is partial. HOLDS: what was said stands.
    """
    if view.partial:
        return Decision(Action.NOTHING, Reason.IMMATURE, view)
    estimate = measure(view, citation.test.metric)
    broken = citation.test.broken_by(estimate)
    if not view.final and (broken is None or not enough(rule, view)):
        return Decision(Action.NOTHING, Reason.IMMATURE, view)
    if broken != citation.broken:
        return Decision(Action.AMEND, Reason.FLIPPED, view)
    value = None if estimate.value is None else rounded(estimate.value)
    if view.final and value != citation.value:
        return Decision(Action.AMEND, Reason.FINAL_VALUE, view)
    return Decision(Action.NOTHING, Reason.HOLDS, view)


def _broken(
    rule: Rule, entry: Entry, view: WindowView, rows_came: bool, tick_size_ms: int, *, cooling: bool
) -> Decision:
    pending = entry.phase is Phase.PENDING
    held_ms = entry.held_ms + (tick_size_ms if pending and rows_came else 0)
    if held_ms >= rule.for_ms and not cooling:
        return Decision(Action.FIRE, Reason.SUSTAINED, view, held_ms)
    if not pending:
        return Decision(Action.PEND, Reason.BREAKS, view)
    if held_ms >= rule.for_ms:
        return Decision(Action.KEEP, Reason.COOLING, view, held_ms)
    return Decision(Action.KEEP, Reason.WAITING if rows_came else Reason.NO_ROWS, view, held_ms)


def _not_broken(entry: Entry, view: WindowView) -> Decision:
    if entry.phase is Phase.INACTIVE:
        return Decision(Action.NOTHING, Reason.HOLDS, view)
    newer = entry.judged is not None and view.key.start_ms > entry.judged.start_ms
    # Not newer: the very window that broke the rule was revised, or lost so many rows that an older one speaks again.
    reason = Reason.RECOVERED if newer else Reason.LATE_TRUTH
    return Decision(Action.RESOLVE if entry.phase is Phase.FIRING else Action.DROP, reason, view)
