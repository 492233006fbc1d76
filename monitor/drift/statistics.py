"""The drift statistics of a window by name: `psi:hour`, `ks:$score`, `missing:origin`.

A name is a statistic and a feature (or `$score`), joined by a colon. Which statistics exist is `STATISTICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from monitor.drift import distances
from monitor.drift.binning import NumericBinning
from monitor.drift.reference import FeatureProfile, Reference, histogram_name
from monitor.events import Float64s, Int64s
from monitor.metrics import intervals
from monitor.metrics.estimates import Estimates, estimates, first_reason, undefined_everywhere
from monitor.sketches.cells import Cells
from monitor.windows.view import Undefined

Statistic = Callable[[FeatureProfile, Int64s], Estimates]
"""A statistic compares a feature's reference counts with the counts (W, bins) of W windows."""


def _on_all_bins(distance: Callable[[Int64s, Int64s], Float64s]) -> Statistic:
    """A distance over all bins, missing values among them; rows are all predictions seen. Without an interval."""

    def statistic(profile: FeatureProfile, current: Int64s) -> Estimates:
        rows = current.sum(axis=1)
        undefined = first_reason(len(rows), (rows == 0, Undefined.NO_ROWS))
        return estimates(distance(profile.reference, current), None, rows, undefined)

    return statistic


def _psi_corrected(reference: Int64s, current: Int64s) -> Float64s:
    """PSI less what it is on average without any change; about 0 then, and below 0 half the time."""
    return distances.psi(reference, current) - distances.psi_bias(reference, current)


def ks(profile: FeatureProfile, current: Int64s) -> Estimates:
    """Kolmogorov-Smirnov distance among rows with a value; the exact one lies within `bound` above it.

    The interval is for the distance of the two distributions and includes the bound.
    """
    if not isinstance(profile.binning, NumericBinning):
        raise ValueError("a categorical feature has no order, so it has no KS distance")
    ordered = profile.binning.ordered
    reference, measured = profile.reference[:ordered], current[:, :ordered]
    rows = measured.sum(axis=1)
    if not profile.measured_rows:
        return undefined_everywhere(rows, Undefined.NO_REFERENCE)
    value, bound = distances.kolmogorov_smirnov(reference, measured, profile.binning.singletons)
    margin = distances.ks_margin(profile.measured_rows, rows)
    interval = np.maximum(value - margin, 0.0), np.minimum(value + bound + margin, 1.0)
    return estimates(value, interval, rows, first_reason(len(rows), (rows == 0, Undefined.NO_ROWS)), bound)


def wasserstein(profile: FeatureProfile, current: Int64s) -> Estimates:
    """Wasserstein-1 distance among rows with a value, in the feature's unit, with its bound; no interval.

    Values beyond the reference's range count as lying at its ends.
    """
    if not isinstance(profile.binning, NumericBinning):
        raise ValueError("a categorical feature has no order, so it has no Wasserstein distance")
    ordered = profile.binning.ordered
    measured = current[:, :ordered]
    rows = measured.sum(axis=1)
    if not profile.measured_rows:
        return undefined_everywhere(rows, Undefined.NO_REFERENCE)
    value, bound = distances.wasserstein(profile.reference[:ordered], measured, profile.binning.uppers)
    return estimates(value, None, rows, first_reason(len(rows), (rows == 0, Undefined.NO_ROWS)), bound)


def missing_rate(profile: FeatureProfile, current: Int64s) -> Estimates:
    """Share of the predictions seen that have no value of the feature, with Wilson's interval."""
    return share(current[:, profile.binning.missing], current.sum(axis=1))


@np.errstate(divide="ignore", invalid="ignore")
def share(some: Int64s, rows: Int64s) -> Estimates:
    """Some of the rows of W windows as a share of all, both (W,), with Wilson's interval."""
    undefined = first_reason(len(rows), (rows == 0, Undefined.NO_ROWS))
    return estimates(some / rows, intervals.wilson(some, rows), rows, undefined)


STATISTICS: Final[Mapping[str, Statistic]] = MappingProxyType(
    {
        "psi": _on_all_bins(distances.psi),
        "ks": ks,
        "missing": missing_rate,
        "psi_corrected": _on_all_bins(_psi_corrected),
        "js": _on_all_bins(distances.jensen_shannon),
        "hellinger": _on_all_bins(distances.hellinger),
        "tvd": _on_all_bins(distances.total_variation),
        "linf": _on_all_bins(distances.l_infinity),
        "chi_square": _on_all_bins(distances.chi_square),
        "wasserstein": wasserstein,
    }
)
PUBLISHED: Final = ("psi", "ks", "missing")
"""What every window carries; the configuration can ask for more."""
ORDERED: Final = frozenset({"ks", "wasserstein"})
"""Statistics that need an order of the values, which categorical features do not have."""


def split_name(name: str) -> tuple[str, str] | None:
    """Statistic and feature of a name such as `psi:hour`; None when it is not the name of a drift statistic."""
    statistic, colon, feature = name.partition(":")
    return (statistic, feature) if colon and feature and statistic in STATISTICS else None


def names(types: Mapping[str, str], statistics: Iterable[str] = PUBLISHED) -> tuple[str, ...]:
    """The names there are for these features (name to `numeric` or `categorical`), by feature, then by statistic.

    Categorical features have none that needs an order.
    """
    listed = tuple(statistics)
    return tuple(
        f"{statistic}:{feature}"
        for feature, type_ in sorted(types.items())
        for statistic in listed
        if type_ == "numeric" or statistic not in ORDERED
    )


def evaluate(reference: Reference, cells: Cells, wanted: Iterable[str] | None = None) -> dict[str, Estimates]:
    """The wanted statistics (the published ones of every feature when None) of W input windows.

    `cells` have the reference's layout. Raises KeyError for a name that this reference cannot answer.
    """
    types = {name: profile.type for name, profile in reference.features.items()}
    asked = names(types) if wanted is None else tuple(wanted)
    found: dict[str, Estimates] = {}
    for name in asked:
        parts = split_name(name)
        profile = reference.features.get(parts[1]) if parts else None
        if parts is None or profile is None or (parts[0] in ORDERED and profile.type != "numeric"):
            raise KeyError(f"the reference of {reference.model!r} has no statistic {name!r}")
        found[name] = STATISTICS[parts[0]](profile, cells.histogram(histogram_name(parts[1])))
    return found


def without_reference(wanted: Iterable[str], seen: Int64s) -> dict[str, Estimates]:
    """The same names for a model without a reference: no values, `seen` (W,) as rows, the reason why."""
    return {name: undefined_everywhere(seen, Undefined.NO_REFERENCE) for name in wanted}
