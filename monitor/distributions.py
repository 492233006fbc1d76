"""What the values of a window look like beside the reference, without a single value: bins, and how many rows each held.

Bins of numbers are told by where they lie in the reference (`10 % to 20 %` of its rows), categories by how frequent they
are there (`most frequent`, `2nd`). So nothing that was in a record leaves the process, not even the name of a category:
whoever needs those has the profile (`driftline reference show`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from monitor.drift.binning import CategoricalBinning, NumericBinning
from monitor.drift.checked import CheckedCategorical, CheckedNumeric, of_base
from monitor.drift.reference import FeatureProfile, histogram_name
from monitor.events import Int64s
from monitor.plan import ModelPlan
from monitor.sketches.cells import Cells
from monitor.windows.view import SeriesKey, WindowView

BARS: Final = 10
"""Bins of numbers, and categories with a bar of their own; neighbours are put together, and rarer ones."""
_ORDINALS: Final = {2: "nd", 3: "rd"}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bin: which part of the reference it is, and the rows of the reference and of the window in it."""

    name: str
    reference: int
    current: int


@dataclass(frozen=True, slots=True)
class Distribution:
    """One feature, or the scores (`$score`), of one window: whose revision of which span, and its bins."""

    series: SeriesKey
    window: str
    start_ms: int
    end_ms: int
    revision: int
    feature: str
    bars: tuple[Bar, ...]


def distributions(plan: ModelPlan, view: WindowView, vector: Int64s) -> tuple[Distribution, ...]:
    """Those of an input window with these sums (`input_cells`); none without a reference."""
    if plan.reference is None:
        return ()
    cells = Cells(plan.input_cells, vector.reshape(1, -1))
    found = []
    for feature in (*plan.features, *([plan.score] if plan.score is not None else [])):
        profile = plan.reference.features.get(feature.name)
        if profile is None:
            continue
        counts = cells.histogram(histogram_name(feature.name))
        if isinstance(feature.binning, (CheckedNumeric, CheckedCategorical)):
            counts = of_base(feature.binning, counts)
        bars = bars_of(profile, counts[0].tolist())
        key = view.key
        found.append(Distribution(key.series, key.window, key.start_ms, key.end_ms, view.revision, feature.name, bars))
    return tuple(found)


def bars_of(profile: FeatureProfile, current: Sequence[int]) -> tuple[Bar, ...]:
    """The bins of a feature, at most BARS of values and those that stand apart."""
    binning = profile.binning
    if isinstance(binning, NumericBinning):
        return (*_numbers(profile.counts, current, binning.ordered), _bar("missing", profile, current, binning.missing))
    return _categories(profile, current, binning)


def _numbers(reference: Sequence[int], current: Sequence[int], ordered: int) -> list[Bar]:
    total = sum(reference[:ordered])
    below = np.concatenate([[0], np.cumsum(reference[:ordered])])
    place = [min(BARS - 1, int(below[i] * BARS // total)) if total else 0 for i in range(ordered)]
    bars = []
    for number in sorted(set(place)):
        own = [i for i in range(ordered) if place[i] == number]
        low, high = (round(100 * int(below[i]) / total) if total else 0 for i in (own[0], own[-1] + 1))
        rows = sum(reference[i] for i in own), sum(current[i] for i in own)
        bars.append(Bar(f"{low} % to {high} %", *rows))
    return bars


def _categories(profile: FeatureProfile, current: Sequence[int], binning: CategoricalBinning) -> tuple[Bar, ...]:
    often = sorted(range(len(binning.categories)), key=lambda code: (-profile.counts[code], code))
    bars = [_bar(_nth(place + 1), profile, current, code) for place, code in enumerate(often[:BARS])]
    rest = [*often[BARS:], binning.other]
    bars.append(Bar("rarer", sum(profile.counts[c] for c in rest), sum(current[c] for c in rest)))
    apart = (("never seen", binning.unseen), ("missing", binning.missing), ("wrong type", binning.invalid))
    return (*bars, *(_bar(name, profile, current, code) for name, code in apart))


def _bar(name: str, profile: FeatureProfile, current: Sequence[int], code: int) -> Bar:
    return Bar(name, profile.counts[code], current[code])


def _nth(place: int) -> str:
    return "most frequent" if place == 1 else f"{place}{_ORDINALS.get(place, 'th')}"
