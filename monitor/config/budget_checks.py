"""What a budget of false alarms, and the hold of verdicts beside it, say that cannot be, or can be and makes no sense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from monitor.config.budget import LEAST_BEATS, LEAST_DAYS_MS, MOST_BEATS
from monitor.config.durations import format_duration
from monitor.config.problems import Path, Problem

if TYPE_CHECKING:
    from monitor.config.types import Config

MOST_FORGIVEN: Final = 0.5
"""Materiality from here on forgives what nobody could overlook: a rise of an error rate by fifty points."""
_TIME: Path = ("time",)


def can_be_kept(config: Config) -> Iterator[Problem]:
    """A budget that would be an alarm at every decision, or that learns too little or too much."""
    budget = config.budget
    if budget is None:
        return
    per, every, learn = (format_duration(ms) for ms in (budget.per_ms, budget.every_ms, budget.learn_ms))
    if budget.per_ms <= budget.every_ms * budget.false_pages:
        yield Problem(
            ("budget", "false_pages"),
            f"{budget.false_pages:g} false pages in {per} would be one at every decision (every {every}); "
            "accept fewer, or decide more often",
        )
    beats = budget.learn_ms // budget.every_ms
    if not LEAST_BEATS <= beats <= MOST_BEATS:
        yield Problem(
            ("budget", "learn"),
            f"learning for {learn} holds {beats:,} decisions of {every}; allowed: {LEAST_BEATS} to {MOST_BEATS:,}, "
            "so that bursts can be told from chance; change learn or every",
        )
    elif budget.season == "day" and budget.learn_ms < LEAST_DAYS_MS:
        yield Problem(
            ("budget", "learn"),
            f"learning for {learn} sees each part of the day too seldom for season: day; learn for 4d at least, or "
            "set season: none",
        )


def makes_sense(config: Config) -> Iterator[Problem]:
    """What an earlier version let be: numbers under which nothing would ever be told, or that come to nothing."""
    budget, feed, horizon_ms = config.budget, config.label_feed, config.time.horizon_ms
    if budget is not None:
        every = format_duration(budget.every_ms)
        for name, usual in (("performance", 0.01), ("features", 0.02), ("quality", 0.0)):
            forgiven = getattr(budget.materiality, name)
            if forgiven >= MOST_FORGIVEN:
                yield Problem(
                    ("budget", "materiality", name),
                    f"{forgiven:g} forgives a change of {100 * forgiven:g} points in 100, so nothing would ever be told; say the "
                    f"largest change that nobody is to be woken for, below {MOST_FORGIVEN:g}, such as {usual:g}",
                )
        if budget.quiet_ms < budget.every_ms:
            quiet = format_duration(budget.quiet_ms)
            yield Problem(
                ("budget", "quiet"),
                f"an alert would resolve after {quiet} without an alarm, and an alarm can come every {every} only (every), so "
                f"each would be an alert of its own; set quiet to {every} at least, better to a few times that",
            )
    if feed is None or config.streams.labels is None:
        return
    if feed.slow_after_ms is not None and feed.slow_after_ms > horizon_ms:
        after, horizon = format_duration(feed.slow_after_ms), format_duration(horizon_ms)
        yield Problem(
            ("label_feed", "slow_after"),
            f"labels are looked at {after} after their prediction, and after the horizon of {horizon} none is waited for; set "
            f"slow_after to {horizon} at most, or leave it out",
            (_TIME,),
        )
    if feed.hold_at_most_ms < config.time.tick_ms:
        most, tick = format_duration(feed.hold_at_most_ms), format_duration(config.time.tick_ms)
        yield Problem(
            ("label_feed", "hold_at_most"),
            f"verdicts would be held for {most} at most, and they are given once in a tick of {tick} (time.tick), so none would "
            "be held; set hold_at_most to the longest outage that is worth waiting for, such as 7d",
            (_TIME,),
        )
