"""How two reference profiles of a model differ: what is known for sure, whatever their bins.

Each profile has bins of its own, so distances of windows cannot be taken between them. What both say exactly is used: of numbers
the shares up to the ends of either's bins, between which the other's share is bounded; of categories the shares of those
that either names, of which the other knows that it had none, or that they were rare. A distance is therefore a lower bound: "at
least so far apart".

A pair of features is compared by how its features go together, whatever became of each: the distance `dependence` of the new
table to the old one. Groups of numbers are sevenths by rank in both; groups of categories must be of the same six in both, in any
order, else nothing can be said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.drift.binning import KEPT_PER_MILLE, CategoricalBinning, NumericBinning
from monitor.drift.pairs import GROUPS, USABLE, Name, dependence, groups_of, pair_name
from monitor.drift.reference import FeatureProfile, Reference
from monitor.events import Float64s, Int64s


@dataclass(frozen=True, slots=True)
class FeatureDiff:
    """One feature in both profiles, or in one of them (`only`: old, new). `distance`: KS of numbers, the largest difference of a
    category's share; at least so much; None where types differ or nothing was measured. `moved` is where, for people."""

    feature: str
    only: str | None = None
    types: tuple[str, str] | None = None
    rows: tuple[int, int] | None = None
    missing: tuple[float, float] | None = None
    distance: float | None = None
    moved: str | None = None


@dataclass(frozen=True, slots=True)
class PairDiff:
    """One pair in both profiles, or in one of them. `distance`: of how its features go together, less what chance makes of it;
    None where the groups are of other categories, or no row has both values."""

    pair: str
    only: str | None = None
    rows: tuple[int, int] | None = None
    distance: float | None = None


def diff_pairs(old: Reference, new: Reference) -> list[PairDiff]:
    """Every pair of either, those of the old one first. The order of its features is no difference."""
    found = []
    for pair in (*old.pairs, *(pair for pair in new.pairs if _either(old, pair) is None)):
        one, other = _either(old, pair), _either(new, pair)
        if one is None or other is None:
            found.append(PairDiff(pair_name(pair), only="new" if one is None else "old"))
        else:
            found.append(_pair(pair, (old, one), (new, other)))
    return found


def _either(reference: Reference, pair: Name) -> Int64s | None:
    """The table (8, 8) of a pair, its first feature the slow index; None where there is none."""
    if pair in reference.pairs:
        return np.array(reference.pairs[pair], np.int64).reshape(GROUPS, GROUPS)
    turned = reference.pairs.get((pair[1], pair[0]))
    return None if turned is None else np.array(turned, np.int64).reshape(GROUPS, GROUPS).T


def _pair(pair: Name, old: tuple[Reference, Int64s], new: tuple[Reference, Int64s]) -> PairDiff:
    rows = tuple(int(table[:USABLE, :USABLE].sum()) for _, table in (old, new))
    both = PairDiff(pair_name(pair), rows=(rows[0], rows[1]))
    orders = [_same_groups(old[0].features[name], new[0].features[name]) for name in pair]
    if not all(rows) or orders[0] is None or orders[1] is None:
        return both
    matched = np.ascontiguousarray(new[1][np.ix_(orders[0], orders[1])])
    value = dependence(old[1].ravel(), matched.reshape(1, -1)).at(0).value
    return PairDiff(both.pair, rows=both.rows, distance=value)


def _same_groups(old: FeatureProfile, new: FeatureProfile) -> list[int] | None:
    """Which group of the new profile each of the old one's is; None where they are not of the same values."""
    if old.type != new.type:
        return None
    if isinstance(old.binning, NumericBinning) or isinstance(new.binning, NumericBinning):
        return list(range(GROUPS))
    named = [_categories_of(profile) for profile in (old, new)]
    if named[0].keys() != named[1].keys():
        return None
    order = {group: named[1][name] for name, group in named[0].items()}
    return [order.get(group, group) for group in range(GROUPS)]


def _categories_of(profile: FeatureProfile) -> dict[str, int]:
    """The categories with a group of their own, and that group."""
    binning = profile.binning
    assert isinstance(binning, CategoricalBinning)
    groups = groups_of(binning, profile.reference)
    return {name: int(groups[code]) for code, name in enumerate(binning.categories) if groups[code] < USABLE - 1}


