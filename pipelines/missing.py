"""How often features are missing, in the rows to train on and in those to judge by, and whether one has vanished between them.

A feature that is renamed or no longer sent is null from then on. A model trained before learns nothing of it, the gate judges
both models on rows without it, and a challenger that leans on nothing else may even look better: so no number of a gate says it,
and the rows themselves have to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

RISE_MAX: Final = 0.2
"""By how much the share may rise from the rows to train on to those to judge by, where nothing else is said."""
LUCK: Final = 1e-6
"""Probability with which rows that keep a limit may be said not to, for a few too many in a small number of them."""
RISE_LUCK: Final = 20.0
"""Likelihood ratio statistic (G) that a rise has to exceed besides: of rows that are missing independently of each other and as
often as before, one feature in 250,000 does (4.5 standard deviations, one side)."""


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows in which a feature is missing, of how many."""

    feature: str
    train: int
    train_rows: int
    test: int
    test_rows: int

    @property
    def train_ratio(self) -> float:
        """Share of the rows to train on, 0 without rows."""
        return self.train / self.train_rows if self.train_rows else 0.0

    @property
    def test_ratio(self) -> float:
        """Share of the rows to judge by, 0 without rows."""
        return self.test / self.test_rows if self.test_rows else 0.0


def missing(
    train: Sequence[Mapping[str, Any]], test: Sequence[Mapping[str, Any]], features: Sequence[str]
) -> tuple[Missing, ...]:
    """Of every feature."""
    return tuple(
        Missing(
            name, sum(row.get(name) is None for row in train), len(train),
            sum(row.get(name) is None for row in test), len(test),
        )
        for name in features
    )  # fmt: skip


def lacking(found: Sequence[Missing], ratio_max: float, rise_max: float = RISE_MAX) -> Iterator[str]:
    """Features that rows may not lack so often, a sentence each: those that vanished between the rows to train on and those to
    judge by, and those that are missing in more than `ratio_max` of either, of the rows to judge by, which are fewer, beyond
    luck."""
    for each in found:
        if each.test_ratio - each.train_ratio > rise_max and _g(each) > RISE_LUCK:
            yield (
                f"{each.feature} is missing in {each.test_ratio:.1%} of the {each.test_rows:,} rows to judge by, and in "
                f"{each.train_ratio:.1%} of the {each.train_rows:,} to train on: is it called otherwise since, or no longer sent?"
            )
        elif each.train_ratio > ratio_max:
            yield f"{each.feature} is missing in {each.train_ratio:.1%} of the {each.train_rows:,} rows to train on"
        elif surely(each.test, each.test_rows, ratio_max):
            yield f"{each.feature} is missing in {each.test_ratio:.1%} of the {each.test_rows:,} rows to judge by"


def surely(count: int, rows: int, most: float) -> bool:
    """Whether more than a share `most` is so, whatever luck did: the bound of Chernoff and Hoeffding for independent rows."""
    if count <= most * rows:
        return False
    share = count / rows
    surprise = share * math.log(share / most) if most > 0 else math.inf
    surprise += (1 - share) * math.log((1 - share) / (1 - most)) if share < 1 else 0.0
    return rows * surprise > -math.log(LUCK)


def _g(found: Missing) -> float:
    """The statistic of a likelihood ratio test that both shares are the same (G-test, two by two)."""
    rows = found.train_rows + found.test_rows
    pooled = (found.train + found.test) / rows
    cells = (
        (found.train, found.train_rows * pooled),
        (found.train_rows - found.train, found.train_rows * (1 - pooled)),
        (found.test, found.test_rows * pooled),
        (found.test_rows - found.test, found.test_rows * (1 - pooled)),
    )
    return 2 * sum(count * math.log(count / expected) for count, expected in cells if count)
