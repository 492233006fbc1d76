"""Checks of what a rule says about its own end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from monitor.config.problems import Problem

if TYPE_CHECKING:
    from monitor.config.types import Config


def ends_of_rules(config: Config) -> Iterator[Problem]:
    """Problems with where rules clear."""
    for index, rule in enumerate(config.rules):
        if rule.clear is None:
            continue
        rising = rule.op.startswith("<")  # the good values are above
        if rule.clear < rule.threshold if rising else rule.clear > rule.threshold:
            side = "at or above" if rising else "at or below"
            yield Problem(
                ("rules", index, "clear"),
                f"{rule.clear:g} is on the bad side of the threshold {rule.threshold:g}: what {rule.op} {rule.threshold:g} "
                f"began would end while it holds; write a value {side} {rule.threshold:g}, or leave it out",
                (("rules", index, "threshold"),),
            )