def diff(old: Reference, new: Reference) -> list[FeatureDiff]:
    """Every feature of either, those of the old one first."""
    found = []
    for name in dict.fromkeys((*old.features, *new.features)):
        one, other = old.features.get(name), new.features.get(name)
        if one is None or other is None:
            found.append(FeatureDiff(name, only="new" if one is None else "old"))
        else:
            found.append(_feature(name, one, other))
    return found


def _feature(name: str, old: FeatureProfile, new: FeatureProfile) -> FeatureDiff:
    distance, moved = None, None
    a, b = old.binning, new.binning
    if old.measured_rows and new.measured_rows:
        if isinstance(a, NumericBinning) and isinstance(b, NumericBinning):
            distance, moved = _numbers(old, new)
        elif isinstance(a, CategoricalBinning) and isinstance(b, CategoricalBinning):
            distance, moved = _categories(old, new)
    return FeatureDiff(
        name,
        types=(old.type, new.type),
        rows=(old.measured_rows, new.measured_rows),
        missing=(old.missing_rate, new.missing_rate),
        distance=distance,
        moved=moved,
    )


def _numbers(old: FeatureProfile, new: FeatureProfile) -> tuple[float, str | None]:
    (ends, shares), (other_ends, other_shares) = _upto(old), _upto(new)
    best, where = 0.0, None
    for at, own, low, high in (
        *_bounded(ends, shares, other_ends, other_shares),
        *_bounded(other_ends, other_shares, ends, shares),
    ):
        apart = max(low - own, own - high, 0.0)
        if apart > best:
            best, where = apart, f"up to {at:.6g}"
    return best, where


def _upto(profile: FeatureProfile) -> tuple[Float64s, Float64s]:
    """Ends of the ordered bins, and the share of the values up to each."""
    binning = profile.binning
    assert isinstance(binning, NumericBinning)
    counts = np.asarray(profile.reference, np.float64)[: binning.ordered]
    ends = np.asarray(binning.uppers, np.float64)
    return ends, (np.cumsum(counts) / counts.sum())[: len(ends)]


def _bounded(
    ends: Float64s, shares: Float64s, other_ends: Float64s, other_shares: Float64s
) -> list[tuple[float, float, float, float]]:
    """(end, its share, least and largest share that the other profile can have up to it)."""
    least = np.concatenate([[0.0], other_shares])[np.searchsorted(other_ends, ends, side="right")]
    most = np.concatenate([other_shares, [1.0]])[np.searchsorted(other_ends, ends, side="left")]
    return list(zip(ends.tolist(), shares.tolist(), least.tolist(), most.tolist(), strict=True))


def _categories(old: FeatureProfile, new: FeatureProfile) -> tuple[float, str | None]:
    ours, theirs = _named(old), _named(new)
    best, where = 0.0, None
    for name in sorted(ours.keys() | theirs.keys()):
        # (least, most) share in each
        before, after = (
            (own[name], own[name]) if name in own else (0.0, _most(profile, name))
            for own, profile in ((ours, old), (theirs, new))
        )
        apart = max(before[0] - after[1], after[0] - before[1])
        if apart > best:
            best, where = apart, f"{name!r} {_share(*before)} -> {_share(*after)}"
    return best, where


def _most(profile: FeatureProfile, name: str) -> float:
    """The largest share that a category which it does not name can have in it: none, or that of a rare one."""
    binning = profile.binning
    assert isinstance(binning, CategoricalBinning)
    if binning.bin_of(name) == binning.unseen:
        return 0.0
    return min(int(profile.reference[binning.other]) / profile.measured_rows, KEPT_PER_MILLE / 1000)


def _share(least: float, most: float) -> str:
    return f"{least:.1%}" if least == most else f"at most {most:.1%}"


def _named(profile: FeatureProfile) -> dict[str, float]:
    binning = profile.binning
    assert isinstance(binning, CategoricalBinning)
    counts = np.asarray(profile.reference, np.int64)
    return {name: int(counts[code]) / profile.measured_rows for code, name in enumerate(binning.categories)}
