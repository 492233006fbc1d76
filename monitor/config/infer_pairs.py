"""Pairs of features that go together in the sample: a change of that is worth watching, and neither feature shows it alone.

How far two go together is Cramér's V of their table in groups, with Bergsma's (2013) correction of its bias: 0 by chance alone,
whatever the groups, and 1 where one says the other. Groups are as the daemon's: of numbers seven of about equal size, of
categories the six most frequent and the rest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from monitor.config.infer_features import Feature
from monitor.config.infer_lines import comment
from monitor.config.metric_names import PAIRED
from monitor.config.yaml_text import flow

GROUPS = 7
LEAST_ROWS = 200
LEAST = 0.3
"""Usual words call 0.3 a medium association; weaker ones are many, and say little when they change."""
MOST_PAIRS = 3
"""Each takes a cell more of every prediction, and a part of the attention."""


@dataclass(frozen=True, slots=True)
class Together:
    """Two features of the sample and how far they go together, from 0 to 1."""

    names: tuple[str, str]
    association: float


def find_pairs(watched: Sequence[Feature]) -> tuple[Together, ...]:
    """The pairs that go together most, at most three of them; none in a sample of few rows."""
    grouped = {feature.name: _groups(feature) for feature in watched if PAIRED not in feature.name}
    found = []
    for names in combinations(grouped, 2):
        one, other = grouped[names[0]], grouped[names[1]]
        rows = one.keys() & other.keys()
        if len(rows) >= LEAST_ROWS:
            association = _cramers_v(Counter((one[row], other[row]) for row in rows), len(rows))
            found += [Together(names, association)] if association >= LEAST else []
    return tuple(sorted(found, key=lambda pair: (-pair.association, pair.names))[:MOST_PAIRS])


def pair_lines(pairs: Sequence[Together]) -> Iterator[str]:
    """The section that watches them, nothing where there are none."""
    if not pairs:
        return
    told = ", ".join(f"{PAIRED.join(pair.names)} {pair.association:.2f}" for pair in pairs)
    yield from comment(
        f"features that go together in the sample (Cramér's V: {told}); with a reference, which keeps how,"
    )
    yield from comment("windows say whether they still do")
    yield "drift:"
    yield f"  pairs: {flow([list(pair.names) for pair in pairs])}"


def _groups(feature: Feature) -> Mapping[int, int]:
    """The group of every record that has the feature."""
    if feature.type == "numeric":
        numbers = feature.column.numbers()
        ordered = sorted(numbers.values())
        ends = sorted({ordered[len(ordered) * i // GROUPS] for i in range(1, GROUPS)}) if ordered else []
        return {row: sum(value >= end for end in ends) for row, value in numbers.items()}
    common = feature.column.counts().most_common(GROUPS - 1)
    place = {value: group for group, (value, _) in enumerate(common)}
    return {row: place.get(value, GROUPS - 1) for row, value in feature.column.filled().items()}


def _cramers_v(table: Counter[tuple[int, int]], n: int) -> float:
    first, second = Counter[int](), Counter[int]()
    for (one, other), rows in table.items():
        first[one] += rows
        second[other] += rows
    r, c = len(first), len(second)
    if min(r, c) < 2:
        return 0.0
    squares = sum(rows * rows / (first[one] * second[other]) for (one, other), rows in table.items())
    beyond = max(0.0, squares - 1.0 - (r - 1) * (c - 1) / (n - 1))
    smaller = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1.0
    return math.sqrt(min(beyond / smaller, 1.0))
