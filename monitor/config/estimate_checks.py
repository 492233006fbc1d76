"""What must be there for estimates, and for rules about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.config import metric_names, tasks
from monitor.config.problems import Path, Problem

if TYPE_CHECKING:
    from monitor.config.rules import Rule
    from monitor.config.types import Config

_LABELS: Path = ("streams", "labels")


def estimates(config: Config) -> Iterator[Problem]:
    """Whether there is something to estimate, and of what."""
    if not config.estimates:
        return
    if config.streams.labels is None:
        yield Problem(
            ("estimates",), "there is no streams.labels, so nothing waits for a label; leave it out", (_LABELS,)
        )
    elif (task := tasks.task_name(config)) != "binary":
        yield Problem(
            ("estimates",), f"the task is {task!r}; estimates are made of binary models only. Leave it out", ()
        )


def of_rule(config: Config, rule: Rule, at: Path) -> Iterator[Problem]:
    """A rule on an estimate where none is made, or that waits for labels which the estimate does without."""
    if metric_names.estimate_of(rule.metric) is None:
        return
    if not config.estimates:
        sentence = f"{rule.metric!r} is an estimate, and none are made; set `estimates: true`"
        yield Problem((*at, "metric"), sentence, (("estimates",),))
    if rule.min_coverage > 0:
        sentence = f"{rule.metric!r} is there before the labels are, so coverage says nothing about it; leave this out"
        yield Problem((*at, "min_coverage"), sentence)
