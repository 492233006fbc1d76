"""How two reference profiles of a model differ: what is known for sure, whatever their bins.

Each profile has bins of its own, so distances of windows cannot be taken between them. What both say exactly is used: of numbers
the shares up to the ends of either's bins, between which the other's share is bounded; of categories the shares of those
that both name. A distance is therefore a lower bound: "at least so far apart".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.drift.binning import CategoricalBinning, NumericBinning
from monitor.drift.reference import FeatureProfile, Reference
from monitor.events import Float64s


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
    for name in sorted(ours.keys() & theirs.keys()):
        apart = abs(ours[name] - theirs[name])
        if apart > best:
            best, where = apart, f"{name!r} {ours[name]:.1%} -> {theirs[name]:.1%}"
    return best, where


def _named(profile: FeatureProfile) -> dict[str, float]:
    binning = profile.binning
    assert isinstance(binning, CategoricalBinning)
    counts = np.asarray(profile.reference, np.int64)
    return {name: int(counts[code]) / profile.measured_rows for code, name in enumerate(binning.categories)}
